"""A part of a number of hosts: so many, or so many percent. Exact at the edges: no floating point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from clanpy.errors import UsageError


_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class Share:
    """So many hosts (`count`), or a fraction of them (`part`, 0 to 1). Exactly one of the two is set."""

    count: int | None = None
    part: Fraction | None = None

    @classmethod
    def parse(cls, value: str | int) -> Share:
        """`5`, `"5"` or `"12.5%"`.

        Raises:
            UsageError: it is none of these, or above 100 %.
        """
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(count=value)
        text = str(value).strip()
        if text.isdecimal():
            return cls(count=int(text))
        found = _TEXT.fullmatch(text)
        if found is None or Fraction(found[1]) > 100:  # noqa: PLR2004 - percent
            raise UsageError(f"{value!r} is no number of machines", hint="write a whole number (5) or a share (20%)")
        return cls(part=Fraction(found[1]) / 100)

    def exact(self, total: int) -> Fraction:
        """Of so many hosts, not rounded."""
        return Fraction(self.count) if self.count is not None else (self.part or Fraction(0)) * total

    def up(self, total: int) -> int:
        """Rounded up, at least 1, never more than there are: what a wave takes in."""
        exact = self.exact(total)
        return min(total, max(1, -(-exact.numerator // exact.denominator)))

    def down(self, total: int) -> int:
        """Rounded down, at least 1: what may be away at once."""
        return max(1, int(self.exact(total)))

    def __str__(self) -> str:
        if self.count is not None:
            return str(self.count)
        percent = (self.part or Fraction(0)) * 100
        return f"{float(percent):g}%"
