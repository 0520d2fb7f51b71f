"""Why an option is what it is: every definition, those that count and those that were dropped, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from clanpy.modules.config import Config, with_default
from clanpy.modules.errors import MissingAttributeError, ModuleError, Place
from clanpy.modules.evaluation import Evaluation
from clanpy.modules.lazy import Lazy, force
from clanpy.modules.mapping import LazyMapping
from clanpy.modules.merge import MISSING, strongest
from clanpy.modules.options import Declared
from clanpy.modules.priority import MIDDLE, Definition, If, Merge, Order, Override, condition_of
from clanpy.modules.priority import PLAIN as PLAIN_PRIORITY
from clanpy.modules.show import nearest, or_list, show_path, show_value
from clanpy.modules.sources import Def, Path
from clanpy.modules.stack import guarded
from clanpy.modules.types.base import Type
from clanpy.modules.types.structure import Entries


@dataclass(frozen=True, slots=True)
class Contribution:
    """One definition.

    Attributes:
        place: where it stands.
        value: what it says, without wrappers; None when its condition is false and it would have to be computed.
        priority: the lowest number wins; 100 is plain, 1000 a default, 1500 an option's own default.
        order: 1000 unless mk_before, mk_after or mk_order stand around it.
        counts: whether it is part of the value.
        dropped: why it is not; None when it counts.
    """

    place: Place
    value: Any
    priority: int
    order: int
    counts: bool
    dropped: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one option, or one value inside an option.

    Attributes:
        path: from the root.
        type: a description of its type; None for a group of options.
        value: what it is; MISSING when it has no value, and then `error` says why.
        priority: of the definitions that count.
        contributions: those that count in merge order, then the dropped ones.
        declarations: where the option is declared.
    """

    path: Path
    type: str | None
    value: Any
    priority: int | None
    contributions: tuple[Contribution, ...]
    declarations: tuple[Place, ...]
    description: str | None = None
    error: ModuleError | None = None

    def __str__(self) -> str:
        value = show_value(_data(self.value)) if self.value is not MISSING else "(no value)"
        lines = [f"{show_path(self.path)} = {value}"]
        lines += [f"  type: {self.type}"] if self.type else []
        lines += [f"  priority: {self.priority}"] if self.priority is not None else []
        lines += [f"  declared in {place}" for place in self.declarations]
        for c in self.contributions:
            mark = "defined" if c.counts else f"dropped ({c.dropped})"
            lines.append(f"  {mark} in {c.place}: {show_value(_data(c.value))}")
        lines += [f"  error: {self.error.message}"] if self.error else []
        return "\n".join(lines)


def _data(value: Any) -> Any:
    from clanpy.modules.data import to_data  # noqa: PLC0415  # only for text

    try:
        return to_data(value)
    except ModuleError:
        return "…"


def explain(evaluation: Evaluation, path: Path) -> Explanation:
    """See `Result.explain`. `path` is relative to the evaluation."""
    if not path:
        return Explanation((), None, evaluation.config, None, (), ())
    return guarded(_explain, evaluation, path)


class _Spot(NamedTuple):
    """A value that definitions are merged into: an option, or an entry of one."""

    owner: LazyMapping
    name: str
    path: Path
    kind: Type
    defs: list[Def]
    declared: Declared | None = None


def _explain(evaluation: Evaluation, path: Path) -> Explanation:
    config: Config = evaluation.config
    for n, name in enumerate(path):
        child = config.group_.children.get(name)
        rest = path[n + 1 :]
        full = (*evaluation.prefix, *path[: n + 1])
        if child is None:
            free = config.free_()
            return _in_value(free if isinstance(free, Entries) else config, path[n:], full[:-1])
        if isinstance(child, Declared):
            defs = with_default(evaluation, child, config.definitions_(name))
            return _follow(_Spot(config, name, full, child.type, defs, child), rest)
        if not rest:
            return _group(config, name, full)
        config = config[name]
    raise AssertionError("a path ends at an option or a group")


def _group(config: Config, name: str, full: Path) -> Explanation:
    inner: Config = config[name]
    found = [Contribution(s.place(full), dict(m), PLAIN_PRIORITY, MIDDLE, counts=True) for m, s in inner.level_]
    return Explanation(full, None, inner, None, tuple(found), ())


def _follow(spot: _Spot, rest: Path) -> Explanation:
    """The value of this spot, or what is inside it."""
    if not rest:
        return _explained(spot)
    value = spot.owner[spot.name]
    if isinstance(value, Config):
        return _explain(value.evaluation_, rest)
    if isinstance(value, Entries):
        return _entry(value, rest, spot.path)
    return _in_value(value, rest, spot.path)


def _entry(entries: Entries, rest: Path, full: Path) -> Explanation:
    name = rest[0]
    if name not in entries:
        raise _missing(entries, name, full)
    spot = _Spot(entries, name, (*full, name), entries.elem_type_, entries.definitions_(name))
    return _follow(spot, rest[1:])


def _in_value(value: Any, rest: Path, full: Path) -> Explanation:
    """Something inside a value whose type knows nothing of it."""
    for n, name in enumerate(rest):
        here = (*full, *rest[:n])
        if isinstance(value, Entries):
            return _entry(value, rest[n:], here)
        if isinstance(value, Config) and n:
            return _explain(value.evaluation_, rest[n:])
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise _missing(value, name, here)
    return _plain(value, (*full, *rest))


def _plain(value: Any, path: Path) -> Explanation:
    return Explanation(path, None, value, None, (), ())


def _missing(value: Any, name: str, path: Path) -> MissingAttributeError:
    names = [str(n) for n in value] if isinstance(value, Mapping) else []
    close = nearest(name, names)
    return MissingAttributeError(
        f"There is no option `{show_path((*path, name))}'",
        path=(*path, name),
        hint=f"Did you mean {or_list(close)}?" if close else None,
    )


def _explained(spot: _Spot) -> Explanation:
    value: Any = MISSING
    contributions: tuple[Contribution, ...] = ()
    errors: list[ModuleError] = []
    try:
        value = spot.owner[spot.name]
    except ModuleError as error:
        errors.append(error)
    try:
        contributions = tuple(_contributions(spot.defs, spot.path))
    except ModuleError as error:
        errors.append(error)
    return Explanation(
        spot.path,
        spot.kind.description,
        value,
        min((c.priority for c in contributions if c.counts), default=None),
        contributions,
        spot.declared.places if spot.declared else (),
        spot.declared.option.description if spot.declared else None,
        errors[0] if errors else None,
    )


def _contributions(defs: list[Def], path: Path) -> Iterator[Contribution]:
    kept: list[Def] = []
    off: list[Def] = []
    for d in defs:
        _sort_out(d, path, kept, off)
    best = strongest(kept, path)
    winners = [(d, inner) for d, inner in zip(_at(kept, best.priority), best.defs, strict=True)]
    ordered = sorted(winners, key=lambda pair: _order(pair[1]))
    for d, inner in ordered:
        yield Contribution(d.place(path), _content(inner), _priority(d), _order(inner), counts=True)
    for d in kept:
        if _priority(d) != best.priority:
            yield Contribution(
                d.place(path), _content(d), _priority(d), MIDDLE, counts=False, dropped=_outdone(d, best.priority)
            )
    for d in off:
        # Nobody asked for what stands behind the condition, so nothing is computed for it.
        content = _bare(d.value)
        value = None if isinstance(content, Lazy | Merge | If) else content
        yield Contribution(
            d.place(path), value, _priority(d), _order(d), counts=False, dropped="its condition is false"
        )


def _at(defs: list[Def], priority: int) -> list[Def]:
    return [d for d in defs if _priority(d) == priority]


def _outdone(d: Def, best: int) -> str:
    return f"its priority {_priority(d)} is outdone by {best}"


def _sort_out(d: Def, path: Path, kept: list[Def], off: list[Def]) -> None:
    value = force(d.value, d.source.scope)
    if isinstance(value, Merge):
        for part in value.contents:
            _sort_out(Def(part, d.source), path, kept, off)
    elif isinstance(value, If):
        if condition_of(value, d, path):
            _sort_out(Def(value.content, d.source), path, kept, off)
        else:
            off.append(Def(value.content, d.source))
    elif isinstance(value, Definition):
        kept.append(value.unpacked(d))
    else:
        kept.append(Def(value, d.source))


def _priority(d: Def) -> int:
    return d.value.priority if isinstance(d.value, Override) else PLAIN_PRIORITY


def _order(d: Def) -> int:
    return d.value.priority if isinstance(d.value, Order) else MIDDLE


def _bare(value: Any) -> Any:
    while isinstance(value, Override | Order):
        value = value.content
    return value


def _content(d: Def) -> Any:
    value = _bare(d.value)
    return "<computed value>" if isinstance(value, Lazy) and d.source.scope is None else force(value, d.source.scope)
