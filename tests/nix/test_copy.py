"""Copying with real Nix into a second store, through a socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clanpy.nix.copy import Closures, CopyProgress, PathInfo, closures, copy
from clanpy.nix.database import StoreDatabase
from clanpy.nix.errors import CopyError, DiskFullError, NixCommandError
from clanpy.nix.nar import digest_of
from clanpy.nix.program import NixProgram
from nix.world import World


pytestmark = pytest.mark.nix

DERIVATION = (
    '(n: deps: script: derivation { name = n; inherit deps; system = "x86_64-linux"; builder = "/bin/sh";'
    ' PATH = "/usr/bin:/bin"; args = [ "-euc" script ]; })'
)


async def two_paths(world: World) -> tuple[str, str]:
    """A path, and another that refers to it."""
    base = f'({DERIVATION} "base" [ ] "head -c 100000 /dev/zero > $out")'
    built = await world.build({"base": base, "top": f'({DERIVATION} "top" [ {base} ] "echo $deps > $out")'})
    return str(built["base"]), str(built["top"])


@contextlib.asynccontextmanager
async def other_store(world: World, root: Path) -> AsyncIterator[Path]:
    """A socket behind which a daemon of another store answers: one with the same names, below `root`."""
    environ = world.nix("trusted-users = *").environment()
    store = environ["NIX_STORE_DIR"]
    for name in ("NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR"):
        del environ[name]
    environ["NIX_REMOTE"] = f"local?root={root}&store={store}&state={root}/state&log={root}/log&real={root}/store"
    program = world.nix().path.with_name("nix-daemon")
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        daemon = await asyncio.create_subprocess_exec(
            program, "--stdio", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environ
        )
        assert daemon.stdin is not None
        assert daemon.stdout is not None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pipe(reader, daemon.stdin))
            tasks.create_task(pipe(daemon.stdout, writer))
        await daemon.wait()
        served.set()

    server = await asyncio.start_unix_server(serve, root / "socket")
    async with server:
        yield root / "socket"
        await served.wait()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The folder of another store."""
    (tmp_path / "other").mkdir()
    return tmp_path / "other"


async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        sink.write(data)
        with contextlib.suppress(ConnectionError):
            await sink.drain()
    sink.close()


async def test_a_path_and_what_it_refers_to_arrive_with_progress(elsewhere: Path, world: World) -> None:
    base, top = await two_paths(world)
    told: list[CopyProgress] = []
    async with other_store(world, elsewhere) as socket:
        await copy([top], socket, world.nix(), host="alpha", on_progress=told.append, sizes={base: 100_112})

    assert (elsewhere / "store" / Path(base).name).stat().st_size == 100_000
    assert (elsewhere / "store" / Path(top).name).read_text() == f"{base}\n"
    assert told[-1].paths_done == 2
    assert told[-1].bytes_done >= 100_112
    assert "base" in {progress.path for progress in told}


async def test_nothing_to_copy_starts_no_nix(tmp_path: Path, world: World) -> None:
    nix = world.nix()
    await copy([], tmp_path / "nowhere", nix, host="alpha")

    assert nix.started == 0


async def test_a_socket_that_nobody_answers_is_an_error_that_names_the_host(tmp_path: Path, world: World) -> None:
    _, top = await two_paths(world)

    with pytest.raises(CopyError, match="alpha: store paths could not be copied") as caught:
        await copy([top], tmp_path / "nowhere", world.nix(), host="alpha")
    assert caught.value.details


async def test_a_full_disk_over_there_is_called_so(tmp_path: Path) -> None:
    program = tmp_path / "nix"
    program.write_text('#!/bin/sh\necho "error: writing to file: No space left on device" >&2\nexit 1\n')
    program.chmod(0o755)
    nix = NixProgram.find(environ={**os.environ, "CLANPY_NIX": str(program)})

    with pytest.raises(DiskFullError, match="alpha: no space left"):
        await copy(["/nix/store/x"], tmp_path / "s", nix, host="alpha")


@pytest.mark.parametrize("processes", [0, 1])
async def test_closures_are_asked_once_for_many_and_sorted_for_sending(
    world: World, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, top = await two_paths(world)
    nix = world.nix()
    if processes:  # of a later Nix, whose database nobody knows yet
        monkeypatch.setattr("clanpy.nix.database.SCHEMA", "11")
    known = await closures([top, base], nix)

    assert nix.started == processes
    assert [info.path for info in known.of(top)] == [base, top]
    assert [info.path for info in known.of(base)] == [base]
    assert known.size([base]) > 100_000


async def test_the_database_says_what_nix_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, top = await two_paths(world)
    read = await closures([top], world.nix())
    monkeypatch.setattr("clanpy.nix.database.SCHEMA", "11")
    told = await closures([top], world.nix())

    def known(found: Closures) -> list[tuple[object, ...]]:
        return [
            (i.path, i.size, sorted(i.references), i.refers_to_itself, digest_of(i.nar_hash), i.deriver, i.signatures)
            for i in found.of(top)
        ]

    assert known(read) == known(told)


@pytest.mark.parametrize("changed", [{"NIX_REMOTE": "ssh-ng://elsewhere"}, {"NIX_CONFIG": "store = /other"}])
def test_the_database_of_this_computer_is_not_asked_about_another_store(world: World, changed: dict[str, str]) -> None:
    assert StoreDatabase.of(NixProgram.find(environ={**world.environ, **changed})) is None


async def test_a_path_that_is_not_there_is_an_error(world: World) -> None:
    with pytest.raises(NixCommandError, match="closure"):
        await closures([f"{world.folder}/store/{'0' * 32}-gone"], world.nix())


def test_what_a_path_refers_to_is_sent_before_it() -> None:
    infos = {
        "a": PathInfo("a", 1, ("b", "c")),
        "b": PathInfo("b", 2, ("d",)),
        "c": PathInfo("c", 4, ("d", "b")),
        "d": PathInfo("d", 8, ()),
    }
    found = Closures(infos)

    assert [info.path for info in found.of("a", "c")] == ["d", "b", "c", "a"]
    assert found.size(["a", "d"]) == 9
