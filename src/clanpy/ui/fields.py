r"""Lines in the user's own form: `{name}\t{system}`, filled from the fields of what `--json` prints."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from clanpy.errors import UsageError, nearest
from clanpy.ui.format import clean


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ESCAPES = {r"\t": "\t", r"\n": "\n", r"\\": "\\"}


def filled(form: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    r"""A line for each row. `{a.b}` is a field in a field, `{{` a brace, `\t` a tabulator; lists are joined by commas.

    Raises:
        UsageError: the form has a brace too many or too few, or names a field that rows do not have.
    """
    try:
        pieces = [piece[:2] for piece in string.Formatter().parse(_unescaped(form))]
    except ValueError as error:
        raise UsageError(f"--format can't be read: {error}", hint=r"such as '{name}\t{system}'") from error
    for row in rows:
        yield "".join(text + ("" if name is None else _value(row, name)) for text, name in pieces)


def _value(row: Mapping[str, Any], path: str) -> str:
    found: Any = row
    for name in path.split("."):
        if found is None:
            return ""
        if not isinstance(found, dict) or name not in found:
            known = found if isinstance(found, dict) else ()
            hint = nearest(name, known) or (f"there are {', '.join(known)}" if known else None)
            raise UsageError(f"--format names a field '{path}' that is not there", hint=hint)
        found = found[name]
    return clean(_text(found))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(_text(item) for item in value)
    if isinstance(value, dict):
        return ",".join(f"{name}={_text(item)}" for name, item in value.items())
    return str(value)


def _unescaped(form: str) -> str:
    for written, meant in ESCAPES.items():
        form = form.replace(written, meant)
    return form
