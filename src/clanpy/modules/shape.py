"""Modules as people write them, in one shape.

A module is a mapping, or a function that gives one. It is *structured* when it has `config` or `options`; otherwise it is
*shorthand*, and everything in it but a few keys is configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from clanpy.modules.errors import Place, ShapeError
from clanpy.modules.lazy import Lazy, force
from clanpy.modules.priority import Merge, Wrapper
from clanpy.modules.show import nearest, or_list, show_value, type_name
from clanpy.modules.sources import Source


# What each key may be called, here and in Nix.
_SPELLINGS: Final = {
    "_class": "class",
    "_file": "file",
    "_notices": "notices",
    "_problems": "problems",
    "disabledModules": "disabled_modules",
    "freeformType": "freeform_type",
}
_STRUCTURED: Final = frozenset(
    {
        *_SPELLINGS,
        "class",
        "config",
        "disabled_modules",
        "file",
        "freeform_type",
        "imports",
        "key",
        "meta",
        "options",
    }
)
# In shorthand, `class`, `file` and `meta` are options like any other.
_SHORTHAND: Final = frozenset({*_SPELLINGS, "disabled_modules", "freeform_type", "imports", "key"})


class Module:
    """One module, read: what it imports, disables, declares and defines.

    Attributes:
        key: its identity; of several modules with one key the first counts.
        children: the modules it imports, once they are loaded.
        made_from: the value that was read.
        notices: functions of config and options that give a warning or None.
        problems: functions of config and options that give an error or None.
        foreign: lazy values in what it imports belong to where that was written.
    """

    __slots__ = (
        "children",
        "class_",
        "config",
        "disabled",
        "foreign",
        "imports",
        "key",
        "made_from",
        "notices",
        "options",
        "parent",
        "problems",
        "source",
    )

    def __init__(self, source: Source, key: str) -> None:
        self.source = source
        self.key = key
        self.class_: str | None = None
        self.disabled: Sequence[Any] = ()
        self.imports: Sequence[Any] = ()
        self.options: Any = {}
        self.config: Any = {}
        self.notices: Sequence[Callable[..., Any]] = ()
        self.problems: Sequence[Callable[..., Any]] = ()
        self.children: list[Module] = []
        self.parent: Module | None = None
        self.made_from: Any = None
        self.foreign = False

    @property
    def file(self) -> str:
        return self.source.file


class Importable:
    """A value that is no module by itself but can stand for one."""

    __slots__ = ()

    def as_module(self, key: str) -> Module:
        """The module that it stands for."""
        raise NotImplementedError


class Given(Importable):
    """A module that stands in another one: a definition of a submodule, or a module of a submodule's type.

    Attributes:
        config_only: it is configuration, whatever its keys are called.
        foreign: lazy values in it belong to where it was written, and not to the evaluation that imports it.
        key: what it is known as; the path of its file, when importing that file means this module.
    """

    __slots__ = ("config_only", "foreign", "key", "source", "value")

    def __init__(self, value: Any, source: Source, *, config_only: bool, foreign: bool, key: str | None = None) -> None:
        self.value = value
        self.key = key
        self.source = source
        self.config_only = config_only
        self.foreign = foreign

    def as_module(self, key: str) -> Module:
        module = Module(self.source, self.key or key)
        module.foreign = self.foreign
        if self.config_only:
            module.config = self.value
        else:
            # Whatever is in it comes from here, but belongs to the evaluation that imports it.
            module.imports = [self.value]
        return module


def unify(value: Any, source: Source, key: str) -> Module:
    """Read a module; `source` and `key` are what it is called unless it says so itself.

    Raises:
        ShapeError: it is no module, or mixes the two shapes.
    """
    value = force(value, source.scope)
    if isinstance(value, Importable):
        return value.as_module(key)
    if isinstance(value, Wrapper):
        value = {"config": value}
    if not isinstance(value, Mapping):
        raise not_a_module(value, source)
    if "config" in value or "options" in value:
        return _structured(value, source, key)
    return _shorthand(value, source, key)


def not_a_module(value: Any, source: Source, *, what: str | None = None, hint: str | None = None) -> ShapeError:
    found = what or type_name(value)
    place = source.fixed or Place(source.file)
    return ShapeError(
        f'Expected a module, but found a value of type "{found}", while trying to load a module into {place}',
        place=place,
        definitions=[] if what else [f"In `{place}': {show_value(value)}"],
        hint=hint or "A module is a mapping, a function that gives one, or the path of a .py, .toml or .json file.",
    )


def _structured(value: Mapping[str, Any], source: Source, key: str) -> Module:
    module = _begin(value, source, key, _get(value, "file"), _get(value, "class"))
    bad = [k for k in value if k not in _STRUCTURED]
    if bad:
        raise _mixed(bad, module.source)
    module.options = value.get("options", {})
    module.config = _with_extras(value.get("config", {}), value, with_meta=True)
    return module


def _shorthand(value: Mapping[str, Any], source: Source, key: str) -> Module:
    module = _begin(value, source, key, value.get("_file"), value.get("_class"))
    structural = value.keys() & _SHORTHAND
    rest = {k: v for k, v in value.items() if k not in _SHORTHAND} if structural else value
    module.config = _with_extras(rest, value, with_meta=False)
    return module


def _begin(value: Mapping[str, Any], source: Source, key: str, file: Any, class_: Any) -> Module:
    own = value.get("key")
    if file is not None and str(file) != source.file:
        # It says itself where it is from, so nobody looks for it elsewhere.
        source = Source(str(file), scope=source.scope, base=source.base, fixed=Place(str(file)))
    module = Module(source, key if own is None else str(own))
    module.class_ = class_
    module.imports = _sequence(value.get("imports", ()), "imports", source)
    module.disabled = _sequence(_get(value, "disabled_modules", ()), "disabled_modules", source)
    module.notices = _functions(value, "_notices", source)
    module.problems = _functions(value, "_problems", source)
    return module


def _get(value: Mapping[str, Any], name: str, default: Any = None) -> Any:
    if name in value:
        return value[name]
    for spelling, meant in _SPELLINGS.items():
        if meant == name and spelling in value:
            return value[spelling]
    return default


def _sequence(value: Any, name: str, source: Source) -> Sequence[Any]:
    value = force(value, source.scope)
    if isinstance(value, list | tuple):
        return value
    place = source.place((name,))
    raise ShapeError(
        f"`{name}' of module `{source.file}' is a value of type `{type_name(value)}' rather than a list",
        place=place,
        definitions=[f"In `{place}': {show_value(value)}"],
    )


def _functions(value: Mapping[str, Any], name: str, source: Source) -> Sequence[Callable[..., Any]]:
    found = _sequence(value.get(name, ()), name, source)
    if not all(map(is_function, found)):
        raise ShapeError(f"`{name}' of module `{source.file}' holds something that is no function", place=source.fixed)
    return found


def _with_extras(config: Any, value: Mapping[str, Any], *, with_meta: bool) -> Any:
    extras: list[Any] = []
    if with_meta and "meta" in value:
        extras.append({"meta": value["meta"]})
    freeform = _get(value, "freeform_type")
    if freeform is not None:
        extras.append({"_module": {"freeform_type": freeform}})
    return Merge([config, *extras]) if extras else config


def _mixed(bad: list[str], source: Source) -> ShapeError:
    first = min(bad)
    close = nearest(first, _STRUCTURED - _SPELLINGS.keys())
    names = ", ".join(f"`{name}'" for name in sorted(bad))
    return ShapeError(
        f"Module `{source.file}' has an unsupported attribute `{first}'. This is caused by introducing a top-level "
        f"`config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move "
        f"all of them (namely: {names}) into the explicit `config' attribute",
        place=source.place((first,)),
        hint=f"Did you mean {or_list(close)}?" if close else None,
    )


def is_function(value: Any) -> bool:
    """Whether a value can be a module function: anything that can be called, but no class and no lazy value."""
    return callable(value) and not isinstance(value, type | Lazy)
