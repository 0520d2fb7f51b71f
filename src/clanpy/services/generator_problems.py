"""Declarations of generators: finding everything that is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from clanpy.errors import ClanpyError
from clanpy.modules.deferred import NixClass
from clanpy.secrets.layout import check_name
from clanpy.services import generator as declared
from clanpy.services.errors import GeneratorInvalidError
from clanpy.services.generator import PHASES, PROMPT_TYPES, Generator


_MODE = re.compile(r"[0-7]{4}")
_PYTHON = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_VALIDATION_DEPTH = 2
_LEAST_RSA_BITS = 2048


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
