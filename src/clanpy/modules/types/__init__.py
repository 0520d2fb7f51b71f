"""The types of options, under the names that Nix has for them (in snake_case)."""

from __future__ import annotations

from typing import NoReturn

from clanpy.modules.types.around import add_check, non_empty_list_of, null_or, uniq, unique
from clanpy.modules.types.base import Type, mk_option_type
from clanpy.modules.types.choice import coerced_to, either, enum, one_of
from clanpy.modules.types.deferred import deferred_module, deferred_module_with, option_type
from clanpy.modules.types.free import anything, function_to, raw, unspecified
from clanpy.modules.types.scalars import (
    bool_by_or,
    commas,
    env_var,
    external_path,
    ints,
    lines,
    non_empty_str,
    number,
    numbers,
    package,
    passwd_entry,
    path,
    path_in_store,
    path_with,
    port,
    separated_string,
    single_line_str,
    str_matching,
)
from clanpy.modules.types.scalars import boolean as bool  # noqa: A004  # Nix's name for it
from clanpy.modules.types.scalars import floating as float  # noqa: A004  # as above
from clanpy.modules.types.scalars import integer as int  # noqa: A004  # as above
from clanpy.modules.types.scalars import string as str  # noqa: A004  # as above
from clanpy.modules.types.structure import attrs_of, attrs_with, lazy_attrs_of, list_of
from clanpy.modules.types.submodule import submodule, submodule_with
from clanpy.modules.types.tagged import attr_tag


def __getattr__(name: str) -> NoReturn:  # type: ignore[valid-type]  # `str` is a type of options here
    if name == "attrs":
        raise AttributeError(
            "types.attrs is not offered: it silently loses what is nested. Use types.anything, or types.attrs_of(…)."
        )
    raise AttributeError(f"there is no type {name!r}")


__all__ = [
    "Type",
    "add_check",
    "anything",
    "attr_tag",
    "attrs_of",
    "attrs_with",
    "bool",
    "bool_by_or",
    "coerced_to",
    "commas",
    "deferred_module",
    "deferred_module_with",
    "either",
    "enum",
    "env_var",
    "external_path",
    "float",
    "function_to",
    "int",
    "ints",
    "lazy_attrs_of",
    "lines",
    "list_of",
    "mk_option_type",
    "non_empty_list_of",
    "non_empty_str",
    "null_or",
    "number",
    "numbers",
    "one_of",
    "option_type",
    "package",
    "passwd_entry",
    "path",
    "path_in_store",
    "path_with",
    "port",
    "raw",
    "separated_string",
    "single_line_str",
    "str",
    "str_matching",
    "submodule",
    "submodule_with",
    "uniq",
    "unique",
    "unspecified",
]
