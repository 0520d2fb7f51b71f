"""Building with real Nix: machines told apart, failures kept apart, nothing done twice, and all of it kept from collection."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clanpy.nix.build import BuildLimits, BuildLine, build
from clanpy.nix.derivations import Derivations, name_of
from clanpy.nix.errors import BuildError, DiskFullError, StaleReleaseError
from clanpy.nix.program import NixProgram
from clanpy.nix.release import Artifact, Installable, Release, Source
from clanpy.nix.roots import Roots
from nix.world import World


pytestmark = pytest.mark.nix

BUILDER = 'salt: name: inputs: script: derivation { inherit name inputs salt; system = "x86_64-linux"; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; args = [ "-euc" script ]; }'


async def releases(world: World, salt: str, tops: dict[str, str], *, shared: str = "{ }") -> list[Release]:
    """Releases whose systems are derivations made with `d name inputs script`; `shared` is a set of more of them.

    `salt` makes them others than those of any other test.
    """
    body = " ".join(f"{host} = let x = {text}; in [ x.drvPath x.outPath ];" for host, text in tops.items())
    found = await world.eval(f'let d = ({BUILDER}) "{salt}"; s = {shared}; in {{ {body} }}')
    return [release(host, *found[host]) for host in tops]


def release(host: str, drv: str, out: str) -> Release:
    installable = Installable(kind="system", attribute=host)
    source = Source(
        host=host, class_="nixos", system="x86_64-linux", root=Path("/"), key=host, installables=(installable,)
    )
    return Release(source=source, system=Artifact(installable=installable, drv=drv, out=out))


def links(folder: Path) -> dict[str, str]:
    """Where the links of a folder point to, as far as that is there."""
    return {path.name: str(path.readlink()) for path in folder.iterdir() if path.exists()}


def roots(tmp_path: Path, nix: NixProgram) -> Roots:
    return Roots(tmp_path / "roots", nix)


async def test_what_is_built_is_there_and_protected(tmp_path: Path, world: World) -> None:
    todo = await releases(world, "there", {"a": 'd "a" [ ] "echo a > $out"', "b": 'd "b" [ ] "echo b > $out"'})
    nix = world.nix()
    results = await build(todo, nix, roots(tmp_path, nix))

    assert results == {"a": None, "b": None}
    assert links(tmp_path / "roots") == {release.host: release.system.out for release in todo}
    kept = await world.nix().run(["nix-store", "--gc", "--print-roots"])
    assert {str(tmp_path / "roots" / name) for name in ("a", "b")} <= {
        line.split(" -> ")[0].strip('"') for line in kept.stdout.splitlines()
    }


async def test_what_is_built_already_starts_no_nix(tmp_path: Path, world: World) -> None:
    todo = await releases(world, "twice", {"a": 'd "a" [ ] "echo a > $out"'})
    await build(todo, world.nix(), roots(tmp_path, world.nix()))

    nix, built = world.nix(), list[str]()
    assert await build(todo, nix, roots(tmp_path, nix), on_built=built.append) == {"a": None}
    assert (nix.started, built) == (0, ["a"])


async def test_what_lies_in_the_store_and_is_not_valid_is_built(tmp_path: Path, world: World) -> None:
    (todo,) = await releases(world, "half", {"a": 'd "a" [ ] "echo whole > $out"'})
    (tmp_path / "out").symlink_to(todo.system.out)
    (tmp_path / "out").write_text("ha")  # as when a build, or its computer, was killed in the middle
    nix = world.nix()

    assert await build([todo], nix, roots(tmp_path, nix)) == {"a": None}
    assert (nix.started, (tmp_path / "out").read_text()) == (1, "whole\n")


async def test_a_new_release_takes_the_place_of_the_old_one_among_the_roots(tmp_path: Path, world: World) -> None:
    for salt in ("old", "new"):
        todo = await releases(world, salt, {"a": 'd "a" [ ] "echo a > $out"'})
        nix = world.nix()
        await build(todo, nix, roots(tmp_path, nix))
        assert links(tmp_path / "roots") == {"a": todo[0].system.out}


async def test_one_machines_failure_is_nobody_elses_and_has_its_log(tmp_path: Path, world: World) -> None:
    lines = "for n in $(seq 1 50); do echo line $n; done; echo it broke >&2; exit 7"
    todo = await releases(
        world,
        "failure",
        {"good": 'd "good" [ ] "echo > $out"', "bad": f'd "bad" [ (d "part" [ ] "{lines}") ] "echo > $out"'},
    )
    nix = world.nix()
    results = await build(todo, nix, roots(tmp_path, nix))

    error = results["bad"]
    assert results["good"] is None
    assert isinstance(error, BuildError)
    assert error.message == "bad: part could not be built: its builder failed with exit code 7"
    assert error.details[-2:] == ("line 50", "it broke")
    assert len(error.details) == 30
    assert error.hint is not None
    assert error.hint.endswith("-part.drv")


async def test_what_machines_share_fails_all_of_them(tmp_path: Path, world: World) -> None:
    todo = await releases(
        world,
        "shared",
        {name: f'd "{name}" [ s.part ] "echo > $out"' for name in ("a", "b")},
        shared='{ part = d "part" [ ] "echo why; exit 1"; }',
    )
    heard: list[BuildLine] = []
    nix = world.nix()
    results = await build(todo, nix, roots(tmp_path, nix), on_line=heard.append)

    assert [line.hosts for line in heard if line.text == "why"] == [("a", "b")]
    assert [error.details for error in results.values() if error is not None] == [("why",), ("why",)]


async def test_lines_are_told_to_the_machines_that_need_them(tmp_path: Path, world: World) -> None:
    todo = await releases(
        world, "lines", {"a": 'd "one" [ ] "echo for a; echo > $out"', "b": 'd "two" [ ] "echo for b; echo > $out"'}
    )
    heard: list[BuildLine] = []
    nix = world.nix()
    await build(todo, nix, roots(tmp_path, nix), on_line=heard.append)

    assert sorted((line.hosts, line.name, line.text) for line in heard) == [
        (("a",), "one", "building"),
        (("a",), "one", "for a"),
        (("b",), "two", "building"),
        (("b",), "two", "for b"),
    ]


async def test_a_machine_is_known_to_be_built_while_others_still_are(tmp_path: Path, world: World) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    todo = await releases(
        world,
        "early",
        {"quick": 'd "quick" [ ] "echo > $out"', "slow": f'd "slow" [ ] "read word < {fifo}; echo $word > $out"'},
    )
    built: list[str] = []
    end = os.open(fifo, os.O_RDWR)

    def on_built(host: str) -> None:
        built.append(host)
        os.write(end, b"go\n")

    def only_quick(host: str) -> None:
        if host == "quick":
            on_built(host)
        else:
            built.append(host)

    nix = world.nix()
    try:
        await build(todo, nix, roots(tmp_path, nix), on_built=only_quick, limits=BuildLimits(jobs=2))
    finally:
        os.close(end)  # not before: what was written goes with the last open end

    assert built == ["quick", "slow"]  # the slow one waits for what is written once the quick one is known


async def test_what_was_collected_has_to_be_evaluated_again(tmp_path: Path, world: World) -> None:
    store = world.folder / "store"
    gone = release("gone", f"{store}/{'0' * 32}-gone.drv", f"{store}/{'1' * 32}-gone")
    nix = world.nix()
    results = await build([gone], nix, roots(tmp_path, nix))

    assert isinstance(results["gone"], StaleReleaseError)
    assert nix.started == 0


async def test_a_full_disk_is_called_so(tmp_path: Path, world: World) -> None:
    todo = await releases(world, "full", {"a": 'd "a" [ ] "echo cp: No space left on device >&2; exit 1"'})
    nix = world.nix()

    assert isinstance((await build(todo, nix, roots(tmp_path, nix)))["a"], DiskFullError)


async def test_derivations_tell_whose_they_are(world: World) -> None:
    (one, two) = await releases(
        world,
        "whose",
        {"one": 'd "one" [ s.part ] "x"', "two": 'd "two" [ s.part (d "own" [ ] "x") ] "x"'},
        shared='{ part = d "part" [ ] "x"; }',
    )
    users = Derivations().users({r.host: [r.system.drv] for r in (one, two)})

    assert {name_of(drv): hosts for drv, hosts in users.items()} == {
        "one": ("one",),
        "two": ("two",),
        "part": ("one", "two"),
        "own": ("two",),
    }
