"""Secrets are planted in answers, in values that scripts make, and in keys; then every place is searched where they must not be."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clanpy.errors import ClanpyError
from clanpy.generators.maintain import fix, rotate_keys
from clanpy.generators.values import get, listed, put
from clanpy.secrets import Secret
from clanpy.secrets.disk import Disk
from clanpy.services.generator import PUBLIC, Generator, Password, Prompt, SshKey, VarFile
from clanpy.vars import How, Session
from support.generators import Scripted, generated, script, session
from support.vault import Vault


# Found by chance nowhere, and with nothing in it that looks like a key: only who knows the value can hide it.
ANSWER = "planted-answer"
MADE = "planted-by-a-script"
PROSE = "planted prose nobody says"
PLANTED = (ANSWER, MADE, PROSE)


@dataclass
class Watched(Disk):
    """Remembers everything that is written to the fleet."""

    written: list[bytes] = field(default_factory=list)

    def write(self, path: Path, content: bytes, mode: int) -> None:
        self.written.append(content)
        super().write(path, content, mode)


@dataclass
class Watch:
    """What was seen while something ran: arguments, environments and files on disks."""

    folder: Path
    seen: list[bytes] = field(default_factory=list)
    processes: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Look at every process but this one, and at the files that are there now."""
        for process in Path("/proc").glob("[0-9]*"):
            if process.name != str(os.getpid()):
                with suppress(OSError):
                    command = (process / "cmdline").read_bytes()
                    self.processes.add(command.decode(errors="replace"))
                    self.seen.append(command)
                    if (
                        b"--norc" not in command
                    ):  # the script itself, in its sandbox, has paths there and no values either
                        self.seen.append((process / "environ").read_bytes())
        with suppress(OSError):  # folders come and go
            for path in self.folder.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    self.seen.append(path.read_bytes())


@contextmanager
def watching(folder: Path) -> Iterator[Watch]:
    watch, stop = Watch(folder), threading.Event()

    def sample() -> None:
        while not stop.is_set():
            watch.look()

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
        watch.look()


FLEET = [
    Generator(name="asked", prompts={"p": Prompt(type="hidden", persist=True)}),
    Generator(
        name="password", kind=Password(hash="sha512", prompt="q"), prompts={"q": Prompt(type="multiline-hidden")}
    ),
    # The body of a script is no secret (it is in the fleet, and in Nix); what it makes is. So it makes it from an answer.
    script("made", "cat $prompts/s > $out/value; sleep 0.3", prompts={"s": Prompt(type="hidden")}),
    script(
        "both",
        "cat $in/made/value $prompts/r > $out/value; echo public > $out/seen; sleep 0.3",
        files={"value": VarFile(), "seen": PUBLIC},
        dependencies=("made",),
        prompts={"r": Prompt(type="hidden")},
    ),
    Generator(name="ssh", kind=SshKey()),
]


def answer(question: object) -> str:
    return {"p": ANSWER, "q": PROSE, "r": ANSWER, "s": MADE}[str(question).rpartition("/")[2]]


async def a_run(vault: Vault, opened: Session) -> None:
    await generated(opened, how=How(prompter=Scripted(answer)))


async def a_second_run(vault: Vault, opened: Session) -> None:
    await a_run(vault, opened)
    await generated(opened, regenerate=True, how=How(prompter=Scripted(answer)))


async def maintenance(vault: Vault, opened: Session) -> None:
    await a_run(vault, opened)
    await put(opened, "web", "asked", Secret(MADE))
    (vault.root / "vars/per-machine/web/asked/p/users/bob").symlink_to("../../../../../../sops/users/bob")
    await fix(opened)
    await rotate_keys(opened)
    assert get(opened, "web", "asked") == Secret(MADE)
    print(list(listed(opened, "web")), opened, opened.fresh())  # noqa: T201 - so that it is searched
    logging.getLogger("test").warning("%s %r", get(opened, "web", "made"), get(opened, "web", "made"))


def failing(body: str) -> Callable[[Vault, Session], object]:
    async def run(vault: Vault, opened: Session) -> None:
        bad = script("zbad", body, dependencies=("made", "asked"), prompts={"s": Prompt(type="hidden")})
        await generated(
            session(vault, {"web": [*FLEET, bad]}, disk=opened.tree.disk), how=How(prompter=Scripted(answer, retries=1))
        )

    return run


async def a_function_that_raises(vault: Vault, opened: Session) -> None:
    bad = Generator(name="bad", python="planted_module:raising", files={"x": VarFile()}, dependencies=("made",))
    await generated(session(vault, {"web": [*FLEET, bad]}, disk=opened.tree.disk), how=How(prompter=Scripted(answer)))


async def a_password_that_can_not_be(vault: Vault, opened: Session) -> None:
    await generated(opened, how=How(prompter=Scripted(lambda q: f"{answer(q)}\n{ANSWER}")))


async def a_wrong_key(vault: Vault, opened: Session) -> None:
    await a_run(vault, opened)
    get(session(vault, {"web": FLEET}, who="bob"), "web", "asked")


async def a_tampered_file(vault: Vault, opened: Session) -> None:
    await a_run(vault, opened)
    path = vault.root / "vars/per-machine/web/asked/p/secret"
    document = json.loads(path.read_text())
    document["sops"]["lastmodified"] = "2031-01-01T00:00:00Z"
    path.write_text(json.dumps(document))
    get(opened, "web", "asked")


RUNS = {
    "a run": a_run,
    "a second run": a_second_run,
    "maintenance": maintenance,
    "a script that says all it knows": failing("cat $in/*/* $prompts/* >&2; cat $in/*/* | rev | rev; exit 1"),
    "a script that is traced": failing('set -x; a=$(cat $in/made/value); b=$a$a; test "$b" = c'),
    "a script with a syntax error": failing('a="$(cat $in/made/value)"; eval "$a ("'),
    "a script that uses a value as a command": failing('"$(cat $in/made/value)"'),
    "a script that makes a file named like a value": failing('touch "$out/$(cat $in/made/value)" $out/value'),
    "a script that makes too many": failing("cp $in/made/value $out/other; touch $out/value"),
    "a function that raises": a_function_that_raises,
    "a password that can't be": a_password_that_can_not_be,
    "a wrong key": a_wrong_key,
    "a tampered file": a_tampered_file,
}
GOOD = {"a run", "a second run", "maintenance"}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_planted_secrets_are_found_nowhere(  # noqa: PLR0917 - fixtures
    run: Callable[[Vault, Session], object],
    vault: Vault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "planted_module.py").write_text(
        "def raising(inputs):\n    x = inputs.need('made', 'value').text()\n    raise KeyError(x, inputs)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    disk = Watched()
    told = ""

    with watching(tmp_path) as watch:
        try:
            asyncio.run(run(vault, session(vault, {"web": FLEET}, disk=disk)), debug=True)  # type: ignore[arg-type]  # a coroutine
        except* ClanpyError as group:
            told = "".join(traceback.format_exception(group)) + json.dumps([_whole(e) for e in group.exceptions])

    out, err = capfd.readouterr()
    places = {
        "processes and files": b"\n".join(watch.seen).decode(errors="replace"),
        "writes": b"\n".join(disk.written).decode(errors="replace"),
        "errors": told,
        "log": caplog.text,
        "stdout": out,
        "stderr": err,
    }
    for place, text in places.items():
        for secret in PLANTED:
            assert secret not in text, f"{secret} in {place}"
    assert bool(told) is not (request.node.callspec.id in GOOD)
    assert any("bwrap" in command or "jail.py" in command for command in watch.processes)


def _whole(error: BaseException) -> object:
    return error.to_dict() if isinstance(error, ClanpyError) else repr(error)
