"""Drift: what a machine runs, what its profile holds and what it should run, where they are not the same; and files changed by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from clanpy.errors import ExitCode


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clanpy.activation import HostFacts
    from clanpy.deployment.status import HostStatus

Kind = Literal["running", "profile", "file"]
SYSTEM = "system"
BEFORE_OTHERS = frozenset(
    {"current", "unknown", "outdated"}
)  # states that drift says more of, or that say nothing of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing that is not as it should be.

    Attributes:
        kind: `running`: what runs is not what the profile holds; `profile`: what that holds is not what is wanted; `file`: changed by hand.
        name: `system`, `home.<account>`, or the path of the file.
        found: a store path; of a file how it was changed: `changed`, `replaced` or `missing`.
        meant: the store path that it should be; None for a file.
    """

    kind: Kind
    name: str
    found: str | None
    meant: str | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"kind": self.kind, "name": self.name, "is": self.found, "should_be": self.meant}


def drift_of(facts: HostFacts, system: str | None, homes: Mapping[str, str]) -> tuple[Drift, ...]:
    """The drift of a machine. What should run is None, or not among the homes, where that is not known."""
    return tuple(_drifts(facts, system, homes))


def _drifts(facts: HostFacts, system: str | None, homes: Mapping[str, str]) -> Iterator[Drift]:
    yield from _slot(SYSTEM, facts.running, facts.profile, system)
    for account, home in sorted(facts.homes.items()):
        if home.readable:
            yield from _slot(f"home.{account}", home.running or home.profile, home.profile, homes.get(account))
    by_hand = facts.standing.by_hand if facts.standing else None
    for file in by_hand or ():
        yield Drift(kind="file", name=f"/etc/{file.file}", found=file.how, meant=None)


def _slot(name: str, running: str | None, profile: str | None, wanted: str | None) -> Iterator[Drift]:
    if running != profile:
        yield Drift(kind="running", name=name, found=running, meant=profile)
    if wanted is not None and profile != wanted:
        yield Drift(kind="profile", name=name, found=profile, meant=wanted)


def drift_exit_code(found: Sequence[HostStatus]) -> ExitCode:
    """`DRIFT` when a machine has drifted; else 4 when all that did not answer are unreachable, 1 when others could not be asked."""
    if any(host.drift for host in found):
        return ExitCode.DRIFT
    states = {host.state for host in found} - BEFORE_OTHERS
    if not states:
        return ExitCode.DONE
    return ExitCode.UNREACHABLE if states == {"unreachable"} else ExitCode.HOSTS_FAILED
