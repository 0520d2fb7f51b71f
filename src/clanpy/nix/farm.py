"""Asking the build farm how a job went: the page that a fallback names, as Hydra makes it."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException


AT_ONCE = 4
SECONDS = 30.0
_MOST = 4 << 20  # bytes that are read of a page
_PENDING = frozenset(("Queued",))
_GREEN = "Succeeded"
_ICON = re.compile(r"<img\b[^>]*>", re.DOTALL)
_TITLE = re.compile(r'\btitle="([^"]*)"')
_SUCCEEDED = 0
_HEADERS = {"Accept": "text/html, application/json;q=0.9", "User-Agent": "clanpy"}


class Verdict(StrEnum):
    """What a page says of the job's last build that has ended. `UNCLEAR`: nothing that is understood; `SILENT`: no page came."""

    SUCCEEDS = "succeeds"
    FAILS = "fails"
    UNCLEAR = "unclear"
    SILENT = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a page says, in a word, and in its own words."""

    verdict: Verdict
    said: str


def ask_farm(links: Iterable[str], *, seconds: float = SECONDS) -> dict[str, Answer]:
    """What each of some pages says; those that don't answer say so."""
    links = list(dict.fromkeys(links))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return dict(zip(links, threads.map(lambda link: _ask(link, seconds), links), strict=True))


def _ask(link: str, seconds: float) -> Answer:
    if not link.startswith(("https://", "http://")):
        return Answer(verdict=Verdict.UNCLEAR, said="this is no link to a page")
    try:
        request = urllib.request.Request(link, headers=_HEADERS)  # noqa: S310 - http and https alone, as just seen
        with urllib.request.urlopen(request, timeout=seconds) as page:  # noqa: S310 - the same
            return _read(page.headers.get_content_type(), page.read(_MOST).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        return Answer(verdict=Verdict.UNCLEAR, said=f"the page answers {error.code} {error.reason}")
    except urllib.error.URLError as error:
        return Answer(verdict=Verdict.SILENT, said=_words(error.reason))
    except (OSError, HTTPException, ValueError) as error:
        return Answer(verdict=Verdict.SILENT, said=_words(error))


def _read(kind: str, text: str) -> Answer:
    return _read_json(text) if kind == "application/json" else _read_page(text)


def _read_page(text: str) -> Answer:
    """The status that Hydra shows first, of those that are final: builds are listed with the latest on top."""
    for icon in _ICON.findall(text):
        title = _TITLE.search(icon)
        if "build-status" in icon and title and title[1] not in _PENDING:
            return Answer(verdict=Verdict.SUCCEEDS if title[1] == _GREEN else Verdict.FAILS, said=title[1])
    return Answer(verdict=Verdict.UNCLEAR, said="the page shows no build that has ended")


def _read_json(text: str) -> Answer:
    """One build, or a list of them with the latest first."""
    try:
        found = json.loads(text)
    except ValueError:
        return Answer(verdict=Verdict.UNCLEAR, said="the page is no JSON, and says that it is")
    for build in found if isinstance(found, list) else [found]:
        if isinstance(build, dict) and build.get("finished", 1) and isinstance(build.get("buildstatus"), int):
            status = build["buildstatus"]
            return Answer(
                verdict=Verdict.SUCCEEDS if status == _SUCCEEDED else Verdict.FAILS,
                said=_GREEN if status == _SUCCEEDED else f"build status {status}",
            )
    return Answer(verdict=Verdict.UNCLEAR, said="the page tells of no build that has ended")


def _words(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
