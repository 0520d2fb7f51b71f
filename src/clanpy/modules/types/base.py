"""What a type is: which values it takes, and how several become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from clanpy.modules.calls import protected
from clanpy.modules.context import Context
from clanpy.modules.errors import ConflictError
from clanpy.modules.merge import MISSING, mismatch, same, shown
from clanpy.modules.options import Constant
from clanpy.modules.priority import ATOMS, Wrapper
from clanpy.modules.show import show_path
from clanpy.modules.sources import Def, Path, Source


SUGGESTION: Final = (
    "Use `mk_force(value)` or `mk_default(value)` (in TOML `{ _force = value }`, `{ _default = value }`) "
    "to change the priority of one of these definitions."
)


class Type:
    """A type of options. Subclasses are values: they don't change, and equal ones may be merged.

    Attributes:
        name: short, as Nix calls it.
        description: for people.
        phrase: which kind of phrase the description is (`noun`, `composite`, `conjunction`, `nonRestrictiveClause`), which
            decides where it needs parentheses.
        unlisted: an option of this type is not among the names that one gets when going through a configuration.
    """

    __slots__ = ()

    name: str = "type"
    phrase: str | None = None
    unlisted: bool = False

    @property
    def description(self) -> str:
        return self.name

    @property
    def _shown_(self) -> str:
        return f"<type {self.description}>"

    def __repr__(self) -> str:
        return self._shown_

    def within(self, *phrases: str) -> str:
        """The description, in parentheses unless its kind of phrase is one of these."""
        return self.description if self.phrase in phrases else f"({self.description})"

    def check(self, value: Any) -> bool:
        """Whether it takes this value, as far as can be seen without looking inside."""
        return True

    def takes(self, wrapper: Wrapper) -> bool:
        """Whether it makes something of a wrapper that is left when those around an option's value were taken off."""
        return False

    def verify(self, path: Path, defs: Sequence[Def]) -> None:
        """Raise TypeMismatchError unless all of these definitions are taken."""
        bad = [d for d in defs if not self.check(d.value)]
        if bad:
            raise mismatch(self, path, bad)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        """One value from at least one definition, all of which were checked."""
        raise NotImplementedError

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        """The value of a lone definition at `path.name` where that is certain at once; MISSING otherwise."""
        return MISSING

    def atom(self, value: Any) -> Any:
        """An immutable constant as a value of this type, or MISSING."""
        return MISSING

    @property
    def empty_atom(self) -> Any:
        """The empty value, where it is an immutable constant."""
        return MISSING

    def empty(self, context: Context, path: Path) -> Any:
        """What an option is when nobody defines it, or MISSING."""
        return MISSING

    @property
    def unrefined(self) -> Type:
        """The type without checks that were added to it."""
        return self

    def combine(self, other: Type) -> Type | None:
        """The type of an option declared with both, or None when there is none.

        Raises:
            DeclarationError: there is none, and it can be said why.
        """
        found = self.join(other)
        return self.join(other.unrefined) if found is None and other.unrefined is not other else found

    def join(self, other: Type) -> Type | None:
        """What `combine` gives, as long as checks that were added to the other type don't matter.

        Raises:
            DeclarationError: there is none, and it can be said why.
        """
        return self if type(self) is type(other) and self.name == other.name else None

    @property
    def nested(self) -> Mapping[str, Type]:
        """The types it is made of, by what they are in it."""
        return {}

    @property
    def modules(self) -> Sequence[Any] | None:
        """The modules of the submodule inside, None when there is none."""
        return None

    def with_modules(self, modules: Sequence[Any]) -> Type:
        """The same type with other modules in its submodule."""
        return self

    def sub_options(self, path: Path) -> Mapping[str, Any]:
        """The options inside, for documentation: name → OptionView or a further mapping."""
        return {}


class Atomic(Type):
    """A type whose values are atoms that are merged by being equal."""

    __slots__ = ("_check", "_description", "name", "phrase", "refines")

    def __init__(
        self,
        name: str,
        description: str,
        check: Callable[[Any], bool],
        *,
        phrase: str | None = "noun",
        refines: str | None = None,
    ) -> None:
        self.name = name
        self.phrase = phrase
        self.refines = refines or name
        self._description = description
        self._check = check

    @property
    def description(self) -> str:
        return self._description

    def check(self, value: Any) -> bool:
        return self._check(value)

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return value if value.__class__ in ATOMS and self._check(value) else MISSING

    def atom(self, value: Any) -> Any:
        return value if value.__class__ in ATOMS and self._check(value) else MISSING

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return merge_equal(path, defs)

    def join(self, other: Type) -> Type | None:
        if not isinstance(other, Atomic) or other.refines != self.refines:
            return None
        return self if other.description == self.description else self._base()

    def _base(self) -> Type | None:
        return None


class Custom(Type):
    """A type given by its functions; made by `mk_option_type`."""

    __slots__ = ("_check", "_description", "_empty", "_merge", "name", "phrase")

    def __init__(
        self,
        *,
        name: str,
        description: str,
        check: Callable[[Any], bool] | None,
        merge: Callable[[Path, list[Def]], Any] | None,
        empty: Any,
        phrase: str | None,
    ) -> None:
        self.name = name
        self.phrase = phrase
        self._description = description
        self._check = check
        self._merge = merge
        self._empty = empty

    @property
    def description(self) -> str:
        return self._description

    def check(self, value: Any) -> bool:
        return self._check is None or bool(protected(self._check, value))

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return merge_default(path, defs) if self._merge is None else protected(self._merge, path, defs)

    def empty(self, context: Context, path: Path) -> Any:
        return self._empty.value if isinstance(self._empty, Constant) else self._empty


def mk_option_type(
    name: str,
    *,
    description: str | None = None,
    check: Callable[[Any], bool] | None = None,
    merge: Callable[[Path, list[Def]], Any] | None = None,
    empty: Any = MISSING,
    phrase: str | None = "noun",
) -> Type:
    """A type of one's own.

    Args:
        name: two types of the same name can be merged.
        description: for people; the name when None.
        check: whether a value is taken; every one when None.
        merge: the value from the option's path and the definitions (each has `value` and `source`); when None, what can be
            merged without knowing more is: lists and strings are joined, mappings united, equal numbers are one.
        empty: the value of an option that nobody defines.
        phrase: see `Type.phrase`.
    """
    return Custom(name=name, description=description or name, check=check, merge=merge, empty=empty, phrase=phrase)


def merge_equal(path: Path, defs: list[Def]) -> Any:
    """The value that all definitions give.

    Raises:
        ConflictError: they give different ones.
    """
    first = defs[0]
    for d in defs[1:]:
        if not same(d.value, first.value):
            raise conflict(path, defs)
    return first.value


def conflict(path: Path, defs: Sequence[Def]) -> ConflictError:
    return ConflictError(
        f"The option `{show_path(path)}' has conflicting definition values:",
        path=path,
        place=defs[0].place(path),
        definitions=shown(defs, path),
        hint=SUGGESTION,
    )


def merge_one(path: Path, defs: list[Def], message: str = "") -> Any:
    """The value of the only definition.

    Raises:
        ConflictError: there are several.
    """
    only_one(path, defs, message)
    return defs[0].value


def only_one(path: Path, defs: Sequence[Def], message: str = "") -> None:
    if len(defs) != 1:
        text = f"The option `{show_path(path)}' is defined multiple times while it's expected to be unique"
        raise ConflictError(
            f"{text}. {message.rstrip('.')}" if message else text,
            path=path,
            place=defs[0].place(path),
            definitions=shown(defs, path),
            hint=SUGGESTION,
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_JOINS: Final[tuple[tuple[Callable[[Any], bool], Callable[[list[Any]], Any]], ...]] = (
    (lambda v: isinstance(v, list | tuple), lambda values: [x for v in values for x in v]),
    (lambda v: isinstance(v, Mapping), lambda values: {k: x for v in values for k, x in v.items()}),
    (lambda v: isinstance(v, bool), any),
    (lambda v: isinstance(v, str), "".join),
)


def merge_default(path: Path, defs: list[Def]) -> Any:
    """What can be merged without a type: one value; lists and strings joined, mappings united, bools or-ed, equal numbers.

    Raises:
        ConflictError: anything else.
    """
    values = [d.value for d in defs]
    if len(values) == 1:
        return values[0]
    if all(callable(v) and not isinstance(v, type) for v in values):
        return lambda x: merge_default(path, [Def(d.value(x), d.source) for d in defs])
    for fits, join in _JOINS:
        if all(fits(v) for v in values):
            return join(values)
    if all(_is_number(v) and v == values[0] for v in values):
        return values[0]
    raise ConflictError(
        f"Cannot merge definitions of `{show_path(path)}'",
        path=path,
        place=defs[0].place(path),
        definitions=shown(defs, path),
        hint=SUGGESTION,
    )
