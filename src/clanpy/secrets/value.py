"""`Secret`: plain text that does not spill by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn, Self, final


@final
class Secret:
    """Plain text in memory. It shows as `<secret>` wherever it is printed, formatted, logged or put in an error.

    There is no way to it but `reveal` (bytes) and `text` (UTF-8), so that every use can be found by name. It can't be
    pickled, hashed or serialised; copies are the object itself. Comparison takes the same time wherever the difference is.
    """

    __slots__ = ("_plain",)

    def __init__(self, plain: bytes | str) -> None:
        object.__setattr__(self, "_plain", plain.encode() if isinstance(plain, str) else bytes(plain))

    _plain: bytes

    def reveal(self) -> bytes:
        """The plain bytes."""
        return self._plain

    def text(self) -> str:
        """The plain text. Bytes that are no UTF-8 are replaced: such a decoding error would carry them in its message."""
        return self._plain.decode(errors="replace")

    def __len__(self) -> int:
        return len(self._plain)

    def __bool__(self) -> bool:
        return bool(self._plain)

    def __eq__(self, other: object) -> bool:
        return hmac.compare_digest(self._plain, other._plain) if isinstance(other, Secret) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mypy's stub of object wants a method here; None is Python's "unhashable"

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format("<secret>", format_spec)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret can't be changed")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret can't be pickled")
