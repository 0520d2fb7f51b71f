"""Gates, tried on machines and from here, as a part of the confirmation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from clanpy.deployment.gates import Gates, Undecided
from clanpy.deployment.live import Live
from clanpy.deployment.options import Options
from clanpy.deployment.probe import Place, attempt
from clanpy.deployment.run import HostRun
from clanpy.errors import ExitCode
from clanpy.events import Bus, Event, GateDecided, Outcome
from clanpy.inventory.gates import Gate
from clanpy.rollout.gates import Attempt, Trial, Tried
from clanpy.rollout.interrupts import Interrupts
from clanpy.ssh import ConnectionLostError, connect
from deploy.rehearsal import Rehearsal
from support.lab import LentLab


Rehearse = Callable[..., Rehearsal]
PASS, FAIL, NOT_RUN = Attempt(Tried.PASSED), Attempt(Tried.FAILED, "refused"), Attempt(Tried.NOT_RUN, "nothing to ask")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class Room:
    """Gates whose attempts end as they are told to, on a clock of their own."""

    def __init__(self, gates: Sequence[Gate], ends: dict[str, list[Attempt]], **more: object) -> None:
        self.events: list[Event] = []
        self.asked: list[str] = []
        clock = Clock()
        host = HostRun("web", Bus("run", (self.events.append,)), clock, Interrupts())

        async def try_once(gate: Gate, *_: object) -> Attempt:
            given = ends[gate.name]
            return given.pop(0) if len(given) > 1 else given[0]

        self.gates = Gates(
            host=host,
            gates=gates,
            domain="lan",
            clock=clock,
            sleep=clock.sleep,
            try_once=try_once,
            **more,  # type: ignore[arg-type]  # the tests' own keywords
        )

    async def decide(self) -> Trial | None:
        class Conn:
            address = "10.0.0.1"

        return await self.gates.decide(Conn())  # type: ignore[arg-type]  # nothing else of it is looked at

    @property
    def verdicts(self) -> dict[str, tuple[str, int]]:
        facts = [event.fact for event in self.events]
        return {fact.gate: (fact.verdict, fact.attempts) for fact in facts if isinstance(fact, GateDecided)}


def gate(name: str, **more: object) -> Gate:
    return Gate(name=name, type="command", command="true", **{"timeout": 10.0, "interval": 1.0, **more})  # type: ignore[arg-type]


async def test_all_gates_have_to_be_passed_and_each_verdict_is_an_event() -> None:
    room = Room([gate("a"), gate("b", successes=2)], {"a": [PASS], "b": [FAIL, PASS]})
    assert await room.decide() is None
    assert room.verdicts == {"a": ("passed", 1), "b": ("passed", 3)}


async def test_the_first_gate_that_fails_decides() -> None:
    room = Room([gate("slow", timeout=1000.0), gate("bad", timeout=2.0)], {"slow": [FAIL], "bad": [FAIL]})
    failed = await room.decide()
    assert failed is not None
    assert (failed.gate.name, failed.said) == ("bad", "refused")
    assert list(room.verdicts) == ["bad"]


@pytest.mark.parametrize(
    ("undecided", "answer", "stays"),
    [
        (Undecided.ASK, True, True),
        (Undecided.ASK, False, False),
        (Undecided.KEEP, None, True),
        (Undecided.BACK, None, False),
    ],
)
async def test_a_gate_that_could_not_be_tried_is_asked_about(
    undecided: Undecided, answer: bool | None, stays: bool
) -> None:
    asked: list[str] = []

    async def ask(host: str, trials: Sequence[Trial]) -> bool:
        asked.extend(f"{host} {trial.gate.name}" for trial in trials)
        return bool(answer)

    room = Room([gate("a"), gate("b")], {"a": [PASS], "b": [NOT_RUN]}, undecided=undecided, ask=ask)
    assert (await room.decide() is None) is stays
    assert asked == (["web b"] if undecided is Undecided.ASK else [])
    assert room.verdicts["b"] == ("undecided", 11)


async def test_where_nobody_can_be_asked_it_goes_back() -> None:
    undecided = await Room([gate("a")], {"a": [NOT_RUN]}).decide()
    assert undecided is not None
    assert undecided.gate.name == "a"


async def test_a_connection_that_breaks_does_not_begin_the_gates_anew() -> None:
    room = Room([gate("a", successes=3)], {"a": [PASS]})
    tried, first = room.gates.try_once, True

    async def breaks(gate_: Gate, *rest: object) -> Attempt:
        nonlocal first
        if room.gates.clock() >= 2 and first:
            first = False
            raise ConnectionLostError("web: the connection was lost")
        return await tried(gate_, *rest)  # type: ignore[arg-type]  # handed on as they came

    room.gates.try_once = breaks
    with pytest.raises(ConnectionLostError):
        await room.decide()
    assert await room.decide() is None
    assert room.verdicts == {"a": ("passed", 3)}


# ---- attempts, on a host of the lab ----

SERVER = "printf 'HTTP/1.0 %s\\r\\n\\r\\n%s' | busybox nc -l -p %d"


@pytest.mark.lab
async def test_attempts_on_a_host(lab: LentLab) -> None:
    host = lab.host()
    place = Place(name=host.name, domain="lan", address=host.address)
    target = Rehearsal.__dict__["target"]
    way = target(type("Fleet", (), {"lab": lab})(), host)

    async with connect(way) as conn:

        async def tried(**about: object) -> tuple[str, str]:
            found = await attempt(Gate(name="g", **about), place, conn, 5)  # type: ignore[arg-type]  # a gate's fields
            return found.tried.value, found.said

        async def asked(answer: str, body: str, port: int, **about: object) -> tuple[str, str]:
            serving = asyncio.ensure_future(conn.run(SERVER % (answer, body, port)))
            while (await tried(type="command", command=f"busybox netstat -ltn | grep -q :{port}"))[0] != "passed":
                pass
            found = await tried(type="http", url=f"http://{{address}}:{port}/", **about)
            await serving
            return found

        assert (await tried(type="tcp", port=22))[0] == "passed"
        assert (await tried(type="tcp", port=23))[0] == "failed"
        assert (await tried(type="tcp", port=22, host="no.such.host.invalid"))[0] == "not_run"
        assert await tried(type="command", command="id -u") == ("passed", "0")
        assert await tried(type="command", command="echo bad; exit 3") == ("failed", "exit status 3: bad")
        assert (await tried(type="command", command="no-such-program"))[0] == "not_run"
        assert await tried(type="command", on="here", command="echo $CLANPY_MACHINE {address}") == (
            "passed",
            f"{host.name} {host.address}",
        )
        assert (await tried(type="command", command="sleep 30"))[0] == "failed"
        assert (await tried(type="units"))[0] == "passed"
        lab.fault("fail-unit", host, "nginx")
        assert await tried(type="units") == ("failed", "failed: nginx.service")
        assert (await asked("200 OK", "all well", 8001))[0] == "passed"
        assert (await asked("200 OK", "all well", 8002, contains="well"))[0] == "passed"
        assert (await asked("200 OK", "all well", 8003, contains="ill"))[0] == "failed"
        assert (await asked("503 Later", "", 8004))[1].endswith("answered 503")
        assert (await asked("503 Later", "", 8005, status=503))[0] == "passed"
        assert (await tried(type="http", url="http://{address}:8006/"))[0] == "failed"


# ---- whole runs ----


@pytest.mark.lab
@pytest.mark.nix
async def test_a_gate_that_fails_brings_the_machine_back_and_its_system_is_refused_next_time(
    rehearse: Rehearse,
) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    before = (await fleet.update()).state.hosts[host.name].system
    fleet.greet("bad")
    gated = '[gates.greeting]\ntype = "command"\ncommand = "grep -q hello /etc/greeting"\ntimeout = 1\ninterval = 0.2\n'
    fleet.inventory(gated)
    result = await fleet.update()
    state = result.state.hosts[host.name]
    assert (state.outcome, result.exit_code) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert state.error is not None
    assert "a gate failed: greeting: exit status 1" in state.error["message"]
    assert fleet.running(host) == fleet.profile(host) == before

    refused = (await fleet.update()).state.hosts[host.name]
    assert refused.error is not None
    assert (refused.outcome, refused.error["code"]) == (Outcome.FAILED, "CP0520")
    fleet.inventory()
    forced = await fleet.update(options=Options(live=Live(retry_failed=True)))
    assert forced.state.hosts[host.name].outcome is Outcome.CONFIRMED
    fleet.greet("good")
    assert (await fleet.update()).exit_code is ExitCode.DONE


@pytest.mark.lab
@pytest.mark.nix
async def test_a_gate_may_take_longer_than_the_confirmation_as_long_as_we_are_there(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    late = 'type = "command"\ncommand = "n=$(cat /tmp/n 2>/dev/null || echo 0); echo $((n+1)) >/tmp/n; [ $n -ge 9 ]"'
    fleet.inventory(f"[gates.late]\n{late}\ninterval = 0.2\ntimeout = 30\n")
    result = await fleet.update(options=Options(confirm_within=1.0))
    assert result.state.hosts[host.name].outcome is Outcome.CONFIRMED
    decided = [fact for fact in fleet.facts if isinstance(fact, GateDecided)]
    assert [(fact.verdict, fact.attempts) for fact in decided] == [("passed", 10)]


@pytest.mark.lab
@pytest.mark.nix
async def test_a_gate_that_can_not_be_tried_goes_back_and_does_not_blame_the_system(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    await fleet.update()
    fleet.greet("new")
    fleet.inventory('[gates.odd]\ntype = "command"\ncommand = "no-such-program"\ntimeout = 0.5\ninterval = 0.2\n')
    result = await fleet.update()
    state = result.state.hosts[host.name]
    assert state.outcome is Outcome.ROLLED_BACK
    assert state.error is not None
    assert "a gate could not be tried: odd" in state.error["message"]
    kept = await fleet.update(options=replace(Options(), live=Live(undecided=Undecided.KEEP)))
    assert kept.state.hosts[host.name].outcome is Outcome.CONFIRMED
