"""`clanpy machines`: list, show, build, update, roll back, ask and talk to machines."""

from __future__ import annotations

from clanpy.cli.context import new_app


app = new_app("List, build, update, roll back and talk to machines.")
