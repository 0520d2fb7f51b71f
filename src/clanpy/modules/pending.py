"""The configuration before it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from clanpy.modules.lazy import Lazy


if TYPE_CHECKING:
    from clanpy.modules.evaluation import Evaluation


class Pending:
    """`config` as module functions get it: lazy values while modules are collected, the real thing afterwards."""

    __slots__ = ("_evaluation", "_which")

    def __init__(self, evaluation: Evaluation, which: str) -> None:
        self._evaluation = evaluation
        self._which = which

    def _now(self) -> Any:
        return getattr(self._evaluation, self._which)

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        if self._evaluation.ready(self._which):
            return getattr(self._now(), name)
        return Lazy(lambda: getattr(self._now(), name))

    def __getitem__(self, name: str) -> Any:
        if self._evaluation.ready(self._which):
            return self._now()[name]
        return Lazy(lambda: self._now()[name])

    def __contains__(self, name: object) -> bool:
        return name in self._now()

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def keys(self) -> Any:
        return self._now().keys()

    def __repr__(self) -> str:
        return repr(self._now()) if self._evaluation.ready(self._which) else f"<{self._which}, not yet known>"


class Doing:
    """While this is open, reading the configuration is a mistake that can be named."""

    __slots__ = ("evaluation", "what")

    def __init__(self, evaluation: Evaluation, what: str) -> None:
        self.evaluation = evaluation
        self.what = what

    def __enter__(self) -> None:
        self.evaluation.set_state(self.what)

    def __exit__(self, *_: object) -> None:
        self.evaluation.set_state("")
