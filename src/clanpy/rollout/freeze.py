"""Freeze windows: times of the week in which nothing is activated, such as `fri 16:00-mon 08:00`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from clanpy.errors import UsageError


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK = timedelta(days=7)
_MOMENT = r"(mon|tue|wed|thu|fri|sat|sun)\s+([01]?\d|2[0-3]):([0-5]\d)"
_TEXT = re.compile(rf"{_MOMENT}\s*-\s*{_MOMENT}")


@dataclass(frozen=True, slots=True)
class Freeze:
    """A window of the week, in local time: from Monday 00:00 on. `end` may lie before `start`: it goes over the weekend then."""

    start: timedelta
    end: timedelta

    @classmethod
    def parse(cls, text: str) -> Freeze:
        """`fri 16:00-mon 08:00`.

        Raises:
            UsageError: it is no such window.
        """
        found = _TEXT.fullmatch(text.strip().lower())
        if found is None:
            raise UsageError(f"{text!r} is no freeze window", hint='write it as "fri 16:00-mon 08:00"')
        start, end = _moment(found[1], found[2], found[3]), _moment(found[4], found[5], found[6])
        if start == end:
            raise UsageError(f"the freeze window {text!r} has no length", hint="leave it out")
        return cls(start, end)

    def thawed_at(self, now: datetime) -> datetime | None:
        """When the window that `now` lies in ends; None when it lies in none."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        monday = midnight - timedelta(days=now.weekday())
        length = (self.end - self.start) % WEEK
        for week in (monday - WEEK, monday):
            begin = week + self.start
            if begin <= now < begin + length:
                return begin + length
        return None

    def __str__(self) -> str:
        return f"{_text(self.start)}-{_text(self.end)}"


def thawed_at(windows: Iterable[Freeze], now: datetime) -> datetime | None:
    """When activations are allowed again; None when they are allowed now. Windows that touch are one."""
    at = now
    windows = tuple(windows)
    for _ in range(len(windows) + 1):
        ends = [end for window in windows if (end := window.thawed_at(at)) is not None]
        if not ends:
            break
        at = max(ends)
    return at if at > now else None


def _moment(day: str, hour: str, minute: str) -> timedelta:
    return timedelta(days=DAYS.index(day), hours=int(hour), minutes=int(minute))


def _text(moment: timedelta) -> str:
    minutes = moment.seconds // 60
    return f"{DAYS[moment.days]} {minutes // 60:02}:{minutes % 60:02}"
