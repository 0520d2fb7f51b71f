"""A command group that knows the names and one-line helps of its commands, and imports a command when it is used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperGroup


if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command is (`package.module:attribute`, a `typer.Typer`) and what it is for, in one line."""

    target: str
    help: str


class LazyGroup(TyperGroup):
    """Help, completion of names and suggestions work from the table alone."""

    table: ClassVar[Mapping[str, Lazy]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # suggestions for a mistyped command are made from the keys of `commands`; a value is None until it is loaded
        self.commands: dict[str, Any] = dict.fromkeys(self.table)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.table:
            return None
        if ctx.resilient_parsing and not _is_next(ctx, cmd_name):
            return _Stub(self.table[cmd_name].help)
        if self.commands[cmd_name] is None:
            self.commands[cmd_name] = load(cmd_name, self.table[cmd_name])
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in self.table.items()])


def load(name: str, lazy: Lazy) -> Any:
    """Import a command. Its help is plain text: rich alone would double the time that `--help` takes."""
    module, _, attribute = lazy.target.partition(":")
    app = getattr(import_module(module), attribute)
    app.rich_markup_mode = None
    app._add_completion = False  # noqa: SLF001 - typer has no other way to say so for an app that is not the root
    command = typer.main.get_command(app)
    command.name = name
    return command


def _is_next(ctx: Any, name: str) -> bool:
    """Whether the words already typed go on into `name` (then it is completed inside, and has to be real)."""
    protected = getattr(ctx, "_protected_args", None) or getattr(ctx, "protected_args", [])
    return name in [*protected, *ctx.args]


@dataclass(frozen=True, slots=True)
class _Stub:
    """As much of a command as the completion of its name asks for."""

    help: str
    hidden: bool = False

    def get_short_help_str(self, limit: int = 45) -> str:
        return self.help[:limit]
