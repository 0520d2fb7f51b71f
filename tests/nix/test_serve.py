"""Speaking to a store directly: against a real `nix-store --serve`, in a store of its own."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from clanpy.nix.copy import Closures, closures
from clanpy.nix.errors import CopyError
from clanpy.nix.nar import nar_hash
from clanpy.nix.program import NixProgram
from clanpy.nix.serve import serving


pytestmark = pytest.mark.nix
Answering = Callable[[str], AbstractContextManager[Path]]


@pytest.fixture
def nix(tmp_path: Path) -> NixProgram:
    config = ("sandbox = false", "build-users-group =", "substituters =")
    return NixProgram.find(config=config)


@pytest.fixture
def answering(tmp_path: Path, nix: NixProgram) -> Answering:
    """A socket at which a command answers one connection."""

    @contextmanager
    def start(command: str) -> Iterator[Path]:
        path = tmp_path / "socket"

        def answer(listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with connection:
                subprocess.run(
                    command,
                    shell=True,
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=subprocess.DEVNULL,
                    env=nix.environment(),
                    check=False,
                )

        with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
            listener.bind(str(path))
            listener.listen()
            pool.submit(answer, listener)
            yield path

    return start


@pytest.fixture
async def tops(nix: NixProgram) -> tuple[str, Closures]:
    """A path that refers to another, and to itself."""
    expression = """
      let one = derivation { name = "one"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
                             args = [ "-c" "mkdir -p $out/bin; echo hi > $out/bin/x; chmod +x $out/bin/x; ln -s x $out/y" ]; };
      in derivation { name = "two"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
                      args = [ "-c" "echo ${one} $out > $out" ]; }
    """
    done = await nix.run(["nix-build", "--no-out-link", "--expr", expression])
    top = done.check("building").strip()
    return top, await closures([top], nix)


async def test_what_is_missing_is_told_added_and_then_there(
    tmp_path: Path, answering: Answering, nix: NixProgram, tops: tuple[str, Closures]
) -> None:
    top, known = tops
    store, infos = tmp_path / "store", known.of(top)
    paths = [info.path for info in infos]
    with answering(f"nix-store --store {store} --serve --write") as path:
        async with serving(path, "galena") as server:
            assert await server.valid(paths) == frozenset()
            for info in infos:
                await server.add(info)
            assert await server.valid([*paths, "/nix/store/00000000000000000000000000000000-none"]) == frozenset(paths)
    checked = await nix.run(["nix-store", "--store", str(store), "--verify", "--check-contents"])
    assert checked.status == 0
    assert [nar_hash(Path(path)) for path in paths] == [nar_hash(Path(f"{store}{path}")) for path in paths]
    assert os.access(f"{store}{paths[0]}/bin/x", os.X_OK)
    assert infos[-1].refers_to_itself


async def test_all_paths_are_sent_before_the_first_answer_is_waited_for(
    tmp_path: Path, answering: Answering, tops: tuple[str, Closures]
) -> None:
    """The store here answers nothing until it has read everything: nothing would be added if anybody waited for it before."""
    top, known = tops
    infos, store = known.of(top), tmp_path / "store"
    last = infos[-1].path
    read_all = f"sed -u '/{Path(last).name}/q' > {tmp_path}/read; cat {tmp_path}/read - | nix-store --store {store} --serve --write"
    with answering(read_all) as path:
        async with asyncio.timeout(20), serving(path, "galena") as server:
            await server.add_all(infos)
            assert await server.valid([last]) == frozenset({last})


async def test_a_path_that_is_not_as_it_was_built_is_not_sent(
    tmp_path: Path, answering: Answering, tops: tuple[str, Closures]
) -> None:
    top, known = tops
    wrong = replace(known.infos[top], nar_hash="sha256:0000000000000000000000000000000000000000000000000000")
    with answering(f"nix-store --store {tmp_path / 'store'} --serve --write") as path:
        async with serving(path, "galena") as server:
            with pytest.raises(CopyError, match="not as it was built"):
                await server.add(wrong)


@pytest.mark.parametrize("command", ["true", "echo 'Debian GNU/Linux 12, welcome to this host'; cat"])
async def test_what_is_no_store_is_an_error_and_no_hang(answering: Answering, command: str) -> None:
    with answering(command) as path, pytest.raises(CopyError, match="galena"):
        async with serving(path, "galena") as server:
            await server.valid(["/nix/store/00000000000000000000000000000000-none"])


async def test_a_store_that_refuses_ends_the_conversation(
    tmp_path: Path, answering: Answering, tops: tuple[str, Closures]
) -> None:
    top, known = tops
    with answering(f"nix-store --store {tmp_path / 'store'} --serve") as path:
        async with serving(path, "galena") as server:
            with pytest.raises(CopyError, match="ended the conversation"):
                await server.add(known.of(top)[0])
