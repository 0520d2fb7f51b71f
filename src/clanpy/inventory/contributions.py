"""What services contribute to one machine: modules of a class, and accounts.

A fleet's own services are code of others: what they raise, or give instead of plain data, becomes an error that names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from clanpy.errors import ClanpyError
from clanpy.inventory.errors import AliasClashError, DuplicateUidError, HomeClashError
from clanpy.inventory.loading import place_text
from clanpy.inventory.model import Fleet, Machine
from clanpy.inventory.nix_data import nix_data
from clanpy.inventory.pymodule import as_plain
from clanpy.inventory.roles import Part, Roles
from clanpy.modules.deferred import DeferredModule, NixClass, NixData, NixFile, NixTemplate
from clanpy.services import Account, Share
from clanpy.services.errors import ServiceDeclarationError


T = TypeVar("T")
Content = NixFile | NixData | NixTemplate


def role_modules(fleet: Fleet, part: Part, class_: NixClass, errors: list[ClanpyError]) -> Iterator[DeferredModule]:
    """The modules of a class that a role contributes to a member. Data without anything in it is left out."""
    if part.member is None:
        return
    member = part.member
    origin = ""
    for n, contribution in enumerate(part.service.roles[part.role].half(class_)):
        what = f"what role '{part.role}' contributes to {class_}"
        made = _asked(part.service.name, what, partial(contribution.content, part.folder, member), errors)
        content = None if made is None else _checked(fleet, made, part.service.name, what, errors)
        if content is None:
            continue
        key = f"{class_}/{part.service.name}/{part.instance.name}/{part.role}"
        origin = origin or _role_origin(fleet, part)
        yield DeferredModule(key if n == 0 else f"{key}/{n}", class_, content, origin)


def _role_origin(fleet: Fleet, part: Part) -> str:
    """Why a member has what its role contributes; the same for all members."""
    known: dict[tuple[str, str], str] = fleet.memo.setdefault("origins of roles", {})
    key = (part.instance.name, part.role)
    if key not in known:
        place = place_text(fleet.where("instances", part.instance.name, "roles", part.role))
        known[key] = f"instance {part.instance.name}, role {part.role} of service {part.service.name}{place}"
    return known[key]


def shares(
    roles: Roles, machine: Machine, parts: Sequence[Part], errors: list[ClanpyError]
) -> Iterator[DeferredModule]:
    """What services contribute once to a machine: for each instance that it is in, and whatever number of them there is."""
    class_ = machine.class_
    for service, share in roles.shares(machine, parts):
        made: list[tuple[str, str, Callable[[], Mapping[str, Any] | None]]] = []
        if service.per_instance is not None:
            made = [
                (f"/{part.instance}", f"instance {part.instance} of ", partial(service.per_instance, part))
                for part in _by_instance(share)
            ]
        if service.per_machine is not None:
            made.append(("", "", partial(service.per_machine, share)))
        for key, whose, make in made:
            what = f"what it contributes to {whose.removesuffix(' of ') or 'a machine'}"
            data = _asked(service.name, what, make, errors)
            content = _checked(roles.fleet, NixData(data), service.name, what, errors) if data else None
            if content is not None:
                yield DeferredModule(f"{class_}/{service.name}{key}", class_, content, f"{whose}service {service.name}")


def _by_instance(share: Share) -> Iterator[Share]:
    """The part in each instance."""
    for instance in dict.fromkeys(member.instance for member in share.members):
        members = tuple(member for member in share.members if member.instance == instance)
        yield replace(share, members=members, instance=instance)


def accounts(fleet: Fleet, machine: Machine, parts: Sequence[Part], errors: list[ClanpyError]) -> list[Account]:
    """The accounts that services give people on a machine, by name."""
    return [account for account, _ in accounts_with_parts(fleet, machine, parts, errors)]


def accounts_with_parts(
    fleet: Fleet, machine: Machine, parts: Sequence[Part], errors: list[ClanpyError]
) -> list[tuple[Account, Part]]:
    """The accounts of a machine by name, each with what gives it."""
    found: dict[str, tuple[Account, Part]] = {}
    for part in parts:
        for account in _accounts_of(part, errors):
            if account.account in found:
                errors.append(_same_account(fleet, machine, account.account, part, found[account.account][1]))
            else:
                found[account.account] = account, part
    errors.extend(_shared(fleet, machine, found))
    return [found[name] for name in sorted(found)]


def _shared(fleet: Fleet, machine: Machine, found: Mapping[str, tuple[Account, Part]]) -> Iterator[ClanpyError]:
    """Accounts that have a number or a home folder in common."""
    numbers: dict[int, str] = {}
    folders: dict[str, str] = {}
    for name, (account, part) in sorted(found.items()):
        place = fleet.where("instances", part.instance.name)
        if account.uid is not None and (other := numbers.setdefault(account.uid, name)) != name:
            yield DuplicateUidError(
                f"the accounts '{other}' and '{name}' on '{machine.name}' both have the number {account.uid}",
                place=place,
                details=(f"the other: {fleet.where('instances', found[other][1].instance.name)}",),
                hint="give one of them another `uid`",
            )
        if (other := folders.setdefault(account.home.rstrip("/"), name)) != name:
            yield HomeClashError(
                f"the accounts '{other}' and '{name}' on '{machine.name}' have one home folder, {account.home}",
                place=place,
                details=(f"the other: {fleet.where('instances', found[other][1].instance.name)}",),
                hint="give one of them another `home`",
            )


def _accounts_of(part: Part, errors: list[ClanpyError]) -> Iterable[Account]:
    make, member = part.service.roles[part.role].accounts, part.member
    if make is None or member is None:
        return ()
    return _asked(part.service.name, "the accounts it makes", lambda: tuple(make(member)), errors) or ()


def _same_account(fleet: Fleet, machine: Machine, account: str, part: Part, other: Part) -> AliasClashError:
    return AliasClashError(
        f"the account '{account}' on '{machine.name}' comes from two instances",
        place=fleet.where("instances", part.instance.name),
        details=(f"the other: {fleet.where('instances', other.instance.name)}",),
        hint="let one of them name another account, or leave this machine out of one",
    )


def _asked(service: str, what: str, call: Callable[[], T], errors: list[ClanpyError]) -> T | None:
    """Call a service's own code."""
    try:
        return call()
    except ClanpyError as error:
        errors.append(error)
    except Exception as error:  # whatever a service's code raises is a fact about that service
        said = f"{type(error).__name__}: {error}"
        errors.append(ServiceDeclarationError(f"the service '{service}' fails in {what}: {said}"))
    return None


def _checked(fleet: Fleet, content: Content, service: str, what: str, errors: list[ClanpyError]) -> Content | None:
    """A contribution that can be handed to Nix: data in Nix's encoding, files that are there. None when there is nothing."""
    if isinstance(content, NixData):
        return _encoded(content.value, service, what, errors)
    known: dict[Path, bool] = fleet.memo.setdefault("files", {})
    if content.path not in known:
        known[content.path] = content.path.is_file()
    if not known[content.path]:
        message = f"the service '{service}' names the file '{content.path.name}', which is not in its folder"
        errors.append(ServiceDeclarationError(message))
        return None
    return content


def _encoded(data: Mapping[str, Any], service: str, what: str, errors: list[ClanpyError]) -> NixData | None:
    try:
        plain = as_plain(data)
        return nix_data(plain) if plain else None
    except (TypeError, ValueError) as error:
        errors.append(ServiceDeclarationError(f"the service '{service}' gives no plain data in {what}: {error}"))
        return None
