"""Whether machines can be deployed to: everything that is known in one round trip, judged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clanpy.activation.examine import Examined, examine
from clanpy.deployment.making import Kind, place_of
from clanpy.deployment.preflight import OLDEST_NIX, system_of, version_of
from clanpy.deployment.reach import Reach, each
from clanpy.errors import ClanpyError, ExitCode
from clanpy.rollout.limits import Limits
from clanpy.ui.format import size


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from clanpy.deployment.options import Options, Surroundings
    from clanpy.inventory.model import Machine

SCHEMA = "clanpy.doctor/1"
LITTLE_BYTES = 2 << 30
TOO_LITTLE_BYTES = 200 << 20
SKEW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands in the way of a deployment (`problem`), or that one should know (`warning`)."""

    level: str
    text: str

    def to_dict(self) -> dict[str, str]:
        """The finding as JSON."""
        return {"level": self.level, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One machine.

    Attributes:
        found: what it is; None when it could not be asked, and `error` says why.
        address: which of its addresses answered, as which account.
        seconds: from the question to the answer.
        skew: how far its clock is ahead of ours, in seconds; it is known to a second and a half.
    """

    machine: Machine
    found: Examined | None = None
    error: ClanpyError | None = None
    address: str | None = None
    seconds: float | None = None
    skew: float | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> str:
        """`ready`, `warnings`, `problems`, or `unreachable`."""
        if self.found is None:
            lost = self.error is None or self.error.exit_code is ExitCode.UNREACHABLE
            return "unreachable" if lost else "problems"
        levels = {finding.level for finding in self.findings}
        return "problems" if "problem" in levels else "warnings" if levels else "ready"

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON."""
        found, facts = self.found, self.found.facts if self.found else None
        back = facts.ways_back.get("system") if facts else None
        return {
            "name": self.machine.name,
            "verdict": self.verdict,
            "findings": [finding.to_dict() for finding in self.findings],
            "error": self.error.to_dict() if self.error else None,
            "address": self.address,
            "user": facts.user if facts else None,
            "class": facts.class_ if facts else None,
            "system": system_of(facts) if facts else None,
            "nix_version": facts.nix_version if facts else None,
            "builds_for": [s for s in (found.nix_system, *found.extra_platforms) if s] if found else [],
            "elevation": facts.elevation if facts else None,
            "trusted": found.is_trusted if found else None,
            "wants_signatures": found.wants_signatures if found else None,
            "supervisor": found.supervisor if found else None,
            "free_bytes": facts.free_bytes if facts else None,
            "running": facts.running if facts else None,
            "profile": facts.profile if facts else None,
            "booted": facts.booted if facts else None,
            "generation": facts.generation if facts else None,
            "boot_id": facts.boot.id if facts else None,
            "locked_by": str(facts.lock) if facts and facts.lock else None,
            "clock_skew": self.skew,
            "seconds": self.seconds,
            "way_back": back.path if back else None,
        }


async def diagnose(
    surroundings: Surroundings, machines: Sequence[Machine], options: Options, *, clock: Callable[[], float] = time.time
) -> list[Diagnosis]:
    """Ask every machine, and judge what it says."""
    by_name = {machine.name: machine for machine in machines}
    limits = Limits.derived(parallel=options.parallel)
    async with Reach.of(surroundings) as reach:

        async def ask(name: str) -> Diagnosis:
            async with reach.connected(name) as conn:
                asked = clock()
                found = await examine(conn)
                took = clock() - asked
                where = f"{conn.user}@{conn.address or conn.target.host}"
                # it reads its clock, in whole seconds, somewhere between our question and its answer
                skew = found.facts.clock + 0.5 - (asked + took / 2)
                findings = judged(by_name[name], found, skew=skew if abs(skew) > took else 0.0, options=options)
                return Diagnosis(
                    machine=by_name[name],
                    found=found,
                    address=where,
                    seconds=round(took, 3),
                    skew=round(skew, 1),
                    findings=tuple(findings),
                )

        answers = await each(by_name, ask, at_once=limits.hosts)
    return [
        Diagnosis(machine=by_name[name], error=answer) if isinstance(answer, ClanpyError) else answer
        for name, answer in answers.items()
    ]


def exit_code(found: Sequence[Diagnosis]) -> ExitCode:
    """0 when nothing stands in the way, 4 when machines are unreachable and nothing else is wrong, otherwise 1."""
    verdicts = {one.verdict for one in found} - {"ready", "warnings"}
    if not verdicts:
        return ExitCode.DONE
    return ExitCode.UNREACHABLE if verdicts == {"unreachable"} else ExitCode.HOSTS_FAILED


def judged(machine: Machine, found: Examined, *, skew: float, options: Options) -> Iterator[Finding]:
    """What stands in the way of a deployment, and what one should know. `skew`: how far its clock is ahead, in seconds."""
    yield from _identity(machine, found)
    yield from _nix(machine, found, options)
    yield from _account(found, machine.deploy.elevation or "sudo")
    yield from _state(found)
    if abs(skew) > SKEW_SECONDS:
        yield Finding("warning", f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}")


def _identity(machine: Machine, found: Examined) -> Iterator[Finding]:
    is_mac = found.facts.class_ == "darwin"
    if is_mac != (machine.class_ == "darwin"):
        yield Finding("problem", f"it is declared as {machine.class_}, and what answered is {found.facts.class_}")
    elif found.facts.class_ == "linux" and found.facts.running is None:
        yield Finding("warning", "it is no NixOS yet: this would be the first system of its own")
    is_ours = machine.system in {system_of(found.facts), found.nix_system, *found.extra_platforms}
    if machine.system and not is_ours:
        yield Finding("problem", f"its system is declared as {machine.system}, and it is {system_of(found.facts)}")


def _nix(machine: Machine, found: Examined, options: Options) -> Iterator[Finding]:
    facts = found.facts
    if facts.nix is None:
        yield Finding("problem", "there is no Nix on it")
        return
    for program in found.lacks:
        yield Finding("problem", f"there is no {program} on its PATH")
    version = version_of(facts.nix_version)
    if version is None:
        yield Finding("warning", "its Nix does not say its version")
    elif version < OLDEST_NIX:
        yield Finding("problem", f"its Nix {facts.nix_version} is older than 2.8")
    builds = {found.nix_system, *found.extra_platforms}
    if place_of(machine, options.build_host).kind is Kind.TARGET and machine.system and machine.system not in builds:
        yield Finding("problem", f"it is to build itself, and its Nix does not build for {machine.system}")


def _account(found: Examined, declared: str) -> Iterator[Finding]:
    facts = found.facts
    elevation = facts.elevation or "none"
    tool, _, asks = elevation.partition("-")
    if elevation == "none":
        yield Finding("problem", f"{facts.user} can't become root: there is no sudo, doas or run0")
    elif tool not in {"root", declared}:
        hint = f'write deploy.elevation = "{tool}"'
        yield Finding("problem", f"{facts.user} can't become root by {declared}, and might by {tool}: {hint}")
    elif tool == "sudo" and asks:
        yield Finding(
            "warning", f"{facts.user} becomes root with a password (sudo): it is asked for once, on a terminal"
        )
    elif asks:
        yield Finding("problem", f"{facts.user} can't become root without a password ({tool})")
    if (
        elevation not in {"root", "sudo", "sudo-password", "doas", "run0"}
        and not found.is_trusted
        and found.wants_signatures
    ):
        yield Finding("problem", f"its Nix wants signatures: {facts.user} is not among its trusted users")
    if found.supervisor is None:
        yield Finding("problem", "there is nothing on it that could keep the guard alive (systemd, launchd, setsid)")


def _state(found: Examined) -> Iterator[Finding]:
    facts = found.facts
    if facts.free_bytes is not None and facts.free_bytes < LITTLE_BYTES:
        level = "problem" if facts.free_bytes < TOO_LITTLE_BYTES else "warning"
        yield Finding(level, f"only {size(facts.free_bytes)} are free in its store")
    if facts.lock is not None:
        yield Finding("warning", f"it is locked by {facts.lock}")
    for left in facts.left_over:
        yield Finding("warning", f"run {left.run} was left in the middle of {left.slot}: the next update mends it")
    if facts.running is not None and facts.profile is not None and facts.running != facts.profile:
        yield Finding("warning", "it runs another system than a reboot would bring")
    if facts.running is None and facts.class_ != "linux":
        yield Finding("warning", "there is nothing to go back to: it runs no system that Nix made")
