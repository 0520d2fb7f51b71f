"""The inputs of a machine's flake: those of the fleet's `flake.nix` and `flake.lock` that this machine can read.

An input that is overridden is locked to a folder of this computer, by its content. So a staged flake is locked in any case, Nix
evaluates it purely, several in one process, and needs neither network nor `--override-input`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clanpy.errors import Place, nearest
from clanpy.nix.errors import InputsError
from clanpy.nix.literals import read_inputs


LOCK_VERSION = 7
Lock = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOverrides:
    """Folders of this computer that stand in for inputs: `named` for some, `every` for all others.

    Each is a flake without inputs of its own.
    """

    every: Path | None = None
    named: Mapping[str, Path] = field(default_factory=dict)

    def get(self, name: str) -> Path | None:
        return self.named.get(name, self.every)


@dataclass(frozen=True, slots=True)
class InputSet:
    """What goes into a staged flake: `specs` for flake.nix, `lock` for flake.lock."""

    specs: Mapping[str, Any]
    lock: Lock


class FleetInputs:
    """The inputs of a fleet, read once.

    Args:
        hash_folder: gives the hash by which Nix knows a folder.
        written: a folder with another flake.nix and flake.lock than the fleet's own.
    """

    def __init__(
        self,
        root: Path,
        overrides: InputOverrides,
        hash_folder: Callable[[Path], str],
        written: Path | None = None,
    ) -> None:
        self.root = root
        self.written = written or root
        self.overrides = overrides
        self.hash_folder = hash_folder
        self.specs = {name: spec for name, spec in read_inputs(self.written / "flake.nix").items() if name != "self"}
        self._lock: Lock | None = None
        self._sets: dict[frozenset[str], InputSet] = {}
        for name in overrides.named:
            self._known(name)

    def first(self, *names: str) -> str:
        """The first of several names that the fleet has as an input.

        Raises:
            InputsError: it has none of them.
        """
        for name in names:
            if name in self.specs:
                return name
        raise InputsError(
            f"flake.nix has no input '{names[0]}'", place=Place("flake.nix"), hint=nearest(names[0], self.specs)
        )

    def select(self, names: Iterable[str]) -> InputSet:
        """The inputs of these names (those unknown are left out), and what they follow.

        Raises:
            InputsError: one is neither locked nor overridden.
        """
        wanted = frozenset(self._with_followed(name for name in names if name in self.specs))
        if wanted not in self._sets:
            self._sets[wanted] = self._make(sorted(wanted))
        return self._sets[wanted]

    def _known(self, name: str) -> None:
        if name not in self.specs:
            raise InputsError(
                f"flake.nix has no input '{name}' to override",
                place=Place("flake.nix"),
                hint=nearest(name, self.specs),
            )

    def _with_followed(self, names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        pending = list(names)
        while pending:
            name = pending.pop()
            if name in found:
                continue
            found.add(name)
            pending += [target for target in _followed(self._own(name)) if target in self.specs]
            if self._folder(name) is None:
                pending += [target for target in self._followed_in_lock(name) if target in self.specs]
        return found

    def _own(self, name: str) -> Mapping[str, Any]:
        """The spec as it is staged: what replaces an input has no inputs that could follow anything."""
        spec: Mapping[str, Any] = self.specs[name]
        folder = self._folder(name)
        if folder is None:
            return spec
        kept = {"flake": spec["flake"]} if "flake" in spec else {}
        return {"url": f"path:{folder}", **kept}

    def _folder(self, name: str) -> Path | None:
        """The folder of this computer that the input is."""
        override = self.overrides.get(name)
        if override is not None:
            return override
        url = str(self.specs[name].get("url", ""))
        relative = url.removeprefix("path:")
        return (self.root / relative).resolve() if relative.startswith(("./", "../")) else None

    def _followed_in_lock(self, name: str) -> set[str]:
        nodes = self.lock["nodes"]
        return {
            reference[0]
            for node in _reachable(nodes, [nodes["root"]["inputs"].get(name)])
            for reference in nodes[node].get("inputs", {}).values()
            if isinstance(reference, list) and reference
        }

    @property
    def lock(self) -> Lock:
        """The fleet's flake.lock."""
        if self._lock is None:
            self._lock = self._read_lock()
        return self._lock

    def _read_lock(self) -> Lock:
        place = Place("flake.lock")
        try:
            lock = json.loads((self.written / "flake.lock").read_bytes())
            lock["nodes"]["root"].setdefault("inputs", {})
        except FileNotFoundError:
            raise InputsError(
                "the fleet has no flake.lock, so its inputs are not known", place=place, hint="run `nix flake lock`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputsError(f"is no lock file: {error}", place=place) from error
        if lock.get("version") != LOCK_VERSION or lock.get("root") != "root":
            raise InputsError(f"has version {lock.get('version')}; only {LOCK_VERSION} can be read", place=place)
        return dict(lock)

    def _make(self, names: list[str]) -> InputSet:
        nodes: dict[str, Any] = {}
        top: dict[str, Any] = {}
        for name in names:
            if self._folder(name) is None:
                top[name] = self._copy_locked(name, nodes)
        for name in names:
            folder = self._folder(name)
            if folder is not None:
                key = name if name not in nodes else f"{name}-here"
                nodes[key] = self._lock_folder(name, folder)
                top[name] = key
        nodes["root"] = {"inputs": top} if top else {}
        specs = {name: self._own(name) for name in names}
        return InputSet(specs, {"nodes": nodes, "root": "root", "version": LOCK_VERSION})

    def _copy_locked(self, name: str, nodes: dict[str, Any]) -> Any:
        locked = self.lock["nodes"]
        reference = locked["root"]["inputs"].get(name)
        if reference is None:
            raise InputsError(
                f"flake.lock does not know the input '{name}'", place=Place("flake.lock"), hint="run `nix flake lock`"
            )
        for key in _reachable(locked, [reference]):
            nodes[key] = locked[key]
        return reference

    def _lock_folder(self, name: str, folder: Path) -> dict[str, Any]:
        if self.specs[name].get("flake", True) and read_inputs_of(folder):
            raise InputsError(
                f"the folder {folder} can't stand in for the input '{name}': it has inputs of its own",
                hint="only a flake without inputs can",
            )
        place = {"type": "path", "path": str(folder)}
        node: dict[str, Any] = {"locked": {**place, "narHash": self.hash_folder(folder)}, "original": place}
        return node if self.specs[name].get("flake", True) else {**node, "flake": False}


def read_inputs_of(folder: Path) -> Mapping[str, Any]:
    """The inputs of the flake in a folder."""
    return read_inputs(folder / "flake.nix")


def _followed(spec: Mapping[str, Any]) -> set[str]:
    """The names of the outermost inputs that a spec follows, at any depth."""
    found: set[str] = set()
    follows = spec.get("follows")
    if isinstance(follows, str) and follows:
        found.add(follows.split("/")[0])
    for inner in spec.get("inputs", {}).values():
        found |= _followed(inner)
    return found


def _reachable(nodes: Mapping[str, Any], start: Iterable[Any]) -> list[str]:
    """The nodes of a lock file that can be reached from some, without going through what is followed."""
    found: dict[str, None] = {}
    pending = [key for key in start if isinstance(key, str)]
    while pending:
        key = pending.pop()
        if key not in found and key in nodes:
            found[key] = None
            pending += [ref for ref in nodes[key].get("inputs", {}).values() if isinstance(ref, str)]
    return sorted(found)
