"""Modules from files: Python, TOML, JSON. One clear error for whatever is wrong with a file."""

from __future__ import annotations

import json
import re
import stat
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from clanpy.modules.calls import raised_at
from clanpy.modules.errors import LoadError, ModuleError, Place
from clanpy.modules.show import nearest, or_list
from clanpy.modules.sigils import SigilError, decode
from clanpy.modules.sources import Source


MAX_BYTES: Final = 8 * 1024 * 1024
"""A module file larger than this is refused: it would take seconds to read, and is a mistake."""

_STRUCTURE: Final = ("imports", "options", "config", "disabled_modules", "freeform_type", "meta", "key")
_AT: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")


class Loaded(NamedTuple):
    language: str
    value: Any


def load_file(path: Path, *, needed_by: Source | None = None) -> Loaded:
    """The module in a file: a mapping or a function.

    Raises:
        LoadError: it can't be read, parsed or run.
    """
    loaders = {".toml": _toml, ".json": _json, ".py": _python}
    loader = loaders.get(path.suffix)
    if loader is None:
        raise _other(path, needed_by)
    return loader(path, _read(path, needed_by))


def _read(path: Path, needed_by: Source | None) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise LoadError(f"`{path}' is {what}, not a module file", place=_importer(needed_by))
        if found.st_size > MAX_BYTES:
            raise LoadError(
                f"`{path}' is too large for a module: {found.st_size:,} bytes, where {MAX_BYTES:,} are the most",
                place=Place(str(path)),
                hint="Split it into several files.",
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise LoadError(f"`{path}' can't be read: {reason}", place=_importer(needed_by), hint=_similar(path)) from error


def _importer(needed_by: Source | None) -> Place | None:
    is_known = needed_by is not None and (needed_by.origin is not None or needed_by.file.startswith("/"))
    return needed_by.place(("imports",)) if needed_by is not None and is_known else None


def _similar(path: Path) -> str | None:
    try:
        names = nearest(path.name, [p.name for p in path.parent.iterdir()])
    except (OSError, ValueError):
        return None
    return f"Did you mean {or_list(names)}?" if names and path.name not in names else None


def _other(path: Path, needed_by: Source | None) -> LoadError:
    hint = "Module files end in .py, .toml or .json."
    if path.suffix == ".nix":
        hint = "A .nix file is evaluated by Nix: give it to an option of type deferred_module instead of importing it."
    return LoadError(f"`{path}' can't be imported here", place=_importer(needed_by), hint=hint)


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        place = Place(str(path), line, column)
        raise LoadError(f"`{path}' is not UTF-8: byte {data[error.start]:#04x}", place=place) from error


def _too_deep(path: Path) -> LoadError:
    return LoadError(f"`{path}' is nested too deeply to be read", place=Place(str(path)))


def _toml(path: Path, data: bytes) -> Loaded:
    text = _text(path, data)
    try:
        value = tomllib.loads(text)
    except RecursionError as error:
        raise _too_deep(path) from error
    except ValueError as error:
        raise _toml_error(path, text, str(error)) from error
    return Loaded("toml", _decoded(path, "toml", data, value))


def _toml_error(path: Path, text: str, message: str) -> LoadError:
    found = _AT.search(message)
    line, column = None, None
    if found:
        message = message[: found.start()]
        lines = text.splitlines() or [""]
        line = int(found[1]) if found[1] else len(lines)
        column = int(found[2]) if found[2] else len(lines[-1]) + 1
    return LoadError(f"`{path}' is no valid TOML: {_lower(message)}", place=Place(str(path), line, column))


def _json(path: Path, data: bytes) -> Loaded:
    text = _text(path, data)
    repeated: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) != len(items):
            seen: set[str] = set()
            repeated.extend(k for k, _ in items if k in seen or seen.add(k))  # type: ignore[func-returns-value]  # add gives None, which is the point
        return made

    try:
        value = json.loads(text, object_pairs_hook=pairs)
    except RecursionError as error:
        raise _too_deep(path) from error
    except json.JSONDecodeError as error:
        place = Place(str(path), error.lineno, error.colno)
        raise LoadError(f"`{path}' is no valid JSON: {_lower(error.msg)}", place=place) from error
    except ValueError as error:
        raise LoadError(f"`{path}' is no valid JSON: {error}", place=Place(str(path))) from error
    if repeated:
        place = _json_repeated(path, text, repeated[0])
        raise LoadError(f"`{path}' has the key `{repeated[0]}' twice in one object", place=place)
    if not isinstance(value, dict):
        raise LoadError(f"`{path}' holds no JSON object", place=Place(str(path), 1, 1))
    return Loaded("json", _decoded(path, "json", data, value))


def _json_repeated(path: Path, text: str, key: str) -> Place:
    spots = [m.start() for m in re.finditer(re.escape(json.dumps(key)) + r"\s*:", text)]
    if not spots:
        return Place(str(path))
    before = text[: spots[-1]]
    return Place(str(path), before.count("\n") + 1, len(before) - before.rfind("\n"))


def _decoded(path: Path, language: str, data: bytes, value: dict[str, Any]) -> dict[str, Any]:
    try:
        return decode(data, value)
    except SigilError as error:
        source = Source(str(path), origin=(language, str(path), 1), fixed=Place(str(path)))
        place = source.place([f"[entry {s + 1}]" if isinstance(s, int) else s for s in error.steps])
        raise LoadError(error.message, place=place, hint=error.hint) from error


def _python(path: Path, data: bytes) -> Loaded:
    module = ModuleType(f"clanpy module {path}")
    module.__file__ = str(path)
    # Where dataclasses and pickle look for the names of a module.
    sys.modules[module.__name__] = module
    try:
        # A module file is the user's own program: running it is what it is for.
        exec(compile(data, str(path), "exec"), module.__dict__)  # noqa: S102  # see above
    except ModuleError:
        raise
    except SyntaxError as error:
        place = Place(str(path), error.lineno, error.offset)
        raise LoadError(f"`{path}' is no valid Python: {error.msg}", place=place) from error
    except (RecursionError, MemoryError) as error:
        raise _too_deep(path) from error
    except (Exception, SystemExit) as error:
        place = raised_at(error.__traceback__) or Place(str(path))
        raise LoadError(f"`{path}' raised {type(error).__name__}: {error}", place=place) from error
    return Loaded("python", _content(path, module))


def _content(path: Path, module: ModuleType) -> Any:
    """What a Python file offers: its `module`, or its `options`, `config`, `imports` and so on."""
    names = vars(module)
    if "module" in names:
        return names["module"]
    parts = {name: names[name] for name in _STRUCTURE if name in names}
    if not parts:
        raise LoadError(
            f"`{path}' defines no module",
            place=Place(str(path), 1, 1),
            hint="Define `module` (a mapping, or a function that gives one), or `options`, `config`, `imports`.",
        )
    return {"config": {}, **parts}


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
