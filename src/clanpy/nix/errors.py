"""What goes wrong with Nix: one place where its messages become errors of clanpy (codes CP02xx).

NixMissingError     CP0200   there is no Nix
NixCommandError     CP0201   a Nix command failed in a way that nothing below names
EvaluationError     CP0202   the configuration of a machine is wrong
BuildError          CP0203   a derivation could not be built
DiskFullError       CP0204   no space left, here or on the target
InputsError         CP0205   flake.nix or flake.lock of the fleet can't be used
SourceError         CP0206   a file that a machine needs can't be staged
StaleReleaseError   CP0207   a derivation that was evaluated earlier is gone from the store
CopyError           CP0208   paths could not be copied to a store
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clanpy.errors import ClanpyError, ExitCode, InventoryError, Place, ToolMissingError


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_DETAILS = 30


class NixMissingError(ToolMissingError):
    """There is no Nix on this machine, or not where `CLANPY_NIX` says."""

    code = "CP0200"


class NixCommandError(ClanpyError):
    """A Nix command failed; `details` holds the last lines that it wrote."""

    code = "CP0201"


class EvaluationError(InventoryError):
    """The configuration of a machine is wrong: `place` is in the fleet's own files where Nix names one."""

    code = "CP0202"


class BuildError(ClanpyError):
    """A derivation could not be built; `details` holds the last lines of its log."""

    code = "CP0203"


class DiskFullError(ClanpyError):
    """There is no space left on the disk of a store."""

    code = "CP0204"


class InputsError(InventoryError):
    """`flake.nix` or `flake.lock` of the fleet can't be used."""

    code = "CP0205"


class SourceError(InventoryError):
    """A file that a machine needs can't be staged."""

    code = "CP0206"


class StaleReleaseError(ClanpyError):
    """A derivation that was evaluated earlier has been collected as garbage: it has to be evaluated again."""

    code = "CP0207"


class CopyError(ClanpyError):
    """Store paths could not be copied."""

    code = "CP0208"
    exit_code = ExitCode.HOSTS_FAILED


_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STORE_SOURCE = r"(?:«path:[^»]*»|(?:/[^\s/:'`\"]+)*/[0-9a-z]{32}-source)/"
_AT = re.compile(r"\bat (?P<file>(?:«[^»]*»)?[^\s:«»]+):(?P<line>\d+)(?::(?P<column>\d+))?")
_IN = re.compile(r"(?:- In|, in|while evaluating the module argument .* in) [`\"](?P<file>[^'`\"]+)['\"]")
_NO_SPACE = ("No space left on device", "database or disk is full")
_TRACE = re.compile(r"^(?:…|\.\.\.) ")


@dataclass(frozen=True, slots=True)
class Origins:
    """Leads back from a staged tree to the fleet: where each staged file came from, by its path in the tree."""

    files: Mapping[str, str] = field(default_factory=dict)

    def rename(self, text: str) -> str:
        """The text with every path of a staged tree replaced by the fleet's own file."""
        return re.sub(_STORE_SOURCE + r"(?P<rel>[^\s:'`\"»]+)", self._replacement, text)

    def place(self, file: str, line: int | None, column: int | None) -> Place | None:
        """The fleet's own place for one that Nix names, or None where it is not in the staged tree."""
        match = re.fullmatch(_STORE_SOURCE + r"(?P<rel>.+)", file)
        relative = match["rel"] if match else file
        origin = self.files.get(relative)
        if origin is None:
            return None
        # generated files have no lines of the fleet
        return Place(origin) if relative.startswith("generated/") else Place(origin, line, column)

    def _replacement(self, match: re.Match[str]) -> str:
        return self.files.get(match["rel"], match[0])


def is_disk_full(text: str) -> bool:
    """Whether Nix says that a disk is full."""
    return any(phrase in text for phrase in _NO_SPACE)


def plain(text: str) -> str:
    """A text without colours."""
    return _ANSI.sub("", text)


def tail(text: str, limit: int = MAX_DETAILS) -> tuple[str, ...]:
    """The last lines of a log, without colours and without empty lines at its end."""
    lines = plain(text).rstrip().splitlines()
    return tuple(line.rstrip() for line in lines[-limit:])


def evaluation_error(host: str, stderr: str, origins: Origins) -> ClanpyError:
    """What Nix says about a configuration, as one sentence with its place in the fleet.

    The place is the innermost one that lies in a file of the fleet.
    """
    text = plain(stderr)
    if is_disk_full(text):
        return DiskFullError(f"{host}: no space left on the disk of this machine's Nix store", details=tail(text))
    message, rest = _last_error(text)
    place = next(_places([*message, *rest], origins), None)
    sentence, *more = [origins.rename(line) for line in message] or ["Nix gave no reason"]
    details = [*more, *(origins.rename(line) for line in _own_trace(rest, origins))]
    return EvaluationError(
        f"{host}: {sentence.rstrip(':.')}",
        place=place,
        hint=_hint(text),
        details=details[:MAX_DETAILS],
    )


def _last_error(text: str) -> tuple[list[str], list[str]]:
    """The lines of the last `error:` and everything around it, nearest first."""
    lines = [line.strip() for line in text.splitlines()]
    starts = [i for i, line in enumerate(lines) if line.startswith("error:")]
    if not starts:
        return [line for line in lines if line][-1:], []
    start = starts[-1]
    message: list[str] = [lines[start].removeprefix("error:").strip()]
    end = start + 1
    while end < len(lines) and not _is_context(lines[end]):
        message.append(lines[end])
        end += 1
    return [line for line in message if line], [*lines[end:], *reversed(lines[:start])]


def _is_context(line: str) -> bool:
    return bool(_AT.match(line) or _TRACE.match(line) or re.match(r"\(use '--show-trace'|\(stack trace|\d+\|", line))


def _places(lines: Sequence[str], origins: Origins) -> Iterator[Place]:
    for pattern in (_IN, _AT):
        for line in lines:
            for match in pattern.finditer(line):
                groups = match.groupdict()
                number, column = groups.get("line"), groups.get("column")
                place = origins.place(match["file"], int(number) if number else None, int(column) if column else None)
                if place is not None:
                    yield place


def _own_trace(lines: Sequence[str], origins: Origins) -> Iterator[str]:
    """Of a trace, what a user can do something with: the options on the way and the places in the fleet."""
    for line in lines:
        named = any(origins.place(m["file"], 1, None) for m in _AT.finditer(line))
        if named or "while evaluating the option" in line or "while evaluating definitions from" in line:
            yield line


_HINTS = (
    (
        re.compile(r"path '[^']*' does not exist|cannot import '[^']*'|opening file '[^']*-source/"),
        "a machine sees its own folder, its aspects, and what these name by relative path; anything else has to be in an aspect",
    ),
    (
        re.compile(r"attribute '[^']*' missing[\s\S]*inputs\.|while evaluating the module argument `inputs'"),
        "is the input named in flake.nix?",
    ),
)


def _hint(text: str) -> str | None:
    return next((hint for pattern, hint in _HINTS if pattern.search(text)), None)
