"""Top-level modules written in Python: a file that gives `fleet`, a mapping or a function of one argument that gives one."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.errors import PythonModuleError
from clanpy.inventory.sources import check_plain


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


def run_module(root: Path, path: Path, file: str, text: str) -> dict[str, Any]:
    """The data that a Python module gives, as plain data.

    Raises:
        PythonModuleError: it does not compile, raises, gives no `fleet`, or something that is not plain data.
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
    except Exception as error:  # whatever a user's module raises is a fact about that module
        raise _raised(path, file, error) from error
    return _plain_module(file, given)


def _raised(path: Path, file: str, error: Exception) -> PythonModuleError:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = Place(file, frames[-1].lineno, (frames[-1].colno or 0) + 1) if frames else Place(file)
    return PythonModuleError(f"the module raises {said}", place=place)


def _plain_module(file: str, given: Any) -> dict[str, Any]:
    if given is None:
        raise PythonModuleError(
            "gives no 'fleet'",
            place=Place(file),
            hint="let it assign a mapping to `fleet`, or define `def fleet(ctx):` that returns one",
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
