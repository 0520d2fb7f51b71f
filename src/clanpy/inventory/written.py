"""Settings as they are written: carried from the files to whoever knows what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clanpy.inventory.kinds import Carried
from clanpy.inventory.sigils import encode
from clanpy.modules.sources import Def, Source


_UNKNOWN = Source("<settings>")


class Written(Mapping[str, Any]):
    """Settings of one level. As a mapping it is what the files say, in TOML's form; `parts` are the definitions themselves."""

    __slots__ = ("_is_empty", "_shown", "parts")

    def __init__(self, parts: tuple[Def, ...] = ()) -> None:
        self.parts = parts
        self._shown: dict[str, Any] | None = None
        self._is_empty = not any(len(part.value) for part in parts)

    def _all(self) -> dict[str, Any]:
        if self._shown is None:
            self._shown = {}
            for part in reversed(self.parts):  # in the order of the files
                _add(self._shown, encode(part.value))
        return self._shown

    def __getitem__(self, key: str) -> Any:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __bool__(self) -> bool:
        return not self._is_empty

    def __repr__(self) -> str:
        return repr(self._all())

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (self._all(),))


NOTHING = Written()


def written(carried: Any) -> Written:
    """The value of an option for settings."""
    return Written(carried.parts) if isinstance(carried, Carried) and carried.parts else NOTHING


def parts_of(settings: Mapping[str, Any]) -> tuple[Def, ...]:
    """The definitions in settings, which may also be plain data that no file holds."""
    if isinstance(settings, Written):
        return settings.parts
    return (Def(settings, _UNKNOWN),) if settings else ()


def _add(target: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        here = target.get(key)
        if isinstance(here, dict) and isinstance(value, dict):
            _add(here, value)
        elif isinstance(here, list) and isinstance(value, list):
            target[key] = [*value, *here]
        else:
            target[key] = value
