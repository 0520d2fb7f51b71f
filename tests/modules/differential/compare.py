"""Evaluates descriptions here and with Nix, and says where the two differ."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clanpy.modules import DeclarationError, ModuleError, WrapperError
from clanpy.modules.errors import flat
from clanpy.modules.priority import If, Merge, Order, Override, Wrapper
from modules.differential import interpret


HERE = Path(__file__).resolve().parent
LIB = os.environ.get("CLANPY_NIXPKGS_LIB", "")
UNCATCHABLE = {"failed": "not to be caught"}


def available() -> str | None:
    """Why the comparison can't be made, or None."""
    if not LIB:
        return "CLANPY_NIXPKGS_LIB does not name a checkout of nixpkgs' lib"
    if not lib_folder().joinpath("modules.nix").is_file():
        return f"there is no nixpkgs lib in {LIB}"
    return None if shutil.which("nix-instantiate") else "there is no nix-instantiate"


def lib_folder() -> Path:
    """The folder of lib, whether that itself or what it is in was named."""
    return Path(LIB, "lib") if Path(LIB, "lib").is_dir() else Path(LIB)


def nix(expression: str, cases: Sequence[Any]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cases.json").write_text(json.dumps(list(cases)))
        given = f"cases = builtins.fromJSON (builtins.readFile {folder}/cases.json);"
        text = f"(import {HERE}/interpret.nix {{ lib = import {lib_folder()}; {given} }}).{expression}"
        # Nix has a stack of its own that deep random sets don't come near; its state is of no use here.
        environment = {**os.environ, "NIX_STATE_DIR": folder, "NIX_STORE_DIR": "/nix/store", "NIX_PATH": ""}
        return subprocess.run(
            ["nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json", "-E", text],
            capture_output=True,
            text=True,
            env=environment,
            timeout=600,
            check=False,
        )


def nix_outcomes(cases: Sequence[Any]) -> list[Any]:
    """What Nix makes of each case; one that it can't go on after is looked for by halves."""
    if not cases:
        return []
    done = nix("outcomes", cases)
    if done.returncode == 0:
        found: list[Any] = json.loads(done.stdout)
        return found
    if len(cases) == 1:
        return [UNCATCHABLE]
    half = len(cases) // 2
    return [*nix_outcomes(cases[:half]), *nix_outcomes(cases[half:])]


KINDS = {
    "unknown": r"does not exist",
    "type": r"is not of type|rather than an attribute set|is neither a value of type",
    "conflict": r"conflicting definition values|conflicting option types|expected to be unique|both null and not null"
    r"|is defined both as|Cannot merge definitions",
    "read-only": r"is read-only",
    "unset": r"has no value defined",
    "declaration": r"already declared|would be a parent|has type|is declared multiple times",
    "recursion": r"infinite recursion",
}


def nix_kind(case: Any, name: str | None) -> str:
    """Which kind of error Nix reports for an option."""
    done = nix(f"raw 0 {json.dumps(name)}", [case])
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)
    last = text.rpartition("error:")[2]
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, last)), f"other: {last.strip()[:200]}")


def differences(case: Any, theirs: Any) -> Iterator[str]:
    """What is not the same, in words."""
    ours = interpret.outcome(case)
    if theirs is UNCATCHABLE:
        if "failed" not in ours and not any("failed" in v for v in ours["config"].values()):
            yield "Nix fails for good, and here all is well"
        return
    if "failed" in ours and "failed" not in theirs:
        broken = declarations(ours["failed"])
        if broken and all("failed" in theirs["config"].get(name, {}) for name in broken):
            return  # All declarations are looked at here; Nix finds a wrong one when its option is read.
    if ("failed" in ours) != ("failed" in theirs):
        yield f"as a whole: here {_short(ours)}, Nix {_short(theirs)}"
        return
    if "failed" in ours:
        return
    mine, other = ours["config"], theirs["config"]
    if mine.keys() != other.keys():
        yield f"names: here {sorted(mine)}, Nix {sorted(other)}"
    for name in sorted(mine.keys() & other.keys()):
        if not _agree(mine[name], other[name]):
            yield f"{name}: here {_short(mine[name])}, Nix {_short(other[name])}"


def declarations(error: ModuleError) -> list[str]:
    """The options at the top that can't be declared, when that is all that is wrong."""
    errors = list(flat([error]))
    return [e.path[0] for e in errors] if all(isinstance(e, DeclarationError) and e.path for e in errors) else []


def _agree(mine: Any, other: Any) -> bool:
    if "failed" in mine and all(isinstance(e, WrapperError) for e in flat([mine["failed"]])):
        # A wrapper at the wrong level is a mistake that is named here, and leaks in Nix: as an error or as a value.
        return "failed" in other or "_type" in json.dumps(other["value"])
    if ("failed" in mine) != ("failed" in other):
        return False
    return "failed" in mine or equal(mine["value"], other["value"])


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, Wrapper):  # in a value that nobody looks into
        return isinstance(b, dict) and _leaked(a, b)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def _leaked(a: Wrapper, b: dict[str, Any]) -> bool:
    """Whether a wrapper is what Nix has in its place. A condition is not computed for this: it belongs to its module."""
    match a:
        case If():
            return b.get("_type") == "if" and equal(a.content, b.get("content"))
        case Merge():
            return b.get("_type") == "merge" and equal(list(a.contents), b.get("contents"))
        case Override() | Order():
            kind = "override" if isinstance(a, Override) else "order"
            return (b.get("_type"), b.get("priority")) == (kind, a.priority) and equal(a.content, b.get("content"))
    return False


def _short(found: Any) -> str:
    if "failed" in found:
        error = found["failed"]
        return f"fails ({error.kind}: {error.message})" if isinstance(error, ModuleError) else "fails"
    return f"is {json.dumps(found.get('value', 'fine'), default=str)[:300]}"
