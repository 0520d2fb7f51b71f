"""Evaluating and building on another host: what it needs of us, the scripts that do it there, and what they say.

Nothing is asked of the Nix of this computer, which may have none. The trees that an evaluation reads (the staged sources, and the
folders of this computer that inputs are locked to) are known by their hashes; where the store there has them under those, its Nix
fetches nothing and evaluates the same as ours would.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clanpy.errors import ClanpyError
from clanpy.nix.activity import FLAGS, BuildStarted, Output, Said, parse
from clanpy.nix.build import LOG_LINES, artifacts, failed_builder
from clanpy.nix.copy import PathInfo
from clanpy.nix.derivations import name_of
from clanpy.nix.diagnose import evaluation_error, store_path
from clanpy.nix.errors import BuildError, DiskFullError, NixMissingError, StaleReleaseError, is_disk_full, plain, tail
from clanpy.nix.evaluate import release_of
from clanpy.nix.literals import quote
from clanpy.nix.nar import base32
from clanpy.nix.program import FEATURES
from clanpy.nix.release import Artifact, Release, Source
from clanpy.nix.source import manifest, origins


STORE_DIR = "/nix/store"
ROOTS = "${XDG_STATE_HOME:-$HOME/.local/state}/clanpy/roots"
_MARK = "@clanpy "
_TAIL = 400
_SHARED = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A folder of this computer that an evaluation reads, and where it is in a store."""

    folder: Path
    path: str
    nar_hash: str

    @property
    def address(self) -> str:
        """By what the store there believes that the path is what it says."""
        return f"fixed:r:sha256:{base32(base64.b64decode(self.nar_hash.removeprefix('sha256-')))}"

    def info(self, size: int) -> PathInfo:
        """What a store is told of it."""
        return PathInfo(self.path, size, (), nar_hash=self.nar_hash, content_address=self.address)


def trees(source: Source) -> tuple[SourceTree, ...]:
    """All that another host needs to evaluate a machine: its sources, and each folder of this computer that is an input."""
    lock = json.loads((source.root / "flake.lock").read_bytes())
    locked = (node.get("locked", {}) for node in lock["nodes"].values())
    folders = {
        str(entry["path"]): str(entry["narHash"])
        for entry in locked
        if entry.get("type") == "path" and "narHash" in entry and str(entry.get("path", "")).startswith("/")
    }
    own = {str(source.root): str(manifest(source)["nar_hash"])}
    return tuple(
        SourceTree(Path(folder), store_path(nar_hash, STORE_DIR), nar_hash)
        for folder, nar_hash in {**own, **folders}.items()
    )


# ------------------------------------------------------------------------------------------------------- evaluation


def evaluation_script(source: Source, config: Sequence[str]) -> str:
    """The script that evaluates a machine from its sources in the store there."""
    nar_hash = str(manifest(source)["nar_hash"])
    reference = f"path:{store_path(nar_hash, STORE_DIR)}?narHash={nar_hash}"
    wanted = " ".join(f"(of flake.{installable.attribute})" for installable in source.installables)
    expression = (
        "let of = d: { drv = d.drvPath; out = d.outPath; }; "
        f"flake = builtins.getFlake {quote(reference)}; in [ {wanted} ]"
    )
    return (
        f"{_head(config)}exec 3>&1\n"
        f"found=$(nix eval --json --show-trace --expr {shlex.quote(expression)} 2>&3) || exit 1\n"
        f'printf "{_MARK}evaluated %s\\n" "$found"\n'
    )


@dataclass(slots=True)
class Evaluating:
    """What an evaluation there says, heard line by line."""

    source: Source
    place: str
    on_line: Callable[[str], None]
    _said: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL), init=False)
    _found: str | None = field(default=None, init=False)
    _lacks_nix: bool = field(default=False, init=False)

    def hear(self, line: str) -> None:
        """One line."""
        word, _, rest = line.removeprefix(_MARK).partition(" ")
        if not line.startswith(_MARK):
            self._said.append(line)
            self.on_line(plain(line))
        elif word == "evaluated":
            self._found = rest
        elif word == "no-nix":
            self._lacks_nix = True

    def result(self) -> Release | ClanpyError:
        """The release, or why there is none."""
        if self._lacks_nix:
            return _no_nix(self.place)
        if self._found is None:
            return evaluation_error(self.source.host, "\n".join(self._said), origins(self.source, STORE_DIR))
        return release_of(self.source, json.loads(self._found))


# ------------------------------------------------------------------------------------------------------- building


def build_script(release: Release, config: Sequence[str]) -> str:
    """The script that builds a release there and roots it. It says so when what was evaluated is gone from the store."""
    lines = [f"{_head(config)}exec 2>&1", 'wanted=""']
    for artifact in artifacts(release):
        out, drv = shlex.quote(artifact.out), shlex.quote(artifact.drv)
        lines.append(
            f'if nix-store --check-validity {out} 2>/dev/null; then :; elif [ -e {drv} ]; then wanted="$wanted "{drv}; '
            f"else echo '{_MARK}gone {artifact.drv}'; exit 1; fi"
        )
    flags = " ".join(FLAGS)
    lines += [
        f'[ -z "$wanted" ] || nix-store --realise --keep-going --verbose {flags} $wanted >/dev/null || exit 1',
        f'roots={ROOTS}; mkdir -p "$roots" || exit 1',
        *(_root(release, artifact) for artifact in artifacts(release)),
        f"echo '{_MARK}built'",
    ]
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class Building:
    """What a build there says, heard line by line. `on_line` gets what its builders write."""

    release: Release
    place: str
    on_line: Callable[[str], None]
    _running: dict[int, str] = field(default_factory=dict, init=False)
    _logs: dict[str, deque[str]] = field(default_factory=dict, init=False)
    _failures: dict[str, str] = field(default_factory=dict, init=False)
    _said: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES), init=False)
    _mark: str | None = field(default=None, init=False)

    def hear(self, line: str) -> None:
        """One line."""
        if line.startswith(_MARK):
            self._mark = line.removeprefix(_MARK)
            return
        match parse(line):
            case BuildStarted(activity, drv):
                self._running[activity] = drv
                self.on_line(f"{name_of(drv)}: building")
            case Output(activity, text) if activity in self._running:
                drv = self._running[activity]
                self._logs.setdefault(drv, deque(maxlen=LOG_LINES)).append(text)
                self.on_line(f"{name_of(drv)}: {text}")
            case Said(text, is_error=True):
                self._fail(plain(text))

    def result(self) -> ClanpyError | None:
        """None when all of it is built and rooted, otherwise why not."""
        host = self.release.host
        match (self._mark or "").split(" "):
            case ["built"]:
                return None
            case ["no-nix"]:
                return _no_nix(self.place)
            case ["gone", drv]:
                return StaleReleaseError(f"{host}: the derivation {name_of(drv)} is not in the store of {self.place}")
        return self._error(host)

    def _fail(self, text: str) -> None:
        self._said.extend(text.splitlines())
        failed = failed_builder(text)
        if failed is not None:
            self._failures.setdefault(*failed)

    def _error(self, host: str) -> ClanpyError:
        drv = next(iter(self._failures), None)
        log = tuple(self._logs.get(drv, ())) if drv else ()
        if is_disk_full("\n".join([*self._said, *log])):
            return DiskFullError(
                f"{host}: no space left on the disk of the Nix store of {self.place}",
                details=tail("\n".join(self._said)),
            )
        if drv is None:
            what = name_of(self.release.system.drv)
            return BuildError(f"{host}: {what} could not be built on {self.place}", details=tuple(self._said))
        return BuildError(
            f"{host}: {name_of(drv)} could not be built on {self.place}: its builder {self._failures[drv]}",
            details=log,
            hint=f"the whole log, on {self.place}: nix log {drv}",
        )


def _head(config: Sequence[str]) -> str:
    """Nix as we want it, or a word that there is none."""
    lines = "\n".join((FEATURES, *config))
    return (
        f"command -v nix >/dev/null 2>&1 || {{ echo '{_MARK}no-nix'; exit 1; }}\n"
        f'NIX_CONFIG="${{NIX_CONFIG:-}}\n"{shlex.quote(lines)}; export NIX_CONFIG\n'
    )


def _root(release: Release, artifact: Artifact) -> str:
    account = artifact.installable.account
    name = _SHARED.sub("_", release.host if account is None else f"{release.host}.{account}")
    return f'nix-store --realise {shlex.quote(artifact.out)} --add-root "$roots/{name}" --indirect >/dev/null 2>&1 || exit 1'


def _no_nix(place: str) -> NixMissingError:
    return NixMissingError(
        f"there is no Nix on {place}, where this is to be built", hint="deploy.build_host names another place"
    )
