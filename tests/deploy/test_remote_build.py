"""Building on the machine itself, and on another host, with no Nix on this computer."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from clanpy.deployment.making import Kind, Place, place_of
from clanpy.deployment.options import Options
from clanpy.errors import ExitCode
from clanpy.events import LogLine, Outcome, Stage, StageFinished
from clanpy.inventory.model import Deploy, Machine
from deploy.rehearsal import Rehearsal


Rehearse = Callable[..., Rehearsal]

SAYING = """
{ pkgs, ... }: { environment.etc."said".source = derivation {
    name = "talkative"; system = pkgs.system; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; salt = "%s";
    args = [ "-c" "echo from the builder; echo made > $out%s" ]; }; }
"""


@pytest.fixture
def nixless(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no Nix on this computer."""
    monkeypatch.setenv("CLANPY_NIX", "/nowhere/nix")


def machine(build_host: str | None) -> Machine:
    return Machine(
        name="web",
        class_="nixos",
        system="x86_64-linux",
        deploy=Deploy(target_host="root@web.lan", build_host=build_host),
    )


@pytest.mark.parametrize(
    ("build_host", "place"),
    [
        (None, Place(Kind.HERE)),
        ("local", Place(Kind.HERE)),
        ("localhost", Place(Kind.HERE)),
        ("target", Place(Kind.TARGET, "web")),
        ("web", Place(Kind.TARGET, "web")),
        ("root@web.lan", Place(Kind.TARGET, "web")),
        ("root@big.lan", Place(Kind.ELSEWHERE, "root@big.lan")),
    ],
)
def test_where_a_machine_is_built(build_host: str | None, place: Place) -> None:
    assert place_of(machine(build_host)) == place


def test_what_a_run_says_goes_before_what_the_machine_says() -> None:
    assert place_of(machine("root@big.lan"), "target") == Place(Kind.TARGET, "web")
    assert place_of(machine("target"), "local") == Place(Kind.HERE)


@pytest.mark.lab
@pytest.mark.nix
@pytest.mark.usefixtures("nixless")
async def test_machines_build_themselves_and_tell_their_log(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=1, darwin=1)
    fleet.configure(fleet.hosts[0], SAYING % (fleet.folder, ""))
    on_target = Options(build_host="target", confirm_within=20)
    result = await fleet.update(options=on_target)
    assert [host.outcome for host in result.state.hosts.values()] == [Outcome.CONFIRMED] * 2
    assert result.nix_processes == 0
    assert [fleet.greeting(host) for host in fleet.hosts] == ["hello", "hello"]
    lines = [fact.line for fact in fleet.facts if isinstance(fact, LogLine) and fact.stage is Stage.BUILD]
    assert "talkative: from the builder" in lines
    for host in fleet.hosts:
        roots = fleet.lab.run_in(host, ["nix-store", "--query", "--roots", fleet.running(host)]).stdout
        assert f"clanpy/roots/{host.name}" in roots
    again = await fleet.update(options=on_target)
    assert [host.outcome for host in again.state.hosts.values()] == [Outcome.UNCHANGED] * 2
    assert again.round_trips == dict.fromkeys(fleet.names, 1)


@pytest.mark.lab
@pytest.mark.nix
@pytest.mark.usefixtures("nixless")
async def test_another_host_builds_and_what_it_built_goes_on_to_the_machine(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    one, builder = fleet.hosts
    result = await fleet.update(one.name, options=Options(build_host=builder.name))
    state = result.state.hosts[one.name]
    assert (state.outcome, fleet.greeting(one)) == (Outcome.CONFIRMED, "hello")
    assert fleet.running(builder) == ""
    notes = [fact.note for fact in fleet.facts if isinstance(fact, StageFinished) and fact.stage is Stage.COPY]
    assert notes[0] is not None
    assert notes[0].endswith(f"from {builder.name}")


@pytest.mark.lab
@pytest.mark.nix
@pytest.mark.usefixtures("nixless")
async def test_what_fails_there_is_told_as_if_it_had_failed_here(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    broken, wrong = fleet.hosts
    fleet.configure(broken, SAYING % (fleet.folder, "; exit 7"))
    fleet.configure(wrong, "{ environment.etc = 1 + ; }\n")
    result = await fleet.update(options=Options(build_host="target"))
    built, evaluated = (result.state.hosts[name].error for name in fleet.names)
    assert built is not None
    assert (built["code"], built["details"][-1]) == ("CP0203", "from the builder")
    assert f"on {broken.name}" in built["message"]
    assert evaluated is not None
    assert evaluated["code"] == "CP0202"
    assert evaluated["place"]["file"].endswith(f"machines/{wrong.name}/configuration.nix")


@pytest.mark.lab
@pytest.mark.nix
@pytest.mark.usefixtures("nixless")
async def test_what_was_collected_as_garbage_since_it_was_evaluated_is_evaluated_again(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    planned = await fleet.update(options=Options(build_host="target", dry_run=True))
    assert planned.state.hosts[host.name].outcome is Outcome.PLANNED
    fleet.lab.run_in(host, ["nix-store", "--gc"])
    result = await fleet.update(options=Options(build_host="target"))
    assert result.state.hosts[host.name].outcome is Outcome.CONFIRMED
    assert fleet.stages(host).count(Stage.EVALUATE) == 1


@pytest.mark.lab
@pytest.mark.nix
async def test_without_nix_here_only_those_that_are_built_here_fail(rehearse: Rehearse, nixless: None) -> None:
    fleet = rehearse(nixos=2)
    here, there = fleet.hosts
    fleet.inventory(f'[machines.{there.name}.deploy]\nbuild_host = "target"\n')
    text = (fleet.folder / "inventory.toml").read_text()
    # the table of the same name is written once
    text = text.replace(f'deploy.target_host = "root@{there.name}"\n', "")
    text = text.replace('build_host = "target"', f'build_host = "target"\ntarget_host = "root@{there.name}"')
    fleet.write("inventory.toml", text)
    result = await fleet.update()
    assert result.state.hosts[there.name].outcome is Outcome.CONFIRMED
    error = result.state.hosts[here.name].error
    assert error is not None
    assert (error["code"], "--build-host target" in error["hint"]) == ("CP0200", True)
    assert result.exit_code is ExitCode.TOOL_MISSING


@pytest.mark.lab
@pytest.mark.nix
def test_the_program_builds_on_a_machine_of_the_fleet_and_in_the_lab_on_no_other_host(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    one, builder = fleet.hosts
    built = fleet.clanpy(
        "machines", "build", one.name, "--build-host", f"root@{builder.name}", CLANPY_NIX="/nowhere/nix"
    )
    assert (built.returncode, built.stdout.startswith("/nix/store/")) == (0, True)
    assert fleet.lab.run_in(builder, ["test", "-e", built.stdout.strip()]).returncode == 0
    unknown = fleet.clanpy("machines", "build", one.name, "--build-host", "root@far.away.lan")
    assert unknown.returncode == ExitCode.UNREACHABLE
    assert "CP0503" in unknown.stderr


@pytest.mark.lab
@pytest.mark.nix
@pytest.mark.usefixtures("nixless")
async def test_a_build_host_that_can_not_be_reached_is_named(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    one, builder = fleet.hosts
    way = replace(fleet.target(builder), port=2)
    result = await fleet.update(one.name, options=Options(build_host=builder.name), ways={builder.name: way})
    error = result.state.hosts[one.name].error
    assert error is not None
    assert (error["code"], builder.name in error["message"]) == ("CP0302", True)
