"""The registry of machines: choosing some of them, saying how they are reached, and listing them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TextIO

from clanpy.errors import ClanpyError, CombinedError, ExitCode, NothingMatchedError, UsageError
from clanpy.inventory.errors import SelectionError
from clanpy.inventory.matching import Kind, Matcher, Problem
from clanpy.inventory.model import Fleet, Machine
from clanpy.inventory.schema import is_target
from clanpy.inventory.selection import And, Pattern, Selection, Term, marked, parse
from clanpy.inventory.show import machine_row


_TARGET_HINT = "a target is [ssh://][user@]host[:port], an IPv6 address in brackets"
_LIST_HINT = "`clanpy machines list` shows what there is"


class CombinedSelectionError(CombinedError):
    """Several things are wrong with what machines are selected by; each of them is told with a code of its own."""

    code = "CP0014"
    exit_code = ExitCode.NOTHING_MATCHED


def select(
    fleet: Fleet,
    selections: Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
    *,
    stdin: TextIO | None = None,
    more: Iterable[Kind] = (),
) -> tuple[Machine, ...]:
    """The machines that any of the selections selects and that carry all of the tags, sorted by name.

    No selection means all machines; no tags means whatever they carry. How a selection is written is told in
    `clanpy.inventory.selection`; `more` are kinds beside those of the inventory. `stdin` holds the names, one a line, that `-`
    stands for; without it, it is the standard input of the process, read only then.

    Raises:
        NothingMatchedError: a name does not exist, or a selection, or all together, selects no machine.
        SelectionError: a selection can't be read.
        CombinedSelectionError: several of these.
    """
    matcher = Matcher(fleet, more, on_stdin=_once(stdin))
    errors: list[ClanpyError] = []
    chosen: set[str] = set() if selections else set(fleet.machines)
    for text in dict.fromkeys(selections or ()):
        chosen |= _selected(matcher, text, errors)
    for tag in dict.fromkeys(tags or ()):
        chosen &= _members(matcher, Term("tag", Pattern(tag)), tag, errors)
    if len(errors) > 1:
        raise CombinedSelectionError(errors)
    if errors:
        raise errors[0]
    if not chosen:
        raise NothingMatchedError(_nothing(selections or (), tags or ()), hint=_LIST_HINT)
    return tuple(machine for name, machine in fleet.machines.items() if name in chosen)


def select_one(fleet: Fleet, selection: str) -> Machine:
    """The one machine that a selection selects.

    Raises:
        UsageError: it selects several.
        ClanpyError: as `select`.
    """
    machine, *others = select(fleet, [selection])
    if others:
        raise UsageError(
            f"'{selection}' selects {len(others) + 1} machines, and one is needed",
            hint=f"one of {', '.join(m.name for m in (machine, *others[:4]))}{', …' if len(others) > 4 else ''}",  # noqa: PLR2004 - a line
        )
    return machine


def _once(stream: TextIO | None) -> Callable[[], Collection[str]]:
    """The names on a stream, read when they are first asked for."""
    found: list[frozenset[str]] = []

    def names() -> frozenset[str]:
        if not found:
            lines = (line.strip() for line in stream or sys.stdin or ())
            found.append(frozenset(line for line in lines if line and not line.startswith("#")))
        return found[0]

    return names


def _selected(matcher: Matcher, text: str, errors: list[ClanpyError]) -> frozenset[str]:
    try:
        selection = parse(text, matcher.kinds)
    except SelectionError as error:
        errors.append(error)
        return frozenset()
    before = len(errors)
    found = _members(matcher, selection, text, errors)
    if not found and len(errors) == before:
        errors.append(NothingMatchedError(f"no machine is in '{text}'", hint=_counts(matcher, selection)))
    return found


def _members(matcher: Matcher, selection: Selection, text: str, errors: list[ClanpyError]) -> frozenset[str]:
    """The machines of a selection. What is wrong with it is added to the errors."""
    matcher.problems.clear()
    found = matcher.members(selection)
    errors.extend(_error(problem, text) for problem in dict.fromkeys(matcher.problems))
    return found


def _error(problem: Problem, text: str) -> NothingMatchedError:
    """An error that shows where it stands, when that is a part of the whole."""
    is_all = problem.at[1] - problem.at[0] >= len(text.strip())
    details = () if is_all or problem.at == (0, 0) else marked(text, problem.at)
    return NothingMatchedError(problem.message, hint=problem.hint, details=details)


def _counts(matcher: Matcher, selection: Selection) -> str:
    """How many machines the parts of a selection select that selects none."""
    if not isinstance(selection, And):
        return _LIST_HINT
    counts = [(str(part), len(matcher.members(part))) for part in selection.operands]
    return "; ".join(f"`{part}` selects {count or 'none'}" for part, count in counts) + ", all together none"


def _nothing(selections: Sequence[str], tags: Sequence[str]) -> str:
    if not tags:
        return "the fleet has no machines"
    carried = " and ".join(f"'{tag}'" for tag in tags)
    among = f" of {', '.join(selections)}" if selections else ""
    return f"no machine{among} carries {'the tag' if len(tags) == 1 else 'all of the tags'} {carried}"


def targets(machine: Machine, override: str | None = None) -> tuple[str, ...]:
    """Where a machine is reached, to be tried in order: what the command line says, else what the inventory says.

    Raises:
        UsageError: the override is no target, or nobody says where the machine is.
    """
    if override is not None:
        if not is_target(override):
            raise UsageError(f"'{override}' is no target", hint=_TARGET_HINT)
        return (override,)
    deploy = machine.deploy
    found = tuple(target for target in (deploy.target_host, *deploy.alternatives) if target is not None)
    if not found:
        raise UsageError(
            f"nothing says where machine '{machine.name}' is reached: not the command line, not the inventory",
            place=machine.place,
            hint=f'write deploy.target_host = "…" in [machines.{machine.name}], or use --target-host',
        )
    return found


def rows(machines: Iterable[Machine]) -> list[Mapping[str, Any]]:
    """The machines as `machines list --json` prints them."""
    return [machine_row(machine) for machine in machines]
