"""Running Nix: where it is, what it is told, and how its processes end.

Nix 2.8 is the oldest that is supported. What it lacks is worked around here and in the modules above, which use only what 2.8 has:
`nix eval --json --expr`, `nix-store --realise`, `nix-store -q`, `nix copy`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clanpy.errors import ClanpyError
from clanpy.nix.errors import NixCommandError, NixMissingError, tail
from clanpy.nix.files import write_atomically
from clanpy.nix.render import to_json


FEATURES = "extra-experimental-features = nix-command flakes"
ELSEWHERE = "let machines build for themselves: --build-host target"
GRACE = 5.0  # seconds that Nix has to let go of what it holds
LINE_LIMIT = 1 << 20  # bytes of one line: builds print long ones
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended. `status` is its exit code, negative for the signal that ended it."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def check(self, what: str) -> str:
        """Its standard output.

        Raises:
            NixCommandError: it failed; `what` says what was tried.
        """
        if self.status != 0:
            raise NixCommandError(f"{what}: {self.argv[0]} ended with {self.status}", details=tail(self.stderr))
        return self.stdout


@dataclass(slots=True)
class NixProgram:
    """The Nix of this machine.

    Attributes:
        path: the program `nix`.
        config: lines of nix.conf that hold for every process.
        environ: the environment of every process.
        started: how many processes were started.
    """

    path: Path
    config: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    started: int = field(default=0, init=False)

    @classmethod
    def find(cls, *, config: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> NixProgram:
        """Find Nix: `CLANPY_NIX`, else on the PATH, else where installers put it. Starts no process.

        Raises:
            NixMissingError: there is none.
        """
        environ = dict(os.environ if environ is None else environ)
        named = environ.get("CLANPY_NIX")
        if named:
            if not os.access(named, os.X_OK):
                raise NixMissingError(f"CLANPY_NIX names {named}, which is no program", hint=ELSEWHERE)
            return cls(Path(named).absolute(), tuple(config), environ)
        for folders in (environ.get("PATH"), "/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin"):
            found = shutil.which("nix", path=folders)
            if found:
                return cls(Path(found), tuple(config), environ)
        raise NixMissingError(
            "there is no Nix on this machine",
            hint=f"install it (on Debian: apt-get install nix-bin), say with CLANPY_NIX where it is, or {ELSEWHERE}",
        )

    @property
    def store_dir(self) -> str:
        """The folder of the store that paths lie in."""
        return self.environ.get("NIX_STORE_DIR", "/nix/store").rstrip("/")

    @property
    def state_dir(self) -> Path:
        """Where Nix keeps profiles and GC roots."""
        return Path(self.environ.get("NIX_STATE_DIR", "/nix/var/nix"))

    async def version(self, cache_dir: Path) -> tuple[int, ...]:
        """The version, e.g. `(2, 8, 0)`. Asked once, and again when the program has changed."""
        program = self.path.resolve()
        status = program.stat()
        stamp = [str(program), status.st_mtime_ns, status.st_size]
        file = cache_dir / "nix-version.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(file.read_bytes())
            if known["program"] == stamp:
                return tuple(known["version"])
        done = await self.run(["nix", "--version"])
        match = _VERSION.search(done.check("asking for the version of Nix"))
        if match is None:
            raise NixCommandError(f"{self.path} does not say its version", details=tail(done.stdout))
        version = tuple(int(part) for part in match.groups("0"))
        with contextlib.suppress(OSError):
            write_atomically(file, to_json({"program": stamp, "version": version}).encode())
        return version

    def environment(self) -> dict[str, str]:
        """The environment of a Nix process: the caller's NIX_CONFIG comes first, so that ours wins. It gets no private key."""
        lines = [self.environ.get("NIX_CONFIG", ""), FEATURES, *self.config]
        others = {name: value for name, value in self.environ.items() if name != "SOPS_AGE_KEY"}
        return {**others, "NIX_CONFIG": "\n".join(line for line in lines if line)}

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002 - the name that subprocess has for it
        on_line: Callable[[str], None] | None = None,
        cwd: Path | None = None,
        into: socket.socket | None = None,
        on_start: Callable[[int], None] | None = None,
    ) -> Finished:
        """Run a program of Nix (`argv[0]` is `nix`, `nix-store`, …) to its end.

        `on_line` gets each line of its standard error at once, and a socket `into` all of its standard output. `on_start` is told
        the number of its process. When the caller is cancelled, the program and all that it started are ended.
        """
        self.started += 1
        process = await self._spawn(argv, has_input=input is not None, cwd=cwd, into=into)
        try:
            if on_start is not None:
                on_start(process.pid)
            async with asyncio.TaskGroup() as group:
                out = group.create_task(_read(process.stdout) if into is None else _nothing())
                err = group.create_task(_read(process.stderr, on_line))
                group.create_task(_feed(process.stdin, input))
            status = await process.wait()
        except BaseException:
            await _end(process)
            raise
        return Finished(tuple(argv), status, out.result(), err.result())

    async def _spawn(
        self, argv: Sequence[str], *, has_input: bool, cwd: Path | None, into: socket.socket | None
    ) -> asyncio.subprocess.Process:
        """Start a program at the head of a process group of its own.

        A cancellation that comes while it starts waits until there is a group that can be ended: asyncio itself would end the
        program alone, and leave what it has started by then.
        """
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._command(argv),
                stdin=asyncio.subprocess.PIPE if has_input else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if into is None else into.fileno(),
                stderr=asyncio.subprocess.PIPE,
                env=self.environment(),
                cwd=cwd,
                start_new_session=True,
                limit=LINE_LIMIT,
            )
        )
        try:
            return await asyncio.shield(starting)
        except OSError as error:
            raise NixMissingError(f"{argv[0]} can't be started: {error.strerror}") from error
        except asyncio.CancelledError:
            await _end(await starting)
            raise

    def _command(self, argv: Sequence[str]) -> list[str]:
        name, *arguments = argv
        if name == "nix":
            return [str(self.path), *arguments]
        beside = self.path.with_name(name)
        found = str(beside) if beside.exists() else shutil.which(name, path=self.environ.get("PATH"))
        if found is None:
            raise NixMissingError(f"there is no {name} beside {self.path}")
        return [found, *arguments]


@contextlib.contextmanager
def one_error() -> Iterator[None]:
    """Around a task group: if all that went wrong in it are errors for users, the first one goes on by itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        _, others = group.split(ClanpyError)
        if others is not None:
            raise
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


async def _read(stream: asyncio.StreamReader | None, on_line: Callable[[str], None] | None = None) -> str:
    """All that a stream brings; lines longer than the limit come in pieces."""
    assert stream is not None
    if on_line is None:
        return (await stream.read()).decode(errors="replace")
    lines: list[str] = []
    while True:
        try:
            raw = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            raw = end.partial
        except asyncio.LimitOverrunError as long:
            raw = await stream.readexactly(long.consumed)
        if not raw:
            return "".join(lines)
        text = raw.decode(errors="replace")
        lines.append(text)
        on_line(text.rstrip("\r\n"))


async def _nothing() -> str:
    return ""


async def _feed(stream: asyncio.StreamWriter | None, data: bytes | None) -> None:
    if stream is None or data is None:
        return
    with contextlib.suppress(ConnectionError):  # it did not want to hear it all
        stream.write(data)
        await stream.drain()
    stream.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process and all of its group: asked first, then made."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
