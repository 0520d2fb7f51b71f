"""Evaluation with real Nix: what is remembered, who is touched by whose mistakes, and where these stand."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from clanpy.errors import Place
from clanpy.inventory.model import Fleet, HostConfig
from clanpy.modules.deferred import DeferredModule, NixTemplate
from clanpy.nix.errors import EvaluationError, NixMissingError
from clanpy.nix.evaluate import HostError, Workers, evaluate, evaluate_each, forget, remembered
from clanpy.nix.program import NixProgram
from clanpy.nix.release import Release, Source
from clanpy.nix.source import stage
from nix.fleets import account, data, file, fleet, host, write
from nix.world import MINI_FOR_ALL, World


pytestmark = pytest.mark.nix


def sources(found: Fleet, cache: Path, configs: Sequence[HostConfig]) -> list[Source]:
    return [stage(found, config, cache, MINI_FOR_ALL) for config in configs]


async def outcome(
    todo: Sequence[Source], nix: NixProgram, cache: Path, *, processes: int = 2, hosts: int = 4
) -> dict[str, Release | HostError]:
    results = [r async for r in evaluate(todo, nix, cache, workers=Workers(processes=processes, hosts=hosts))]
    return {result.source.host: result for result in results}


def release(result: Release | HostError) -> Release:
    assert isinstance(result, Release), result.error.to_dict()
    return result


def error(result: Release | HostError) -> EvaluationError:
    assert isinstance(result, HostError)
    assert isinstance(result.error, EvaluationError)
    return result.error


async def only_error(world: World, found: Fleet, *modules: DeferredModule) -> EvaluationError:
    """What is said about a machine with some modules, one of which is wrong."""
    cache = found.root.parent / "cache"
    return error((await outcome(sources(found, cache, [host(modules=modules)]), world.nix(), cache))["alpha"])


async def test_machines_of_all_classes_and_their_homes_are_evaluated_together(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet", {"home.nix": "{ home.file.x.text = builtins.toJSON 1; }"})
    person = [account("ada"), file(found.root, "home.nix", class_="home")]
    configs = [
        host("server", homes={"ada": person}),
        host("alone", homes={"ada": person}, standalone=["ada"]),
        host(
            "mac",
            class_="darwin",
            homes={
                "ada": [
                    *person,
                    data(
                        "h",
                        {"home": {"homeDirectory": {"_type": "override", "priority": 50, "content": "/Users/ada"}}},
                        class_="home",
                    ),
                ]
            },
        ),
    ]
    nix = world.nix()
    results = await outcome(sources(found, tmp_path / "cache", configs), nix, tmp_path / "cache", processes=1)

    assert nix.started == 1
    names = {name: release(result).system.out.rsplit("/", 1)[1][33:] for name, result in results.items()}
    assert names == {
        "server": "nixos-system-server-26.05mini",
        "alone": "nixos-system-alone-26.05mini",
        "mac": "darwin-system-26.05mini",
    }
    (home,) = release(results["alone"]).homes
    assert (home.installable.account, home.out.endswith("-home-manager-generation")) == ("ada", True)


async def test_what_was_evaluated_before_starts_no_nix(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet", {"a.nix": "{ x = 1; }"})
    configs = [host(f"m{n}", [file(found.root, "a.nix")] if n == 0 else []) for n in range(3)]
    cache = tmp_path / "cache"
    first = await outcome(sources(found, cache, configs), world.nix(), cache)

    again = world.nix()
    assert await outcome(sources(found, cache, configs), again, cache) == first
    assert again.started == 0

    write(found.root, {"a.nix": "{ x = 2; }"})
    changed = world.nix()
    after = await outcome(sources(found, cache, configs), changed, cache)
    assert changed.started == 1
    assert {name for name in first if first[name] != after[name]} == {"m0"}


async def test_a_change_that_changes_nothing_gives_the_same_system(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet", {"a.nix": '{ environment.etc.x.text = "x"; }'})
    cache, config = tmp_path / "cache", host(modules=[file(found.root, "a.nix")])
    before = release((await outcome(sources(found, cache, [config]), world.nix(), cache))["alpha"])
    write(found.root, {"a.nix": '# said better\n{ environment.etc.x.text = "x"; }'})
    after = release((await outcome(sources(found, cache, [config]), world.nix(), cache))["alpha"])

    assert before.source.key != after.source.key
    assert before.system == after.system


async def test_one_machines_mistake_is_nobody_elses(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet", {"bad.nix": "{ x = undefined; }"})
    configs = [host(f"m{n}", [file(found.root, "bad.nix")] if n == 2 else []) for n in range(4)]
    cache, nix = tmp_path / "cache", world.nix()
    results = await outcome(sources(found, cache, configs), nix, cache, processes=1)

    assert [name for name, result in sorted(results.items()) if isinstance(result, HostError)] == ["m2"]
    assert nix.started == 5  # all together, then each for itself
    assert "m2: undefined variable 'undefined'" in error(results["m2"]).message


async def test_a_mistake_is_not_remembered(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet", {"bad.nix": "{ x = undefined; }"})
    cache, config = tmp_path / "cache", host(modules=[file(found.root, "bad.nix")])
    todo = sources(found, cache, [config])
    for _ in range(2):
        nix = world.nix()
        await outcome(todo, nix, cache)
        assert nix.started == 1


MISTAKES: dict[str, tuple[str, set[int | None], str]] = {
    "variable": ("{ lib, ... }:\n{\n  x = undefined;\n}", {3}, "undefined variable 'undefined'"),
    "syntax": ("{\n  x = 1;\n  y = [ 1 2 ;\n}", {3}, "syntax error, unexpected ';'"),
    "package": ("{ pkgs, ... }:\n{ environment.systemPackages =\n [ pkgs.nope ]; }", {3}, "attribute 'nope' missing"),
    "type": ('{ ... }:\n{\n  users.motd = [ "x" ]; }', {3}, "A definition for option `users.motd' is not of type"),
    "throw": ('{ ... }:\n{ x =\n throw "on purpose"; }', {2, 3}, "on purpose"),
    "input": ("{ inputs, ... }:\n{ imports = [ inputs.missing.x ]; }", {2}, "attribute 'missing' missing"),
    "recursion": ("{ config, ... }:\n{ imports = [ config.x ]; }", {2, None}, "infinite recursion encountered"),
}


@pytest.mark.parametrize("mistake", list(MISTAKES))
async def test_a_mistake_has_its_place_in_the_fleet(tmp_path: Path, world: World, mistake: str) -> None:
    text, lines, said = MISTAKES[mistake]  # some places are known to newer versions of Nix only
    found = fleet(tmp_path / "fleet", {"modules/nixos/web.nix": text})
    wrong = await only_error(world, found, file(found.root, "modules/nixos/web.nix"))

    assert wrong.message.startswith(f"alpha: {said}")
    assert not any("-source/modules/" in line for line in wrong.details)
    assert wrong.place is not None
    assert wrong.place.file == "modules/nixos/web.nix"
    assert wrong.place.line in lines


async def test_a_file_that_is_not_there_is_named_as_in_the_fleet(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet", {"modules/nixos/web.nix": "{\n imports = [ ./nowhere.nix ];\n}"})
    wrong = await only_error(world, found, file(found.root, "modules/nixos/web.nix"))

    assert "'modules/nixos/nowhere.nix'" in wrong.message
    assert wrong.hint is not None
    assert "relative path" in wrong.hint


async def test_assertions_that_do_not_hold_are_all_told(tmp_path: Path, world: World) -> None:
    told = [{"assertion": False, "message": m} for m in ("needs a disk", "needs a name")]
    wrong = await only_error(world, fleet(tmp_path / "fleet"), data("d", {"assertions": told}))

    assert wrong.message == "alpha: Failed assertions"
    assert {"- needs a disk", "- needs a name"} <= set(wrong.details)


async def test_a_mistake_in_data_names_where_the_data_came_from(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet")
    wrong = await only_error(
        world, found, data("nixos.web@modules/web.toml", {"users": {"users": {"ada": {"uid": "x"}}}})
    )

    assert wrong.place == Place("nixos.web@modules/web.toml (inventory.toml:3)")
    assert "users.users.ada.uid" in wrong.message


async def test_a_mistake_in_a_template_names_the_template(tmp_path: Path, world: World) -> None:
    template = write(tmp_path / "service", {"t.nix.j2": "{ x = undefined; }"}) / "t.nix.j2"
    wrong = await only_error(world, fleet(tmp_path / "fleet"), DeferredModule("t", "nixos", NixTemplate(template), "t"))

    assert wrong.place == Place(str(template))


async def test_two_definitions_that_conflict_are_both_named(tmp_path: Path, world: World) -> None:
    text = "{{ users.motd = null; networking.hostName = {}; }}"
    found = fleet(tmp_path / "fleet", {"m/a.nix": text.format('"one"'), "m/b.nix": text.format('"two"')})
    wrong = await only_error(world, found, file(found.root, "m/a.nix"), file(found.root, "m/b.nix"))

    shown = "\n".join([wrong.message, *wrong.details])
    assert "conflicting definition values" in shown
    assert "`m/a.nix'" in shown
    assert "`m/b.nix'" in shown


async def test_nothing_outside_of_the_tree_can_be_read(tmp_path: Path, world: World) -> None:
    (tmp_path / "outside").write_text("secret")
    found = fleet(tmp_path / "fleet", {"m/a.nix": f'{{ x = builtins.readFile "{tmp_path}/outside"; }}'})
    wrong = await only_error(world, found, file(found.root, "m/a.nix"))

    assert "access to" in wrong.message


async def test_a_release_whose_derivation_is_gone_is_evaluated_anew(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet")
    cache = tmp_path / "cache"
    (source,) = sources(found, cache, [host()])
    await outcome([source], world.nix(), cache)
    stored = cache / "releases" / f"{source.key}.json"
    record = json.loads(stored.read_text())
    record["artifacts"][0]["drv"] += ".gone"
    stored.write_text(json.dumps(record))

    assert remembered(source, world.nix(), cache) is None


async def test_a_release_of_another_store_is_no_help(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet")
    cache = tmp_path / "cache"
    (source,) = sources(found, cache, [host()])
    await outcome([source], world.nix(), cache)
    elsewhere = NixProgram.find(environ={**world.environ, "NIX_STORE_DIR": "/elsewhere"})

    assert remembered(source, world.nix(), cache) is not None
    assert remembered(source, elsewhere, cache) is None


async def test_what_is_forgotten_is_asked_again(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet")
    cache = tmp_path / "cache"
    (source,) = sources(found, cache, [host()])
    await outcome([source], world.nix(), cache)
    forget(source, cache)

    assert remembered(source, world.nix(), cache) is None


def stand_in_for_nix(folder: Path, body: str) -> NixProgram:
    """A program in the place of Nix."""
    program = folder / "nix"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return NixProgram.find(environ={**os.environ, "CLANPY_NIX": str(program)})


async def test_cancelling_ends_nix_and_all_that_it_started(tmp_path: Path) -> None:
    found = fleet(tmp_path / "fleet")
    todo = sources(found, tmp_path / "cache", [host()])
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # a child of the child: only the end of the whole group closes the pipe's last writer
    nix = stand_in_for_nix(tmp_path, f"(sleep 1000) > {fifo} & wait")

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(evaluate_each(todo, nix, tmp_path / "cache", lambda _: None))
        reader = await asyncio.to_thread(fifo.open, "rb")
        with reader:
            running.cancel()
            assert await asyncio.to_thread(reader.read) == b""

    assert running.cancelled()


def test_a_machine_without_nix_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NixMissingError, match="no Nix on this machine"):
        NixProgram.find(environ={"PATH": str(tmp_path)}) if shutil.which(
            "nix", path="/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin"
        ) is None else pytest.skip("Nix is everywhere here")
    with pytest.raises(NixMissingError, match="CLANPY_NIX names"):
        NixProgram.find(environ={"CLANPY_NIX": str(tmp_path / "nix")})


async def test_a_nix_that_can_not_be_started_is_one_error(tmp_path: Path) -> None:
    nix = stand_in_for_nix(tmp_path, "exit 0")
    nix.path.write_text("#!/nowhere/sh\n")
    todo = sources(fleet(tmp_path / "fleet"), tmp_path / "cache", [host(), host("beta")])

    with pytest.raises(NixMissingError, match="can't be started"):
        await evaluate_each(todo, nix, tmp_path / "cache", lambda _: None, workers=Workers(processes=2, hosts=1))


async def test_the_version_is_asked_once(tmp_path: Path, world: World) -> None:
    nix = world.nix()
    version = await nix.version(tmp_path)
    again = world.nix()

    assert version >= (2, 8)
    assert await again.version(tmp_path) == version
    assert (nix.started, again.started) == (1, 0)
