"""Running a command on many hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clanpy.deployment.reach import Reach, each
from clanpy.events import Outcome
from clanpy.rollout.limits import Limits
from clanpy.rollout.outcome import exit_code, outcome_of
from clanpy.ssh import Completed


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clanpy.deployment.options import Options, Surroundings
    from clanpy.errors import ClanpyError, ExitCode


async def execute(
    surroundings: Surroundings,
    hosts: Sequence[str],
    command: Sequence[str],
    options: Options,
    *,
    timeout: float,  # noqa: ASYNC109 - how long the command may take is part of what is asked
    elevate: bool = False,
) -> dict[str, Completed | ClanpyError]:
    """Run a command on every host: one word is text for its shell, several are a program and its arguments.

    Ended here means ended there: a command dies with its connection.
    """
    text = command[0] if len(command) == 1 else list(command)
    limits = Limits.derived(parallel=options.parallel)
    async with Reach.of(surroundings) as reach:

        async def one(name: str) -> Completed:
            async with reach.connected(name) as conn:
                return await conn.run(text, timeout=timeout, elevate=elevate)

        return await each(hosts, one, at_once=limits.hosts)


def execute_exit_code(results: Mapping[str, Completed | ClanpyError]) -> ExitCode:
    """The exit code of it: 0 when the command succeeded everywhere, else as for any run."""
    return exit_code(_end(result) for result in results.values())


def _end(result: Completed | ClanpyError) -> tuple[Outcome, ExitCode | None]:
    if isinstance(result, Completed):
        return (Outcome.CONFIRMED if result.ok else Outcome.FAILED), None
    return outcome_of(result), result.exit_code
