"""Killed at every point where something is written, a command leaves the old state or the new one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clanpy.generators.maintain import fix, prune, rotate_keys
from clanpy.generators.people import rotate_machine_key
from clanpy.generators.states import State, examine, unreadable
from clanpy.generators.values import put
from clanpy.secrets import Secret
from clanpy.secrets.disk import Disk
from clanpy.secrets.errors import WriteFailedError
from clanpy.services.generator import Generator, SshKey, Token
from clanpy.vars import Session
from support.generators import asking, generated, session
from support.vault import CountingDisk, DyingDisk, Vault, in_child


TOKEN = Generator(name="token", kind=Token(), validation=1)
SSH = Generator(name="openssh", kind=SshKey())
WIFI = Generator(name="wifi", kind=Token(), share=True)
FLEET = {"web": [TOKEN, SSH, WIFI], "db": [WIFI]}
LATER = {"web": [replace(TOKEN, validation=2), SSH, WIFI], "db": [WIFI, TOKEN]}
LESS = {"db": [WIFI]}

Command = Callable[[Session], Coroutine[Any, Any, object]]
COMMANDS: dict[str, tuple[dict[str, list[Generator]], Command]] = {
    "generate": (LATER, generated),
    "fix": (FLEET, fix),
    "rotate": (FLEET, rotate_keys),
    "rotate the key of a machine": (FLEET, lambda opened: rotate_machine_key(opened, "web")),
    "prune": (LESS, prune),
    "set": (FLEET, lambda opened: put(opened, "web", "token", Secret("x"))),
}


def names(vault: Vault) -> dict[str, str]:
    """The files and links of a fleet; contents are random and only compared where they are the old ones."""
    return vault.snapshot()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_any_point_leaves_the_old_state_or_the_new(vault: Vault, tmp_path: Path, name: str) -> None:
    fleet, command = COMMANDS[name]
    asyncio.run(generated(session(vault, FLEET)))
    vault.register(vault.person("carol").user, vault.person("carol").public)
    (vault.root / "vars/shared/wifi/token/users/carol").symlink_to("../../../../../sops/users/carol")
    shutil.copytree(vault.root, tmp_path / "before", symlinks=True)
    old = names(vault)
    counting = CountingDisk()
    asyncio.run(_run(session(vault, fleet, disk=counting), command))
    new = names(vault)
    assert new != old
    outcomes = set()

    for point in range(1, len(counting.steps) + 1):
        shutil.rmtree(vault.root)
        shutil.copytree(tmp_path / "before", vault.root, symlinks=True)
        dying = DyingDisk(point)
        assert in_child(lambda: asyncio.run(_run(session(vault, fleet, disk=dying), command))) == -signal.SIGKILL  # noqa: B023 - run at once
        opened = session(vault, fleet)  # completes what was decided
        there = {path: content for path, content in names(vault).items() if not path.startswith(".clanpy-pending")}

        if there.keys() == old.keys() and all(there[path] == old[path] for path in old):
            outcomes.add("old")
        else:
            assert there.keys() == new.keys(), counting.steps[point - 1]
            changed = {path for path in new if new.get(path) != old.get(path)}
            assert all(there[path] != old.get(path) for path in changed), counting.steps[point - 1]
            outcomes.add("new")
        assert list(unreadable(opened.graph, opened.store, opened.context.machines)) == []
        asyncio.run(_run(session(vault, fleet), command))  # and can be run again
        assert not (vault.root / ".clanpy-pending").exists()

    assert outcomes == {"old", "new"}


async def _run(opened: Session, command: Command) -> None:
    await command(opened)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_full_or_read_only_disk_changes_nothing_and_is_told(vault: Vault, trouble: str) -> None:
    asyncio.run(generated(session(vault, FLEET)))
    asked = {"web": [*LATER["web"], asking("big", "p")], "db": []}
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(vault.keys)], check=True)
    small = vault.keys / "fleet"
    shutil.copytree(vault.root, small, symlinks=True)
    there = Vault(small, vault.keys, vault.people)
    for person in vault.people.values():
        person.file.write_text(person.private)
    try:
        before = there.snapshot()
        if trouble == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", str(vault.keys)], check=True)
        opened = session(there, asked)

        with pytest.raises(WriteFailedError, match="no space is left" if trouble == "full" else "read-only") as failure:
            asyncio.run(put(opened, "web", "big", Secret(os.urandom(500_000).hex())))

        assert failure.value.hint == "nothing was changed"
        assert there.snapshot() == before
        found = examine(opened.graph, opened.store, opened.policy, ["web"], opened.now())
        assert {f.state for f in found} >= {State.OUTDATED, State.MISSING}
    finally:
        subprocess.run(["umount", str(vault.keys)], check=True)


def test_a_kill_while_generators_run_leaves_everything_as_it_was(vault: Vault) -> None:
    asyncio.run(generated(session(vault, FLEET)))
    old = vault.snapshot()

    def die() -> None:
        from clanpy.vars import How  # noqa: PLC0415 - in the child

        how = How(on_done=lambda step: os.kill(os.getpid(), signal.SIGKILL))
        asyncio.run(generated(session(vault, LATER), how=how))

    assert in_child(die) == -signal.SIGKILL
    assert vault.snapshot() == old


def test_the_disk_of_tests_does_what_the_real_one_does() -> None:
    assert isinstance(CountingDisk(), Disk)
