"""What another flake.lock means for machines: the inputs that differ, and the versions of what they install."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clanpy.deployment.plan import Package
from clanpy.inventory.model import Fleet, HostConfig
from clanpy.nix.asking import Installed, installed
from clanpy.nix.inputs import InputOverrides
from clanpy.nix.program import NixProgram
from clanpy.nix.release import Source
from clanpy.nix.source import Stager


SCHEMA = "clanpy.packages-diff/1"
_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs for one machine.

    Attributes:
        inputs: inputs that are locked to something else: what before, what after; None for one that is not there.
        packages: those that are installed in other versions.
        broken: packages that could not be evaluated, before or after, so that nothing is said of them.
    """

    machine: str
    inputs: Mapping[str, tuple[str | None, str | None]]
    packages: tuple[Package, ...] = ()
    broken: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `inputs` by name with `before` and `after`, `packages` with `name, change, before, after`, `broken`."""
        return {
            "inputs": {name: {"before": before, "after": after} for name, (before, after) in self.inputs.items()},
            "packages": [
                {"name": p.name, "change": p.kind, "before": list(p.before), "after": list(p.after)}
                for p in self.packages
            ],
            "broken": self.broken,
        }


async def changes_since(
    fleet: Fleet,
    hosts: Sequence[HostConfig],
    written: Path,
    *,
    nix: NixProgram,
    cache: Path,
    overrides: InputOverrides | None = None,
) -> list[Changes]:
    """What differs for machines between the flake.nix and flake.lock in a folder, and those of the fleet. Nothing is built.

    A machine whose inputs are the same is not evaluated.

    Raises:
        InputsError: one of the lock files can't be used, or lacks an input that a machine needs.
        EvaluationError: a machine can't be evaluated with one of them.
        NixMissingError: Nix can't be run.
    """
    then, now = Stager(fleet, cache, overrides, written), Stager(fleet, cache, overrides)
    pairs = [(host.name, then.stage(host), now.stage(host)) for host in hosts]
    now.save()
    different = [pair for pair in pairs if pair[1].key != pair[2].key]
    known = await installed([source for _, *both in different for source in both], nix) if different else {}
    return [_changes(name, before, after, known) for name, before, after in pairs]


def _changes(name: str, before: Source, after: Source, known: Mapping[str, Installed]) -> Changes:
    if before.key == after.key:
        return Changes(machine=name, inputs={})
    old, new = known[before.key], known[after.key]
    names = sorted(old.versions.keys() | new.versions.keys())
    return Changes(
        machine=name,
        inputs=_inputs(_locked(before), _locked(after)),
        packages=tuple(
            Package(name=each, before=old.versions.get(each, ()), after=new.versions.get(each, ()))
            for each in names
            if old.versions.get(each) != new.versions.get(each)
        ),
        broken=max(old.broken, new.broken),
    )


def _inputs(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _locked(source: Source) -> dict[str, str]:
    """What each input of a staged machine is locked to, in short."""
    lock = json.loads((source.root / "flake.lock").read_bytes())
    nodes = lock["nodes"]
    named = {name: key for name, key in nodes["root"].get("inputs", {}).items() if isinstance(key, str)}
    return {name: _version(nodes[key].get("locked", {})) for name, key in named.items()}


def _version(locked: Mapping[str, Any]) -> str:
    return str(locked.get("rev") or str(locked.get("narHash", "")).removeprefix("sha256-"))[:_SHORT]
