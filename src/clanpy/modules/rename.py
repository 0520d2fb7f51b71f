"""Options that moved or are gone: modules that keep old configurations working, and say so.

These modules are mappings and no functions, so that submodules that import them stay as fast as without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clanpy.modules.calls import protected
from clanpy.modules.context import Context
from clanpy.modules.errors import ModuleError, RemovedOptionError
from clanpy.modules.introspect import OptionView
from clanpy.modules.lazy import force, lazy
from clanpy.modules.merge import files, shown
from clanpy.modules.options import Option
from clanpy.modules.priority import Definition, Wrapper, mk_if, mk_merge, mk_override
from clanpy.modules.show import parse_path, show_path
from clanpy.modules.sources import Def, Path
from clanpy.modules.types.base import Type


Name = str | Sequence[str]


class Elsewhere(Type):
    """The type of an option whose definitions go to another one, which checks them, or nowhere."""

    __slots__ = ("target", "unlisted")

    name = "alias"
    phrase = "noun"

    def __init__(self, target: Path | None, *, listed: bool = True) -> None:
        self.target = target
        self.unlisted = not listed

    @property
    def description(self) -> str:
        return f"alias of `{show_path(self.target)}'" if self.target else "removed option"

    def takes(self, wrapper: Wrapper) -> bool:
        # Whatever is wrong with the definition is found where it counts.
        return True

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return None

    def empty(self, context: Context, path: Path) -> Any:
        return None


def mk_renamed_option_module(old: Name, new: Name) -> Mapping[str, Any]:
    """Definitions of `old` count for `new`, with their priority, and a warning names them."""
    return do_rename(old, new, visible=False, warn=True)


def mk_alias_option_module(old: Name, new: Name, *, listed: bool = True) -> Mapping[str, Any]:
    """`old` is another name of `new`; when it is not `listed`, configurations and documentation show the new one only."""
    return do_rename(old, new, visible=listed, warn=False, listed=listed)


def do_rename(
    old: Name,
    new: Name,
    *,
    visible: bool,
    warn: bool,
    use: Callable[[Any], Any] | None = None,
    with_priority: bool = True,
    condition: Any = True,
    listed: bool = True,
) -> Mapping[str, Any]:
    """A module that passes the definitions of `old` on to `new`.

    Args:
        old: the former path, which this module declares.
        new: the path of today, which another module declares.
        visible: whether documentation shows the old name.
        warn: whether a warning names the definitions: in `Result.warnings`, and in the option `warnings` where there is one.
        use: makes the value of the old option from that of the new one.
        with_priority: whether definitions keep their priority.
        condition: nothing is passed on while this is false.
        listed: whether the old name is among the names of the configuration.
    """
    source, target = parse_path(old), parse_path(new)

    def value(merged: Any, config: Any) -> Any:
        found = at(config, target)
        return found if use is None else protected(use, found)

    def text(options: Any) -> str | None:
        view = at(options, source)
        if not view.is_defined:
            return None
        where = files(view.definitions_with_locations, view.loc)
        return f"The option `{show_path(view.loc)}' defined in {where} has been renamed to `{show_path(target)}'."

    def warnings(options: Any) -> Any:
        return {"warnings": lazy(lambda: [said] if (said := text(options)) else [])} if "warnings" in options else {}

    moved = lazy(lambda options: _passed_on(at(options, source), target, with_priority=with_priority))
    passed = mk_if(lazy(lambda options: at(options, source).is_defined), _nested(target, moved))
    return {
        "_file": f"<rename of {show_path(source)}>",
        "_notices": [lambda config, options: text(options)] if warn else [],
        "options": _nested(source, Option(Elsewhere(target, listed=listed), None, visible=visible, apply=value)),
        "config": mk_if(condition, mk_merge([lazy(warnings), passed] if warn else [passed])),
    }


def _passed_on(view: OptionView, target: Path, *, with_priority: bool) -> Any:
    """The definitions that count, each with its own place."""
    priority = view.highest_prio
    full = (*view.loc[: len(view.loc) - len(view.relative)], *target)
    return mk_merge(
        [
            Definition(d.source.moved(view.loc, full), mk_override(priority, d.value) if with_priority else d.value)
            for d in view.definitions_with_locations
        ]
    )


def mk_removed_option_module(old: Name, instructions: str) -> Mapping[str, Any]:
    """A definition of `old` is an error that says what to do instead; so is reading it.

    Where there is an option `assertions`, the error becomes one of those.
    """
    path = parse_path(old)

    def removed(merged: Any, options: Any) -> Any:
        where = at(options, path).loc
        raise RemovedOptionError(
            f"The option `{show_path(where)}' can no longer be used since it's been removed. {instructions}", path=where
        )

    def notice(config: Any, options: Any) -> ModuleError | None:
        view = at(options, path)
        return None if "assertions" in options or not view.is_defined else _still_defined(view, instructions)

    def assertions(options: Any) -> Any:
        if "assertions" not in options:
            return {}
        view = at(options, path)
        return {
            "assertions": lazy(
                lambda: [
                    {
                        "assertion": not view.is_defined,
                        "message": _still_defined(view, instructions).message if view.is_defined else "",
                    }
                ]
            )
        }

    return {
        "_file": f"<removal of {show_path(path)}>",
        "_problems": [notice],
        "options": _nested(path, Option(Elsewhere(None, listed=False), None, visible=False, apply=removed)),
        "config": lazy(assertions),
    }


def _still_defined(view: OptionView, instructions: str) -> RemovedOptionError:
    defs = view.definitions_with_locations
    return RemovedOptionError(
        f"The option definition `{show_path(view.loc)}' in {files(defs, view.loc)} no longer has any effect; "
        f"please remove it. {instructions}",
        path=view.loc,
        place=defs[0].place(view.loc) if defs else None,
        definitions=shown(defs, view.loc),
    )


def mk_merged_option_module(old: Sequence[Name], new: Name, merge: Callable[[Any], Any]) -> Mapping[str, Any]:
    """Several old options became one of another type: `merge` makes its value from the configuration, if any is defined."""
    sources = [parse_path(name) for name in old]
    target = parse_path(new)

    def defined(options: Any) -> bool:
        return any(at(options, path).is_defined for path in sources)

    def text(path: Path) -> Callable[[Any, Any], str | None]:
        def said(config: Any, options: Any) -> str | None:
            view = at(options, path)
            if not view.is_defined:
                return None
            where = files(view.definitions_with_locations, view.loc)
            return (
                f"The option `{show_path(view.loc)}' defined in {where} has been changed to `{show_path(target)}' that has "
                "a different type."
            )

        return said

    options: dict[str, Any] = {}
    for path in sources:
        _insert(options, path, Option(None, None, visible=False))
    return {
        "_file": f"<change of {', '.join(map(show_path, sources))}>",
        "_notices": [text(path) for path in sources],
        "options": options,
        "config": mk_if(lazy(defined), _nested(target, lazy(lambda config: protected(merge, config)))),
    }


def mk_changed_option_module(old: Name, new: Name, change: Callable[[Any], Any]) -> Mapping[str, Any]:
    """An option became one of another type: `change` makes its value from the configuration, if the old one is defined."""
    return mk_merged_option_module([old], new, change)


def at(value: Any, path: Path) -> Any:
    """What is at a path."""
    for name in path:
        value = force(value[name])
    return value


def _nested(path: Path, value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    _insert(made, path, value)
    return made


def _insert(target: dict[str, Any], path: Path, value: Any) -> None:
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target[path[-1]] = value
