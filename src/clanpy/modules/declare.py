"""From the `options` of all modules to one tree of options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clanpy.modules.calls import place_of
from clanpy.modules.errors import DeclarationError, ModuleError, Place, raise_all
from clanpy.modules.lazy import force
from clanpy.modules.merge import MISSING
from clanpy.modules.options import Declared, Group, Option, Written, already_declared
from clanpy.modules.priority import Wrapper
from clanpy.modules.shape import Given
from clanpy.modules.show import show_path, show_value, type_name
from clanpy.modules.sources import Path, Source
from clanpy.modules.stack import guarded
from clanpy.modules.types.base import Type
from clanpy.modules.types.free import unspecified


_ONCE = ("default", "example", "description", "apply")


def declare(written: Sequence[Written], path: Path, internal: Mapping[str, Group | Declared]) -> Group:
    """The tree of all these `options`, in the order in which they are merged; `internal` is added to it.

    Raises:
        ModuleError: some can't be declared so; one report for all of them.
    """
    errors: list[ModuleError] = []
    group = _group(written, path, errors)
    raise_all(errors)
    return Group({**group.children, **internal})


def _group(written: Sequence[Written], path: Path, errors: list[ModuleError]) -> Group:
    by_name: dict[str, list[Written]] = {}
    for value, source in written:
        tree = force(value, source.scope)
        if not isinstance(tree, Mapping):
            errors.append(_not_a_tree(tree, source, path))
            continue
        for name, child in tree.items():
            by_name.setdefault(name, []).append((force(child, source.scope), source))
    children: dict[str, Group | Declared] = {}
    for name, group in by_name.items():
        if not isinstance(name, str):
            errors.append(_no_name(name, group[0][1], path))
            continue
        try:
            children[name] = guarded(_child, group, (*path, name), errors)
        except ModuleError as error:
            errors.append(error)
    return Group(children)


def _child(written: list[Written], path: Path, errors: list[ModuleError]) -> Group | Declared:
    for value, source in written:
        _refuse(value, source, path)
    options = [w for w in written if isinstance(w[0], Option)]
    if not options:
        return _group(written, path, errors)
    if len(options) == len(written):
        return merge_declarations(path, written)
    if all(o.type is not None and o.type.name == "submodule" for o, _ in options):
        return merge_declarations(path, [_as_option(w) for w in written])
    raise _no_parent(options[0], [w for w in written if not isinstance(w[0], Option)], path)


def _as_option(written: Written) -> Written:
    """A tree of options beside a submodule option means options of that submodule."""
    from clanpy.modules.types.submodule import Submodule  # noqa: PLC0415  # which evaluates, and so declares

    value, source = written
    if isinstance(value, Option):
        return written
    return Option(Submodule([{"options": value}], shorthand_only_defines_config=None), None, place=None), source


def merge_declarations(path: Path, written: Sequence[Written]) -> Declared:
    """One option from all its declarations.

    Raises:
        DeclarationError: they contradict each other.
    """
    merged = Option(None, None)
    places: list[Place] = []
    modules: list[Any] = []
    for option, source in written:
        place = _place(option, source, path)
        twice = already_declared(path, source, place, places)
        if places:
            _check_once(merged, option, twice)
        try:
            _merge_into(merged, option, twice)
        except DeclarationError as error:
            if error is not twice:
                # Found inside a type, which does not know where it is.
                error.path, error.place = path, error.place or place
            raise
        inner = option.type.modules if option.type is not None else None
        if inner is not None:
            modules = [*(_inside(m, source) for m in inner), *modules]
        places.append(place)
    kind = merged.type or unspecified
    if merged.type is not None and merged.type.modules is not None:
        kind = merged.type.with_modules(modules)
    return Declared(merged, kind, [_declaring(s, p) for (_, s), p in zip(written, places, strict=True)], places)


def _inside(module: Any, source: Source) -> Given:
    """A module of a submodule type, with the place of the declaration."""
    return Given(
        module, Source(source.file, origin=source.origin, fixed=source.fixed), config_only=False, foreign=False
    )


def _check_once(merged: Option, new: Option, error: DeclarationError) -> None:
    if any(_has(merged, name) and _has(new, name) for name in _ONCE):
        raise error


def _merge_into(merged: Option, new: Option, error: DeclarationError) -> None:
    """Add a declaration to those merged before; raise the error when it contradicts them."""
    if new.type is not None:
        both = new.type if merged.type is None else merged.type.combine(new.type)
        if both is None:
            raise error
        merged.type = both
    for name in (*_ONCE, "default_text"):
        if not _has(merged, name):
            setattr(merged, name, getattr(new, name))
    merged.read_only = merged.read_only or new.read_only
    merged.internal = merged.internal or new.internal
    if merged.visible is True:
        merged.visible = new.visible


def _has(option: Option, name: str) -> bool:
    value = getattr(option, name)
    return value is not MISSING and value is not None if name != "default" else value is not MISSING


def _place(option: Option, source: Source, path: Path) -> Place:
    found = option.where()
    if found is not None and (source.origin is None or found.file == source.origin[1] or source.fixed is None):
        return found
    if found is not None and source.file.startswith("<"):
        return found
    return found or source.place(("options", *path[len(source.base) :]))


def _declaring(source: Source, place: Place) -> Source:
    """The source of a default: the declaration."""
    return Source(source.file, scope=source.scope, base=source.base, fixed=place)


def _refuse(value: Any, source: Source, path: Path) -> None:
    if isinstance(value, Option | Mapping):
        return
    where = source.place(("options", *path[len(source.base) :]))
    if isinstance(value, Type):
        raise DeclarationError(
            f"In module `{source.file}': expected an option declaration at option path `{show_path(path)}' but got an "
            "attribute set with type option-type",
            path=path,
            place=where,
            hint=f"When declaring an option, wrap the type in a call: {path[-1]} = option(<the type>, description=…)",
        )
    if isinstance(value, Wrapper):
        raise DeclarationError(
            f"In module `{source.file}': expected an option declaration at option path `{show_path(path)}' but got "
            f"`{value.called}': which options there are can't depend on the configuration",
            path=path,
            place=where,
        )
    raise _not_a_tree(value, source, path)


def _not_a_tree(value: Any, source: Source, path: Path) -> DeclarationError:
    name = show_path(path) or "the whole configuration"
    place = source.place(("options", *path[len(source.base) :]))
    kind = type_name(value)
    if kind == "lambda" and place_of(value) is not None:
        kind = "function"
    return DeclarationError(
        f"An option declaration for `{name}' has type `{kind}' rather than an attribute set",
        path=path,
        place=place,
        hint="Did you mean to define this outside of `options'?",
    )


def _no_name(name: Any, source: Source, path: Path) -> DeclarationError:
    return DeclarationError(
        f"An option in `{source.file}' has the name {show_value(name)}, which is no string",
        path=path,
        place=source.place(("options", *path[len(source.base) :])),
    )


def _no_parent(option: Written, others: list[Written], path: Path) -> DeclarationError:
    declared, source = option
    description = declared.type.description if declared.type is not None else "<no description>"
    inner = sorted(
        f"option(s) with prefix `{show_path((*path, name))}' in module `{s.file}'"
        for tree, s in others
        for name in tree
    )
    return DeclarationError(
        f"The option `{show_path(path)}' in module `{source.file}' would be a parent of the following options, but its "
        f"type `{description}' does not support nested options: {', '.join(inner)}",
        path=path,
        place=_place(declared, source, path),
    )
