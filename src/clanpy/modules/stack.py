"""Who is evaluating what: cycle marks, and stacks that don't end at Python's recursion limit.

Values are computed on demand, so a chain of a thousand defaults is a thousand nested calls, through functions of the
user's that can't be turned inside out. Instead of raising the recursion limit (which does not cover C frames, and differs
between Python versions), a deep evaluation goes on in a fresh thread, whose stack is empty, while this one waits for it.
Only one of them ever runs, so evaluation stays single-threaded; a lock keeps other threads of the program out.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from threading import get_ident
from typing import Any, Final, Protocol, TypeVar

from clanpy.modules.errors import ModuleError


T = TypeVar("T")

# One step is at most a dozen Python frames, so this stays far below the limit of 1,000, whoever calls.
STEPS_PER_STACK: Final = 36


class Frame(Protocol):
    """Something that is being evaluated, as a cycle prints it."""

    def described_(self, name: str) -> str: ...


class _Run:
    """The state of the evaluation that is going on in this process, if any."""

    __slots__ = ("depth", "frames", "lock", "owner")

    def __init__(self) -> None:
        self.owner = 0
        self.depth = 0
        self.frames: list[tuple[Frame, str]] = []
        self.lock = _thread.allocate_lock()


class _Holder:
    run: _Run = _Run()


def frames() -> list[tuple[Frame, str]]:
    """What is being evaluated, outermost first."""
    return _Holder.run.frames


def guarded(function: Callable[..., T], *args: Any) -> T:
    """Call the function as one step of the evaluation that is going on, or as a new one."""
    run = _Holder.run
    me = get_ident()
    if run.owner == me:
        if run.depth >= STEPS_PER_STACK:
            return _on_fresh_stack(run, function, args)
        run.depth += 1
        try:
            return function(*args)
        finally:
            run.depth -= 1
    with run.lock:
        run.owner, run.depth = me, 1
        try:
            return function(*args)
        finally:
            run.owner, run.depth = 0, 0
            run.frames.clear()


def _on_fresh_stack(run: _Run, function: Callable[..., T], args: tuple[Any, ...]) -> T:
    """Run it in a new thread and wait."""
    me, depth = run.owner, run.depth
    done = _thread.allocate_lock()
    done.acquire()
    outcome: list[tuple[bool, Any]] = []

    def carry_on() -> None:
        run.owner, run.depth = get_ident(), 0
        try:
            outcome.append((True, function(*args)))
        except BaseException as error:  # handed to the waiting thread, which raises it
            outcome.append((False, error))
        finally:
            # Given back here and not by the one who waits: once this thread has ended, another may get its number.
            run.owner, run.depth = me, depth
            done.release()

    try:
        _thread.start_new_thread(carry_on, ())
    except RuntimeError as error:
        raise ModuleError("the values depend on each other too deeply: no more stacks can be made") from error
    try:
        done.acquire()
    except BaseException:
        # Interrupted while waiting. The other thread can't be stopped, so it keeps the old state for itself.
        _Holder.run = _Run()
        raise
    good, value = outcome[0]
    if not good:
        raise value
    return value  # type: ignore[no-any-return]  # what carry_on appended is the function's T
