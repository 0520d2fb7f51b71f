"""What the built-in services do with values that may not be generated yet: say so, and do without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clanpy.services.declaration import Member


Value = tuple[str, str, str]
"""A public value: machine, generator, file."""


def not_generated(member: Member, values: Iterable[Value]) -> Iterator[str]:
    """A line for each of the values that is not there, for `Role.lacks`."""
    for machine, generator, file in values:
        if member.public(generator, file, machine=machine) is None:
            whose = "" if machine == member.machine.name else f" of {machine}"
            yield f"does without '{generator}/{file}'{whose}, which is not generated yet"


def public_line(member: Member, generator: str, file: str, *, machine: str | None = None) -> str | None:
    """A public value of one line, without the line feed that it may end with."""
    value = member.public(generator, file, machine=machine)
    return value.strip() if value is not None else None


def names_of(machine: str, domain: str, others: Iterable[str] = ()) -> tuple[str, ...]:
    """What a machine is called: its name, and that under each domain."""
    return tuple(dict.fromkeys((machine, f"{machine}.{domain}", *(f"{machine}.{other}" for other in others))))
