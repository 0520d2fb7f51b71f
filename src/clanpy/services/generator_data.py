"""Declarations of generators from plain data: what stands in an inventory, in TOML or JSON, made to values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from typing import Any, get_args, get_type_hints

from clanpy.errors import Place, nearest
from clanpy.services import generator as declared
from clanpy.services.errors import GeneratorInvalidError
from clanpy.services.generator import Generator, Kind, Prompt, PromptDisplay, VarFile


KINDS: Mapping[str, type] = {
    "ssh-key": declared.SshKey,
    "ssh-certificate": declared.SshCertificate,
    "password": declared.Password,
    "passphrase": declared.Passphrase,
    "token": declared.Token,
    "age-key": declared.AgeKey,
    "wireguard-key": declared.WireGuardKey,
    "x509-authority": declared.X509Authority,
    "x509-certificate": declared.X509Certificate,
    "zerotier-identity": declared.ZeroTierIdentity,
    "zerotier-network": declared.ZeroTierNetwork,
    "tor-onion": declared.TorOnion,
    "yggdrasil-key": declared.YggdrasilKey,
    "mycelium-key": declared.MyceliumKey,
    "syncthing-identity": declared.SyncthingIdentity,
    "basic-auth": declared.BasicAuth,
}
_DURATION = re.compile(r"(\d+)\s*(d|days?|w|weeks?|h|hours?|m|minutes?|y|years?)")
_UNITS = {"d": 24 * 60, "w": 7 * 24 * 60, "h": 60, "m": 1, "y": 365 * 24 * 60}


def parse(name: str, data: Mapping[str, Any], *, place: Place | None = None, origin: str = "") -> Generator:
    """A generator from plain data (TOML, JSON). Keys are in snake_case; clan's camelCase spelling is understood too.

    `kind` is the name of a built-in kind or a table with its `name` and settings; durations are texts such as `90d`.

    Raises:
        GeneratorInvalidError: a key is not known, or a value is not what it should be.
    """
    reader = _Reader(name, place)
    given = reader.table(data, "", Generator, without={"name", "origin", "place"})
    if "kind" in given:
        given["kind"] = reader.kind(given["kind"])
    for key, of in (("files", VarFile), ("prompts", Prompt)):
        given[key] = {k: reader.value(v, f"{key}.{k}", of) for k, v in reader.mapping(given.get(key, {}), key).items()}
    for key in ("expires", "renew_before"):
        if given.get(key) is not None:
            given[key] = reader.duration(given[key], key)
    hints = get_type_hints(Generator)
    for key in ("share", "script", "python", "dependencies", "runtime_inputs"):
        if key in given:
            given[key] = reader.field(given[key], key, hints[key])
    return Generator(name=name, place=place, origin=origin, **given)


def parse_duration(text: str) -> timedelta | None:
    """`90d`, `2w`, `12h`, `1y` (365 days). None when it is none."""
    found = _DURATION.fullmatch(text.strip())
    return timedelta(minutes=int(found[1]) * _UNITS[found[2][0]]) if found else None


def _snake(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: f"_{m[1].lower()}", key).replace("-", "_")


class _Reader:
    """Plain data into dataclasses, with errors that say where."""

    def __init__(self, name: str, place: Place | None) -> None:
        self.name = name
        self.place = place

    def error(self, text: str, hint: str | None = None) -> GeneratorInvalidError:
        return GeneratorInvalidError(f"generator {self.name!r} {text}", place=self.place, hint=hint)

    def mapping(self, value: Any, where: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self.error(f"has {where} that is no table")
        return value

    def table(self, data: Any, where: str, of: type, *, without: set[str] | None = None) -> dict[str, Any]:
        known = {field.name for field in fields(of)} - (without or set())
        given = {_snake(str(key)): value for key, value in self.mapping(data, where or "a body").items()}
        for key in given:
            if key not in known:
                at = f"{where}.{key}" if where else key
                raise self.error(f"has {at!r}, which is not known", nearest(key, known))
        return given

    def value(self, data: Any, where: str, of: type) -> Any:
        """A dataclass from a table; each field is checked against its type."""
        given = self.table(data, where, of)
        hints = get_type_hints(of)
        read = {key: self.field(value, f"{where}.{key}", hints[key]) for key, value in given.items()}
        if missing := [f.name for f in fields(of) if f.name not in read and _is_required(f)]:
            raise self.error(f"has {where} without {', '.join(missing)}")
        return of(**read)

    def field(self, value: Any, where: str, hint: Any) -> Any:
        if is_dataclass(hint):
            return self.value(value, where, PromptDisplay)
        choices = get_args(hint)
        if hint == tuple[str, ...]:
            return self.texts(value, where)
        allowed = [c for c in choices if not isinstance(c, type)]
        if allowed and value not in allowed:
            raise self.error(f"has {where} = {value!r}", f"it can be {', '.join(map(repr, allowed))}")
        types = tuple(c for c in (choices or (hint,)) if isinstance(c, type))
        if not allowed and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            raise self.error(f"has {where} = {value!r}, which is no {types[0].__name__}")
        return value

    def texts(self, value: Any, where: str) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
            raise self.error(f"has {where} that is no list of texts")
        return tuple(value)

    def duration(self, value: Any, where: str) -> timedelta:
        found = parse_duration(value) if isinstance(value, str) else value
        if not isinstance(found, timedelta):
            raise self.error(f"has {where} = {value!r}, which is no time", "for example `90d`, `2w`, `12h`, `1y`")
        return found

    def kind(self, value: Any) -> Kind:
        body = {"name": value} if isinstance(value, str) else dict(self.mapping(value, "kind"))
        name = str(body.pop("name", None))
        if name not in KINDS:
            known = nearest(name, KINDS) or f"it can be {', '.join(KINDS)}"
            raise self.error(f"has kind {name!r}, which is not known", known)
        found: Kind = self.value(body, "kind", KINDS[name])
        return found


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
