"""People and their accounts: one instance a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from clanpy.services.declaration import Account, Computed, Member, Person, PersonThere, Role, Service
from clanpy.services.generator import Generator, Password, Prompt
from clanpy.services.people import PersonName, keys_of
from clanpy.services.settings import AspectName, Field, Settings, UserName


T = TypeVar("T")


class Default(Settings):
    """A person's account on the members of the role."""

    user: UserName = Field(description="The person: the name of a user of the fleet, or one of their aliases")
    account: str | None = Field(
        None,
        description="What the account is called; as the person's entry says, or the name given as `user`, when not set",
        pattern=r"^[a-z_][a-z0-9_-]*$",
    )
    admin: bool | None = Field(
        None, description="May become root, and is trusted by the Nix daemon; as the person's entry says when not set"
    )
    groups: list[str] = Field(default_factory=list, description="Groups beside the person's own (NixOS)")
    shell: Literal["bash", "zsh", "fish"] | None = Field(
        None, description="The login shell; as the person's entry says when not set"
    )
    uid: int | None = Field(
        None, ge=0, description="The number of the account; as the person's entry says when not set"
    )
    authorized_people: list[PersonName] = Field(
        default_factory=list, description="Others whose keys may log in to the account: names, aliases, or `@group`"
    )
    ssh_keys: list[str] = Field(
        default_factory=list, description="Public keys that may log in, beside the person's own"
    )
    password: bool = Field(
        True, description="Give the account a password: a generated one, or with `prompt` one that is asked for (NixOS)"
    )
    prompt: bool = Field(False, description="Ask for the password; an empty answer means that one is made up")
    share: bool = Field(False, description="The same password on all machines, instead of one for each")
    home: str | None = Field(None, description="The home folder; /home/<account>, or /Users/<account> on darwin")
    managed: bool = Field(True, description="Make the account; false for one that is there anyway")
    home_manager: Literal["module", "standalone", "none"] = Field(
        "module",
        description="Whether the person's home configuration is a part of the system, is activated as that person, or left out",
    )
    imports: list[AspectName] = Field(
        default_factory=list, description="Aspects of class home, beside the person's own"
    )


PASSWORD_FILE, HASH_FILE = "user-password", "user-password-hash"


def password_generator(user: str) -> str:
    """The generator of a person's password."""
    return f"user-password-{user}"


def account_of(member: Member) -> Account:
    """The account that a member has for its person."""
    settings: Default = member.settings
    person = member.people[settings.user]
    there = there_of(member)
    name = _name_of(settings, person, there)
    base = "/Users" if member.machine.class_ == "darwin" else "/home"
    imports = tuple(dict.fromkeys((*(there.imports if there else ()), *settings.imports)))
    others = keys_of(member.people, settings.authorized_people)
    has_home = settings.home_manager != "none" and bool(person.imports or imports)
    return Account(
        user=person.name,
        account=name,
        home=settings.home or f"{base}/{name}",
        admin=_first(settings.admin, there.admin if there else None) or False,
        ssh_keys=tuple(dict.fromkeys((*person.ssh_keys, *settings.ssh_keys, *others))),
        home_manager=settings.home_manager if has_home else None,
        managed=settings.managed,
        imports=imports,
        uid=_first(settings.uid, there.uid if there else None, person.uid.get(member.machine.class_)),
    )


def there_of(member: Member) -> PersonThere | None:
    """What the person's entry says of this machine alone."""
    return member.people[member.settings.user].machines.get(member.machine.name)


def _name_of(settings: Default, person: Person, there: PersonThere | None) -> str:
    """Who is named by an alias in the settings is called that; what the person's entry says is for the person's own name."""
    if settings.account is None and settings.user == person.name and there is not None and there.account is not None:
        return there.account
    return settings.account or settings.user


def _first(*said: T | None) -> T | None:
    """What is said first: settings of the service before the person's entry."""
    return next((one for one in said if one is not None), None)


def _accounts(member: Member) -> Iterable[Account]:
    yield account_of(member)


def _common(member: Member, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an account is on both classes, around an `entry` of `users.users`."""
    settings: Default = member.settings
    account = account_of(member)
    person = member.people[settings.user]
    found = {
        "home": account.home,
        "description": person.full_name or person.name,
        "openssh": {"authorizedKeys": {"keys": list(account.ssh_keys)}},
        **entry,
    }
    module: dict[str, Any] = {"users": {"users": {account.account: found}}}
    there = there_of(member)
    shell = _first(settings.shell, there.shell if there else None, person.shell)
    if account.uid is not None:
        found["uid"] = account.uid
    if shell is not None:
        found["shell"] = f"/run/current-system/sw/bin/{shell}"
    if shell in {"zsh", "fish"}:
        module["programs"] = {shell: {"enable": True}}
    if account.admin:
        module["nix"] = {"settings": {"trusted-users": [account.account]}}
    return module


def _nixos(member: Member) -> Mapping[str, Any]:
    settings: Default = member.settings
    if not settings.managed:
        return {}
    there, person = there_of(member), member.people[settings.user]
    wheel = ["wheel"] if account_of(member).admin else []
    groups = dict.fromkeys((*wheel, *person.groups, *(there.groups if there else ()), *settings.groups))
    entry: dict[str, Any] = {"isNormalUser": True, "extraGroups": list(groups)}
    if settings.password:
        entry["hashedPasswordFile"] = member.path(password_generator(settings.user), HASH_FILE)
    return _common(member, entry)


def _darwin(member: Member) -> Mapping[str, Any]:
    """With a number the account is made by nix-darwin; without one it is there already, and only described."""
    settings: Default = member.settings
    if not settings.managed:
        return {}
    account = account_of(member)
    module = _common(member, {"name": account.account})
    if account.uid is not None:
        module["users"]["knownUsers"] = [account.account]
    return module


def _generators(member: Member) -> Iterator[Generator]:
    """The password: people can read it, the host gets its hash. Accounts of macOS keep the password that they have."""
    settings: Default = member.settings
    if member.machine.class_ != "nixos" or not (settings.managed and settings.password):
        return
    asked = Prompt(type="hidden", description=f"The password of {settings.user}; empty: make one up")
    yield Generator(
        name=password_generator(settings.user),
        share=settings.share,
        kind=Password(prompt=PASSWORD_FILE if settings.prompt else None, file=PASSWORD_FILE, hash_file=HASH_FILE),
        prompts={PASSWORD_FILE: asked} if settings.prompt else {},
    )


SERVICE = Service(
    name="users",
    description="People and their accounts on machines, with their keys, groups and home configuration",
    roles={
        "default": Role(
            description="Machines on which the person has an account",
            settings=Default,
            nixos=(Computed(_nixos),),
            darwin=(Computed(_darwin),),
            accounts=_accounts,
            generators=_generators,
        )
    },
)
