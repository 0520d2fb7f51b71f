"""The files that make up a fleet's inventory: finding them, reading them, and saying clearly what can't be read.

Order, which is the order of definitions everywhere: `inventory.toml`, a clan's `inventory.json`, `inventory/*.toml`, `vars.toml`,
`machines/<m>/machine.{toml,py}` and `machines/<m>/vars.toml`, `modules/**/*.{toml,py}`; each by name.
"""

from __future__ import annotations

import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clanpy.errors import ClanpyError, FleetNotFoundError, Place
from clanpy.inventory.errors import TomlSyntaxError, UnreadableFileError
from clanpy.inventory.sigils import MAX_DEPTH


INVENTORY = "inventory.toml"
CLAN_INVENTORY = "inventory.json"
VARS_FILE = "vars.toml"  # what could stand under `vars`, in a file of its own
MAX_BYTES = 8_000_000  # a fleet of ten thousand machines is a fifth of it; more takes a minute to parse
_TOML_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Source(NamedTuple):
    """One file of the inventory, read. `prefix` is where its data stands in the whole (a machine's own file: its entry).

    `module` is what a Python file gives whose data is known only when the fleet is evaluated.
    """

    file: str
    path: Path
    text: str
    data: Mapping[str, Any]
    prefix: tuple[str, ...] = ()
    module: Any = None


def find_root(start: Path, explicit: Path | None = None) -> Path:
    """The folder of the fleet: `explicit` when given, else the nearest folder from `start` upwards with an inventory.toml.

    Raises:
        FleetNotFoundError: there is none.
    """
    if explicit is not None:
        root = explicit.expanduser().absolute()
        if is_fleet(root):
            return root
        _refuse_broken_link(root)
        raise FleetNotFoundError(f"there is no {INVENTORY} in {root}", hint="`clanpy init DIR` makes a new fleet")
    here = start.absolute()
    for folder in (here, *here.parents):
        if is_fleet(folder):
            return folder
    raise FleetNotFoundError(
        f"there is no {INVENTORY} in {here} or any folder above",
        hint="say where the fleet is with --fleet DIR or CLANPY_FLEET, or make one with `clanpy init DIR`",
    )


def is_fleet(folder: Path) -> bool:
    """Whether a folder is a fleet, or a clan."""
    return (folder / INVENTORY).is_file() or (folder / CLAN_INVENTORY).is_file()


def _refuse_broken_link(root: Path) -> None:
    """A link that leads nowhere is meant to be the inventory: say so, and don't look further up."""
    path = root / INVENTORY
    if not path.is_symlink():
        return
    try:
        path.stat()
    except (OSError, RuntimeError) as error:
        raise _unreadable(root, path, error) from None


def is_hidden(name: str) -> bool:
    """Whether files of this name are never loaded: `_` marks what is private, `.` what belongs to other programs."""
    return name.startswith(("_", "."))


def relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def files_below(root: Path, folder: Path, errors: list[ClanpyError]) -> Iterator[Path]:
    """Every file in a folder and its folders that is not hidden, in the order of their names."""
    above = [root]
    for part in folder.relative_to(root).parts[:-1]:
        above.append(above[-1] / part)
    yield from _walk(root, folder, tuple(path.resolve() for path in above), errors)


def _walk(root: Path, folder: Path, above: tuple[Path, ...], errors: list[ClanpyError]) -> Iterator[Path]:
    try:
        real = folder.resolve(strict=True)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except (OSError, RuntimeError) as error:
        errors.append(_unreadable(root, folder, error))
        return
    if real in above:
        errors.append(_loop(root, folder))
        return
    for entry in entries:
        if is_hidden(entry.name):
            continue
        path = folder / entry.name
        try:
            is_folder = entry.is_dir()
            if not is_folder:
                path.stat()
        except (OSError, RuntimeError) as error:
            errors.append(_unreadable(root, path, error))
            continue
        if is_folder:
            yield from _walk(root, path, (*above, real), errors)
        else:
            yield path


def _loop(root: Path, path: Path) -> UnreadableFileError:
    return UnreadableFileError(
        "a symbolic link leads back to a folder above it",
        place=Place(relative(root, path)),
        hint="remove the link, or let its name begin with '_' so that it is not followed",
    )


def _unreadable(root: Path, path: Path, error: Exception) -> UnreadableFileError:
    place = Place(relative(root, path))
    if isinstance(error, RuntimeError) or (isinstance(error, OSError) and error.errno == 40):  # noqa: PLR2004 - ELOOP
        return UnreadableFileError("a symbolic link points to itself, directly or through others", place=place)
    if isinstance(error, FileNotFoundError):
        return UnreadableFileError("a symbolic link points to nothing", place=place)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return UnreadableFileError(f"can't be read: {reason}", place=place)


def read_sources(root: Path, errors: list[ClanpyError]) -> list[Source]:
    """All sources of a fleet in order. What can't be read is added to `errors` and left out."""
    found: list[Source] = []
    for path, prefix in _inventory_files(root, errors):
        source = _read(root, path, prefix, errors)
        if source is not None:
            found.append(source)
    return found


def machine_folders(root: Path) -> tuple[str, ...]:
    """The names of the folders below `machines/`, sorted."""
    try:
        entries = list(os.scandir(root / "machines"))
    except OSError:
        return ()
    return tuple(sorted(e.name for e in entries if e.is_dir() and not is_hidden(e.name)))


def _whole_inventories(root: Path) -> Iterator[Path]:
    """The fleet's own file, a clan's, or both."""
    is_clan = (root / CLAN_INVENTORY).is_file()
    if not is_clan or (root / INVENTORY).exists():
        yield root / INVENTORY
    if is_clan:
        yield root / CLAN_INVENTORY


def _inventory_files(root: Path, errors: list[ClanpyError]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    yield from ((path, ()) for path in _whole_inventories(root))
    for path in files_below(root, root / "inventory", errors):
        if path.suffix == ".toml":
            yield path, ()
    if (root / VARS_FILE).exists() or (root / VARS_FILE).is_symlink():
        yield root / VARS_FILE, ("vars",)
    for name in machine_folders(root):
        for file, below in (("machine.toml", ()), ("machine.py", ()), (VARS_FILE, ("vars",))):
            path = root / "machines" / name / file
            if path.exists() or path.is_symlink():
                yield path, ("machines", name, *below)
    for path in files_below(root, root / "modules", errors):
        if path.suffix in {".toml", ".py"}:
            yield path, ()


def _read(root: Path, path: Path, prefix: tuple[str, ...], errors: list[ClanpyError]) -> Source | None:
    file = relative(root, path)
    data: Mapping[str, Any]
    try:
        text = _content(path, file).decode("utf-8")
        if path.suffix == ".py":
            from clanpy.inventory.pymodule import run_module  # noqa: PLC0415 - most fleets are listed without it

            data, module = run_module(root, path, file, text)
        elif path.suffix == ".json":
            from clanpy.inventory.clan import read_clan  # noqa: PLC0415 - most fleets have none

            is_alone = not (root / INVENTORY).exists()
            data, module = read_clan(text, root, machine_folders(root), is_alone=is_alone), None
        else:
            data, module = parse_toml(file, text), None
    except UnicodeDecodeError as error:
        errors.append(_not_utf8(file, error))
        return None
    except (OSError, RuntimeError) as error:
        errors.append(_unreadable(root, path, error))
        return None
    except ClanpyError as error:
        errors.append(error)
        return None
    return Source(file=file, path=path, text=text, data=data, prefix=prefix, module=module)


def _content(path: Path, file: str) -> bytes:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe would wait for a writer
        raise UnreadableFileError("is no file", place=Place(file), hint="let its name begin with '_', or move it away")
    size = facts.st_size
    if size > MAX_BYTES:
        message = f"is too big: {size / 1e6:.0f} MB, where {MAX_BYTES / 1e6:.0f} MB are the most"
        raise UnreadableFileError(message, place=Place(file), hint="is this a file of the inventory?")
    return path.read_bytes()


def _not_utf8(file: str, error: UnicodeDecodeError) -> UnreadableFileError:
    before = error.object[: error.start]
    line = before.count(b"\n") + 1
    column = error.start - (before.rfind(b"\n") + 1) + 1
    byte = error.object[error.start]
    return UnreadableFileError(
        f"is not UTF-8: byte 0x{byte:02x}", place=Place(file, line, column), hint="save the file as UTF-8"
    )


def parse_toml(file: str, text: str) -> dict[str, Any]:
    """The data of a TOML text.

    Raises:
        TomlSyntaxError: it is no TOML; the place is exact and the details show the line.
        UnreadableFileError: it is nested too deeply.
    """
    if text.startswith("\ufeff"):
        message = "begins with a byte order mark, which TOML does not have"
        raise TomlSyntaxError(message, place=Place(file, 1, 1), hint="save the file as UTF-8 without it")
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise UnreadableFileError("is nested too deeply", place=Place(file)) from None
    except ValueError as error:  # TOMLDecodeError, and what int() says about 5,000 digits
        raise _syntax_error(file, text, str(error)) from None
    check_plain(file, data, text)
    return data


def _syntax_error(file: str, text: str, said: str) -> TomlSyntaxError:
    position = _TOML_POSITION.search(said)
    if position is None:
        return TomlSyntaxError(f"is no TOML: {said}", place=Place(file))
    lines = text.splitlines() or [""]
    if position[1]:
        line, column = int(position[1]), int(position[2])
    else:
        line, column = len(lines), len(lines[-1]) + 1
    what = _in_our_words(said[: position.start()])
    shown = lines[line - 1] if line <= len(lines) else ""
    shown = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in shown)
    margin = f"{line} | "
    return TomlSyntaxError(
        f"is no TOML: {what[:1].lower()}{what[1:]}",
        place=Place(file, line, column),
        hint=next((remedy for words, remedy in _REMEDIES.items() if words in said), None),
        details=(f"{margin}{shown}", " " * (len(margin) + column - 1) + "^"),
    )


# What to do about what the parser says.
_REMEDIES = {
    "Invalid value": 'text is written in quotes (name = "text"), and true and false in small letters',
    "Expected '=' after a key": 'a line is `key = value`; text is written in quotes: name = "text"',
    "Expected newline or end of document": "is a quote, a comma or a line break missing before this?",
    "Unclosed array": "is a comma or the closing ] missing?",
    "Unclosed inline table": "is a comma or the closing } missing?",
    "Unterminated string": "is the closing quote missing?",
    "Illegal character": "is the closing quote missing in this line?",
    "Unescaped '\\' in a string": "a backslash is written twice, or the text in single quotes",
}


def _in_our_words(said: str) -> str:
    """What the parser says of things written twice, so that one need not know how a parser works."""
    twice = re.fullmatch(r"Cannot (?:declare|mutate|redefine).*?\((.*?),?\).*", said)
    if twice is not None:
        name = ".".join(part.strip(" '\"") for part in twice[1].split(","))
        return f"the table [{name}] is written twice, or was closed before"
    return "a key is written twice" if said == "Cannot overwrite a value" else said


def check_plain(file: str, data: Any, text: str | None = None) -> None:
    """Check that data could stand in JSON and is not nested beyond `MAX_DEPTH`, without recursion.

    Raises:
        UnreadableFileError: it is nested too deeply.
        TomlSyntaxError: it holds a value that JSON does not have; the message names where.
    """
    queue: list[tuple[Any, tuple[str, ...]]] = [(data, ())]
    while queue:
        value, path = queue.pop()
        if len(path) > MAX_DEPTH:
            raise UnreadableFileError(f"is nested more than {MAX_DEPTH} levels deep", place=Place(file))
        if isinstance(value, dict):
            queue.extend((item, (*path, str(key))) for key, item in value.items())
        elif isinstance(value, list):
            queue.extend((item, (*path, str(n))) for n, item in enumerate(value))
        elif value is None:
            continue  # only a Python module can say so; for a field of the inventory it means: not set
        elif not isinstance(value, (str, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
            kind = "date or time" if hasattr(value, "isoformat") else f"number {value}"
            raise TomlSyntaxError(
                f"'{'.'.join(path)}' is a {kind}, which neither JSON nor Nix has",
                place=_position(file, path, text),
                hint="write it as a string",
            )


def _position(file: str, path: tuple[str, ...], text: str | None) -> Place:
    if text is None:
        return Place(file)
    from clanpy.inventory.positions import TomlIndex  # noqa: PLC0415 - a parser, for errors only

    return Place(file, *(TomlIndex(text).find(path) or ()))
