"""What a run leaves on disk, and what is read back from it."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.errors import ExitCode
from clanpy.events import (
    Bus,
    Fact,
    HostFinished,
    LogLine,
    Outcome,
    Progress,
    RunFinished,
    RunStarted,
    Stage,
    StageFinished,
    StageStarted,
)
from clanpy.journal import (
    RUN_ID,
    Journal,
    JournalError,
    RunNotFoundError,
    fleet_id,
    fold,
    new_run_id,
    read_events,
    state_home,
)


START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
FACTS: tuple[Fact, ...] = (
    RunStarted(command="update", fleet="home", hosts=("cinnabar", "galena")),
    StageStarted(host="cinnabar", stage=Stage.CONNECT),
    StageFinished(host="cinnabar", stage=Stage.CONNECT, ok=True, seconds=0.1),
    StageStarted(host="cinnabar", stage=Stage.ACTIVATE),
    LogLine(host="cinnabar", stage=Stage.ACTIVATE, line="setting up /etc..."),
    Progress(host="cinnabar", stage=Stage.COPY, done=1, total=2),
    HostFinished(
        host="cinnabar", outcome=Outcome.CONFIRMED, seconds=1.0, system="/nix/store/b", previous="/nix/store/a"
    ),
    HostFinished(host="galena", outcome=Outcome.UNREACHABLE, seconds=0.2, error={"code": "CP0301", "message": "gone"}),
    RunFinished(exit_code=4, outcomes={"confirmed": 1, "unreachable": 1}, seconds=1.2),
)


class Clock:
    def __init__(self, start: datetime = START) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def record(journal: Journal, facts: tuple[Fact, ...] = FACTS, start: datetime = START) -> Path:
    clock = Clock(start)
    recorder = journal.begin(clock)
    bus = Bus(recorder.run, [recorder], clock)
    for fact in facts:
        bus.emit(fact)
    recorder.close()
    return recorder.folder


def lines(folder: Path) -> list[bytes]:
    return (folder / "events.jsonl").read_bytes().splitlines(keepends=True)


def test_run_ids_are_short_and_sort_by_time() -> None:
    ids = [new_run_id(START + timedelta(milliseconds=7 * n)) for n in range(1000)]
    assert ids == sorted(set(ids))
    assert all(RUN_ID.fullmatch(run) for run in ids)


def test_two_fleets_and_a_lab_of_one_of_them_are_filed_apart(tmp_path: Path) -> None:
    ids = {fleet_id(tmp_path / "a", "home"), fleet_id(tmp_path / "b", "home"), fleet_id(tmp_path / "a", "home", "lab")}
    assert len(ids) == 3


def test_the_state_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLANPY_STATE", str(tmp_path))
    assert state_home() == tmp_path


def test_the_state_of_a_run_is_a_fold_over_its_events(journal: Journal) -> None:
    run = record(journal).name
    state = journal.read(run)
    assert state.status == "finished"
    assert state.exit_code is ExitCode.UNREACHABLE
    assert state.hosts["cinnabar"].outcome is Outcome.CONFIRMED
    assert state.hosts["cinnabar"].stage is Stage.ACTIVATE
    assert state.hosts["cinnabar"].finished_stages == (Stage.CONNECT,)
    assert state.hosts["galena"].error == {"code": "CP0301", "message": "gone"}


def test_a_run_that_is_being_written_is_running_and_one_that_was_cut_off_died(journal: Journal) -> None:
    recorder = journal.begin()
    Bus(recorder.run, [recorder]).emit(FACTS[0])
    assert journal.read(recorder.run).status == "running"
    recorder.close()
    assert journal.read(recorder.run).status == "died"


def test_log_lines_go_to_the_log_of_their_host_and_not_to_the_events(journal: Journal) -> None:
    folder = record(journal)
    assert "setting up /etc..." in (folder / "cinnabar.log").read_text()
    assert "gone" in (folder / "galena.log").read_text()
    assert {event["event"] for event in read_events(folder / "events.jsonl")}.isdisjoint({"log", "progress"})


@given(st.integers(min_value=0, max_value=2000))
def test_a_file_cut_off_anywhere_is_read_up_to_its_last_whole_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    whole = b"".join(json.dumps({"event": "note", "host": None, "n": n}).encode() + b"\n" for n in range(40))
    path = tmp_path_factory.mktemp("cut") / "events.jsonl"
    path.write_bytes(whole[:cut])
    assert [event["n"] for event in read_events(path)] == list(range(whole[:cut].count(b"\n")))


def prefixes(folder: Path) -> Iterator[bytes]:
    whole = lines(folder)
    return (b"".join(whole[:n]) for n in range(len(whole) + 1))


def test_every_prefix_of_a_journal_has_a_state(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "prefix.jsonl"
    finished = []
    for prefix in prefixes(record(journal)):
        path.write_bytes(prefix)
        finished.append(sum(host.outcome is not None for host in fold(read_events(path), run="r").hosts.values()))
    assert finished == sorted(finished)
    assert finished[-1] == 2


def test_garbage_in_the_file_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"n":1}\n\x00\x00\x00\n{"n":2}\n')
    assert list(read_events(path)) == [{"n": 1}]


def test_the_last_deployment_of_a_host_is_its_newest_attempt_to_change(journal: Journal) -> None:
    first = record(journal).name
    later = START + timedelta(days=1)
    record(journal, (FACTS[0], HostFinished(host="cinnabar", outcome=Outcome.UNCHANGED, seconds=0.0)), later)
    found = journal.last_deployments(["cinnabar", "galena"])
    assert found["cinnabar"].run == first
    assert found["cinnabar"].system == "/nix/store/b"
    assert "galena" not in found


def test_a_run_is_found_by_the_beginning_of_its_id_and_by_the_word_last(journal: Journal) -> None:
    run = record(journal).name
    assert journal.read("last").run == journal.read(run[:8]).run == run


def test_an_unknown_run_is_an_error(journal: Journal) -> None:
    record(journal)
    with pytest.raises(RunNotFoundError):
        journal.read("999999")


def test_a_journal_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(JournalError) as caught:
        Journal(tmp_path).begin()
    assert "CLANPY_STATE" in str(caught.value.hint)


def test_a_full_disk_stops_the_run(journal: Journal) -> None:
    recorder = journal.begin()
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, recorder._events)
    os.close(full)
    with pytest.raises(JournalError, match="No space left"):
        Bus(recorder.run, [recorder]).emit(FACTS[0])
    recorder.close()


def test_old_runs_are_deleted_beyond_a_number_but_never_one_that_is_being_written(journal: Journal) -> None:
    writing = journal.begin(Clock(START - timedelta(days=30)))
    runs = [record(journal, FACTS, START + timedelta(days=day)).name for day in range(5)]
    journal.prune(keep=2)
    assert journal.run_ids() == [*reversed(runs[3:]), writing.run]
    writing.close()
