"""`clanpy explain`: what an error code means."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import Annotated

import typer

import clanpy
from clanpy.cli.context import Json, new_app, print_json, print_lines
from clanpy.errors import ClanpyError, NothingMatchedError, catalogue, nearest


app = new_app("Say what an error code means.")


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="Such as CP0301; all of them when left out")] = None,
    *,
    json: Json = False,
) -> None:
    """Say what an error code means and with which exit code it ends."""
    known = _catalogue()
    if code is not None and code.upper() not in known:
        raise NothingMatchedError(f"there is no error {code}", hint=nearest(code.upper(), known))
    chosen = known if code is None else {code.upper(): known[code.upper()]}
    if json:
        print_json(
            [{"code": c, "meaning": _meaning(cls), "exit_code": int(cls.exit_code)} for c, cls in chosen.items()]
        )
        return
    print_lines(f"{c}  exit {cls.exit_code:<3} {_meaning(cls)}" for c, cls in chosen.items())


def _catalogue() -> dict[str, type[ClanpyError]]:
    for module in pkgutil.walk_packages(clanpy.__path__, "clanpy."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    return catalogue()


def _meaning(cls: type[ClanpyError]) -> str:
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())
