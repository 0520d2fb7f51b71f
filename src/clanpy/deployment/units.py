"""What becomes of units: as a system says of itself when it is activated dryly, or as the files of units let one expect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clanpy.deployment.plan import Delta, Units


if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = "systemd/system/"
_SAID = re.compile(r"would (stop|restart|reload|start) the following units: (.+)")
_JOB = re.compile(r"Launch(?:Daemons|Agents)/(.+)\.plist")
_UNIT = re.compile(r"[^/@]+(?:@[^/.]+)?\.(?:service|socket|timer|path|mount|automount|swap)")


def units_said(lines: Iterable[str]) -> Units:
    """What `switch-to-configuration dry-activate` says."""
    found: dict[str, list[str]] = {"stop": [], "restart": [], "reload": [], "start": []}
    for line in lines:
        said = _SAID.fullmatch(line.strip())
        if said is not None:
            found[said[1]] += said[2].split(", ")
        elif line.strip() == "would restart systemd":
            found["restart"].append("systemd")
    return Units(source="dry-activate", **{what: tuple(sorted(set(units))) for what, units in found.items()})


def units_by_files(files: Delta) -> Units:
    """What to expect: a unit whose file comes is started, one whose file changes is restarted, one whose file goes is stopped."""
    return Units(source="files", stop=_units(files.removed), restart=_units(files.changed), start=_units(files.added))


def units_by_jobs(files: Delta) -> Units:
    """The same of launchd's jobs: nix-darwin loads those whose files come, reloads those whose files change, and removes the others."""
    return Units(source="files", stop=_jobs(files.removed), restart=_jobs(files.changed), start=_jobs(files.added))


def _jobs(names: Iterable[str]) -> tuple[str, ...]:
    found = (_JOB.fullmatch(name) for name in names)
    return tuple(sorted(job[1] for job in found if job is not None))


def _units(names: Iterable[str]) -> tuple[str, ...]:
    inside = (name.removeprefix(FOLDER) for name in names if name.startswith(FOLDER))
    return tuple(sorted(name for name in inside if _UNIT.fullmatch(name)))
