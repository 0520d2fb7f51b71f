"""From `[rollout.<name>]` and the command line to a policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from clanpy.errors import ClanpyError, NothingMatchedError, UsageError, nearest
from clanpy.inventory.rollouts import rollouts_of
from clanpy.rollout.freeze import Freeze
from clanpy.rollout.policy import Budget, Canary, OnStop, Policy, Promote, Straggler, WaveSpec
from clanpy.rollout.share import Share


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet

DEFAULT = "default"
_PART = re.compile(r"(\d+)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: str) -> timedelta:
    """`30s`, `10m`, `1h30m`.

    Raises:
        UsageError: it is none.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise UsageError(f"{text!r} is no duration", hint="write 30s, 10m, 1h30m or 2d")
    return timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))


def policy_named(fleet: Fleet, name: str | None) -> Policy | None:
    """The policy of a name; `[rollout.default]` when none is given. None: the fleet has no default.

    Raises:
        NothingMatchedError: there is none of that name.
        UsageError: a part of it makes no sense; its place is in the error.
    """
    known = rollouts_of(fleet)
    if name is None:
        name = DEFAULT
        if name not in known:
            return None
    if name not in known:
        hint = nearest(name, known) or (f"known: {', '.join(known)}" if known else "write [rollout.<name>]")
        raise NothingMatchedError(f"there is no rollout '{name}'", hint=hint)
    try:
        return policy_from(known[name], name)
    except UsageError as error:
        raise UsageError(error.message, place=fleet.where("rollout", name), hint=error.hint) from None


def policy_from(said: Mapping[str, Any], name: str = DEFAULT) -> Policy:
    """A policy from plain data with the names of the inventory.

    Raises:
        UsageError: a part of it makes no sense.
    """
    plain = Policy(name=name)
    straggler = said.get("straggler")
    return replace(
        plain,
        canary=_canary(said["canary"]) if "canary" in said else None,
        waves=tuple(_wave(wave) for wave in said.get("waves", ())),
        max_unavailable=_if(said.get("max_unavailable"), Share.parse),
        domains=tuple(said.get("domains", ())),
        bake=_duration(said, "bake") or plain.bake,
        check_interval=_duration(said, "check_interval") or plain.check_interval,
        min_ready=_duration(said, "min_ready") or plain.min_ready,
        progress_deadline=_duration(said, "progress_deadline"),
        budget=_budget(said.get("budget", {})),
        on_stop=OnStop(said.get("on_stop", plain.on_stop)),
        straggler=None if straggler is None else _straggler(straggler),
        freeze=tuple(Freeze.parse(text) for text in said.get("freeze", ())),
    )


def check_rollouts(fleet: Fleet) -> list[ClanpyError]:
    """What is wrong with the fleet's policies, all of it."""
    errors: list[ClanpyError] = []
    for name in rollouts_of(fleet):
        try:
            policy_named(fleet, name)
        except ClanpyError as error:
            errors.append(error)
    return errors


def _canary(said: Mapping[str, Any]) -> Canary:
    return Canary(
        hosts=Share.parse(said.get("hosts", 1)),
        select=said.get("select"),
        bake=_duration(said, "bake"),
        promote=Promote(said.get("promote", Promote.AUTO)),
    )


def _wave(said: Any) -> WaveSpec:
    if not isinstance(said, Mapping):
        return WaveSpec(upto=Share.parse(said))
    return WaveSpec(
        upto=_if(said.get("upto"), Share.parse),
        select=said.get("select"),
        bake=_duration(said, "bake"),
        promote=Promote(said.get("promote", Promote.AUTO)),
    )


def _budget(said: Mapping[str, Any]) -> Budget:
    plain = Budget()
    return Budget(
        failed=Share.parse(said["failed"]) if "failed" in said else plain.failed,
        unreachable=_if(said.get("unreachable"), Share.parse),
        minimum=said.get("minimum", plain.minimum),
        consecutive=said.get("consecutive"),
    )


def _straggler(said: Mapping[str, Any]) -> Straggler:
    plain = Straggler()
    return Straggler(
        factor=float(said.get("factor", plain.factor)),
        at_least=_duration(said, "at_least") or plain.at_least,
        skip=bool(said.get("skip", plain.skip)),
    )


def _duration(said: Mapping[str, Any], key: str) -> timedelta | None:
    text = said.get(key)
    return None if text is None else parse_duration(text)


def _if(value: Any, make: Callable[[Any], Any]) -> Any:
    return None if value is None else make(value)
