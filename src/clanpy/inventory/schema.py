"""The fleet's options: which there are, of which type, with which default, and what each is for.

This module is the first of the fleet's evaluation; the others are the fleet's own files. The JSON Schema for editors and the
reference of all options are made from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clanpy.inventory.kinds import (
    Data,
    Member,
    Name,
    Strings,
    Table,
    Text,
    boolean,
    maybe,
    strings,
    table,
    text,
    whole,
    words,
)
from clanpy.modules import option, types


CLASSES = ("nixos", "darwin")
ASPECT_CLASSES = ("nixos", "darwin", "home", "system")

# [ssh://][user@]host[:port]; an IPv6 address stands in brackets, or alone without a port
_HOST = r"(?:\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?)"
TARGET = re.compile(rf"(?:ssh://)?(?:[A-Za-z0-9_][A-Za-z0-9_.+$-]*@)?{_HOST}(?::(?P<port>\d{{1,5}}))?")
_MAX_PORT = 65535

_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME_HINT = "letters, digits, '-', '_' and '.'; it begins with a letter, a digit or '_'"
MACHINE_NAME = Name(
    "the name of a machine",
    r"(?i:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)",
    "letters, digits and '-'; at most 63, no '-' at either end",
)
ACCOUNT = r"[a-z_][a-z0-9_-]{0,30}\$?"
_USER_HINT = "small letters, digits, '-' and '_'; at most 31; begins with a letter"
USER_NAME = Name("the name of a user", ACCOUNT, _USER_HINT)
TAG_NAME = Name("a tag", _WORD, _NAME_HINT)
INSTANCE_NAME = Name("the name of an instance", _WORD, _NAME_HINT)
ROLE_NAME = Name("the name of a role", _WORD, _NAME_HINT)
ASPECT_NAME = Name("the name of an aspect", _WORD, _NAME_HINT)


def is_target(written: str) -> bool:
    """Whether a text is `[ssh://][user@]host[:port]`."""
    match = TARGET.fullmatch(written)
    return match is not None and (match["port"] is None or 0 < int(match["port"]) <= _MAX_PORT)


def _text(description: str, kind: Any = text, **more: Any) -> Any:
    return option(maybe(kind), default=None, description=description, **more)


def _list(description: str, kind: Any = strings, **more: Any) -> Any:
    return option(kind, default=[], description=description, **more)


META = {
    "name": option(
        Text("a name of letters, digits, '-' and '_'", r"[A-Za-z0-9_-]+"),
        description="What the fleet is called.",
        example="homelab",
    ),
    "description": _text("What the fleet is, in a sentence."),
    "icon": _text("A picture of the fleet: a path or an address. Kept for clan."),
    "domain": option(
        Text("a domain name", r"(?i:[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)"),
        default="clan",
        description="The domain under which the machines know each other: machine `web` is `web.<domain>`.",
        example="lan",
    ),
}

DEPLOY = {
    "target_host": option(
        Strings(text, "a string or a list of strings"),
        default=[],
        description="Where the machine is reached: `[ssh://][user@]host[:port]`. Of several, the first that answers is taken.",
        example="root@web.lan",
    ),
    "build_host": _text(
        "Where its system is built: a target, or `localhost`. Without it, wherever there is a builder for its system.",
        example="localhost",
    ),
    "forward_agent": _text("Whether the SSH agent is forwarded to the machine.", boolean),
}

MACHINE = {
    "name": _text("The machine's name. The entry's key is the name already: leave it out."),
    "class": option(words(*CLASSES), description="What the machine runs: NixOS or macOS with nix-darwin."),
    "system": option(
        Text(
            "a system such as 'x86_64-linux' or 'aarch64-darwin'",
            r"[a-z0-9_]+-(linux|darwin)",
            "x86_64-linux, aarch64-linux, x86_64-darwin and aarch64-darwin are common",
        ),
        description="Processor and kernel, as Nix calls them.",
        example="x86_64-linux",
    ),
    "type": _text(
        "What kind of machine it is, in your own words; selections can ask for it (`type:laptop`).", example="vm"
    ),
    "primary_user": _text("The person who uses the machine, or an alias of theirs."),
    "admin_user": _text("The person who looks after the machine, or an alias of theirs."),
    "description": _text("What the machine is for, in a sentence."),
    "icon": _text("A picture of the machine: a path or an address. Kept for clan."),
    "installed_at": _text("When it was installed, in seconds since 1970.", whole("a time in seconds since 1970")),
    "tags": _list(
        "Tags that the machine carries, beside `all`, the one of its class, and those that name it themselves.",
        example=["web"],
    ),
    "imports": _list("Aspects of the machine's class that it imports, by name.", example=["desktop"]),
    "deploy": DEPLOY,
}

USER = {
    "full_name": _text("The person's name, as one writes it."),
    "email": _text("Where the person gets mail."),
    "ssh_keys": _list("Public SSH keys of the person."),
    "aliases": _list(
        "What the person's accounts are called where they don't have the person's own name.",
        Strings(Text(USER_NAME.what, ACCOUNT, _USER_HINT), "a list of strings"),
    ),
    "imports": _list("Aspects of class home that each of the person's homes imports, by name.", example=["git"]),
}

TAG = {
    "description": _text("What it means that a machine carries the tag."),
    "machines": _list("Machines that carry the tag, by name."),
    "imports": _list("Aspects that every machine with the tag imports: those of its own class, by name."),
}

_MEMBER = {
    "settings": option(Data(), default_text="{}", description="Settings for this member alone."),
}
_TAGGED = {
    "settings": option(Data(), default_text="{}", description="Settings for members that carry this tag."),
}

ROLE = {
    "machines": option(
        Table(
            table(_MEMBER, kind=Member), MACHINE_NAME, "a list of machines or a table of them", placeholder="machine"
        ),
        default={},
        description="Machines in the role, by name.",
    ),
    "tags": option(
        Table(table(_TAGGED, kind=Member), TAG_NAME, "a list of tags or a table of them", placeholder="tag"),
        default={},
        description="Tags whose machines are in the role.",
    ),
    "settings": option(Data(), default_text="{}", description="Settings for all members of the role."),
    "extra_modules": _list("Further aspects for all members of the role, by name."),
}

INSTANCE = {
    "module": {
        "name": _text("The service. Without it, the one that is called as the instance is.", example="sshd"),
        "input": _text(
            "Where the service comes from: nothing for a built-in one, `self` for one of the fleet's own `services/`."
        ),
    },
    "roles": option(
        Table(table(ROLE), ROLE_NAME, "a table of roles", placeholder="role"),
        default={},
        description="Who is in which role of the service, and with which settings.",
    ),
}


def _aspects(class_: str) -> Any:
    about = "NixOS and nix-darwin" if class_ == "system" else {"nixos": "NixOS", "darwin": "nix-darwin"}.get(class_)
    return option(
        Table(types.deferred_module, ASPECT_NAME, "a table of aspects", placeholder="aspect", lazy=True),
        default={},
        description=f"Aspects for {about or 'home-manager'}, by name: modules that Nix evaluates. Files in `modules/{class_}/` are aspects too.",
    )


OPTIONS: Mapping[str, Any] = {
    "meta": META,
    "machines": option(
        Table(table(MACHINE), MACHINE_NAME, "a table of machines", placeholder="machine"),
        default={},
        description="The machines of the fleet, by name.",
    ),
    "users": option(
        Table(table(USER), USER_NAME, "a table of users", placeholder="user"),
        default={},
        description="The people of the fleet, one entry a person.",
    ),
    "tags": option(
        Table(table(TAG, "a list of machines or a table"), TAG_NAME, "a table of tags", placeholder="tag"),
        default={},
        description="What is said about tags. `all`, `nixos` and `darwin` are computed.",
    ),
    "instances": option(
        Table(table(INSTANCE), INSTANCE_NAME, "a table of service instances", placeholder="instance"),
        default={},
        description="Uses of services, by name.",
    ),
    "aspects": {class_: _aspects(class_) for class_ in ASPECT_CLASSES},
}

MODULE: Mapping[str, Any] = {"_file": "<clanpy>", "options": OPTIONS}
