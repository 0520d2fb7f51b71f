"""How a host stands beside what it runs: since when, what failed, what only a boot would bring, and what was changed by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast


if TYPE_CHECKING:
    from collections.abc import Mapping

    from clanpy.activation.wire import Said

Manner = Literal["changed", "replaced", "missing"]


@dataclass(frozen=True, slots=True, order=True)
class ByHand:
    """A file under /etc that is not what the system put there.

    Attributes:
        file: its name below /etc; `static` when all of them come from another system than the one that runs.
        how: `changed`: a copy with another content; `replaced`: something else than the system's link; `missing`.
    """

    file: str
    how: Manner


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What was told.

    Attributes:
        since: when the profile's generation was made, in seconds since 1970; None where there is none.
        failed_units: None where nobody there knows.
        booted, running: what of the systems only a boot exchanges; empty where one and the same system was booted and runs.
        by_hand: files under /etc; None where that was not asked, or the system does not keep them in a way that tells.
    """

    since: int | None = None
    failed_units: tuple[str, ...] | None = None
    booted: Mapping[str, str] = field(default_factory=dict)
    running: Mapping[str, str] = field(default_factory=dict)
    by_hand: tuple[ByHand, ...] | None = None


def standing_of(said: Said) -> Standing:
    """What the script said."""
    units: list[str] = []
    files: list[ByHand] = []
    boots: dict[str, dict[str, str]] = {"booted": {}, "running": {}}
    for line in said.lines:
        kind, _, rest = line.partition(" ")
        first, _, more = rest.partition(" ")
        match kind:
            case "unit":
                units.append(first)
            case "etc":
                files.append(ByHand(more, cast("Manner", first)))
            case "boot":
                part, _, value = more.partition(" ")
                boots[first][part] = value
    return Standing(
        since=said.number("standing.since"),
        failed_units=tuple(sorted(units)) if "standing.units" in said.fields else None,
        by_hand=tuple(sorted(files)) if "standing.etc" in said.fields else None,
        **boots,
    )
