"""Modules as data for Nix: wrappers in Nix's own encoding, keys in Nix's spelling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Final

from clanpy.modules.calls import call, describe, parameters, place_of
from clanpy.modules.deferred import DeferredModule, NixData, NixFile, NixTemplate
from clanpy.modules.errors import ConversionError
from clanpy.modules.lazy import Lazy, force
from clanpy.modules.options import Option
from clanpy.modules.priority import ATOMS, Definition, If, Merge, Order, Override
from clanpy.modules.shape import is_function
from clanpy.modules.show import show_path, type_name
from clanpy.modules.sources import Source
from clanpy.modules.types.base import Type
from clanpy.modules.types.deferred import Deferred


FileHook = Callable[[NixFile | NixTemplate | PurePath], Any]

_SPELLINGS: Final = {
    "class": "_class",
    "disabled_modules": "disabledModules",
    "file": "_file",
    "freeform_type": "freeformType",
}
_STRUCTURAL: Final = frozenset({*_SPELLINGS, *_SPELLINGS.values(), "config", "imports", "key", "meta", "options"})
_DEEPEST: Final = 400


def to_nix_module(module: Any, *, file: FileHook | None = None) -> Any:
    """A module as JSON data that means in Nix what the module means here.

    Priorities, order, conditions and merges become `{"_type": "override", "priority": …, "content": …}` and the like;
    lazy values and conditions are computed; the keys of structured modules get Nix's spelling.

    Args:
        module: a mapping, a function without arguments that only the consumer knows, or the value of a deferred_module option.
        file: what a file (a path, NixFile or NixTemplate) becomes; without it, its path as a string.

    Raises:
        ConversionError: something has no form in Nix: a function, an option declaration, a type, an object.
    """
    return _Converter(file).module(module, ())


class _Converter:
    def __init__(self, file: FileHook | None) -> None:
        self.file = file

    def module(self, value: Any, path: tuple[str, ...]) -> Any:
        value = force(value)
        if isinstance(value, Deferred):
            return {"imports": [self._part(p.value, p.file, (*path, "imports")) for p in value.parts]}
        if isinstance(value, DeferredModule):
            return self._keyed(value, path)
        if isinstance(value, NixFile | NixTemplate | PurePath | str):
            return self._file(value, path)
        if isinstance(value, NixData):
            return self.value(value.value, path)
        if is_function(value):
            value = self._called(value, path)
        if isinstance(value, Mapping):
            return self._mapping(value, path)
        return self.value(value, path)

    def _part(self, value: Any, file: str, path: tuple[str, ...]) -> Any:
        return {"_file": file, "imports": [self.module(value, path)]}

    def _keyed(self, value: DeferredModule, path: tuple[str, ...]) -> Any:
        return {"_file": value.origin, "key": value.key, "imports": [self.module(value.content, path)]}

    def _mapping(self, value: Mapping[str, Any], path: tuple[str, ...]) -> Any:
        structured = "config" in value or "options" in value
        made: dict[str, Any] = {}
        for key, item in value.items():
            here = (*path, str(key))
            if key == "imports":
                made["imports"] = [self.module(m, here) for m in force(item)]
            elif key == "options" and item:
                raise ConversionError(
                    "a module for Nix can't declare options here: types have no form as data",
                    path=here,
                    hint="Declare them in a .nix file.",
                )
            elif structured and key in _STRUCTURAL:
                made[_SPELLINGS.get(key, key)] = self.value(item, here)
            else:
                made[key if structured else _shorthand(key)] = self.value(item, here)
        return made

    def _called(self, function: Any, path: tuple[str, ...]) -> Any:
        found = parameters(function)
        if found is None or found.required:
            wanted = ", ".join(f"`{n}'" for n in found.required) if found else "unknown arguments"
            raise ConversionError(
                f"{describe(function)} asks for {wanted}, which only Nix knows: a Python function can't be handed to Nix",
                path=path,
                place=place_of(function),
                hint="Write it as data, or as a .nix file.",
            )
        return force(call(function, None))

    def value(self, value: Any, path: tuple[str, ...]) -> Any:
        if value.__class__ in ATOMS:
            return value
        if len(path) > _DEEPEST:
            raise ConversionError(f"`{show_path(path[:3])}…' is nested too deeply for Nix", path=path[:3])
        value = force(value)
        if value.__class__ in ATOMS:  # what was computed
            return value
        if isinstance(value, Mapping):
            return {str(k): self.value(v, (*path, str(k))) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(v, (*path, f"[entry {n}]")) for n, v in enumerate(value, 1)]
        wrapped = self._wrapper(value, path)
        return self._special(value, path) if wrapped is None else wrapped

    def _special(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Deferred | DeferredModule):
            return self.module(value, path)
        if isinstance(value, NixData):
            return self.value(value.value, path)
        if isinstance(value, PurePath | NixFile | NixTemplate):
            return self._file(value, path)
        return self._refuse(value, path)

    def _wrapper(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Override):
            return {"_type": "override", "priority": value.priority, "content": self.value(value.content, path)}
        if isinstance(value, Order):
            return {"_type": "order", "priority": value.priority, "content": self.value(value.content, path)}
        if isinstance(value, If):
            return {
                "_type": "if",
                "condition": self._condition(value, path),
                "content": self.value(value.content, path),
            }
        if isinstance(value, Merge):
            return {"_type": "merge", "contents": [self.value(part, path) for part in value.contents]}
        if isinstance(value, Definition):
            name = value.file.file if isinstance(value.file, Source) else value.file
            return {"_type": "definition", "file": name, "value": self.value(value.value, path)}
        return None

    def _condition(self, wrapper: If, path: tuple[str, ...]) -> bool:
        condition = force(wrapper.condition)
        if callable(condition) and not isinstance(condition, Lazy):
            condition = force(call(condition, None))
        if not isinstance(condition, bool):
            raise ConversionError(
                f"`mk_if' called with a non-Boolean condition (`{type_name(condition)}') at `{show_path(path)}'",
                path=path,
            )
        return condition

    def _file(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, str):
            value = PurePath(value)
        if self.file is not None:
            return self.file(value)
        if isinstance(value, PurePath):
            return str(value)
        if isinstance(value, NixFile) and value.root is None and value.settings is None:
            return str(value.path)
        raise ConversionError(
            f"`{value.path}' is more than a path, so its reader has to say what becomes of it", path=path
        )

    def _refuse(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Option):
            what = "an option declaration"
        elif isinstance(value, Type):
            what = f"a type (`{value.description}')"
        else:
            what = "a function" if is_function(value) else f"a value of type `{type_name(value)}'"
        raise ConversionError(f"`{show_path(path)}' is {what}, which has no form in Nix", path=path)


def _shorthand(key: str) -> str:
    """In shorthand, `class` and `file` are options; the other structural keys get Nix's spelling."""
    return _SPELLINGS[key] if key in {"disabled_modules", "freeform_type"} else key
