"""What can be wrong with modules, as exceptions with a place, the option concerned and a remedy.

ModuleError
├── EvaluationError         several of the below in one report
├── LoadError               a file can't be read, parsed or run
├── ShapeError              something that is no module, or has keys that a module can't have
│   └── ClassMismatchError  a module of another class
├── DeclarationError        options that can't be declared so, or not twice
├── UnknownOptionError      a definition of an option that does not exist
├── RemovedOptionError      a definition of an option that is gone
├── TypeMismatchError       a definition that the option's type refuses
├── ConflictError           definitions that can't be merged
├── ReadOnlyError           a second definition of a read-only option
├── UnsetOptionError        a value is wanted that nobody gave
├── WrapperError            mk_force, mk_if and the like, nested the wrong way round
├── MissingArgumentError    a module asks for an argument that nobody gives
├── MissingAttributeError   an attribute that a value does not have (also an AttributeError and a KeyError)
├── InfiniteRecursionError  a value that depends on itself
├── ComputationError        a function of a module raised
└── ConversionError         something that has no form in Nix
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: a file and, where known, its line and column (both counted from 1)."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class ModuleError(Exception):
    """Something about modules that a user can understand and mend.

    Attributes:
        message: one sentence, without full stop.
        path: the option it is about, as names from the root.
        place: where it stands.
        definitions: the definitions concerned, one line each with its place.
        hint: what to do about it, or the nearest names.
        via: the options that were being evaluated when it was found, innermost first.
    """

    kind: ClassVar[str] = "module"

    def __init__(
        self,
        message: str,
        *,
        path: Sequence[str] = (),
        place: Place | None = None,
        definitions: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path)
        self.place = place
        self.definitions = tuple(definitions)
        self.hint = hint
        self.via: tuple[str, ...] = ()
        # What can still be looked at although this went wrong; lets a report go on below an unknown option.
        self.resume: Any = None

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place and self.place.line else self.message
        if self.definitions:
            text += (". Definition values:" if not self.message.endswith(":") else "") + "".join(
                f"\n- {line}" for line in self.definitions
            )
        if self.hint:
            text += f"\n\n{self.hint}"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), {k: v for k, v in vars(self).items() if k != "resume"}))


def _rebuild(cls: type[ModuleError], state: dict[str, Any]) -> ModuleError:
    error = cls.__new__(cls)
    Exception.__init__(error, state.get("message", ""))
    vars(error).update(state, resume=None)
    return error


class EvaluationError(ModuleError):
    """Several errors found in one go, sorted by place."""

    kind = "report"

    def __init__(self, errors: Iterable[ModuleError]) -> None:
        found = unique(flat(errors))
        self.errors = tuple(sorted(found, key=lambda e: (_place_key(e.place), e.path, e.message)))
        super().__init__(f"{len(self.errors)} error{'' if len(self.errors) == 1 else 's'}")

    def __str__(self) -> str:
        return "\n\n".join([f"{self.message}:", *(str(error) for error in self.errors)])


class LoadError(ModuleError):
    kind = "load"


class ShapeError(ModuleError):
    kind = "shape"


class ClassMismatchError(ShapeError):
    kind = "class"


class DeclarationError(ModuleError):
    kind = "declaration"


class UnknownOptionError(ModuleError):
    """Attributes: `suggestions`: full names of options that may have been meant, nearest first."""

    kind = "unknown"

    def __init__(self, message: str, *, suggestions: Sequence[str] = (), **rest: Any) -> None:
        super().__init__(message, **rest)
        self.suggestions = tuple(suggestions)


class RemovedOptionError(ModuleError):
    kind = "removed"


class TypeMismatchError(ModuleError):
    kind = "type"


class ConflictError(ModuleError):
    kind = "conflict"


class ReadOnlyError(ModuleError):
    kind = "read-only"


class UnsetOptionError(ModuleError):
    kind = "unset"


class WrapperError(ModuleError):
    kind = "wrapper"


class MissingArgumentError(ModuleError):
    kind = "argument"


class MissingAttributeError(ModuleError, AttributeError, KeyError):
    kind = "attribute"

    __str__ = ModuleError.__str__


class InfiniteRecursionError(ModuleError):
    """Attributes: `cycle`: the options that depend on each other, each with its place, the first one again at the end."""

    kind = "recursion"

    def __init__(self, message: str, *, cycle: Sequence[str] = (), **rest: Any) -> None:
        super().__init__(message, **rest)
        self.cycle = tuple(cycle)


class ComputationError(ModuleError):
    kind = "computation"


class ConversionError(ModuleError):
    kind = "conversion"


def flat(errors: Iterable[ModuleError]) -> Iterator[ModuleError]:
    """The errors, those of reports one by one."""
    for error in errors:
        if isinstance(error, EvaluationError):
            yield from error.errors
        else:
            yield error


def unique(errors: Iterable[ModuleError]) -> list[ModuleError]:
    """Each error once: a root cause is seen by every option that reads the broken one."""
    seen: dict[Any, ModuleError] = {}
    for error in errors:
        seen.setdefault((type(error), error.message, error.path, error.definitions, error.place), error)
    return list(seen.values())


def raise_all(errors: Sequence[ModuleError]) -> None:
    """Raise nothing, the one error, or a report of all of them."""
    found = unique(flat(errors))
    if len(found) == 1:
        raise found[0]
    if found:
        raise EvaluationError(found)


def _place_key(place: Place | None) -> tuple[str, int, int]:
    return (place.file, place.line or 0, place.column or 0) if place else ("", 0, 0)
