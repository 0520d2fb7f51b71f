"""The options of `[rollout.<name>]`: how many machines are activated when, and what may go wrong. What they mean is the rollout room's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clanpy.inventory.kinds import Name, Strings, Table, Text, boolean, maybe, strings, table, text, whole, words
from clanpy.inventory.reading import entries, get, inside
from clanpy.modules import option, types
from clanpy.modules.config import Config


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet

ROLLOUT_NAME = Name("the name of a rollout", r"[A-Za-z0-9_][A-Za-z0-9_-]*", "letters, digits, '-' and '_'")
DURATION_PATTERN = r"(\d+(ms|s|m|h|d|w))+"
ON_STOP = ("hold", "revert-wave", "revert-all")
OFFLINE = ("skip", "queue", "fail")
PROMOTE = ("auto", "manual")

share = types.either(
    whole("a number of machines"), Text("a share of the machines", r"\d+(\.\d+)?\s*%|\d+", "such as 5 or '20%'")
)
duration = Text("a duration", DURATION_PATTERN, "such as '30s', '10m', '1h30m'")


def _maybe(description: str, kind: Any, **more: Any) -> Any:
    return option(maybe(kind), default=None, description=description, **more)


_WAVE = {
    "upto": _maybe(
        "How many of all machines are done when it is over, counted from the first wave on.", share, example="50%"
    ),
    "select": _maybe("Only machines of this selection.", text, example="tag:web"),
    "bake": _maybe("How long it is watched before the next one begins.", duration, example="10m"),
    "promote": _maybe("Who lets the next wave begin: nobody (`auto`) or a person (`manual`).", words(*PROMOTE)),
}

ROLLOUT = {
    "canary": {
        "hosts": _maybe("How many machines go first. Nothing may fail in this wave.", share, example=1),
        "select": _WAVE["select"],
        "bake": _WAVE["bake"],
        "promote": _WAVE["promote"],
    },
    "waves": option(
        types.list_of(types.either(share, table(_WAVE))),
        default=[],
        description="The waves, in order: how many machines are done after each. What is left is a last one.",
        example=["10%", "50%"],
    ),
    "max_unavailable": _maybe("How many machines of a wave are activated at once. Without it all.", share),
    "domains": option(
        Strings(text, "a list of selections"),
        default=[],
        description="Selections of which only one is touched at a time, in this order: zones, sites.",
        example=["tag:east", "tag:west"],
    ),
    "bake": _maybe("How long each wave is watched before the next one begins.", duration),
    "check_interval": _maybe("How often health is looked at meanwhile. Without it every 30 s.", duration),
    "min_ready": _maybe("How long a machine goes on counting as unavailable after it was confirmed.", duration),
    "progress_deadline": _maybe("It stops when no machine got well for so long. Pauses do not count.", duration),
    "budget": {
        "failed": _maybe("How many machines may fail, in each wave and in all. Without it none.", share),
        "unreachable": _maybe("How many may be out of reach. Without it any number.", share),
        "minimum": _maybe("So many may fail, however few machines there are.", whole("a number of machines")),
        "consecutive": _maybe("How many may fail one after the other.", whole("a number of machines")),
    },
    "on_stop": _maybe(
        "What becomes of the machines that are done when it stops: they stay, or go back to what they ran before.",
        words(*ON_STOP),
    ),
    "straggler": {
        "factor": _maybe("How many times the median a machine may take.", types.numbers.positive),
        "at_least": _maybe("It may always take so long. Without it 2 minutes.", duration),
        "skip": _maybe("Whether the wave goes on without it. It counts as out of reach then.", boolean),
    },
    "freeze": option(
        strings,
        default=[],
        description="Times of the week, in local time, in which nothing is activated.",
        example=["fri 16:00-mon 08:00"],
    ),
    "offline": _maybe(
        "What becomes of machines that are not reached: left out, taken up by the next run, or failed.", words(*OFFLINE)
    ),
    "max_age": _maybe("How old a plan may be that is applied.", duration),
}


def rollouts_option() -> Any:
    """The option `rollout` of the fleet."""
    return option(
        Table(table(ROLLOUT), ROLLOUT_NAME, "a table of rollouts", placeholder="name"),
        default={},
        description="Ways to roll changes out, by name. `default` is taken where none is named.",
    )


def rollouts_of(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """What the fleet says about rollouts, as plain data without what is not said."""
    evaluated = fleet.memo.get("evaluated")
    config = evaluated.config if evaluated is not None else {}
    return {name: _said(entry) for name, entry in entries(config, "rollout", ROLLOUT_NAME)}


def after_of(fleet: Fleet) -> dict[str, tuple[str, ...]]:
    """For each machine that says so, the selections of those that have to be done before it."""
    evaluated = fleet.memo.get("evaluated")
    table_ = inside(evaluated.config, "machines") if evaluated is not None else {}
    found = {name: get(inside(table_, name, "deploy"), "after", []) for name in fleet.machines}
    return {name: tuple(after) for name, after in found.items() if after}


def _said(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given a value, inside as well."""
    found: dict[str, Any] = {}
    for name in entry:
        value = get(entry, name)
        if isinstance(value, (Config, dict)):
            value = _said(value)
        elif isinstance(value, list):
            value = [_said(item) if isinstance(item, (Config, dict)) else item for item in value]
        if value is not None and value not in ({}, []):
            found[name] = value
    return found
