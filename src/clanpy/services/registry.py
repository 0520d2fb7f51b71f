"""Finding services: the built-in ones are folders of this package, a fleet's own are folders of its `services/`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType

from clanpy.errors import ClanpyError, Place, nearest
from clanpy.services.declaration import Service
from clanpy.services.errors import ServiceDeclarationError, UnknownServiceError


FILE = "service.py"
_HERE = Path(__file__).parent


def built_in_names() -> tuple[str, ...]:
    """The names of the services that ship with clanpy, sorted."""
    return tuple(sorted(path.parent.name.replace("_", "-") for path in _HERE.glob(f"*/{FILE}")))


def own_names(root: Path) -> tuple[str, ...]:
    """The names of a fleet's own services, sorted."""
    paths = (root / "services").glob(f"*/{FILE}")
    return tuple(sorted(path.parent.name for path in paths if not path.parent.name.startswith(("_", "."))))


def find_service(name: str, input_: str | None, root: Path) -> tuple[Service, Path]:
    """The service of a name, and its folder.

    Args:
        name: what the instance's `module.name` says.
        input_: None for a built-in one, "self" for the fleet's own.
        root: the fleet.

    Raises:
        UnknownServiceError: there is none; the hint has the nearest names.
        ServiceDeclarationError: it is there, and broken.
    """
    if input_ is None:
        if name not in built_in_names():
            raise _unknown(name, built_in_names(), own_names(root), 'its own: write `module.input = "self"`')
        return _built_in(name), _HERE / name.replace("-", "_")
    if input_ != "self":
        raise UnknownServiceError(
            f"the service '{name}' is to come from the input '{input_}', which is not known",
            hint='leave `input` out for a built-in service; "self" means the fleet\'s own services/',
        )
    if name not in own_names(root):
        raise _unknown(name, own_names(root), built_in_names(), "built in: leave `module.input` out")
    folder = root / "services" / name
    return _own(folder, f"services/{name}/{FILE}"), folder


def _unknown(name: str, known: tuple[str, ...], elsewhere: tuple[str, ...], remedy: str) -> UnknownServiceError:
    if name in elsewhere:
        return UnknownServiceError(f"there is no service '{name}' here", hint=f"there is one that is {remedy}")
    listed = f"known: {', '.join(known)}" if known else "a service is a folder of services/ with a service.py"
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
    name = f"clanpy_fleet_services.{folder.name}"
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
