"""Before anything is built for a machine: what would stop it afterwards is said now.

Of what is judged here a host tells in the round trip in which it tells what it runs; only that its account becomes root is tried, and
only where it is not root already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clanpy.deployment.errors import UnfitError
from clanpy.ssh import ElevationError


if TYPE_CHECKING:
    from clanpy.activation import HostFacts
    from clanpy.inventory.model import Machine
    from clanpy.ssh import Connection

OLDEST_NIX = (2, 8)
LEAST_BYTES = 16 << 20  # without that much not even what the guard writes down has room
ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64"}
RUNS_TOO = {("i686-linux", "x86_64-linux"), ("x86_64-darwin", "aarch64-darwin")}
ELEVATE_SECONDS = 30.0


async def check(conn: Connection, machine: Machine, facts: HostFacts) -> None:
    """See that a machine can be given a system.

    Raises:
        UnfitError: it can't; what is in the way is all said at once.
        SshError: it can't be asked any more.
    """
    problems = [*_problems(machine, facts)]
    if facts.uid != 0 and not problems:
        try:
            await conn.run("true", elevate=True, timeout=ELEVATE_SECONDS)
        except ElevationError as error:
            raise UnfitError(f"{machine.name} can't be updated: {error.message}", hint=error.hint) from error
    if problems:
        hint = f"`clanpy doctor {machine.name}` looks more closely"
        raise UnfitError(f"{machine.name} can't be updated: {'; '.join(problems)}", hint=hint)


def system_of(facts: HostFacts) -> str:
    """What a host is, as Nix calls it."""
    return f"{ARCHITECTURES.get(facts.machine, facts.machine)}-{facts.kernel.lower()}"


def version_of(text: str | None) -> tuple[int, ...] | None:
    """A version of Nix as numbers, the first two of them; None where there are none."""
    parts = (text or "").split(".")[:2]
    try:
        return tuple(int(part) for part in parts)
    except ValueError:
        return None


def _problems(machine: Machine, facts: HostFacts) -> list[str]:
    found = []
    is_one = system_of(facts)
    if machine.system and machine.system != is_one and (machine.system, is_one) not in RUNS_TOO:
        found.append(f"its system is declared as {machine.system}, and it is {is_one}")
    version = version_of(facts.nix_version)
    if facts.nix is None:
        found.append("there is no Nix on it")
    elif version is not None and version < OLDEST_NIX:
        found.append(f"its Nix {facts.nix_version} is older than 2.8")
    if facts.free_bytes is not None and facts.free_bytes < LEAST_BYTES:
        found.append(f"only {facts.free_bytes >> 10} KiB are free in its store")
    return found
