"""What a run is told: values only."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clanpy.activation import LockInfo, LockOwner
from clanpy.deployment.gates import Ask, nobody
from clanpy.deployment.live import Live
from clanpy.inventory.model import Fleet
from clanpy.journal import Journal, RunNotFoundError
from clanpy.nix.inputs import InputOverrides
from clanpy.ssh import AskPassword, Target


WAIT_FOR_LOCK = 600.0
RETRIES = 2
CONFIRM_WITHIN = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run goes about it.

    Attributes:
        dry_run: read everything, change nothing.
        parallel: hosts at once; None: as many as this computer can.
        max_failures: once more hosts than this have failed, none is activated any more; None: however many.
        build_host: where machines are built, whatever `deploy.build_host` of each says; None: where that says.
        via: the host from which machines get their store paths, whatever `deploy.via` of each says; None: as that says.
        lock_wait: seconds to wait for a host that somebody else is at work on.
        steal_lock: take the lock of a host from a controller that is known to be dead.
        confirm_within: seconds in which a host must be reached anew after its activation, or it goes back.
        activate_within: seconds that an activation may take.
        live: how systems are made live.
        planned: of machines that are updated by a plan, the system that was seen there and the one that it is to get.
    """

    dry_run: bool = False
    parallel: int | None = None
    max_failures: int | None = None
    build_host: str | None = None
    via: str | None = None
    lock_wait: float = WAIT_FOR_LOCK
    steal_lock: bool = False
    confirm_within: float = CONFIRM_WITHIN
    activate_within: float = 900.0
    live: Live = field(default_factory=Live)
    planned: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)


def nobody_is_dead(_: LockInfo) -> bool:
    """Nothing is known of any run but this one."""
    return False


def dead_runs_of(journal: Journal, controller: str) -> Callable[[LockInfo], bool]:
    """Whether the holder of a lock is a run of this computer that its journal says has died. A guard's lock is nobody's to take."""

    def is_dead(holder: LockInfo) -> bool:
        if holder.by_guard or holder.host != controller:
            return False
        try:
            return journal.read(holder.run).status == "died"
        except RunNotFoundError:
            return False

    return is_dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a run takes place: the same code works on production and in the lab, which differ in nothing but this.

    Attributes:
        targets: the ways to each machine, in order of preference.
        builders: the ways to hosts that build for machines, under the names that `deploy.build_host` has for them.
        way_hint: what to do about a machine that has no way, with `{name}` in it.
        overrides: flake inputs that are taken from elsewhere.
        nix_config: lines for Nix's configuration.
        cache: where sources and releases are kept.
        owner: who does it, for others to read.
        controller: the computer it is done from.
        retries: how often a connection that could not be made is tried again.
        lab: the lab that this is, if it is one.
        ask: who is asked what becomes of a machine of which a gate could not be tried.
        ask_password: who is asked for the password that sudo wants on a host; remembering it is their business. None: nobody.
        is_dead: whether a run that holds a lock is one of our own that is known to have died: then its lock is taken over.
    """

    fleet: Fleet
    targets: Mapping[str, tuple[Target, ...]]
    builders: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    way_hint: str = "write deploy.target_host in [machines.{name}]"
    overrides: InputOverrides | None = None
    nix_config: tuple[str, ...] = ()
    cache: Path
    owner: str = field(default_factory=getpass.getuser)
    controller: str = field(default_factory=socket.gethostname)
    retries: int = RETRIES
    ask: Ask = nobody
    ask_password: AskPassword | None = None
    is_dead: Callable[[LockInfo], bool] = nobody_is_dead
    lab: str | None = None

    def lock_owner(self, run: str, reason: str) -> LockOwner:
        """Who we are, as the hosts are told."""
        return LockOwner(owner=self.owner, host=self.controller, run=run, reason=reason)
