"""What a host is and what it runs, in one round trip and without Nix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from clanpy.activation.errors import FactsError
from clanpy.activation.lock import LockInfo, lock_info
from clanpy.activation.model import Goal, reason_text
from clanpy.activation.scripts import assemble
from clanpy.activation.standing import Standing, standing_of
from clanpy.activation.wire import Said, check_account, check_run, number, read


if TYPE_CHECKING:
    from collections.abc import Mapping

    from clanpy.activation.wire import Host

HostClass = Literal["nixos", "darwin", "linux"]
FACTS_SECONDS = 20.0
SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to ask a host beside what it always tells.

    Attributes:
        accounts: whose homes are asked for.
        nix_version: ask Nix itself for its version where its path does not tell (20 ms there).
        specialisation: which specialisation's path is to be told, of the system that the profile holds.
        elevation: try whether the account we are there may become root without a password (a login of its own in its log).
        standing: ask how the host stands beside what it runs (`HostFacts.standing`): a few processes there.
        by_hand: look there at every file under /etc that is the system's, as a part of that.
    """

    accounts: tuple[str, ...] = ()
    nix_version: bool = False
    elevation: bool = False
    specialisation: str | None = None
    standing: bool = False
    by_hand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The store paths that a host is to run: the system's, and the standalone homes' by account.

    Attributes:
        goal: how far: with `test` the profile does not matter, with `boot` what runs does not (nor do homes).
        specialisation: the one of the system that is to run.
    """

    system: str | None = None
    homes: Mapping[str, str] = field(default_factory=dict)
    goal: Goal = Goal.SWITCH
    specialisation: str | None = None


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot of one host: opaque, equal when it has not been booted in between."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeFacts:
    """A standalone home: the generation that is live, and the profile that should hold the same.

    `readable` is False when the account that we are may not look into it.
    """

    account: str
    home: str | None = None
    running: str | None = None
    profile: str | None = None
    generation: int | None = None
    readable: bool = True

    def is_at(self, path: str) -> bool:
        """Whether this home is `path`, live and in its profile. Older home-managers leave the profile alone to tell."""
        return self.profile == path and self.running in {path, None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The latest activation of a slot (`system`, `home.<account>`), as the host recorded it.

    Attributes:
        outcome: how it ended; None while it is under way, or when its guard was killed: see `pending` and `alive`.
        alive: its guard is still at work.
        watched: so is the controller that started it, as far as the host can tell.
    """

    slot: str
    id: str
    run: str
    new: str
    previous: str | None
    phase: str
    outcome: str | None
    reason: str
    alive: bool
    owner: str
    controller: str
    started: int | None
    finished: int | None
    watched: bool = False

    @property
    def pending(self) -> bool:
        """Whether it has not ended."""
        return self.outcome is None

    @property
    def is_left_over(self) -> bool:
        """Whether its guard was killed before the end (or the host was rebooted): `recover` brings it to one."""
        return self.pending and not self.alive


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPath:
    """A store path that was tried on the host and found wanting. `reason`: as in a result; `when`: seconds since 1970."""

    path: str
    run: str
    reason: str
    code: int | None
    when: int | None

    @property
    def why(self) -> str:
        """The reason as words for people."""
        return reason_text(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """What ran before what runs now, kept from garbage collection on the host."""

    path: str
    profile: str | None
    generation: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a host is and what it runs.

    Attributes:
        class_: by what is found there; `linux` is a Linux that is no NixOS.
        running, booted, profile: store paths of the system, None where there is none.
        generation: the number of the profile's generation.
        boot: differs after a reboot.
        nix_version: None where it was not asked for and its path does not tell; see `nix`.
        nix: where the program is; None when there is no Nix.
        free_bytes: on the file system of the store.
        secrets: the keyed digest of the secrets that were delivered; None when they are not (or not any more) there.
        clock: seconds since 1970 by the host's clock.
        elevation: `root`, or how the account may become root (`sudo`, `doas`; with `-password`: not without one), or `none`;
            None when that was not asked.
        lock: who is at work on it.
        runs: the latest activation of each slot.
        ways_back: what each slot can go back to.
        failures: the paths of each slot that failed here, by path.
        special: the store path of the specialisation that was asked for, of the system in the profile.
        standing: how it stands beside that; None when that was not asked.
    """

    host: str
    user: str
    uid: int
    kernel: str
    machine: str
    release: str
    class_: HostClass
    boot: Boot
    clock: int
    running: str | None = None
    booted: str | None = None
    profile: str | None = None
    generation: int | None = None
    nix: str | None = None
    nix_version: str | None = None
    free_bytes: int | None = None
    secrets: str | None = None
    elevation: str | None = None
    lock: LockInfo | None = None
    runs: Mapping[str, RunRecord] = field(default_factory=dict)
    ways_back: Mapping[str, WayBack] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, FailedPath]] = field(default_factory=dict)
    special: str | None = None
    homes: Mapping[str, HomeFacts] = field(default_factory=dict)
    standing: Standing | None = None

    @property
    def left_over(self) -> tuple[RunRecord, ...]:
        """The runs whose guard did not come to an end."""
        return tuple(run for run in self.runs.values() if run.is_left_over)

    def differs(self, wanted: Wanted) -> tuple[str, ...]:
        """The slots (`system`, `home.<account>`) that are not what is wanted. None: there is nothing to do.

        A slot whose last run did not come to an end differs, whatever it runs.
        """
        left = {run.slot for run in self.left_over}
        slots: list[str] = []
        if wanted.system is not None and (SYSTEM in left or not self._is_at(wanted)):
            slots.append(SYSTEM)
        for account, path in wanted.homes.items() if wanted.goal is not Goal.BOOT else ():
            slot = f"home.{account}"
            home = self.homes.get(account)
            if home is None or not home.is_at(path) or slot in left:
                slots.append(slot)
        return tuple(slots)

    def _is_at(self, wanted: Wanted) -> bool:
        kept = self.profile == wanted.system
        if wanted.goal is Goal.BOOT:
            return kept
        if wanted.specialisation is not None:  # which path that is, is known of the system in the profile alone
            return kept and self.special is not None and self.running == self.special
        return self.running == wanted.system and (kept or wanted.goal is Goal.TEST)


async def gather(conn: Host, question: Question | None = None, *, elevate: bool = False) -> HostFacts:
    """Ask a host for its facts: one round trip, nothing changed there.

    Args:
        conn: the connection.
        question: what to ask beside the usual.
        elevate: ask as root: needed for the homes of other accounts where those are closed.

    Raises:
        FactsError: what came back is not what the script writes.
    """
    asked = question or Question()
    script = assemble(
        "locking",
        *(("boots", "standing") if asked.standing else ()),
        "facts",
        variables={
            "accounts": " ".join(check_account(account) for account in asked.accounts),
            "ask_nix": asked.nix_version,
            "ask_elevation": asked.elevation,
            "ask_standing": asked.standing,
            "ask_etc": asked.by_hand,
            "specialisation": check_run(asked.specialisation) if asked.specialisation else "",
        },
    )
    done = await conn.run(script, timeout=FACTS_SECONDS, elevate=elevate)
    said = read(done.stdout.splitlines())
    if said.fields.get("end") != "facts":
        raise FactsError(
            f"{conn.host} could not say what it runs",
            hint="is its login shell one that runs /bin/sh, and is the account allowed to?",
            details=(f"exit status {done.status}", *(done.stderr or done.stdout).splitlines()[-10:]),
        )
    return _facts(conn.host, said, asks_standing=asked.standing)


def _facts(host: str, said: Said, *, asks_standing: bool = False) -> HostFacts:
    fields = said.fields
    free = said.number("free_kib")
    return HostFacts(
        host=host,
        user=fields["user"],
        uid=int(fields["uid"]),
        kernel=fields["kernel"],
        machine=fields["machine"],
        release=fields["release"],
        class_=_class(fields["class"]),
        boot=Boot(fields["boot"]),
        clock=int(fields["clock"]),
        running=fields.get("running"),
        booted=fields.get("booted"),
        profile=fields.get("profile"),
        generation=said.number("generation"),
        nix=fields.get("nix"),
        nix_version=fields.get("nix_version"),
        free_bytes=None if free is None else free * 1024,
        secrets=fields.get("secrets"),
        elevation=fields.get("elevation"),
        lock=lock_info(said.under("lock.")),
        runs={slot: _run(slot, values) for slot, values in _by_slot(said, "run.").items()},
        ways_back={slot: _way_back(values) for slot, values in _by_slot(said, "back.").items()},
        failures=_failures(said),
        special=fields.get("special"),
        homes={account: _home(account, values) for account, values in _by_slot(said, "home.").items()},
        standing=standing_of(said) if asks_standing else None,
    )


def _class(text: str) -> HostClass:
    return "nixos" if text == "nixos" else "darwin" if text == "darwin" else "linux"


def _by_slot(said: Said, prefix: str) -> dict[str, dict[str, str]]:
    slots: dict[str, dict[str, str]] = {}
    for name, value in said.under(prefix).items():
        # An account's name may have dots in it, the name of a field has none.
        slot, _, key = name.rpartition(".")
        slots.setdefault(slot, {})[key] = value
    return slots


def _run(slot: str, values: Mapping[str, str]) -> RunRecord:
    return RunRecord(
        slot=slot,
        id=values.get("id", ""),
        run=values.get("run", ""),
        new=values.get("new", ""),
        previous=values.get("previous") or None,
        phase=values.get("phase", "starting"),
        # The state names an outcome shortly before the result does; only the result counts, and it alone has an end.
        outcome=values.get("outcome") if "finished" in values else None,
        reason=values.get("reason", ""),
        alive=values.get("alive") == "1",
        owner=values.get("owner", ""),
        controller=values.get("controller", ""),
        started=number(values.get("since")),
        finished=number(values.get("finished")),
        watched=values.get("watched") == "1",
    )


def _failures(said: Said) -> dict[str, dict[str, FailedPath]]:
    found: dict[str, dict[str, FailedPath]] = {}
    for numbered, values in _by_slot(said, "bad.").items():
        path = values.get("path", "")
        found.setdefault(numbered.rpartition(".")[0], {})[path] = FailedPath(
            path=path,
            run=values.get("run", ""),
            reason=values.get("reason", ""),
            code=number(values.get("code")),
            when=number(values.get("when")),
        )
    return found


def _way_back(values: Mapping[str, str]) -> WayBack:
    return WayBack(
        path=values.get("previous", ""),
        profile=values.get("previous_profile") or None,
        generation=number(values.get("previous_generation")),
    )


def _home(account: str, values: Mapping[str, str]) -> HomeFacts:
    return HomeFacts(
        account=account,
        home=values.get("home"),
        running=values.get("running"),
        profile=values.get("profile"),
        generation=number(values.get("generation")),
        readable="unreadable" not in values,
    )
