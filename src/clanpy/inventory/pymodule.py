"""Top-level modules written in Python, in either of two forms.

A module of the module system: `module` (a mapping, or a function of the arguments that it names: `config`, `options`, `lib`, `root`),
or `options`, `config`, `imports` themselves. Or plain data: `fleet`, a mapping or a function of one argument that gives one.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.errors import PythonModuleError
from clanpy.inventory.sources import check_plain
from clanpy.modules.calls import place_of
from clanpy.modules.errors import ComputationError, ModuleError
from clanpy.modules.priority import Wrapper


STRUCTURE = ("imports", "options", "config", "disabled_modules", "freeform_type", "key")


class Written(NamedTuple):
    """What a file gives: plain `data`, or a `module` whose data is known when the fleet is evaluated."""

    data: Mapping[str, Any]
    module: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleContext:
    """What `fleet(ctx)` is given: where the fleet and the file are, and the wrappers for priority and order."""

    root: Path
    file: Path

    @staticmethod
    def force(value: Any) -> dict[str, Any]:
        return {"_force": value}

    @staticmethod
    def default(value: Any) -> dict[str, Any]:
        return {"_default": value}

    @staticmethod
    def override(priority: int, value: Any) -> dict[str, Any]:
        return {"_override": [priority, value]}

    @staticmethod
    def before(value: Any) -> dict[str, Any]:
        return {"_before": value}

    @staticmethod
    def after(value: Any) -> dict[str, Any]:
        return {"_after": value}

    @staticmethod
    def order(number: int, value: Any) -> dict[str, Any]:
        return {"_order": [number, value]}


def run_module(root: Path, path: Path, file: str, text: str) -> Written:
    """What a Python file gives.

    Raises:
        PythonModuleError: it does not compile, raises, gives no module, or something that is not plain data as `fleet`.
    """
    namespace: dict[str, Any] = {"__name__": f"clanpy_fleet.{path.stem}", "__file__": str(path)}
    try:
        code = compile(text, str(path), "exec", dont_inherit=True)
        exec(code, namespace)  # noqa: S102 - a fleet's own code, as its Nix files are
        given = namespace.get("fleet")
        if callable(given):
            given = given(ModuleContext(root=root, file=path))
    except SyntaxError as error:
        place = Place(file, error.lineno, error.offset)
        raise PythonModuleError(f"is no Python: {error.msg}", place=place) from None
    except ClanpyError:
        raise
    except ModuleError as error:
        raise PythonModuleError(f"the module raises {error.message}", place=Place(file)) from error
    except (Exception, SystemExit) as error:  # whatever a user's module raises is a fact about that module
        raise _raised(path, file, error) from error
    module = _module(namespace)
    if module is not None and given is None:
        return Written({}, module)
    return Written(_plain_module(file, given))


def _module(namespace: Mapping[str, Any]) -> Any:
    if "module" in namespace:
        return namespace["module"]
    parts = {name: namespace[name] for name in STRUCTURE if name in namespace}
    return {"config": {}, **parts} if parts else None


class Rewritten:
    """A module function whose result is changed. It asks for the same arguments, and stands where the function does."""

    def __init__(self, function: Callable[..., Any], change: Callable[[Any], Any]) -> None:
        self.func = function
        self.change = change
        self.__name__ = getattr(function, "__name__", "module")
        self.__signature__ = inspect.signature(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.change(self.func(*args, **kwargs))
        except SystemExit as error:  # it would end clanpy itself
            raise ComputationError(
                f"`{self.__name__}' raised SystemExit: {error}", place=place_of(self.func)
            ) from error


def changed(module: Any, change: Callable[[Any], Any], folder: Path, wrap: Callable[[Any], Any]) -> Any:
    """A module whose configuration is changed, whichever form it has; what it imports by a relative path begins at its folder.

    `wrap` puts configuration where the file's own place in the whole is.
    """
    if callable(module) and not isinstance(module, type):
        return Rewritten(module, lambda given: changed(given, change, folder, wrap))
    if isinstance(module, Wrapper):
        return wrap(change(module))
    if not isinstance(module, Mapping):
        return module
    imports = module.get("imports", ())
    if isinstance(imports, list | tuple):  # anything else is told of by the module system
        imports = [_absolute(item, folder) for item in imports]
    if "config" in module or "options" in module:
        return {**module, "imports": imports, "config": wrap(change(module.get("config", {})))}
    structure = {"disabled_modules", "freeform_type", "key"} & module.keys()
    config = {key: value for key, value in module.items() if key not in structure | {"imports"}}
    return {**{key: module[key] for key in structure}, "imports": imports, "config": wrap(change(config))}


def _absolute(item: Any, folder: Path) -> Any:
    return str(folder / item) if isinstance(item, str | Path) else item


def _raised(path: Path, file: str, error: BaseException) -> PythonModuleError:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = Place(file, frames[-1].lineno, (frames[-1].colno or 0) + 1) if frames else Place(file)
    return PythonModuleError(f"the module raises {said}", place=place)


def _plain_module(file: str, given: Any) -> dict[str, Any]:
    if given is None:
        raise PythonModuleError(
            "gives no 'module' and no 'fleet'",
            place=Place(file),
            hint="let it assign a mapping or a function to `module`, or define `def fleet(ctx):` that returns plain data",
        )
    try:
        data = as_plain(given)
    except RecursionError:
        raise PythonModuleError("gives a value that is nested too deeply", place=Place(file)) from None
    except TypeError as error:
        raise PythonModuleError(str(error), place=Place(file)) from None
    if not isinstance(data, dict):
        raise PythonModuleError(f"'fleet' is a {type(given).__name__} and should be a mapping", place=Place(file))
    check_plain(file, data)
    return data


def as_plain(value: Any, path: tuple[str, ...] = ()) -> Any:
    """A copy of a value of mappings, sequences and scalars.

    Raises:
        TypeError: there is something else in it; the message says what and where.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"'{'.'.join(path)}' has the key {key!r}, which is no text")
        return {key: as_plain(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(item, (*path, str(n))) for n, item in enumerate(value)]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    where = f"'{'.'.join(path)}'" if path else "it"
    raise TypeError(f"{where} is a {type(value).__name__}, which is no plain data")
