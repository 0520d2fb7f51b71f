"""Running what a fleet brings itself: scripts in a sandbox, Python functions in this process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from clanpy.errors import ClanpyError
from clanpy.generators.errors import GeneratorFailedError, OutputsError
from clanpy.generators.inputs import Inputs, Outputs
from clanpy.generators.sandbox import Job, Sandbox
from clanpy.generators.tools import ToolFinder
from clanpy.secrets import Secret
from clanpy.secrets.errors import disk_errors
from clanpy.secrets.scratch import scratch_folder
from clanpy.services.generator import Generator


SECONDS = 300.0
_LAST_SECONDS = 5.0
_SHOWN_LINES = 20
_SHOWN_BYTES = 20_000
_LEAST_HIDDEN = 4  # shorter values would blot out half of every message
# Some programs refuse to run for an account that has no name.
_ACCOUNTS = {
    "passwd": "root:x:0:0::/:/bin/sh\ngenerator:x:1000:1000::/homeless:/bin/sh\n",
    "group": "root:x:0:\ngenerator:x:1000:\n",
}
# Whatever looks like key material is not shown, even where nobody knows it as a value: long, and of several kinds of
# characters without a space (a path has slashes at its start or a dot, and is shown).
_KEY_MATERIAL = re.compile(r"(?<![\w/.])(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+=-][\w+/=-]{15,}")


async def run_script(
    generator: Generator, inputs: Inputs, sandbox: Sandbox, tools: ToolFinder, *, seconds: float = SECONDS
) -> Outputs:
    """Run a generator's script and return what it wrote.

    Raises:
        GeneratorFailedError: it ended with an error or took too long; the details are its last lines, without values.
        OutputsError: it wrote other files than it declares.
        ToolMissingError: a program that it needs is not there.
        PlaintextPlaceError: there is no memory to run it in.
    """
    path = await asyncio.to_thread(tools, generator.runtime_inputs)
    with scratch_folder() as folder:
        job = _prepare(folder, generator, inputs, path)
        status, said = await _run(sandbox, job, seconds)
        if status != 0:
            why = f"took longer than {seconds:.0f} s" if status is None else f"ended with exit code {status}"
            known = [*_values(inputs), *_written(folder / "out")]
            raise GeneratorFailedError(f"the script of {inputs.name} {why}", details=hidden(said, known))
        return _collect(folder / "out", generator, inputs)


async def run_python(generator: Generator, inputs: Inputs) -> Outputs:
    """Call a generator's function in a thread of this process and return what it returned.

    Raises:
        GeneratorFailedError: it is not there, or raised; the details are where, without any value.
        OutputsError: it returned other files than the generator declares.
    """
    function = _function(generator, inputs)
    try:
        made = await asyncio.to_thread(function, inputs)
    except ClanpyError:
        raise
    except Exception as error:  # a boundary: what a fleet's own code raises may hold values, and is told without them
        raise GeneratorFailedError(
            f"the function of {inputs.name} raised {type(error).__name__}", details=_where(error)
        ) from None
    if not isinstance(made, Mapping) or not all(isinstance(v, bytes | str | Secret) for v in made.values()):
        raise OutputsError(f"the function of {inputs.name} returned no texts by file name")
    check_files(generator, inputs, made)
    return {name: value if isinstance(value, Secret) else Secret(value) for name, value in made.items()}


def check_files(generator: Generator, inputs: Inputs, made: Mapping[str, object]) -> None:
    """Compare the files that were made with those that are declared (persistent prompts are added later).

    Raises:
        OutputsError: some are missing, or some are not declared (their names are told unless they hold a value).
    """
    there = set(made)
    answers = {name for name, prompt in generator.prompts.items() if prompt.persist}
    declared = set(generator.outputs())
    missing, extra = sorted(declared - answers - there), sorted(there - declared)
    if missing or extra:
        known = [*_values(inputs), *(value for value in made.values() if isinstance(value, Secret))]
        extra = hidden("\n".join(extra), known)
        raise OutputsError(
            f"{inputs.name} did not make the files that it declares",
            place=generator.place,
            details=[*(f"missing: {name}" for name in missing), *(f"not declared: {name}" for name in extra)],
        )


def hidden(text: str, values: Iterable[Secret]) -> list[str]:
    """The last lines of what a script said, without any of the values and without what looks like a key."""
    known = {part for value in values for part in (value.text(), *value.text().split()) if len(part) >= _LEAST_HIDDEN}
    for part in sorted(known, key=len, reverse=True):
        text = text.replace(part, "<secret>")
    return [_KEY_MATERIAL.sub("<hidden>", line) for line in text.splitlines()[-_SHOWN_LINES:]]


def _prepare(folder: Path, generator: Generator, inputs: Inputs, path: tuple[str, ...]) -> Job:
    with disk_errors(f"prepare {inputs.name} in {folder}"):
        for name in ("in", "out", "prompts", "etc"):
            (folder / name).mkdir()
        for name, text in _ACCOUNTS.items():
            _put(folder / "etc" / name, text.encode())
        _put(folder / "script", (generator.script or "").encode())
        for dependency, files in inputs.dependencies.items():
            (folder / "in" / dependency).mkdir()
            for name, value in files.items():
                _put(folder / "in" / dependency / name, value.reveal())
        for name, value in inputs.prompts.items():
            _put(folder / "prompts" / name, value.reveal())
    shell = next(f"{place}/bash" for place in path if Path(place, "bash").exists())
    return Job(folder, shell, path)


def _put(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)


async def _run(sandbox: Sandbox, job: Job, seconds: float) -> tuple[int | None, str]:
    """The exit code (None when it took too long) and what was said on both channels."""
    process = await asyncio.create_subprocess_exec(
        *sandbox.command(job),
        env=dict(sandbox.environment(job)),
        cwd=job.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = bytearray()
    try:
        async with asyncio.timeout(seconds):
            await _listen(process.stdout, said)
            return await process.wait(), said.decode(errors="replace")
    except TimeoutError:
        return None, said.decode(errors="replace")
    finally:
        await _end(process, process.stdout)


async def _listen(stream: asyncio.StreamReader, said: bytearray) -> None:
    """Read to the end, and keep the last part."""
    while chunk := await stream.read(65536):
        said += chunk
        del said[:-_SHOWN_BYTES]


async def _end(process: asyncio.subprocess.Process, stream: asyncio.StreamReader) -> None:
    """Kill a process with all that it started; they are gone when nobody holds the other end of the stream any more."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_SECONDS):
            await _listen(stream, bytearray())


def _collect(out: Path, generator: Generator, inputs: Inputs) -> Outputs:
    made = {}
    with disk_errors(f"read what {inputs.name} made"):
        for path in sorted(out.iterdir()):
            if not stat.S_ISREG(path.lstat().st_mode):
                (name,) = hidden(path.name, _values(inputs))
                raise OutputsError(f"{inputs.name} made {name!r}, which is no file", place=generator.place)
            made[path.name] = Secret(path.read_bytes())
    check_files(generator, inputs, made)
    return made


def _values(inputs: Inputs) -> list[Secret]:
    return [*inputs.prompts.values(), *(value for files in inputs.dependencies.values() for value in files.values())]


def _written(out: Path) -> list[Secret]:
    return [Secret(path.read_bytes()) for path in out.rglob("*") if path.is_file() and not path.is_symlink()]


def _function(generator: Generator, inputs: Inputs) -> Callable[[Inputs], Any]:
    module, _, name = (generator.python or "").partition(":")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        raise GeneratorFailedError(
            f"{inputs.name} has python = {generator.python!r}, which can't be imported", place=generator.place
        ) from None
    if not callable(function):
        raise GeneratorFailedError(f"{inputs.name} has python = {generator.python!r}, which is no function")
    return function  # type: ignore[no-any-return]  # that it takes inputs is for it to keep


def _where(error: Exception) -> list[str]:
    """The places that an exception went through: no message, and no line of code, which could hold a value."""
    return [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
