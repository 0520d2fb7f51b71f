"""How a host stands beside what it runs, told in the same round trip as what it runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from activation.folder import Machine
from clanpy.activation import ByHand, Question, Standing, gather


DRIFT = Question(standing=True, by_hand=True)


def _tool(machine: Machine, name: str, text: str) -> None:
    tool = machine.root.parent / "tools" / name
    tool.write_text(f"#!/bin/sh\n{text}\n")
    tool.chmod(0o755)


def _furnish(machine: Machine, system: str) -> Path:
    """Files under /etc as NixOS keeps them: a link, a folder of links, a copy with a mode, a link that goes to the store itself."""
    own, store = machine.root / "etc", Path(system) / "etc"
    (store / "nested").mkdir(parents=True)
    own.mkdir(exist_ok=True)
    (own / "static").symlink_to(store)
    (own / "nested").mkdir()
    for name, mode in (("hello", None), ("nested/deep", None), ("copied", "0440"), ("direct", "direct-symlink")):
        (store / name).write_text(name)
        if mode is not None:
            (store / f"{name}.mode").write_text(f"{mode}\n")
    (store / "nowhere").symlink_to("/nowhere/at/all")
    for name in ("hello", "nested/deep", "nowhere"):
        (own / name).symlink_to(own / "static" / name)
    (own / "copied").write_text("copied")
    (own / "direct").symlink_to(store / "direct")
    return own


async def _standing(machine: Machine, question: Question = DRIFT) -> Standing:
    standing = (await gather(machine.conn, question)).standing
    assert standing is not None
    return standing


async def test_nothing_is_asked_of_it_unless_somebody_wants_to_know(one: Machine) -> None:
    one.install(one.add("old"))
    assert (await gather(one.conn)).standing is None


async def test_what_nobody_touched_is_as_the_system_put_it(machine: Machine) -> None:
    system = machine.add("old")
    machine.install(system)
    _furnish(machine, system)
    assert (await _standing(machine)).by_hand == ()
    assert machine.conn.round_trips == 1


def _overwrite(own: Path) -> None:
    (own / "hello").unlink()
    (own / "hello").write_text("by hand")


def _retarget(own: Path) -> None:
    (own / "nested/deep").unlink()
    (own / "nested/deep").symlink_to(own / "hello")


def _edit(own: Path) -> None:
    (own / "copied").write_text("by hand")


def _remove(own: Path) -> None:
    (own / "hello").unlink()


def _same_text(own: Path) -> None:
    (own / "hello").unlink()
    (own / "hello").write_text("hello")


def _direct(own: Path) -> None:
    (own / "direct").unlink()
    (own / "direct").write_text("direct")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_overwrite, ByHand("hello", "replaced")),
        (_retarget, ByHand("nested/deep", "replaced")),
        (_edit, ByHand("copied", "changed")),
        (_remove, ByHand("hello", "missing")),
        (_same_text, ByHand("hello", "replaced")),
        (_direct, ByHand("direct", "replaced")),
    ],
    ids=lambda value: getattr(value, "__name__", getattr(value, "file", "")),
)
async def test_what_was_changed_by_hand_is_told(machine: Machine, change: Callable[[Path], None], told: ByHand) -> None:
    system = machine.add("old")
    machine.install(system)
    change(_furnish(machine, system))
    assert (await _standing(machine)).by_hand == (told,)


async def test_files_of_another_system_than_the_one_that_runs_are_told(one: Machine) -> None:
    one.install(one.add("old"))
    _furnish(one, one.add("other"))
    (Path(one.running) / "etc").mkdir()
    assert (await _standing(one)).by_hand == (ByHand("static", "replaced"),)


async def test_a_system_that_keeps_no_links_can_not_be_looked_at(one: Machine) -> None:
    one.install(one.add("old"))
    assert (await _standing(one)).by_hand is None


async def test_a_profile_has_an_age(machine: Machine) -> None:
    machine.install(machine.add("old"))
    os.utime(machine.root / "nix/var/nix/profiles/system-1-link", (1_750_000_000, 1_750_000_000), follow_symlinks=False)
    assert (await _standing(machine)).since == 1_750_000_000


async def test_units_that_failed_are_told_by_name(machine: Machine) -> None:
    machine.install(machine.add("old"))
    _tool(
        machine,
        "systemctl",
        'echo "nginx.service loaded failed failed A web server"; echo "b.timer loaded failed failed B"',
    )
    assert (await _standing(machine)).failed_units == ("b.timer", "nginx.service")


async def test_where_nobody_knows_of_units_none_is_said_to_be_well(machine: Machine) -> None:
    machine.install(machine.add("old"))
    _tool(machine, "systemctl", "exit 1")
    assert (await _standing(machine)).failed_units is None


async def test_on_a_mac_only_what_the_configuration_made_is_looked_at(one: Machine) -> None:
    _tool(one, "uname", "echo Darwin 24.6.0 arm64")
    listed = "PID Status Label\n- 78 com.apple.noise\n- 1 org.nixos.broken\n71 0 org.nixos.fine\n"
    _tool(one, "launchctl", f"cat <<'END'\n{listed}END")
    assert (await _standing(one)).failed_units == ("org.nixos.broken",)


async def test_what_only_a_boot_would_bring_is_told_of_both_systems(machine: Machine) -> None:
    old, new = Path(machine.add("old")), Path(machine.add("new"))
    machine.install(str(new))
    for system, version in ((old, "6.6"), (new, "6.12")):
        kernel = machine.root / f"nix/store/linux-{version}"
        kernel.mkdir(parents=True)
        (kernel / "bzImage").write_text(version)
        (system / "kernel").symlink_to(kernel / "bzImage")
        (system / "kernel-params").write_text("quiet\n")
    (machine.root / "run/booted-system").symlink_to(old)
    found = await _standing(machine)
    assert found.booted == {"kernel": f"{machine.root}/nix/store/linux-6.6/bzImage", "kernel-params": "quiet"}
    assert found.running == {"kernel": f"{machine.root}/nix/store/linux-6.12/bzImage", "kernel-params": "quiet"}
