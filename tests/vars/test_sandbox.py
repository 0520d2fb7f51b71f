from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from clanpy.errors import ToolMissingError
from clanpy.generators.errors import GeneratorFailedError
from clanpy.generators.sandbox import (
    BUBBLEWRAP,
    NAMESPACES,
    NO_SANDBOX,
    Job,
    Sandbox,
    _seatbelt,
    _why_not,
    find_sandbox,
)
from clanpy.generators.scripts import hidden, run_script
from clanpy.generators.tools import tools_on_path
from clanpy.secrets import Secret
from clanpy.secrets.errors import PlaintextPlaceError
from clanpy.secrets.scratch import is_memory
from clanpy.services.generator import Generator, VarFile
from clanpy.vars import Inputs
from support.vault import NOON


BOXES = [
    pytest.param(box, marks=pytest.mark.skipif(_why_not(box) is not None, reason=str(_why_not(box))), id=box.name)
    for box in (BUBBLEWRAP, NAMESPACES)
]
EVERYWHERE = [*BOXES, pytest.param(NO_SANDBOX, id="none")]
INPUTS = Inputs(
    name="web/g",
    machine="web",
    now=NOON,
    dependencies={"ca": {"key": Secret("the key of the ca")}},
    prompts={"p": Secret("the answer")},
)


async def said_by(body: str, box: Sandbox, inputs: Inputs = INPUTS, **how: float) -> str:
    """What a script writes into its file `said`."""
    generator = Generator(name="g", script=f"{{ {body}\n}} > $out/said", files={"said": VarFile()})
    made = await run_script(generator, inputs, box, tools_on_path(), **how)
    return made["said"].text().strip()


@pytest.mark.parametrize("box", EVERYWHERE)
async def test_a_script_finds_its_inputs_and_answers(box: Sandbox) -> None:
    assert await said_by("cat $in/ca/key $prompts/p", box) == "the key of the cathe answer"


@pytest.mark.parametrize("box", BOXES)
async def test_a_script_sees_no_home_no_network_no_other_processes_and_no_environment(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PLANTED", "in the environment")
    (tmp_path / "mine").write_text("x")

    said = await said_by(
        f"""
        env
        ls {Path.home()} {tmp_path} {Path.cwd()} 2>&1 || true
        grep -c : /proc/net/dev
        ls /proc | grep -c '^[0-9]'
        (exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null || echo no network
        id -u; whoami; hostname
        """,
        box,
    )

    assert "PLANTED" not in said
    assert said.count("No such file or directory") == 3
    assert "no network" in said
    names = {line.partition("=")[0] for line in said.splitlines() if "=" in line}
    assert names <= {"PATH", "HOME", "TMPDIR", "LC_ALL", "in", "out", "prompts", "PWD", "OLDPWD", "SHLVL", "_"}
    interfaces, processes, *others = said.splitlines()[-6:]
    assert (interfaces, *others) == ("1", "no network", "1000", "generator", "generator")
    assert int(processes) < 10


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(
    "place", ["/x", "/usr/x", "/etc/x", "$in/x", "$prompts/x", "/generator/x", "/proc/sys/kernel/x"]
)
async def test_a_script_can_write_nowhere_but_to_its_output(box: Sandbox, place: str) -> None:
    said = await said_by(f"(echo x > {place}) 2>&1 || echo refused", box)

    assert said.splitlines()[-1] == "refused"


@pytest.mark.parametrize("box", BOXES)
async def test_a_script_has_a_place_of_its_own_that_is_gone_afterwards(box: Sandbox) -> None:
    await said_by("touch /tmp/mine", box)
    assert await said_by("ls /tmp | wc -l", box) == "0"


@pytest.mark.parametrize("box", EVERYWHERE)
async def test_a_script_stops_at_the_first_error(box: Sandbox) -> None:
    for body in ("false; touch $out/x", "echo $no_such_variable", "false | true", "exit 7"):
        with pytest.raises(GeneratorFailedError):
            await said_by(body, box)


@pytest.mark.parametrize("box", EVERYWHERE)
async def test_a_script_that_takes_too_long_is_ended_with_all_that_it_started(box: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(GeneratorFailedError, match="took longer than 0 s"):
        await said_by("sleep 987 & sleep 987; wait", box, seconds=0.3)

    assert not any(b"987" in command for command in commands())


def commands() -> Iterator[bytes]:
    """The command lines of all processes."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (process / "cmdline").read_bytes()


@pytest.mark.parametrize("box", EVERYWHERE)
async def test_tracing_a_script_shows_nothing(box: Sandbox) -> None:
    generator = Generator(
        name="g", script='set -x; x=$(cat $in/ca/key); test "$x" = PLANTED-NOWHERE', files={"said": VarFile()}
    )
    with pytest.raises(GeneratorFailedError) as failure:
        await run_script(generator, INPUTS, box, tools_on_path())
    assert "the key of the ca" not in str(failure.value.details)


async def test_what_a_failing_script_says_is_told_without_values() -> None:
    planted = "s3cr3t-made-by-the-script-itself-0123456789"
    body = f"""
        echo made {planted} in here >&2
        echo reading $(cat $in/ca/key) and $(cat $prompts/p) >&2
        printf written-by-me > $out/other; echo wrote $(cat $out/other) >&2
        echo cannot open /etc/passwd: no space >&2
        exit 1
    """
    with pytest.raises(GeneratorFailedError) as failure:
        await said_by(body, BUBBLEWRAP if _why_not(BUBBLEWRAP) is None else NO_SANDBOX)

    told = "\n".join(failure.value.details)
    for secret in (planted, "the key of the ca", "the answer", "written-by-me"):
        assert secret not in told
    assert "cannot open /etc/passwd: no space" in told
    assert "reading <secret>" in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("line 3: foo: command not found", "line 3: foo: command not found"),
        ("key AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L done", "key <hidden> done"),
        ("hash 5d41402abc4b2a76b9719d911017c592", "hash <hidden>"),
        ("/nix/store/0c0v1k2j3h4g5f6d7s8a9q-coreutils-9.1/bin/ls: not found", None),
    ],
)
def test_what_looks_like_a_key_is_not_shown(text: str, expected: str | None) -> None:
    assert hidden(text, []) == [expected or text]


def test_the_job_runs_in_memory(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    job = Job(tmp_path, "/bin/bash", ("/usr/bin",))
    for box in (BUBBLEWRAP, NAMESPACES, NO_SANDBOX):
        command = box.command(job)
        assert str(tmp_path) in " ".join(command)
        assert not any("the key" in word for word in command)


async def test_without_memory_no_script_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if is_memory(tmp_path):
        pytest.skip("the temporary folder of this computer is memory")
    monkeypatch.setenv("CLANPY_TMPFS", str(tmp_path))
    with pytest.raises(PlaintextPlaceError):
        await said_by("true", NO_SANDBOX)


async def test_a_program_that_is_not_there_is_told() -> None:
    generator = Generator(
        name="g", script="true", files={"x": VarFile()}, runtime_inputs=("no-such-program", "openssh")
    )
    with pytest.raises(ToolMissingError, match="needs no-such-program"):
        await run_script(generator, INPUTS, NO_SANDBOX, tools_on_path())


def test_packages_are_found_by_a_program_of_theirs() -> None:
    assert tools_on_path()(["openssh", "gnugrep", "pkgs.openssl"])


def test_no_sandbox_says_what_it_gives_up() -> None:
    assert "network" in str(find_sandbox(wanted=False).gives_up)
    assert find_sandbox().gives_up is None


def test_the_profile_for_macos_denies_by_default(tmp_path: Path) -> None:
    command = _seatbelt(Job(tmp_path, "/bin/bash", ("/usr/bin",)))
    profile = command[2]
    assert "(deny default)" in profile
    assert "network" not in profile
    assert f'(subpath "{tmp_path}/out")' in profile


def test_what_is_not_on_the_path_is_built() -> None:
    asked: list[Sequence[str]] = []

    def build(packages: Sequence[str]) -> tuple[str, ...]:
        asked.append(packages)
        return ("/nix/store/x/bin",)

    found = tools_on_path(build=build)(["openssh", "no-such-program-here"])
    assert asked == [["no-such-program-here"]]
    assert found[0] == "/nix/store/x/bin"
    assert len(found) > 1
