"""The parts of the deployer that know no host: batches, and runs whose work is handed in."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from clanpy.deployment.batch import Asked, Batcher
from clanpy.deployment.run import HostRun, Run, RunResult, Verdict
from clanpy.errors import ClanpyError, ExitCode
from clanpy.events import Event, HostFinished, Outcome, Stage
from clanpy.journal import Journal
from clanpy.rollout.interrupts import Interrupts


class Doubling:
    """Work that doubles numbers, and remembers which it was given together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_end = asyncio.Event()
        self.was_cancelled = False

    async def __call__(self, batch: Sequence[Asked[int, int]]) -> None:
        self.batches.append(sorted(asked.question for asked in batch))
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        for asked in batch:
            asked.answer(2 * asked.question)


async def test_what_is_asked_at_the_same_time_is_done_together() -> None:
    work = Doubling()
    work.may_end.set()
    async with asyncio.TaskGroup() as tasks:
        batcher = Batcher(tasks, work)
        answers = await asyncio.gather(*(batcher.ask(n) for n in range(5)))
    assert answers == [0, 2, 4, 6, 8]
    assert work.batches == [[0, 1, 2, 3, 4]]


async def test_a_batch_waits_for_the_one_before_it_and_grows_meanwhile() -> None:
    work = Doubling()
    async with asyncio.TaskGroup() as tasks:
        batcher = Batcher(tasks, work, patience=60)
        first = tasks.create_task(batcher.ask(1))
        while not work.batches:  # noqa: ASYNC110 - there is no other sign of it
            await asyncio.sleep(0.001)
        others = [tasks.create_task(batcher.ask(n)) for n in (2, 3)]
        await asyncio.sleep(0.05)
        work.may_end.set()
        assert [await task for task in (first, *others)] == [2, 4, 6]
    assert work.batches == [[1], [2, 3]]


async def test_the_work_is_cancelled_when_nobody_waits_for_it_any_more() -> None:
    work = Doubling()
    async with asyncio.TaskGroup() as tasks:
        batcher = Batcher(tasks, work)
        asking = tasks.create_task(batcher.ask(1))
        while not work.batches:  # noqa: ASYNC110 - there is no other sign of it
            await asyncio.sleep(0.001)
        asking.cancel()
    assert work.was_cancelled


async def test_what_the_work_raises_everybody_gets_who_has_no_answer() -> None:
    async def fail(batch: Sequence[Asked[int, int]]) -> None:
        batch[0].answer(0)
        raise ZeroDivisionError

    async with asyncio.TaskGroup() as tasks:
        batcher = Batcher(tasks, fail)
        answers = await asyncio.gather(batcher.ask(1), batcher.ask(2), return_exceptions=True)
    assert answers[0] == 0
    assert isinstance(answers[1], ZeroDivisionError)


class BurntError(ClanpyError):
    code = "CP9999"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(command="update", fleet="home", recorder=Journal(tmp_path).begin(), interrupts=Interrupts())


async def mixed(host: HostRun) -> Verdict:
    with host.stage(Stage.CONNECT):
        if host.name == "galena":
            raise BurntError("galena is on fire")
    return Verdict(outcome=Outcome.CONFIRMED, system="/nix/store/x")


async def test_one_hosts_failure_is_never_anothers(run: Run) -> None:
    result = await run.each(["cinnabar", "galena"], mixed)
    assert result.state.hosts["cinnabar"].outcome is Outcome.CONFIRMED
    assert result.state.hosts["galena"].error == BurntError("galena is on fire").to_dict()
    assert result.exit_code is ExitCode.HOSTS_FAILED


async def test_what_nobody_foresaw_at_one_host_does_not_end_the_others(run: Run) -> None:
    async def work(host: HostRun) -> Verdict:
        if host.name == "galena":
            raise ZeroDivisionError("by zero")
        return await mixed(host)

    result = await run.each(["cinnabar", "galena"], work)
    error = result.state.hosts["galena"].error
    assert result.state.hosts["cinnabar"].outcome is Outcome.CONFIRMED
    assert error is not None
    assert (error["code"], error["message"]) == ("CP0510", "clanpy has a bug: ZeroDivisionError: by zero")
    assert "Traceback" in error["details"][0]
    assert result.exit_code is ExitCode.BUG


async def test_errors_of_several_tasks_of_one_host_are_told_as_the_first_of_them(run: Run) -> None:
    async def work(host: HostRun) -> Verdict:
        raise ExceptionGroup("two", [BurntError("one"), ExceptionGroup("inner", [BurntError("two")])])

    result = await run.each(["galena"], work)
    assert result.state.hosts["galena"].error == BurntError("one").to_dict()


async def test_no_more_hosts_are_at_work_than_there_are_slots(run: Run) -> None:
    at_work, most = 0, 0

    async def work(host: HostRun) -> Verdict:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.001)
        at_work -= 1
        return Verdict(outcome=Outcome.UNCHANGED)

    await run.each([f"h{n}" for n in range(20)], work, at_once=3)
    assert most == 3


async def test_the_result_is_what_the_journal_says(run: Run) -> None:
    result = await run.each(["cinnabar", "galena"], mixed)
    run.recorder.close()
    written = Journal(run.recorder.folder.parent.parent).read(run.recorder.run)
    assert written.to_dict() == result.state.to_dict()


async def test_a_host_whose_turn_comes_after_the_interrupt_is_never_begun(run: Run) -> None:
    run.interrupts.request()
    result = await run.each(["cinnabar"], mixed)
    assert result.state.hosts["cinnabar"].outcome is Outcome.CANCELLED
    assert result.state.hosts["cinnabar"].stage is None
    assert result.exit_code is ExitCode.INTERRUPTED


async def interrupted(run: Run, *, times: int, committed: bool) -> RunResult:
    async def work(host: HostRun) -> Verdict:
        for _ in range(times):
            asyncio.get_running_loop().call_soon(run.interrupts.request)
        if committed:
            with host.committed(), host.stage(Stage.ACTIVATE):
                await asyncio.sleep(0.01)
        else:
            await asyncio.sleep(10)
        return Verdict(outcome=Outcome.CONFIRMED)

    return await run.each(["cinnabar"], work)


@pytest.mark.parametrize(
    ("times", "committed", "outcome", "code"),
    [
        (1, False, Outcome.CANCELLED, "CP0501"),
        (1, True, Outcome.CONFIRMED, None),
        (2, True, Outcome.CANCELLED, "CP0502"),
    ],
)
async def test_an_interrupt_ends_hosts_according_to_how_far_they_are(
    run: Run, times: int, committed: bool, outcome: Outcome, code: str | None
) -> None:
    result = await interrupted(run, times=times, committed=committed)
    host = result.state.hosts["cinnabar"]
    assert (host.outcome, host.error and host.error["code"]) == (outcome, code)
    assert result.exit_code is ExitCode.INTERRUPTED


async def test_a_reader_that_fails_stops_the_run(run: Run) -> None:
    def full(event: Event) -> None:
        if isinstance(event.fact, HostFinished):
            raise BurntError("no space left")

    run.bus.sinks = [full]
    with pytest.raises(ExceptionGroup) as caught:
        await run.each(["cinnabar"], mixed)
    assert caught.group_contains(BurntError)
