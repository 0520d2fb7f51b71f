"""Positions in Python: where in the source a mapping literal has the keys of an option's path.

Values may be computed and mappings put together, so this is a search: of all literals whose keys end in the path, in the
function that makes the module, the one with the same value is taken first, then the one with the fewest other keys around.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from clanpy.modules.merge import same
from clanpy.modules.priority import Wrapper


Steps = tuple[str | int, ...]


class Entry(NamedTuple):
    """A key of a mapping literal, or an element of a list literal."""

    steps: Steps
    line: int
    column: int
    value: ast.expr


_KEPT: Final = 64
_CACHE: Final[dict[str, tuple[str, ast.Module]]] = {}


def locate_python(file: str, line: int, steps: Steps, value: Any) -> tuple[int, int] | None:
    """Line and column of the key; None when nothing fits.

    Args:
        file: the source file.
        line: where the function that makes the module begins, or any line in the function that holds it.
        steps: the option's path.
        value: what it is defined as.
    """
    tree = _parsed(file)
    if tree is None:
        return None
    entries = list(_entries(_around(tree, line)))
    for length in range(len(steps), 0, -1):
        wanted = steps[:length]
        fitting = [e for e in entries if e.steps[-length:] == wanted]
        if fitting:
            best = min(
                fitting, key=lambda e: (not _has_value(e.value, value), _extra(e.steps, length), abs(e.line - line))
            )
            return best.line, best.column
    return _within(entries, line, steps, value)


def _within(entries: list[Entry], line: int, steps: Steps, value: Any) -> tuple[int, int] | None:
    """A path of which the file writes only the end: what is above it is computed, or given by whoever uses the module."""
    for start in range(1, len(steps)):
        wanted = steps[start:]
        fitting = [
            (not same_value, abs(e.line - line), e)
            for e in entries
            if e.steps[-len(wanted) :] == wanted
            and ((same_value := _has_value(e.value, value)) or not _extra(e.steps, len(wanted)))
        ]
        if fitting:
            best = min(fitting, key=lambda found: found[:2])[2]
            return best.line, best.column
    return None


def _parsed(file: str) -> ast.Module | None:
    linecache.checkcache(file)
    text = "".join(linecache.getlines(file))
    known = _CACHE.get(file)
    if known is not None and known[0] == text:
        return known[1]
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    while len(_CACHE) >= _KEPT:
        _CACHE.pop(next(iter(_CACHE)))
    _CACHE[file] = (text, tree)
    return tree


def _around(tree: ast.Module, line: int) -> ast.AST:
    """The innermost function with this line in it; the whole file when there is none."""
    if line <= 1:
        return tree
    best: ast.AST = tree
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))
    for node in functions:
        decorators = [d.lineno for d in getattr(node, "decorator_list", [])]
        if min([node.lineno, *decorators]) <= line <= (node.end_lineno or node.lineno):
            best = node
            if min([node.lineno, *decorators]) == line:
                break
    return best


Work = list[tuple[ast.AST, Steps]]


def _entries(root: ast.AST) -> Iterator[Entry]:
    pending: Work = [(root, ())]
    while pending:
        node, prefix = pending.pop()
        if isinstance(node, ast.Dict):
            found = _of_dict(node, prefix, pending)
        elif isinstance(node, ast.List | ast.Tuple):
            found = [Entry((*prefix, n), item.lineno, item.col_offset + 1, item) for n, item in enumerate(node.elts)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            found = [Entry((*prefix, k.arg or ""), k.lineno, k.col_offset + 1, k.value) for k in node.keywords]
        else:
            _descend(node, prefix, pending)
            continue
        yield from found
        pending.extend((entry.value, entry.steps) for entry in found)


def _of_dict(node: ast.Dict, prefix: Steps, pending: Work) -> list[Entry]:
    found: list[Entry] = []
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            found.append(Entry((*prefix, key.value), key.lineno, key.col_offset + 1, value))
        else:
            pending.append((value, prefix))
    return found


def _descend(node: ast.AST, prefix: Steps, pending: Work) -> None:
    """Whatever is around a literal in an expression belongs to it; a statement begins anew, an assignment with its name."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if node.value is not None:
            pending.append((node.value, (target.id,) if isinstance(target, ast.Name) else ()))
        return
    kept = prefix if isinstance(node, ast.expr | ast.keyword | ast.arguments) else ()
    pending.extend((child, kept) for child in ast.iter_child_nodes(node))


def _extra(steps: Steps, length: int) -> int:
    """How much stands around the path that does not belong to it."""
    return sum(
        1 for step in steps[: len(steps) - length] if step not in {"config", "module"} and not isinstance(step, int)
    )


def _has_value(node: ast.expr, value: Any) -> bool:
    while isinstance(node, ast.Call) and node.args:
        node = node.args[-1]
    while isinstance(value, Wrapper):
        value = getattr(value, "content", getattr(value, "value", None))
    try:
        return same(ast.literal_eval(node), value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
