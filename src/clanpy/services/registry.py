"""Finding services: built in, the fleet's own, of its inputs, of installed packages.

The built-in ones are folders of this package, a fleet's own are folders of its `services/`. An input of its flake has such a folder
too; a Python package names its services as entry points of the group `clanpy.services`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

from clanpy.errors import ClanpyError, Place, nearest
from clanpy.services.declaration import Service
from clanpy.services.errors import ServiceDeclarationError, UnknownServiceError
from clanpy.services.inputs import flake_inputs, normal, package_services


FILE = "service.py"
OWN = "self"  # as an input: the fleet's own services/
_HERE = Path(__file__).parent
_NONE = "a service is a folder of services/ with a service.py"


@cache
def built_in_names() -> tuple[str, ...]:
    """The names of the services that ship with clanpy, sorted."""
    return tuple(sorted(path.parent.name.replace("_", "-") for path in _HERE.glob(f"*/{FILE}")))


def own_names(root: Path) -> tuple[str, ...]:
    """The names of a fleet's own services, or of those in the source of an input, sorted."""
    paths = (root / "services").glob(f"*/{FILE}")
    return tuple(sorted(path.parent.name for path in paths if not path.parent.name.startswith(("_", "."))))


@dataclass(frozen=True, slots=True)
class Available:
    """A service that an instance can use: its name and its `module.input` (None: built in)."""

    name: str
    input: str | None


def available(root: Path) -> tuple[Available, ...]:
    """Every service that can be had here: built in, the fleet's own, of its inputs, of installed packages.

    Raises:
        UnknownServiceError: the fleet's flake.lock can't be read.
    """
    found = [Available(name, None) for name in built_in_names()]
    found += [Available(name, OWN) for name in own_names(root)]
    for input_ in flake_inputs(root).values():
        found += [Available(name, input_.name) for name in (own_names(input_.folder) if input_.folder else ())]
    found += [Available(name, package) for package, names in package_services().items() for name in names]
    return tuple(found)


def find_service(name: str, input_: str | None, root: Path) -> tuple[Service, Path]:
    """The service of a name, and its folder.

    Args:
        name: what the instance's `module.name` says.
        input_: None for a built-in one, "self" for the fleet's own, else an input of the fleet's flake or an installed package.
        root: the fleet.

    Raises:
        UnknownServiceError: there is none; the hint has the nearest names.
        ServiceDeclarationError: it is there, and broken.
    """
    if input_ is None:
        if name not in built_in_names():
            raise _unknown(name, built_in_names(), own_names(root), 'its own: write `module.input = "self"`')
        return _built_in(name), _HERE / name.replace("-", "_")
    if input_ == OWN:
        if name not in own_names(root):
            raise _unknown(name, own_names(root), built_in_names(), "built in: leave `module.input` out")
        folder = root / "services" / name
        return _own(folder, f"services/{name}/{FILE}"), folder
    return _from_elsewhere(name, input_, root)


def _from_elsewhere(name: str, input_: str, root: Path) -> tuple[Service, Path]:
    """A service of a flake input, or else of an installed package."""
    inputs = flake_inputs(root)
    if input_ not in inputs:
        return _from_package(name, input_, inputs)
    source = inputs[input_].folder
    if source is None:
        raise UnknownServiceError(
            f"the service '{name}' is to come from the input '{input_}', whose source is not on this computer",
            hint="`nix flake archive` fetches the inputs",
        )
    known = own_names(source)
    if name not in known:
        raise _unknown(name, known, (), "", f"the input '{input_}' has no folder services/ with services in it")
    folder = source / "services" / name
    return _own(folder, f"{input_}/services/{name}/{FILE}"), folder


def _from_package(name: str, input_: str, inputs: Iterable[str]) -> tuple[Service, Path]:
    packages = package_services()
    package = packages.get(normal(input_))
    if package is None:
        known = [OWN, *inputs, *packages]
        message = f"the service '{name}' is to come from the input '{input_}', which is not known"
        hint = nearest(input_, known) or f"known: {', '.join(known)}; leave `input` out for a built-in service"
        raise UnknownServiceError(message, hint=hint)
    if name not in package:
        raise _unknown(name, tuple(package), (), "")
    return _of_package(input_, package[name])


def _of_package(package: str, point: EntryPoint) -> tuple[Service, Path]:
    """What an entry point names: a `Service`, or a module that assigns one to SERVICE."""
    shown = f"{package}: {point.value}"
    try:
        loaded = point.load()
        module = loaded if isinstance(loaded, ModuleType) else sys.modules[point.module]
    except Exception as error:  # whatever somebody's package raises is a fact about that package
        message = f"the entry point '{point.name}' can't be loaded: {type(error).__name__}: {error}"
        raise ServiceDeclarationError(message, place=Place(shown)) from error
    if isinstance(loaded, ModuleType):
        loaded = _declared(loaded, point.name, shown)
    if not isinstance(loaded, Service):
        raise ServiceDeclarationError(
            f"the entry point '{point.name}' names no service",
            place=Place(shown),
            hint="it names a clanpy.services.Service",
        )
    return loaded, Path(str(module.__file__)).parent


def _unknown(
    name: str, known: tuple[str, ...], elsewhere: tuple[str, ...], remedy: str, none: str = _NONE
) -> UnknownServiceError:
    if name in elsewhere:
        return UnknownServiceError(f"there is no service '{name}' here", hint=f"there is one that is {remedy}")
    listed = f"known: {', '.join(known)}" if known else none
    return UnknownServiceError(f"there is no service '{name}'", hint=nearest(name, known) or listed)


@cache
def _built_in(name: str) -> Service:
    module = importlib.import_module(f"clanpy.services.{name.replace('-', '_')}.service")
    return _declared(module, name, f"{name}/{FILE}")


def _own(folder: Path, file: str) -> Service:
    """A fleet's own service. Read anew when its file has changed, so that a long-lived process sees edits."""
    path = folder / FILE
    return _own_at(folder, file, path.stat().st_mtime_ns)


@cache
def _own_at(folder: Path, file: str, _changed: int) -> Service:
    path = folder / FILE
    home = hashlib.sha256(str(folder.parent).encode()).hexdigest()[:12]  # two inputs may have services of one name
    name = f"clanpy_fleet_services.{home}.{folder.name}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks annotations up there
    is_writing = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # a fleet's folder is its owner's: nothing is left in it
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ServiceDeclarationError(
            f"is no Python: {error.msg}", place=Place(file, error.lineno, error.offset)
        ) from None
    except ClanpyError:
        raise
    except Exception as error:  # whatever a fleet's own code raises is a fact about that code
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        said = f"{type(error).__name__}: {error}"
        place = Place(file, frames[-1].lineno, (frames[-1].colno or 0) + 1) if frames else Place(file)
        raise ServiceDeclarationError(f"the declaration raises {said}", place=place) from error
    finally:
        sys.dont_write_bytecode = is_writing
    return _declared(module, folder.name, file)


def _declared(module: ModuleType, name: str, file: str) -> Service:
    service = getattr(module, "SERVICE", None)
    if not isinstance(service, Service):
        raise ServiceDeclarationError(
            "declares no service", place=Place(file), hint="assign a clanpy.services.Service to SERVICE"
        )
    if service.name != name:
        raise ServiceDeclarationError(
            f"the folder is '{name}', the service calls itself '{service.name}'", place=Place(file)
        )
    return service
