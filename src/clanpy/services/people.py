"""Keys of people, asked for by name or by group: what services offer as `authorized_people`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from clanpy.services.declaration import Person
from clanpy.services.settings import Refers


GROUP_MARK = "@"
PersonName = Annotated[str, Refers("person or group")]


def keys_of(people: Mapping[str, Person], names: Iterable[str]) -> tuple[str, ...]:
    """The public keys of people, each once, in order.

    Args:
        people: the users of the fleet, by every name that they go by.
        names: people, by name or alias, or `@group` for everybody who is in a group, by name.
    """
    return tuple(dict.fromkeys(key for name in names for person in _meant(people, name) for key in person.ssh_keys))


def _meant(people: Mapping[str, Person], name: str) -> Iterable[Person]:
    if not name.startswith(GROUP_MARK):
        return [people[name]] if name in people else []
    group = name.removeprefix(GROUP_MARK)
    found = {person.name: person for person in people.values() if group in person.groups}
    return [found[each] for each in sorted(found)]
