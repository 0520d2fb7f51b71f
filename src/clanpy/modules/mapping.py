"""Mappings whose values are computed when they are asked for, once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from clanpy.modules.context import Context
from clanpy.modules.errors import InfiniteRecursionError, MissingAttributeError, ModuleError, Place
from clanpy.modules.merge import MISSING
from clanpy.modules.show import nearest, or_list, show_name, show_path
from clanpy.modules.sources import Path
from clanpy.modules.stack import Frame, frames, guarded


class _Busy:
    """Stands in the cache while a value is being computed."""

    __slots__ = ()


class Failed:
    """Stands in the cache where a value can't be had."""

    __slots__ = ("error",)

    def __init__(self, error: ModuleError) -> None:
        self.error = error


_BUSY: Final = _Busy()


class LazyMapping(Mapping[str, Any]):
    """Names are known at once, values are computed on first access and kept; iteration is in the order of the names.

    `mapping.name` is `mapping["name"]`, except for names that are methods of mappings (`items`, `keys`, `get`, `values`). What
    else there is for the library itself ends in an underscore, so that it does not hide an option.

    Raises:
        MissingAttributeError: there is no such name; it is both an AttributeError and a KeyError.
        ModuleError: the value can't be computed; the same error every time.
    """

    __slots__ = ("_cache", "_context", "_loc", "_sorted")

    def __init__(self, context: Context, loc: Path) -> None:
        self._context = context
        self._loc = loc
        self._cache: dict[str, Any] = {}
        self._sorted: list[str] | None = None

    # What a subclass gives

    def _names(self) -> Iterator[str]:
        """The names, in any order."""
        raise NotImplementedError

    def _has(self, name: str) -> bool:
        raise NotImplementedError

    def _quick(self, name: str) -> Any:
        """The value, where no function of a user's has to be called for it; MISSING otherwise."""
        raise NotImplementedError

    def _evaluate(self, name: str) -> Any:
        """The value of a name that exists."""
        raise NotImplementedError

    def described_(self, name: str) -> str:
        """The option for a cycle: its path and the place where the value comes from."""
        return show_path((*self._loc, name))

    def places_(self, name: str) -> tuple[Place, ...]:
        """Where the value comes from: the places of the definitions that count."""
        raise NotImplementedError

    # What makes it a mapping

    def __getitem__(self, name: str) -> Any:
        value = self._cache.get(name, MISSING)
        if value is MISSING:
            value = self._quick(name)
            if value is MISSING:
                return guarded(self._compute, name)
            self._cache[name] = value
        elif value.__class__ is Failed:
            raise value.error.with_traceback(None)
        elif value is _BUSY:
            # Another thread may be at it: only the one that computes sees its own mark as a cycle.
            return guarded(self._compute, name)
        return value

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        if self._sorted is None:
            self._sorted = sorted(self._names())
        return iter(self._sorted)

    def __len__(self) -> int:
        if self._sorted is None:
            self._sorted = sorted(self._names())
        return len(self._sorted)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._has(name)

    @property
    def loc_(self) -> Path:
        """The path of this mapping."""
        return self._loc

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401  # this is what get is

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {show_path(self._loc) or '(root)'}: {', '.join(map(show_name, self))}>"

    __hash__ = None  # type: ignore[assignment]  # equal to any mapping with the same items

    def __reduce__(self) -> tuple[Any, ...]:
        from clanpy.modules.data import to_data  # noqa: PLC0415  # a copy is plain data; avoids a circle

        return (dict, (to_data(self),))

    # How a value is computed

    def _compute(self, name: str) -> Any:
        value = self._cache.get(name, MISSING)
        if value is _BUSY:
            raise cycle(self, name)
        if value.__class__ is Failed:
            raise value.error.with_traceback(None)
        if value is not MISSING:
            return value
        if not self._has(name):
            raise self._missing(name)
        self._cache[name] = _BUSY
        stack = frames()
        stack.append((self, name))
        try:
            value = self._evaluate(name)
        except ModuleError as error:
            self._cache[name] = Failed(error)
            error.via = (*error.via, show_path((*self._loc, name)))
            raise
        except BaseException:
            del self._cache[name]
            raise
        finally:
            stack.pop()
        self._cache[name] = value
        return value

    def _missing(self, name: Any) -> MissingAttributeError:
        close = nearest(name, self) if isinstance(name, str) else []
        where = show_path(self._loc)
        return MissingAttributeError(
            f"`{name}' is missing in `{where}'" if where else f"There is no option `{name}'",
            path=(*self._loc, str(name)),
            hint=f"Did you mean {or_list(close)}?" if close else None,
        )


def cycle(owner: Frame, name: str) -> InfiniteRecursionError:
    """The values that wait for each other, as a chain."""
    stack = frames()
    start = next((i for i, (o, n) in enumerate(stack) if o is owner and n == name), 0)
    chain = [o.described_(n) for o, n in stack[start:]]
    first = chain[0].partition(" (")[0] if chain else name
    return InfiniteRecursionError(
        f"infinite recursion: {' → '.join([*chain, first])}",
        cycle=[*chain, first],
        hint="Each of these values needs the next one. Give one of them a value that does not depend on the others.",
    )
