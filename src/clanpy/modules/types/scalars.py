"""Types of single values: bool, numbers, strings, paths, packages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

from clanpy.modules.context import Context
from clanpy.modules.merge import MISSING, mismatch
from clanpy.modules.show import show_value
from clanpy.modules.sources import Def, Path, Source
from clanpy.modules.types.base import Atomic, Type, merge_one


_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1
_STORE: Final = "/nix/store/"
_STORE_PATH: Final = re.compile(r"/nix/store/[^/]+\Z")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and _LOWEST <= value <= _HIGHEST


def _is_float(value: Any) -> bool:
    return isinstance(value, float)


def _is_str(value: Any) -> bool:
    return isinstance(value, str)


boolean = Atomic("bool", "boolean", lambda v: v is True or v is False)
integer = Atomic("int", "signed integer", _is_int)
floating = Atomic("float", "floating point number", _is_float)
string = Atomic("str", "string", _is_str)
non_empty_str = Atomic("nonEmptyStr", "non-empty string", lambda v: _is_str(v) and v.strip(" \t\n") != "")


class Bounded(Atomic):
    """Numbers in a range; either bound may be None. Both are included, unless `exclusive` says that the lower one is not."""

    __slots__ = ("base", "exclusive", "highest", "lowest")

    def __init__(
        self,
        name: str,
        description: str,
        base: Atomic,
        lowest: float | None,
        highest: float | None,
        *,
        exclusive: bool = False,
        phrase: str | None = "noun",
    ) -> None:
        super().__init__(name, description, self._holds, phrase=phrase, refines=base.refines)
        self.base = base
        self.lowest = lowest
        self.highest = highest
        self.exclusive = exclusive

    def _holds(self, value: Any) -> bool:
        if not self.base.check(value):
            return False
        if self.lowest is not None and (value <= self.lowest if self.exclusive else value < self.lowest):
            return False
        return self.highest is None or value <= self.highest

    @property
    def unrefined(self) -> Type:
        return self.base

    def _base(self) -> Type | None:
        # Two different ranges make a plain number, as in Nix; the same range twice keeps it, which Nix forgets.
        return self.base

    def verify(self, path: Path, defs: Sequence[Def]) -> None:
        super().verify(path, defs)
        self.base.verify(path, defs)


def _clause(name: str, text: str, base: Atomic, lowest: int, *, exclusive: bool = False) -> Bounded:
    return Bounded(name, text, base, lowest, None, exclusive=exclusive, phrase="nonRestrictiveClause")


class Ints:
    """Whole numbers: `ints.between(1, 9)`, `ints.positive`, `ints.unsigned`, `ints.u8` and so on."""

    unsigned: Final[Type] = _clause("unsignedInt", "unsigned integer, meaning >=0", integer, 0)
    positive: Final[Type] = _clause("positiveInt", "positive integer, meaning >0", integer, 0, exclusive=True)

    @staticmethod
    def between(lowest: int, highest: int) -> Type:
        """Whole numbers from `lowest` to `highest`, both included."""
        if lowest > highest:
            raise ValueError("ints.between: lowest must be smaller than highest")
        text = f"integer between {lowest} and {highest} (both inclusive)"
        return Bounded("intBetween", text, integer, lowest, highest)

    @staticmethod
    def _sized(sign: str, bits: int) -> Type:
        lowest, highest = (0, 2**bits - 1) if sign == "unsigned" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        text = f"{bits} bit {sign} integer; between {lowest} and {highest} (both inclusive)"
        return Bounded(f"{sign}Int{bits}", text, integer, lowest, highest)

    u8: Final[Type] = _sized("unsigned", 8)
    u16: Final[Type] = _sized("unsigned", 16)
    u32: Final[Type] = _sized("unsigned", 32)
    s8: Final[Type] = _sized("signed", 8)
    s16: Final[Type] = _sized("signed", 16)
    s32: Final[Type] = _sized("signed", 32)


ints = Ints()
port = ints.u16


class _Number(Atomic):
    """Whole or floating, but not both at once: 1 and 1.0 are no definitions of the same thing."""

    __slots__ = ()

    def verify(self, path: Path, defs: Sequence[Def]) -> None:
        super().verify(path, defs)
        if len({isinstance(d.value, float) for d in defs}) > 1:
            raise mismatch(self, path, defs)


_number = _Number(
    "number", "signed integer or floating point number", lambda v: _is_int(v) or _is_float(v), phrase="conjunction"
)
number: Type = _number


class Numbers:
    """`numbers.between(0.5, 2)`, `numbers.nonnegative`, `numbers.positive`."""

    nonnegative: Final[Type] = _clause(
        "numberNonnegative", "nonnegative integer or floating point number, meaning >=0", _number, 0
    )
    positive: Final[Type] = _clause(
        "numberPositive", "positive integer or floating point number, meaning >0", _number, 0, exclusive=True
    )

    @staticmethod
    def between(lowest: float, highest: float) -> Type:
        """Numbers from `lowest` to `highest`, both included."""
        if lowest > highest:
            raise ValueError("numbers.between: lowest must be smaller than highest")
        text = f"integer or floating point number between {lowest} and {highest} (both inclusive)"
        return Bounded("numberBetween", text, _number, lowest, highest)


numbers = Numbers()


class BoolByOr(Type):
    """A bool that is true when any definition says so."""

    __slots__ = ()

    name = "boolByOr"
    phrase = "noun"

    @property
    def description(self) -> str:
        return "boolean (merged using or)"

    def check(self, value: Any) -> bool:
        return value is True or value is False

    def atom(self, value: Any) -> Any:
        return value if self.check(value) else MISSING

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return value if self.check(value) else MISSING

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return any(d.value for d in defs)


bool_by_or = BoolByOr()


class StrMatching(Atomic):
    """Strings that a regular expression matches as a whole."""

    __slots__ = ("_regex", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._regex = re.compile(pattern)
        super().__init__(
            f"strMatching {show_value(pattern)}", f"string matching the pattern {pattern}", self._matches, refines="re"
        )

    def _matches(self, value: Any) -> bool:
        return isinstance(value, str) and self._regex.fullmatch(value) is not None


def str_matching(pattern: str) -> Type:
    """Strings that this regular expression (Python's) matches from beginning to end."""
    return StrMatching(pattern)


class SingleLine(Atomic):
    """A string without line breaks; one at its end is taken off."""

    __slots__ = ()

    def __init__(self) -> None:
        text = "(optionally newline-terminated) single-line string"
        super().__init__("singleLineStr", text, lambda v: _is_str(v) and not re.search(r"[\n\r]", v.removesuffix("\n")))

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return MISSING

    def atom(self, value: Any) -> Any:
        return MISSING

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return str(super().merge(context, path, defs)).removesuffix("\n")


single_line_str: Type = SingleLine()


class SeparatedString(Type):
    """Strings that are joined, with something between them."""

    __slots__ = ("separator",)

    name = "separatedString"
    phrase = "noun"

    def __init__(self, separator: str) -> None:
        self.separator = separator

    @property
    def description(self) -> str:
        return f"strings concatenated with {show_value(self.separator)}"

    def check(self, value: Any) -> bool:
        return isinstance(value, str)

    def atom(self, value: Any) -> Any:
        return value if value.__class__ is str else MISSING

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return value if value.__class__ is str else MISSING

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return self.separator.join(d.value for d in defs)

    def join(self, other: Type) -> Type | None:
        return self if isinstance(other, SeparatedString) and other.separator == self.separator else None


def separated_string(separator: str) -> Type:
    """Strings that are joined with this between them."""
    return SeparatedString(separator)


lines = separated_string("\n")
commas = separated_string(",")
env_var = separated_string(":")


class PathType(Atomic):
    """File names: strings, or `pathlib` paths. What is in the Nix store, and what is absolute, can be asked for."""

    __slots__ = ("absolute", "in_store")

    def __init__(self, in_store: bool | None, absolute: bool | None) -> None:
        if in_store and absolute is False:
            raise ValueError("path_with: in_store means that the path must be absolute")
        self.in_store = in_store
        self.absolute = absolute
        kind = "" if absolute is None else "absolute " if absolute else "relative "
        where = "" if in_store is None else " in the Nix store" if in_store else " not in the Nix store"
        super().__init__("path", f"{kind}path{where}", self._fits)

    def _fits(self, value: Any) -> bool:
        if not isinstance(value, str | PurePath) or (self.in_store is False and not isinstance(value, str)):
            return False
        text = str(value)
        if self.absolute is not None and text.startswith("/") != self.absolute:
            return False
        inside = text.startswith(_STORE) and text[len(_STORE) :].strip("/")[:1] not in {"", "."}
        return self.in_store is None or inside == self.in_store

    def atom(self, value: Any) -> Any:
        return value if isinstance(value, str | PurePath) and self._fits(value) else MISSING


def path_with(*, in_store: bool | None = None, absolute: bool | None = None) -> Type:
    """Paths with these properties; None means either way."""
    return PathType(in_store, absolute)


path = path_with(absolute=True)
path_in_store = path_with(in_store=True)
external_path = path_with(absolute=True, in_store=False)


class Package(Type):
    """A store path, or a mapping that describes a derivation; defined once."""

    __slots__ = ()

    name = "package"
    phrase = "noun"

    def check(self, value: Any) -> bool:
        if isinstance(value, Mapping):
            return value.get("type") == "derivation"
        return isinstance(value, str | PurePath) and _STORE_PATH.match(str(value)) is not None

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return merge_one(path, defs)


package = Package()


class PasswdEntry(Atomic):
    """Strings of another type that fit into a field of /etc/passwd."""

    __slots__ = ("base",)

    def __init__(self, base: Type) -> None:
        text = f"{base.within('noun')}, not containing newlines or colons"
        super().__init__(f"passwdEntry {base.name}", text, self._fits, phrase="nonRestrictiveClause")
        self.base = base

    def _fits(self, value: Any) -> bool:
        return self.base.check(value) and not re.search("[:\n]", value)


def passwd_entry(base: Type) -> Type:
    """Strings of this type without newlines and colons."""
    return PasswdEntry(base)
