"""Rendering Nix from values: the flake of a machine, and the Jinja templates of services.

A template has the filter `nix`, which writes any value of JSON as a Nix expression, and fails on a name that nobody gave it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jinja2

from clanpy.errors import Place
from clanpy.nix.errors import SourceError
from clanpy.nix.literals import attribute, quote, to_nix


TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class ModuleText:
    """One module of a flake's list, as Nix text: its key, its body and, for people, why it is there."""

    key: str
    body: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersText:
    """The layers of packages, as Nix text. Files are Nix paths.

    Attributes:
        library: the file that composes them.
        config: a file with nixpkgs' settings.
        channels: the flake input and the patches of each.
        external: flake inputs and the names of their overlays.
    """

    library: str
    config: str
    channels: Mapping[str, tuple[str, Sequence[str]]]
    fallbacks: Mapping[str, str]
    overrides: Mapping[str, str]
    external: Sequence[tuple[str, str]]
    custom: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlakeText:
    """What the flake of a machine is rendered from. `homes` are the modules of each account; `about` is a Nix path."""

    host: str
    class_: str
    system: str
    inputs: Mapping[str, Any]
    nixpkgs: str
    darwin: str | None
    home_manager: str | None
    modules: Sequence[ModuleText]
    homes: Mapping[str, Sequence[ModuleText]] = field(default_factory=dict)
    standalone: frozenset[str] = frozenset()
    with_reasons: bool = False
    layers: LayersText | None = None
    about: str = "./generated/clanpy.nix"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagesText:
    """What the package set of a platform is rendered from."""

    system: str
    nixpkgs: str
    layers: LayersText | None = None


def render_flake(flake: FlakeText) -> str:
    """The text of a machine's `flake.nix`."""
    template = _environment().get_template("flake.nix.j2")
    return template.render(flake=flake, inputs=to_nix(flake.inputs, indent=1))


def render_part(flake: FlakeText) -> str:
    """The text of a machine's file in the flake of a whole fleet: a function from the inputs to the machine's outputs."""
    return _environment().get_template("part.nix.j2").render(flake=flake)


def render_packages(flake: PackagesText, names: Sequence[str]) -> str:
    """The text of a platform's file in the flake of a whole fleet: its package set, and these packages of it."""
    return _environment().get_template("packages.nix.j2").render(flake=flake, names=names)


def render_fleet(
    name: str, hosts: Sequence[str], inputs: Mapping[str, Any], platforms: Mapping[str, Sequence[str]]
) -> str:
    """The text of a fleet's `flake.nix`, which has each machine's part in `generated/`; `platforms` are the people with a home there."""
    template = _environment().get_template("fleet.nix.j2")
    return template.render(name=name, hosts=hosts, platforms=platforms, inputs=to_nix(inputs, indent=1))


def render_template(path: Path, context: Mapping[str, Any]) -> str:
    """A template of a service, rendered.

    Raises:
        SourceError: it can't be read, its syntax is wrong, or it uses a name that it was not given.
    """
    try:
        status = path.stat()
        return _compiled(path, status.st_mtime_ns, status.st_size).render(context)
    except OSError as error:
        raise SourceError(f"can't be read: {error.strerror}", place=Place(str(path))) from error
    except jinja2.TemplateSyntaxError as error:
        raise SourceError(str(error.message), place=Place(str(path), error.lineno)) from error
    except (jinja2.TemplateError, TypeError) as error:
        raise SourceError(f"can't be rendered: {error}", place=Place(str(path))) from error


def slug(text: str) -> str:
    """A name for a file that tells what it is for."""
    return re.sub(r"[^A-Za-z0-9.+_-]+", "-", text).strip("-.") or "module"


def to_json(value: Any) -> str:
    """JSON that is the same for equal values."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _nix(value: Any) -> str:
    if isinstance(value, jinja2.Undefined):
        str(value)  # says what is missing
    return to_nix(value)


@lru_cache(maxsize=256)
def _compiled(path: Path, mtime: int, size: int) -> jinja2.Template:
    """A template, compiled once for each state of its file."""
    return _environment().from_string(path.read_text())


@cache
def _environment() -> jinja2.Environment:
    # what is rendered is Nix, where HTML's escapes would be wrong
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(nix=_nix, attribute=attribute, quote=quote)
    return environment
