"""What one evaluation and all those nested in it share."""

from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from clanpy.modules.evaluation import Evaluation


class Context:
    """A counter of the option values that were computed, and the evaluations that may have something to say."""

    __slots__ = ("forced", "noticed")

    def __init__(self) -> None:
        self.forced = 0
        self.noticed: list[Evaluation] = []
