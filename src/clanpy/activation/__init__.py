"""What "make it live" means on NixOS, on darwin and for a home, and the guard that undoes it.

`gather` asks a host what it is and runs, in one round trip. `lock` keeps other controllers away. `start` hands an activation to a
guard on the host, which goes back by itself unless `confirm` reaches it in time over a fresh connection.
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
from clanpy.activation.facts import Boot, HomeFacts, HostFacts, Question, RunRecord, Wanted, WayBack, gather
from clanpy.activation.guard import confirm, follow, guard_text, preview, recover, result, revert, settle, start
from clanpy.activation.lock import HeldLock, LockInfo, LockOwner, lock
from clanpy.activation.model import (
    Activation,
    ActivationResult,
    FollowedLine,
    FollowedPhase,
    Goal,
    GuardOutcome,
    Phase,
    status_text,
)
from clanpy.activation.rollback import Generation, Return, generations, way_back


__all__ = [
    "Activation",
    "ActivationError",
    "ActivationResult",
    "Boot",
    "FactsError",
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
    "UnknownRunError",
    "Wanted",
    "WayBack",
    "confirm",
    "follow",
    "gather",
    "generations",
    "guard_text",
    "lock",
    "preview",
    "recover",
    "result",
    "revert",
    "settle",
    "start",
    "status_text",
    "way_back",
]
