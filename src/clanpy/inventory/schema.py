"""The fleet's schema: which keys there are at which place, and what their values look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clanpy.inventory.shape import Boolean, Data, Integer, ListOf, MapOf, OneOf, Table, Text


CLASSES = ("nixos", "darwin")
ASPECT_CLASSES = ("nixos", "darwin", "home", "system")

# [ssh://][user@]host[:port]; an IPv6 address stands in brackets, or alone without a port
_HOST = r"(?:\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?)"
TARGET = re.compile(rf"(?:ssh://)?(?:[A-Za-z0-9_][A-Za-z0-9_.+$-]*@)?{_HOST}(?::(?P<port>\d{{1,5}}))?")
_MAX_PORT = 65535

_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME_HINT = "letters, digits, '-', '_' and '.'; it begins with a letter, a digit or '_'"
MACHINE_NAME = Text(
    "the name of a machine",
    r"(?i:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)",
    "letters, digits and '-'; at most 63, no '-' at either end",
)
ACCOUNT = r"[a-z_][a-z0-9_-]{0,30}\$?"
USER_NAME = Text("the name of a user", ACCOUNT, "small letters, digits, '-' and '_'; at most 31; begins with a letter")
TAG_NAME = Text("a tag", _WORD, _NAME_HINT)
INSTANCE_NAME = Text("the name of an instance", _WORD, _NAME_HINT)
ROLE_NAME = Text("the name of a role", _WORD, _NAME_HINT)
ASPECT_NAME = Text("the name of an aspect", _WORD, _NAME_HINT)

_STRING = Text()
_STRINGS = ListOf(_STRING)


def is_target(text: str) -> bool:
    """Whether a text is `[ssh://][user@]host[:port]`."""
    match = TARGET.fullmatch(text)
    return match is not None and (match["port"] is None or 0 < int(match["port"]) <= _MAX_PORT)


def _names_only(value: Any) -> Any:
    """`["a", "b"]` for `{ a = {}, b = {} }`."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    return value


def _members(value: Any) -> Any:
    """`["a", "b"]` for `{ machines = ["a", "b"] }`."""
    return {"machines": value} if isinstance(value, list) else value


def _service(value: Any) -> Any:
    """`"sshd"` for `{ name = "sshd" }`."""
    return {"name": value} if isinstance(value, str) else value


META = Table(
    {
        "name": Text("a name of letters, digits, '-' and '_'", r"[A-Za-z0-9_-]+"),
        "description": _STRING,
        "icon": _STRING,
        "domain": Text("a domain name", r"(?i:[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)"),
    },
    also={"tld": "domain"},
)

DEPLOY = Table(
    {
        "target_host": ListOf(_STRING, "a string or a list of strings", single=True),
        "build_host": _STRING,
        "forward_agent": Boolean(),
    }
)

MACHINE = Table(
    {
        "name": _STRING,
        "class": OneOf(CLASSES),
        "system": Text(
            "a system such as 'x86_64-linux' or 'aarch64-darwin'",
            r"[a-z0-9_]+-(linux|darwin)",
            "x86_64-linux, aarch64-linux, x86_64-darwin and aarch64-darwin are common",
        ),
        "type": _STRING,
        "primary_user": _STRING,
        "admin_user": _STRING,
        "description": _STRING,
        "icon": _STRING,
        "installed_at": Integer("a time in seconds since 1970"),
        "tags": _STRINGS,
        "imports": _STRINGS,
        "deploy": DEPLOY,
    },
    also={"machine_class": "class"},
)

USER = Table(
    {
        "full_name": _STRING,
        "email": _STRING,
        "ssh_keys": _STRINGS,
        "aliases": ListOf(USER_NAME),
        "imports": _STRINGS,
    }
)

TAG = Table(
    {"description": _STRING, "machines": _STRINGS, "imports": _STRINGS},
    what="a list of machines or a table",
    short=_members,
)

_MEMBER = Table({"settings": Data()})

ROLE = Table(
    {
        "machines": MapOf(_MEMBER, "a list of machines or a table of them", MACHINE_NAME, _names_only),
        "tags": MapOf(_MEMBER, "a list of tags or a table of them", TAG_NAME, _names_only),
        "settings": Data(),
        "extra_modules": _STRINGS,
    }
)

INSTANCE = Table(
    {
        "module": Table({"name": _STRING, "input": _STRING}, "the name of a service or a table", short=_service),
        "roles": MapOf(ROLE, "a table of roles", ROLE_NAME),
    }
)

ASPECTS = Table({name: MapOf(Data(), "a table of aspects", ASPECT_NAME) for name in ASPECT_CLASSES})

FLEET = Table(
    {
        "meta": META,
        "machines": MapOf(MACHINE, "a table of machines", MACHINE_NAME),
        "users": MapOf(USER, "a table of users", USER_NAME),
        "tags": MapOf(TAG, "a table of tags", TAG_NAME),
        "instances": MapOf(INSTANCE, "a table of service instances", INSTANCE_NAME),
        "aspects": ASPECTS,
    }
)


def at(prefix: tuple[str, ...], data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Data put where its file's prefix says, so that it reads as a part of the whole."""
    for part in reversed(prefix):
        data = {part: data}
    return data
