"""Declarations of generators: reading them from plain data, and finding everything that is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from typing import Any, get_args, get_type_hints

from clanpy.errors import ClanpyError, Place, nearest
from clanpy.generators.errors import GeneratorInvalidError
from clanpy.modules.deferred import NixClass
from clanpy.secrets.layout import check_name
from clanpy.services import generator as declared
from clanpy.services.generator import PHASES, PROMPT_TYPES, Generator, Kind, Prompt, PromptDisplay, VarFile


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
_MODE = re.compile(r"[0-7]{4}")
_DURATION = re.compile(r"(\d+)\s*(d|days?|w|weeks?|h|hours?|m|minutes?|y|years?)")
_UNITS = {"d": 24 * 60, "w": 7 * 24 * 60, "h": 60, "m": 1, "y": 365 * 24 * 60}
_PYTHON = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_VALIDATION_DEPTH = 2
_LEAST_RSA_BITS = 2048


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


def problems(generator: Generator, class_: NixClass) -> list[ClanpyError]:
    """Everything that is wrong with a generator on a machine of a class."""
    checks = (_names, _ways, _files(class_), _prompts, _validation, _times, _kind)
    name, place, origin = generator.name, generator.place, generator.origin
    return [
        GeneratorInvalidError(f"generator {name!r} {text}", place=place, details=[origin] if origin else ())
        for check in checks
        for text in check(generator)
    ]


def _names(generator: Generator) -> Iterator[str]:
    for what, name in (
        ("generator", generator.name),
        *(("file", file) for file in generator.outputs()),
        *(("prompt", prompt) for prompt in generator.prompts),
    ):
        try:
            check_name(name, what)
        except ClanpyError as error:
            yield f"can't be used: {error.message}"
    if generator.name in generator.needs():
        yield "depends on itself"


def _ways(generator: Generator) -> Iterator[str]:
    ways = [way for way in ("kind", "script", "python") if getattr(generator, way)]
    if len(ways) > 1:
        yield f"has {' and '.join(ways)}: it can be made in one way only"
    if not generator.outputs():
        yield "makes no files"
    if not ways and (left := [f for f in generator.outputs() if f not in _persistent(generator)]):
        yield f"has no kind, script or python function to make {', '.join(left)}"
    if generator.python and not _PYTHON.fullmatch(generator.python):
        yield f"has python = {generator.python!r}, which is not `module:function`"
    if generator.runtime_inputs and not generator.script:
        yield "has runtime inputs, and no script that could use them"


def _files(class_: NixClass) -> Callable[[Generator], Iterator[str]]:
    def check(generator: Generator) -> Iterator[str]:
        for name, file in generator.outputs().items():
            if not _MODE.fullmatch(file.mode):
                yield f"has file {name!r} with mode {file.mode!r}, which is not four octal digits"
            if file.needed_for not in PHASES:
                yield f"has file {name!r} needed for {file.needed_for!r}, which is none of {', '.join(PHASES)}"
            if file.restart_units and class_ == "darwin":
                yield f"has file {name!r} with restart_units, and there are no units on darwin"

    return check


def _prompts(generator: Generator) -> Iterator[str]:
    for name, prompt in generator.prompts.items():
        if prompt.type not in PROMPT_TYPES:
            yield f"has prompt {name!r} of type {prompt.type!r}, which is none of {', '.join(PROMPT_TYPES)}"


def _validation(generator: Generator) -> Iterator[str]:
    yield from _validation_of(generator.validation, 0)


def _validation_of(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, Mapping):
        if depth >= _VALIDATION_DEPTH:
            yield "has a validation that is nested more than two deep"
            return
        for inner in value.values():
            yield from _validation_of(inner, depth + 1)
    elif value is not None and not isinstance(value, bool | int | str):
        yield f"has a validation with a {type(value).__name__} in it: only texts, whole numbers, booleans and tables can be"


def _times(generator: Generator) -> Iterator[str]:
    if generator.expires is not None and generator.expires <= timedelta(0):
        yield "expires at once"
    if generator.expires and generator.renew_before and generator.renew_before >= generator.expires:
        yield "is renewed before it is made: renew_before is not shorter than expires"


def _kind(generator: Generator) -> Iterator[str]:
    match generator.kind:
        case declared.SshKey(algorithm="rsa", bits=bits) if bits < _LEAST_RSA_BITS:
            yield f"has an rsa key of {bits} bits: {_LEAST_RSA_BITS} is the least"
        case declared.SshCertificate(principals=()):
            yield "has a certificate without principals, which would be good for everybody"
        case declared.X509Certificate(names=()):
            yield "has a certificate without names"
        case declared.X509Certificate(names=names) if not all(name.isascii() for name in names):
            yield "has a certificate for a name that is not ASCII (write it as `xn--…`)"
        case declared.Password(prompt=str(prompt)) if prompt not in generator.prompts:
            yield f"asks for its password with prompt {prompt!r}, which is not declared"
        case declared.Token(size=size) if size < 1:
            yield "has a token without any characters"


def _persistent(generator: Generator) -> frozenset[str]:
    return frozenset(name for name, prompt in generator.prompts.items() if prompt.persist)


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
