"""What "make it live" means on NixOS, on darwin and for a home, and the guard that undoes it.

    facts = await gather(conn)                              # one round trip, as the same user, nothing changed
    if facts.differs(Wanted(system=path)):
        async with lock(conn, owner) as held:               # the second controller gets LockHeldError
            await settle(conn, facts, held=held)            # what was cut off before, as a rule nothing
            id_ = await start(conn, Activation(run=…, class_="nixos", new=path, owner=owner), held=held)
            async for event in follow(conn, id_): ...       # lines of its log, and phases; ends with `awaiting` or an end
            async with connect(target) as fresh:            # that it can be made is what is to be proven
                done = await confirm(fresh, id_)            # or: revert(conn, id_, "gate_failed")

The activation is done by a guard on the host (scripts/guard.sh), detached from every connection. It records and roots what runs,
activates, and goes back by itself to what it recorded unless `confirm` reaches it in time.
"""

from clanpy.activation.errors import (
    ActivationError,
    FactsError,
    GuardError,
    LockDeniedError,
    LockHeldError,
    NoWayBackError,
    UnknownRunError,
)
from clanpy.activation.facts import Boot, FailedPath, HomeFacts, HostFacts, Question, RunRecord, Wanted, WayBack, gather
from clanpy.activation.guard import (
    condemn,
    confirm,
    follow,
    guard_text,
    launch,
    preview,
    prolong,
    recover,
    result,
    revert,
    settle,
    start,
)
from clanpy.activation.lock import HeldLock, LockInfo, LockOwner, lock
from clanpy.activation.model import (
    GATE_FAILED,
    GATE_UNDECIDED,
    Activation,
    ActivationResult,
    FollowedLine,
    FollowedPhase,
    Goal,
    GuardOutcome,
    Phase,
    SwitchStatus,
    status_text,
)
from clanpy.activation.rollback import Generation, Return, generations, way_back
from clanpy.activation.standing import ByHand, Standing


__all__ = [
    "GATE_FAILED",
    "GATE_UNDECIDED",
    "Activation",
    "ActivationError",
    "ActivationResult",
    "Boot",
    "ByHand",
    "FactsError",
    "FailedPath",
    "FollowedLine",
    "FollowedPhase",
    "Generation",
    "Goal",
    "GuardError",
    "GuardOutcome",
    "HeldLock",
    "HomeFacts",
    "HostFacts",
    "LockDeniedError",
    "LockHeldError",
    "LockInfo",
    "LockOwner",
    "NoWayBackError",
    "Phase",
    "Question",
    "Return",
    "RunRecord",
    "Standing",
    "SwitchStatus",
    "UnknownRunError",
    "Wanted",
    "WayBack",
    "condemn",
    "confirm",
    "follow",
    "gather",
    "generations",
    "guard_text",
    "launch",
    "lock",
    "preview",
    "prolong",
    "recover",
    "result",
    "revert",
    "settle",
    "start",
    "status_text",
    "way_back",
]
