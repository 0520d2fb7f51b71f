"""The command line: parse, call, render. One file a noun; nothing heavy is imported before a command runs."""

from __future__ import annotations


def main() -> int:
    """The entry point of the `clanpy` program. Gives the exit code."""
    from clanpy.cli.program import run  # noqa: PLC0415 - keeps `import clanpy.cli` free of cost for its submodules

    return run()
