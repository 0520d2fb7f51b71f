"""People and their accounts: one instance a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from clanpy.services.declaration import Account, Computed, Member, Role, Service
from clanpy.services.generator import Generator, Password, Prompt
from clanpy.services.settings import AspectName, Field, Settings, UserName


class Default(Settings):
    """A person's account on the members of the role."""

    user: UserName = Field(description="The person: the name of a user of the fleet, or one of their aliases")
    account: str | None = Field(
        None,
        description="What the account is called; the name given as `user` when not set",
        pattern=r"^[a-z_][a-z0-9_-]*$",
    )
    admin: bool = Field(False, description="May become root, and is trusted by the Nix daemon")
    groups: list[str] = Field(default_factory=list, description="Further groups (NixOS)")
    shell: Literal["bash", "zsh", "fish"] | None = Field(None, description="The login shell")
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
    name = settings.account or settings.user
    base = "/Users" if member.machine.class_ == "darwin" else "/home"
    imports = tuple(settings.imports)
    has_home = settings.home_manager != "none" and bool(person.imports or imports)
    return Account(
        user=person.name,
        account=name,
        home=settings.home or f"{base}/{name}",
        admin=settings.admin,
        ssh_keys=tuple(dict.fromkeys((*person.ssh_keys, *settings.ssh_keys))),
        home_manager=settings.home_manager if has_home else None,
        managed=settings.managed,
        imports=imports,
    )


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
    if settings.shell is not None:
        found["shell"] = f"/run/current-system/sw/bin/{settings.shell}"
    if settings.shell in {"zsh", "fish"}:
        module["programs"] = {settings.shell: {"enable": True}}
    if settings.admin:
        module["nix"] = {"settings": {"trusted-users": [account.account]}}
    return module


def _nixos(member: Member) -> Mapping[str, Any]:
    settings: Default = member.settings
    if not settings.managed:
        return {}
    groups = (["wheel"] if settings.admin else []) + settings.groups
    entry: dict[str, Any] = {"isNormalUser": True, "extraGroups": groups}
    if settings.password:
        entry["hashedPasswordFile"] = member.path(password_generator(settings.user), HASH_FILE)
    return _common(member, entry)


def _darwin(member: Member) -> Mapping[str, Any]:
    settings: Default = member.settings
    return _common(member, {"name": account_of(member).account}) if settings.managed else {}


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
