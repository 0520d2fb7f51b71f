"""The fleet's options: which there are, of which type, with which default, and what each is for.

This module is the first of the fleet's evaluation; the others are the fleet's own files. The JSON Schema for editors and the
reference of all options are made from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clanpy.inventory.gates import gates_option
from clanpy.inventory.kinds import (
    Data,
    Free,
    Member,
    Name,
    Strings,
    Table,
    Text,
    Uid,
    boolean,
    day,
    maybe,
    strings,
    table,
    text,
    whole,
    words,
)
from clanpy.inventory.rollouts import rollouts_option
from clanpy.modules import option, types


CLASSES = ("nixos", "darwin")
ASPECT_CLASSES = ("nixos", "darwin", "home", "system")
DELIVERIES = ("direct", "sops-nix")
# As in `clanpy.services.generator`, which is not imported for this: machines are listed without any service.
PHASES = ("partitioning", "activation", "users", "services")
PROMPT_TYPES = ("hidden", "line", "multiline", "multiline-hidden")

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
CHANNEL_NAME = Name("the name of a channel", r"[a-zA-Z_][a-zA-Z0-9_-]*", "letters, digits, '-' and '_'")
PLATFORM_NAME = Name(
    "a platform",
    r"[a-z0-9_]+(-(linux|darwin))?",
    "a system such as 'aarch64-darwin', or a part of one: 'darwin', 'aarch64'",
)
PACKAGE_NAME = Name(
    "the name of a package", r"[a-zA-Z_][a-zA-Z0-9_'-]*", "an attribute of nixpkgs without dots, such as 'd2'"
)
PACKAGE = Text(PACKAGE_NAME.what, PACKAGE_NAME.pattern, PACKAGE_NAME.hint)
_VAR_WORD = r"[A-Za-z0-9_@:%+-][A-Za-z0-9_.@:%+-]*"
_VAR_HINT = "letters, digits and `_ . @ : % + -`, not beginning with `.`"
GENERATOR_NAME = Name("the name of a generator", _VAR_WORD, _VAR_HINT)
VAR_FILE_NAME = Name("the name of a generator's file", _VAR_WORD, _VAR_HINT)
PROMPT_NAME = Name("the name of a prompt", _VAR_WORD, _VAR_HINT)


def is_target(written: str) -> bool:
    """Whether a text is `[ssh://][user@]host[:port]`."""
    match = TARGET.fullmatch(written)
    return match is not None and (match["port"] is None or 0 < int(match["port"]) <= _MAX_PORT)


def _text(description: str, kind: Any = text, **more: Any) -> Any:
    return option(maybe(kind), default=None, description=description, **more)


def _list(description: str, kind: Any = strings, **more: Any) -> Any:
    return option(kind, default=[], description=description, **more)


def _yes_or_no(description: str, *, default: bool) -> Any:
    return option(boolean, default=default, description=description)


VAR_FILE = {
    "secret": _yes_or_no(
        "Whether it is encrypted in the fleet and readable to its owner alone on the host.", default=True
    ),
    "deploy": _yes_or_no("Whether machines get it at all. Without it only people can read it.", default=True),
    "owner": option(text, default="root", description="The account that it belongs to on the host."),
    "group": _text("Its group on the host. Without it `root`, on darwin `wheel`."),
    "mode": option(
        Text("four octal digits", r"[0-7]{4}"), default="0400", description="Its mode on the host: four octal digits."
    ),
    "needed_for": option(
        words(*PHASES), default="services", description="How early the host needs it; see the page about vars."
    ),
    "restart_units": _list("Units of systemd that are restarted when it has changed (not on darwin)."),
}

PROMPT = {
    "type": option(
        words(*PROMPT_TYPES), default="line", description="How the answer is typed, and whether it is seen."
    ),
    "description": _text("What is asked for, in a sentence."),
    "persist": _yes_or_no("Whether the answer is kept, as a file of the same name.", default=False),
    "display": {
        "group": _text("Prompts of a group are asked together."),
        "label": _text("What is shown instead of the name."),
        "required": _yes_or_no("Whether the answer can't be empty.", default=True),
        "helper_text": _text("More about what is asked for."),
    },
}

GENERATOR = {
    "share": _yes_or_no(
        "One set of values for all machines that declare it; it is declared alike on all of them then.", default=False
    ),
    "dependencies": _list("Generators whose values it needs. Those of its kind need not be named."),
    "validation": option(
        Free(), default_text="null", description="When this value changes, the values are made again."
    ),
    "kind": option(
        Data(),
        default_text="null",
        description="A built-in way of making values: its name, or a table with its `name` and settings.",
        example="ssh-key",
    ),
    "script": _text(
        "Bash. It finds `$in/<generator>/<file>` and `$prompts/<prompt>` and writes exactly its files to `$out`."
    ),
    "python": _text("`module:function`, called with a `clanpy.vars.Inputs`; it returns contents by file name."),
    "prompts": option(
        Table(table(PROMPT), PROMPT_NAME, "a table of prompts", placeholder="prompt"),
        default={},
        description="What is asked before it runs.",
    ),
    "files": option(
        Table(table(VAR_FILE), VAR_FILE_NAME, "a table of files", placeholder="file"),
        default={},
        description="The files it makes. Those of its kind and of prompts that persist are named only to change them.",
    ),
    "runtime_inputs": _list("Packages of nixpkgs whose programs the script needs.", example=["openssl"]),
    "expires": _text("How long values are good for: `90d`, `2w`, `12h`, `1y`.", example="90d"),
    "renew_before": _text(
        "How long before their end values are made again. Without it a tenth of their life.", example="7d"
    ),
}


def _generators(about: str, more: Mapping[str, Any] | None = None) -> Any:
    return option(
        Table(table({**GENERATOR, **(more or {})}), GENERATOR_NAME, "a table of generators", placeholder="generator"),
        default={},
        description=f"Values that are generated for {about}, by the name of what generates them.",
    )


VARS = {
    "settings": {
        "backend": option(
            words("sops", "age", "plain"), default="sops", description="How secrets are kept with the fleet."
        ),
        "default_groups": _list("Groups of `sops/groups` that may read every secret.", example=["admins"]),
        "delivery": option(
            words(*DELIVERIES),
            default="direct",
            description="How machines get their secrets: as files in memory, or as ciphertext that sops-nix decrypts there.",
        ),
    },
    "generators": _generators(
        "machines",
        {
            "machines": _text("Only these machines, and those that the other two name.", strings),
            "tags": _text("Only machines that carry one of these tags, and those that the other two name.", strings),
            "aspects": _text(
                "Only machines that import one of these aspects, and those that the other two name.", strings
            ),
        },
    ),
}

LEGACY = {
    "file": option(text, description="The file, from the fleet's folder; `{machine}` stands for the machine's name."),
    "machines": _text("Only these machines, and those with one of the tags.", strings),
    "tags": _text("Only machines that carry one of these tags, and those that are named.", strings),
    "path": option(
        text,
        default="/run/secrets/{key}",
        description="Where a value is on the machine; `{key}` is its place in the file.",
    ),
}

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
        "Where it is built: `local` (here), `target` (on the machine itself), or another host as `[user@]host[:port]`. "
        "Without it: here.",
        example="target",
    ),
    "via": _text(
        "A host beside it, from which it gets its store paths: a machine of the fleet, or `[user@]host[:port]`. What all of its kind need is sent "
        "there once.",
        example="hub",
    ),
    "substitute": _text(
        "Whether the machine fetches from its own substituters what they have, and is sent the rest. Without it: where sending would take long.",
        boolean,
    ),
    "after": _list(
        "Selections of machines that are activated before this one in every rollout: what is reached through it, say.",
        Strings(text, "a list of selections"),
        example=["tag:behind-the-jump-host"],
    ),
    "forward_agent": _text("Whether the SSH agent is forwarded to the machine.", boolean),
    "elevation": _text(
        "How the account becomes root there. `sudo` (taken where nothing is said) may want a password, which is asked for once for all "
        "machines; `doas` and `run0` must not. `none`: it need not, it may do what root does.",
        words("sudo", "doas", "run0", "none"),
        example="doas",
    ),
}

_SYSTEM = Text(
    "a system such as 'x86_64-linux' or 'aarch64-darwin'",
    r"[a-z0-9_]+-(linux|darwin)",
    "x86_64-linux, aarch64-linux, x86_64-darwin and aarch64-darwin are common",
)
MACHINE = {
    "name": _text("The machine's name. The entry's key is the name already: leave it out."),
    "class": option(words(*CLASSES), description="What the machine runs: NixOS or macOS with nix-darwin."),
    "system": option(_SYSTEM, description="Processor and kernel, as Nix calls them.", example="x86_64-linux"),
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
    "gates": gates_option("this machine"),
    "vars": {
        "generators": _generators("this machine alone"),
        "delivery": _text("How this machine gets its secrets, where it is not as the others do.", words(*DELIVERIES)),
    },
}

SHELLS = ("bash", "zsh", "fish")
GROUP = r"[a-z_][a-z0-9_-]{0,30}"
_ACCOUNT_TEXT = Text(USER_NAME.what, ACCOUNT, _USER_HINT)
_GROUPS = Strings(Text("the name of a group", GROUP, _USER_HINT), "a list of strings")
_UID = Uid()

USER_THERE = {
    "account": _text("What the person's account is called on this machine.", _ACCOUNT_TEXT),
    "admin": _text("Whether the person may become root on this machine.", boolean),
    "primary": _yes_or_no(
        "Whether it is the machine's `primary_user`, where the machine's own entry names nobody.", default=False
    ),
    "groups": _list("Further groups on this machine.", _GROUPS),
    "shell": _text("The login shell on this machine.", words(*SHELLS)),
    "uid": _text("The number of the account on this machine.", whole("a number")),
    "imports": _list("Further aspects of class home on this machine, by name."),
}

HOME_ELSEWHERE = {
    "system": option(
        _SYSTEM, description="Processor and kernel of the host, as Nix calls them.", example="x86_64-linux"
    ),
    "account": _text("What the account is called there; the person's name without it.", _ACCOUNT_TEXT),
    "home": _text("The home folder there; `/home/<account>`, or `/Users/<account>` on macOS, without it."),
    "target_host": _text("Where the host is reached, as `[user@]host[:port]`; under its own name without it."),
    "imports": _list("Further aspects of class home there, by name."),
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
    "github": _text("The person's name at GitHub."),
    "groups": _list(
        "Groups of the person: of accounts on NixOS, and of people, whose keys may be asked for as `@group`.",
        _GROUPS,
        example=["admins"],
    ),
    "shell": _text("The login shell.", words(*SHELLS)),
    "uid": option(
        maybe(_UID),
        default=None,
        description="The number of the person's accounts: one, or one for each class.",
        example={"nixos": 1000, "darwin": 501},
    ),
    "machines": option(
        Table(table(USER_THERE), MACHINE_NAME, "a table of machines", placeholder="machine"),
        default={},
        description="What differs on a machine where the person has an account; a service of that machine gives the account.",
    ),
    "homes": option(
        Table(table(HOME_ELSEWHERE), MACHINE_NAME, "a table of hosts", placeholder="host"),
        default={},
        description="Homes on hosts that are no machines of the fleet: `clanpy home update` logs in there as the account itself.",
    ),
}

TAG = {
    "description": _text("What it means that a machine carries the tag."),
    "machines": _list("Machines that carry the tag, by name."),
    "select": _text(
        "Further machines that carry the tag, as a selection. It may ask for other tags, but not in a circle.",
        example="type:laptop and not user:ann",
    ),
    "imports": _list("Aspects that every machine with the tag imports: those of its own class, by name."),
    "gates": gates_option("every machine with the tag"),
    "vars": {"generators": _generators("every machine with the tag")},
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
    "gates": gates_option("every machine in a role of it"),
}


_PLATFORMS = "systems or parts of their names: `aarch64-darwin`, `darwin`, `aarch64`"
CHANNEL = {
    "input": _text("The flake input that the channel is.", example="nixpkgs-stable"),
    "inputs": option(
        Table(text, PLATFORM_NAME, "a table of inputs", placeholder="platform"),
        default={},
        description=f"The flake inputs where they differ by platform; {_PLATFORMS}.",
        example={"darwin": "nixpkgs-stable-darwin"},
    ),
    "patches": _list("Patches on top of it: files of the fleet. Using the channel builds its sources first."),
}

FALLBACK = {
    "package": option(PACKAGE, description="The package, by its name in nixpkgs.", example="d2"),
    "platforms": _list(f"Where it is taken from the other channel: {_PLATFORMS}. Without it everywhere."),
    "channel": option(text, default="stable", description="The channel that it is taken from."),
    "hydra": _text("The job of the build farm that shows that it is broken."),
    "issue": _text("Where it is talked about."),
    "reason": _text("What is broken."),
    "remove_when": _text("When this record can go."),
    "added": _text("When it was written: a date.", day),
    "until": _text("When it has to be looked at again, at the latest: a date.", day),
}

NIXPKGS = {
    "channels": option(
        Table(table(CHANNEL), CHANNEL_NAME, "a table of channels", placeholder="channel"),
        default={},
        description="Further package sets beside the one that systems are made from, as `pkgs.channels.<name>`.",
    ),
    "fallbacks": option(
        types.list_of(table(FALLBACK)),
        default=[],
        description="Packages that are taken from another channel on some platforms, for a time.",
    ),
    "overrides": option(
        Table(
            table(
                {
                    "file": option(
                        text,
                        description="A Nix file of the fleet: a function of `{ final, prev, channels, lib, ... }` that gives the package.",
                    ),
                    "reason": _text("Why it is changed."),
                }
            ),
            PACKAGE_NAME,
            "a table of packages",
            placeholder="package",
        ),
        default={},
        description="Packages that are changed.",
    ),
    "external": option(
        types.list_of(
            table(
                {
                    "input": option(text, description="A flake input."),
                    "overlay": option(text, default="default", description="Which of its overlays."),
                }
            )
        ),
        default=[],
        description="Overlays of flake inputs, in order.",
    ),
    "exclude_from_machines": _list("Packages of `pkgs/by-name` that machines don't get: they are outputs only."),
    "allow_unfree": _yes_or_no("Whether packages that are not free may be used.", default=False),
    "config": option(
        Data(), default_text="{}", description="Further settings of nixpkgs, as `nixpkgs.config` has them."
    ),
    "fallback_limit": _text(
        "How many days a fallback may stand before it is a finding.", whole("a number of days"), example=90
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
        description="What is said about tags. Every machine carries `all` and the one of its class.",
    ),
    "instances": option(
        Table(table(INSTANCE), INSTANCE_NAME, "a table of service instances", placeholder="instance"),
        default={},
        description="Uses of services, by name.",
    ),
    "aspects": {class_: _aspects(class_) for class_ in ASPECT_CLASSES},
    "nixpkgs": NIXPKGS,
    "rollout": rollouts_option(),
    "vars": VARS,
    "secrets": {
        "legacy": option(
            Table(table(LEGACY), GENERATOR_NAME, "a table of files", placeholder="name"),
            default={},
            description="Older files of sops that stand beside the vars: seen with them, read like them, and never written.",
        )
    },
    "gates": gates_option("any machine"),
}

MODULE: Mapping[str, Any] = {"_file": "<clanpy>", "options": OPTIONS}
