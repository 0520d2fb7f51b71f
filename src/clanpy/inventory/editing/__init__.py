"""Changing the inventory by command: values, and machines with everything that names them.

A change is a `Plan` first (`set_value`, `unset_value`, `create`, `rename`, `delete`), which can be shown as a diff; `Editor.run`
makes it again as the fleet's only writer, checks the fleet with it, and writes it as a whole or not at all.
"""

from __future__ import annotations

from clanpy.inventory.editing.machines import NewMachine, create, delete, rename
from clanpy.inventory.editing.options import path_of, value_of
from clanpy.inventory.editing.plan import EDIT_SCHEMA, Editor, Plan, check
from clanpy.inventory.editing.values import set_value, unset_value


__all__ = [
    "EDIT_SCHEMA",
    "Editor",
    "NewMachine",
    "Plan",
    "check",
    "create",
    "delete",
    "path_of",
    "rename",
    "set_value",
    "unset_value",
    "value_of",
]
