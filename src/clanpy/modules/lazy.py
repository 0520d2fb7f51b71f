"""Values that are computed later.

In Nix every value is lazy. In Python a module says so where it matters:

    config.a = lazy(lambda config: config.b + 1)

While modules are being collected, `config` itself answers with lazy values, so that `mk_if(config.x.enable, {…})` and
`{"a": config.b + 1}` mean what they mean in Nix: attribute access, items, calls, arithmetic and comparison of a lazy value
give another lazy value. What Python wants to know at once (`if`, `and`, `not`, `for`, f-strings) forces it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from clanpy.modules.calls import Scope, call


class Lazy:
    """A computation and, once it was made, its result. `lazy()` makes one from a function."""

    __slots__ = ("_function", "_memo", "_scope", "_scoped", "_seen")

    def __init__(self, function: Callable[..., Any], scope: Scope | None = None, *, scoped: bool = False) -> None:
        self._function = function
        self._scope = scope
        self._scoped = scoped
        self._memo: Any = None
        self._seen: Any = None

    @property
    def _shown_(self) -> str:
        return "<computed value>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_shown_":
            raise AttributeError(name)
        return Lazy(lambda: attribute(force(self), name))

    def __getitem__(self, key: Any) -> Any:
        return Lazy(lambda: force(self)[force(key)])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return Lazy(lambda: force(self)(*args, **kwargs))

    # Python wants these at once.
    def __bool__(self) -> bool:
        return bool(force(self))

    def __iter__(self) -> Iterator[Any]:
        return iter(force(self))

    def __len__(self) -> int:
        return len(force(self))

    def __contains__(self, item: Any) -> bool:
        return force(item) in force(self)

    def __str__(self) -> str:
        return str(force(self))

    def __format__(self, spec: str) -> str:
        return format(force(self), spec)

    def __int__(self) -> int:
        return int(force(self))

    def __float__(self) -> float:
        return float(force(self))

    def __index__(self) -> int:
        return operator.index(force(self))

    def __hash__(self) -> int:
        return hash(force(self))

    def __fspath__(self) -> str:
        return str(force(self))

    def __repr__(self) -> str:
        return self._shown_

    def __reduce__(self) -> Any:
        raise TypeError("a value that is computed later can't be copied or pickled")

    def __eq__(self, other: object) -> Any:
        return Lazy(lambda: force(self) == force(other))

    def __ne__(self, other: object) -> Any:
        return Lazy(lambda: force(self) != force(other))


_BINARY: Final = "add sub mul truediv floordiv mod pow and or xor lshift rshift"
_ORDER: Final = "lt le gt ge"
_UNARY: Final = "neg pos abs invert"


def _binary(function: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    def straight(self: Lazy, other: Any) -> Lazy:
        return Lazy(lambda: function(force(self), force(other)))

    def swapped(self: Lazy, other: Any) -> Lazy:
        return Lazy(lambda: function(force(other), force(self)))

    return straight, swapped


def _unary(function: Callable[[Any], Any]) -> Any:
    def apply(self: Lazy) -> Lazy:
        return Lazy(lambda: function(force(self)))

    return apply


def _install() -> None:
    for name in _BINARY.split():
        straight, swapped = _binary(getattr(operator, f"__{name}__"))
        setattr(Lazy, f"__{name}__", straight)
        setattr(Lazy, f"__r{name}__", swapped)
    for name in _ORDER.split():
        setattr(Lazy, f"__{name}__", _binary(getattr(operator, f"__{name}__"))[0])
    for name in _UNARY.split():
        setattr(Lazy, f"__{name}__", _unary(getattr(operator, f"__{name}__")))


_install()


def lazy(function: Callable[..., Any]) -> Any:
    """A value that is computed when it is needed, from arguments that are asked for by name.

    `lazy(lambda: …)` closes over what it uses; `lazy(lambda config, name: …)` is given the arguments of the module in which
    it stands. The result may be any value, also a wrapper such as `mk_if` where one is allowed.
    """
    return Lazy(function, scoped=True)


def force(value: Any, scope: Scope | None = None) -> Any:
    """The value itself when it is a lazy one, however often; anything else as it is."""
    while isinstance(value, Lazy):
        value = _compute(value, scope)
    return value


def _compute(value: Lazy, scope: Scope | None) -> Any:
    wanted = value._scope or scope  # noqa: SLF001  # the other half of this class
    seen = value._seen  # noqa: SLF001
    if seen is not None and seen is (wanted if value._scoped else value):  # noqa: SLF001
        return value._memo  # noqa: SLF001
    if value._scoped:  # noqa: SLF001
        result = call(value._function, wanted)  # noqa: SLF001
        value._seen = wanted  # noqa: SLF001
    else:
        result = value._function()  # noqa: SLF001
        value._seen = value  # noqa: SLF001
    value._memo = result  # noqa: SLF001
    return result


def bound(value: Any, scope: Scope | None) -> Any:
    """The value itself, or a copy where lazy values inside, which ask for arguments, remember whose.

    For values that are handed on without being looked into: later nobody knows where they stood.
    """
    return _bound(value, scope) if scope is not None and _has_scoped(value) else value


def _has_scoped(value: Any) -> bool:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
        elif isinstance(item, Lazy) and item._scoped:  # noqa: SLF001  # the other half of this class
            return True
    return False


def _bound(value: Any, scope: Scope) -> Any:
    if isinstance(value, dict):
        return {k: _bound(v, scope) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_bound(v, scope) for v in value]
    if isinstance(value, Lazy) and value._scoped:  # noqa: SLF001  # the other half of this class
        return Lazy(value._function, value._scope or scope, scoped=True)  # noqa: SLF001  # as above
    return value


def attribute(value: Any, name: str) -> Any:
    """An item of a mapping or an attribute of anything else."""
    if isinstance(value, Mapping) and name in value:
        return value[name]
    return getattr(value, name)
