"""asyncssh, imported without starting programs: whoever wants it takes it from here.

As it is imported, asyncssh looks for two libraries that it can do without (nettle, for a MAC; liboqs, for key exchanges that no
quantum computer breaks). Where they are missing, Python asks ldconfig, and a compiler and a linker if there are any, for each
of their names. Here they are looked for where libraries lie.
"""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


_FOLDERS = ("/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/opt/homebrew/lib", "/opt/local/lib")


def _where(name: str) -> str | None:
    """The file of a library, as `ctypes.util.find_library` gives it, without starting a process."""
    stem = name.removeprefix("lib")
    for folder in _folders():
        for pattern in (f"lib{stem}.so", f"lib{stem}.so.*", f"lib{stem}.dylib"):
            for found in sorted(folder.glob(pattern)):
                return str(found)
    return None


def _folders() -> Iterator[Path]:
    for text in (*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *_FOLDERS):
        if text:
            yield Path(text)
            yield from Path(text).glob("*-linux-gnu*")


@contextmanager
def _quick_look() -> Iterator[None]:
    original = ctypes.util.find_library
    if sys.platform.startswith("linux"):  # elsewhere it starts no processes
        ctypes.util.find_library = _where
    try:
        yield
    finally:
        ctypes.util.find_library = original


with _quick_look():
    import asyncssh as asyncssh  # noqa: PLC0414 - the name is what others take from here
