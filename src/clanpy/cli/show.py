"""One machine as text for people. As data it is `clanpy.inventory.show_host`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clanpy.inventory.model import HostConfig, HostUser, Membership
    from clanpy.modules.deferred import DeferredModule


def host_lines(host: HostConfig) -> Iterator[str]:
    """The machine's facts, its roles, its people, and the modules in the order in which Nix gets them."""
    machine = host.machine
    yield f"{machine.name}  {machine.system}  {machine.type or machine.class_}"
    if machine.description:
        yield f"  {machine.description}"
    yield f"  tags     {' '.join(machine.tags) or '-'}"
    yield f"  targets  {' '.join(host.targets) or '-'}"
    yield from _section("roles", [line for part in host.memberships for line in _membership(part)])
    yield from _section("people", [_person(user) for user in host.users])
    yield from _section(f"modules ({machine.class_})", [_module(module) for module in host.modules])
    for account, modules in host.homes.items():
        yield from _section(f"home of {account}", [_module(module) for module in modules])


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        yield from (f"  {line}" for line in lines)


def _membership(part: Membership) -> Iterator[str]:
    yield f"{part.instance}: {part.role} of {part.service}" + (f"   {part.note}" if part.note else "")
    for path, value in _leaves(part.settings):
        origin = part.origins.get(path)
        yield f"  {path} = {json.dumps(value, ensure_ascii=False, default=str)}" + (f"   # {origin}" if origin else "")


def _leaves(settings: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(settings, dict) or not settings:
        if prefix:
            yield prefix, settings
        return
    for key, value in settings.items():
        yield from _leaves(value, f"{prefix}.{key}" if prefix else key)


def _person(user: HostUser) -> str:
    notes = [
        *(["admin"] if user.admin else []),
        *([f"home-manager: {user.home_manager}"] if user.home_manager else []),
        *([] if user.managed else ["account not managed"]),
    ]
    known_as = user.account if user.account == user.user else f"{user.account} ({user.user})"
    return "  ".join([known_as, user.home, *notes])


def _module(module: DeferredModule) -> str:
    return f"{module.key}   # {module.origin}"
