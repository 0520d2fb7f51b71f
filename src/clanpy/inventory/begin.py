"""The beginning of a service of the fleet's own: a folder with a service that works, and a test of it."""

from __future__ import annotations

import re
from pathlib import Path

from clanpy.errors import Place, UsageError


_HERE = Path(__file__).parent / "new_service"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def begin_service(root: Path, name: str) -> tuple[Path, ...]:
    """Write `services/NAME/` into a fleet: `service.py` and a test. Gives the files.

    Raises:
        UsageError: the name can't be one, there is a service of that name, or the folder can't be written.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"'{name}' can't be the name of a service", hint="small letters and digits, with '-' between words"
        )
    folder = root / "services" / name
    if folder.exists():
        raise UsageError("there is something of that name", place=Place(f"services/{name}"))
    files = {"service.py": "service.py.in", f"test_{name.replace('-', '_')}.py": "test.py.in"}
    try:
        folder.mkdir(parents=True)
        for file, source in files.items():
            text = (_HERE / source).read_text(encoding="utf-8").replace("@name@", name)
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"can't write a service: {error.strerror}", place=Place(str(error.filename or folder))
        ) from error
    return tuple(folder / file for file in files)
