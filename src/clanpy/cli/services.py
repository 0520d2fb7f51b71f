"""`clanpy services`: the services there are, what each can be set to, and the beginning of a new one."""

from __future__ import annotations

import typer

from clanpy.cli.context import new_app


app = new_app("Show the services there are, and begin new ones.")


@app.callback()
def _services() -> None:
    """Show the services there are, and begin new ones."""
