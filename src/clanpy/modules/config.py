"""The values of options, computed when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clanpy.modules.calls import call
from clanpy.modules.errors import Place, ReadOnlyError, UnsetOptionError
from clanpy.modules.lazy import Lazy
from clanpy.modules.mapping import LazyMapping
from clanpy.modules.merge import MISSING, final, merge_definitions, shown
from clanpy.modules.options import Constant, Declared, Group
from clanpy.modules.priority import UNWRAPPED, mk_option_default, push_down
from clanpy.modules.program import BUILT_IN
from clanpy.modules.show import show_path
from clanpy.modules.sources import Def, Level, Path, Source
from clanpy.modules.stack import guarded


if TYPE_CHECKING:
    from clanpy.modules.evaluation import Evaluation


class Config(LazyMapping):
    """A level of the configuration: what the options of a group are, and whatever a freeform type lets in."""

    __slots__ = ("_children", "_evaluation", "_group", "_level")

    def __init__(self, evaluation: Evaluation, group: Group, loc: Path, level: Level) -> None:
        super().__init__(evaluation.context, loc)
        self._evaluation = evaluation
        self._group = group
        self._children = group.children
        self._level = level

    def _names(self) -> Iterator[str]:
        free = self.free_()
        names = self._group.shown | free.keys() if free else self._group.shown
        return iter(names - {"_module"} if self._is_root() else names)

    def _has(self, name: str) -> bool:
        return name in self._children or name in self.free_()

    def _is_root(self) -> bool:
        return len(self._loc) == len(self._evaluation.prefix)

    def free_(self) -> Mapping[str, Any]:
        """What a freeform type lets in at this level."""
        found: Any = self._evaluation.freeform_value()
        for name in self._loc[len(self._evaluation.prefix) :]:
            found = found[name] if isinstance(found, Mapping) and name in found else {}
        return found if isinstance(found, Mapping) else {}

    def _quick(self, name: str) -> Any:
        child = self._children.get(name)
        if child is None:
            return MISSING
        found: Any = MISSING
        source = BUILT_IN
        for mapping, where in self._level:
            if name in mapping:
                if found is not MISSING:
                    return MISSING
                found, source = mapping[name], where
        if child.__class__ is Group:
            return self._quick_group(child, name, found, source)
        assert isinstance(child, Declared)
        return self._quick_option(child, name, found, source)

    def _quick_option(self, child: Declared, name: str, found: Any, source: Source) -> Any:
        if found is MISSING:
            value = child.instant
            if value is MISSING and child.constant is not MISSING:
                value = child.type.quick(self._context, self._loc, name, child.constant, child.source)
        elif child.plain and found.__class__ in UNWRAPPED:
            value = child.type.quick(self._context, self._loc, name, found, source)
        else:
            return MISSING
        if value is not MISSING:
            self._context.forced += 1
        return value

    def _quick_group(self, group: Group, name: str, found: Any, source: Source) -> Any:
        if found is MISSING and not (name == "_module" and self._is_root()):
            return Config(self._evaluation, group, (*self._loc, name), [])
        if found.__class__ is dict and name != "_module":
            return Config(self._evaluation, group, (*self._loc, name), [(found, source)])
        return MISSING

    def _evaluate(self, name: str) -> Any:
        child = self._children.get(name)
        if child is None:
            return self.free_()[name]
        if isinstance(child, Group):
            return Config(self._evaluation, child, (*self._loc, name), self._pushed(name))
        self._context.forced += 1
        return evaluate_option(self._evaluation, child, (*self._loc, name), self.definitions_(name))

    def _pushed(self, name: str) -> Level:
        path = (*self._loc, name)
        level = [part for m, s in self._level if name in m for part in push_down(m[name], s, path)]
        if name == "_module" and self._is_root():
            level.append((self._evaluation.internal_config(), BUILT_IN))
        return level

    @property
    def group_(self) -> Group:
        """The options of this level."""
        return self._group

    @property
    def level_(self) -> Level:
        """What the modules say about this level."""
        return self._level

    @property
    def evaluation_(self) -> Evaluation:
        """The evaluation whose configuration this is."""
        return self._evaluation

    def definitions_(self, name: str) -> list[Def]:
        """What the modules say about this option, as they say it, without the default."""
        return [Def(m[name], s) for m, s in self._level if name in m]

    def places_(self, name: str) -> tuple[Place, ...]:
        path = (*self._loc, name)
        child = self._children.get(name)
        if isinstance(child, Declared):
            defs = with_default(self._evaluation, child, self.definitions_(name))
            return tuple(d.place(path) for d in guarded(final, defs, path, child.type).defs)
        if isinstance(child, Group):
            return tuple(source.place(path) for mapping, source in self._level if name in mapping)
        free = self.free_()
        return free.places_(name) if isinstance(free, LazyMapping) and name in free else ()

    def described_(self, name: str) -> str:
        path = (*self._loc, name)
        child = self._children.get(name)
        computed = [d for d in self.definitions_(name) if d.value.__class__ not in UNWRAPPED]
        place: Any = computed[0].place(path) if computed else None
        if place is None and isinstance(child, Declared) and child.places:
            place = child.places[0]
        return f"{show_path(path)} ({place})" if place else show_path(path)


def evaluate_option(evaluation: Evaluation, declared: Declared, path: Path, defs: list[Def]) -> Any:
    """The value of an option: default and definitions merged by its type, then `apply`."""
    wanted = declared.option
    found = with_default(evaluation, declared, defs)
    if wanted.read_only and len(found) > 1:
        raise ReadOnlyError(
            f"The option `{show_path(path)}' is read-only, but it's set multiple times",
            path=path,
            place=found[-1].place(path),
            definitions=shown(found, path),
        )
    try:
        value = merge_definitions(evaluation.context, declared.type, path, found)
    except UnsetOptionError as error:
        if error.place is None and error.path == path and declared.places:
            error.place = declared.places[0]
        raise
    return value if wanted.apply is None else call(wanted.apply, evaluation, value)


def with_default(evaluation: Evaluation, declared: Declared, defs: list[Def]) -> list[Def]:
    """The definitions, the option's default in front."""
    default = declared.option.default
    if default is MISSING:
        return defs
    if isinstance(default, Constant):
        default = default.value
    elif callable(default) and not isinstance(default, type | Lazy):
        function = default
        default = Lazy(lambda: call(function, evaluation))
    elif isinstance(default, type):
        default = default()  # `default=list`
    return [Def(mk_option_default(default), declared.source), *defs]
