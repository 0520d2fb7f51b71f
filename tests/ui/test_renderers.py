"""What a run looks like, in each of the three ways of showing it. The clock is the only thing that is not real."""

import io
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.errors import ClanpyError, CombinedError, Place, UsageError
from clanpy.events import (
    Bus,
    Fact,
    HostFinished,
    LogLine,
    Note,
    Outcome,
    Progress,
    RunFinished,
    RunStarted,
    Stage,
    StageFinished,
    StageStarted,
)
from clanpy.journal import fold
from clanpy.ui.errors import error_lines
from clanpy.ui.fields import filled
from clanpy.ui.folds import BuildkiteFolds, Folds, GitHubFolds, GitLabFolds, folds_of
from clanpy.ui.format import clean, duration, shortened, size
from clanpy.ui.jsonl import JsonRenderer
from clanpy.ui.plain import HEARTBEAT, PlainRenderer
from clanpy.ui.renderer import Renderer, chosen, make_renderer
from clanpy.ui.summary import Summary
from clanpy.ui.tty import TtyRenderer


ERROR = ClanpyError(
    "the activation of galena failed", hint="read the log", details=[f"line {n}" for n in range(9)]
).to_dict()
FACTS: tuple[Fact, ...] = (
    RunStarted(command="update", fleet="home", hosts=("cinnabar", "galena", "electrum")),
    StageStarted(host="cinnabar", stage=Stage.COPY),
    Progress(host="cinnabar", stage=Stage.COPY, done=1_500_000, total=3_000_000),
    StageFinished(host="cinnabar", stage=Stage.COPY, ok=True, seconds=1.0, note="2 paths, 2.9 MiB"),
    StageStarted(host="galena", stage=Stage.ACTIVATE),
    LogLine(host="galena", stage=Stage.ACTIVATE, line="setting up \x1b[31m/etc\x1b[0m..."),
    Note(host="galena", text="its disk is nearly full", level="warning"),
    HostFinished(host="cinnabar", outcome=Outcome.CONFIRMED, seconds=4.0, system="/nix/store/abc-nixos"),
    HostFinished(host="galena", outcome=Outcome.ROLLED_BACK, seconds=3.0, error=ERROR, log="/state/galena.log"),
    HostFinished(host="electrum", outcome=Outcome.UNCHANGED, seconds=0.1, system="/nix/store/def-nixos"),
    RunFinished(exit_code=5, outcomes={"confirmed": 1, "rolled_back": 1, "unchanged": 1}, seconds=4.5),
)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def feed(renderer: Renderer, facts: Iterable[Fact] = FACTS) -> None:
    bus = Bus("260304-050607-k3", [renderer], lambda: datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))
    for fact in facts:
        bus.emit(fact)
        renderer.tick()


def plain(facts: Iterable[Fact] = FACTS, *, folds: Folds | None = None, verbosity: int = 0) -> list[str]:
    stream = io.StringIO(newline="")
    renderer = PlainRenderer(stream, Clock(), folds=folds, verbosity=verbosity)
    feed(renderer, facts)
    renderer.close()
    return stream.getvalue().removesuffix("\n").split("\n")


def summary(facts: Iterable[Fact] = FACTS, *, colour: bool = False, dry_run: bool = False) -> str:
    events: list[dict[str, object]] = []
    bus = Bus("260304-050607-k3", [lambda event: events.append(event.to_dict())])
    for fact in facts:
        bus.emit(fact)
    state = fold(events, run="260304-050607-k3")
    return "\n".join(Summary(state=state, colour=colour, program="clanpy --lab", dry_run=dry_run).lines())


def test_plain_has_one_line_a_change_of_state_with_time_and_host() -> None:
    lines = plain()
    assert "05:06:07Z cinnabar  copy" in lines
    assert "05:06:07Z cinnabar  copy: 2 paths, 2.9 MiB (1.0 s)" in lines
    assert any(
        line.startswith("05:06:07Z galena    ↩ rolled back after 3.0 s: the activation of galena") for line in lines
    )
    assert not any("\r" in line or "\x1b" in line for line in lines)


def test_output_of_programs_is_shown_only_when_asked_for_and_without_escape_sequences() -> None:
    assert not any("setting up" in line for line in plain())
    assert "05:06:07Z galena    activate | setting up /etc..." in plain(verbosity=1)


def test_a_long_silence_in_ci_is_broken_by_a_heartbeat() -> None:
    clock, stream = Clock(), io.StringIO()
    renderer = PlainRenderer(stream, clock, heartbeat=True)
    feed(renderer, FACTS[:5])
    before = stream.getvalue()
    renderer.tick()
    assert stream.getvalue() == before
    clock.seconds += HEARTBEAT
    renderer.tick()
    assert stream.getvalue().removeprefix(before) == "still at work: 0 of 3 done; activate 1, copy 1\n"


def test_github_gets_an_annotation_and_a_folded_log_for_each_failure(tmp_path: Path) -> None:
    log = tmp_path / "galena.log"
    log.write_text("one\ntwo\n")
    failure = HostFinished(host="galena", outcome=Outcome.FAILED, seconds=3.0, error=ERROR, log=str(log))
    lines = plain((FACTS[0], failure), folds=GitHubFolds())
    assert "::error title=galena::the activation of galena failed" in lines
    assert lines[-4:] == ["::group::log of galena", "one", "two", "::endgroup::"]


def failed(host: str, message: str, place: Place | None = None) -> HostFinished:
    error = ClanpyError(message, place=place, details=["cc: no such file"]).to_dict()
    return HostFinished(host=host, outcome=Outcome.FAILED, seconds=1.0, error=error, log=f"/state/{host}.log")


def test_what_is_the_same_for_several_machines_is_told_once_and_names_are_not_said_twice() -> None:
    text = summary((FACTS[0], failed("cinnabar", "cinnabar: no build"), failed("galena", "galena: no build")))
    assert "  cinnabar galena: no build\n      cc: no such file\n" in text
    assert text.count("cc: no such file") == 1
    assert "    log: /state/cinnabar.log\n    log: /state/galena.log" in text
    assert "cinnabar: cinnabar:" not in text


def test_an_error_in_a_file_is_told_with_its_place_in_every_way_of_showing_a_run() -> None:
    fact = failed("galena", "galena: syntax error", Place("machines/galena/configuration.nix", 3, 7))
    where = "machines/galena/configuration.nix:3:7: syntax error"
    assert f"galena: {where}" in summary((FACTS[0], fact))
    assert any(where in line for line in plain((FACTS[0], fact)))


def test_a_dry_run_tells_what_a_machine_would_get() -> None:
    fact = HostFinished(
        host="galena", outcome=Outcome.PLANNED, seconds=0.1, system="/nix/store/a-now", wanted="/nix/store/b-then"
    )
    assert "→ b-then" in summary((FACTS[0], fact), dry_run=True)


def test_without_colours_a_terminal_gets_no_other_attributes_either(terminal: io.StringIO) -> None:
    renderer = TtyRenderer(terminal, Clock(), colour=False)
    feed(renderer)
    renderer.close()
    assert not re.search(r"\x1b\[[0-9;]*m", terminal.getvalue())


def test_gitlab_gets_a_collapsed_section_and_buildkite_a_group(tmp_path: Path) -> None:
    log = tmp_path / "galena.log"
    log.write_text("one\n")
    failure = HostFinished(host="galena", outcome=Outcome.FAILED, seconds=3.0, error=ERROR, log=str(log))
    gitlab = plain((FACTS[0], failure), folds=GitLabFolds(lambda: 7.0))
    assert gitlab[-3:] == [
        "\x1b[0Ksection_start:7:log_of_galena[collapsed=true]\r\x1b[0Klog of galena",
        "one",
        "\x1b[0Ksection_end:7:log_of_galena\r\x1b[0K",
    ]
    buildkite = plain((FACTS[0], failure), folds=BuildkiteFolds())
    assert buildkite[-3:] == ["^^^ +++", "--- log of galena", "one"]


def test_the_ci_system_is_known_by_what_it_puts_into_the_environment() -> None:
    assert isinstance(folds_of({"GITHUB_ACTIONS": "true"}), GitHubFolds)
    assert isinstance(folds_of({"GITLAB_CI": "true"}), GitLabFolds)
    assert isinstance(folds_of({"BUILDKITE": "true"}), BuildkiteFolds)
    assert folds_of({"CI": "true"}) is None


ROWS: list[dict[str, Any]] = [
    {"name": "galena", "tags": ["a", "b"], "last": {"run": "x"}},
    {"name": "mica", "tags": [], "last": None},
]


def test_a_form_of_ones_own_is_filled_from_the_fields_of_json() -> None:
    assert list(filled(r"{name}\t{tags}\t{{{last.run}}}", ROWS)) == ["galena\ta,b\t{x}", "mica\t\t{}"]


@pytest.mark.parametrize(
    ("form", "said"), [("{nam}", "did you mean 'name'"), ("{name", "such as"), ("{}", "there are")]
)
def test_a_form_that_can_not_be_filled_is_a_usage_error_that_helps(form: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        list(filled(form, ROWS))
    assert said in str(caught.value.hint)


def test_json_lines_carry_every_event_with_its_schema_and_number() -> None:
    stream = io.StringIO()
    feed(JsonRenderer(stream))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(FACTS) + 1))
    assert {event["schema"] for event in events} == {"clanpy.event/1"}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm-256color")
    return io.StringIO()


def test_the_terminal_shows_a_row_for_each_machine_at_work_and_keeps_verdicts(terminal: io.StringIO) -> None:
    clock = Clock()
    renderer = TtyRenderer(terminal, clock, colour=False)
    feed(renderer, FACTS[:5])
    clock.seconds += 1
    renderer.tick()
    drawn = clean(terminal.getvalue().replace("\n", " ¶ "))
    assert "cinnabar" in drawn
    assert "copy" in drawn
    assert "1.4 MiB of 2.9 MiB" in drawn
    assert "waiting 1" in drawn
    feed(renderer, FACTS[7:])
    renderer.close()
    assert "↩ galena" in clean(terminal.getvalue())


def test_the_terminal_is_not_redrawn_more_than_ten_times_a_second(terminal: io.StringIO) -> None:
    clock = Clock()
    renderer = TtyRenderer(terminal, clock, colour=False)
    feed(renderer, FACTS[:2])
    drawn = len(terminal.getvalue())
    for _ in range(50):
        clock.seconds += 0.001
        renderer.tick()
    assert len(terminal.getvalue()) == drawn
    renderer.close()


def test_of_a_big_fleet_only_the_slowest_are_drawn(terminal: io.StringIO) -> None:
    clock = Clock()
    renderer = TtyRenderer(terminal, clock, colour=False)
    hosts = [f"host{n:03}" for n in range(200)]
    feed(renderer, [RunStarted(command="update", fleet="f", hosts=hosts)])
    for host in hosts:
        clock.seconds += 0.01
        feed(renderer, [StageStarted(host=host, stage=Stage.BUILD)])
    terminal.truncate(0)
    clock.seconds += 1
    renderer.tick()
    drawn = clean(terminal.getvalue())
    assert [host for host in hosts if host in drawn] == hosts[:5]
    assert "195 more not shown" in drawn
    renderer.close()


@pytest.mark.parametrize(
    ("mode", "environ", "isatty", "expected"),
    [
        ("auto", {}, True, "tty"),
        ("auto", {}, False, "plain"),
        ("auto", {"CI": "true"}, True, "plain"),
        ("auto", {"TERM": "dumb"}, True, "plain"),
        ("json", {}, True, "json"),
        ("tty", {"CI": "true"}, False, "tty"),
    ],
)
def test_the_renderer_is_chosen_by_option_ci_and_terminal(
    mode: str, environ: dict[str, str], isatty: bool, expected: str
) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: isatty  # type: ignore[method-assign] # the one thing asked of a stream
    assert chosen(mode, stream, environ) == expected


@pytest.mark.parametrize("mode", ["tty", "plain", "json"])
def test_every_renderer_takes_every_event(mode: str, terminal: io.StringIO) -> None:
    renderer = make_renderer(mode, terminal, colour=False, clock=Clock(), environ={})
    feed(renderer)
    renderer.close()
    assert terminal.getvalue()


def test_a_stream_without_utf_8_gets_ascii_marks() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    feed(PlainRenderer(stream, Clock()))
    assert b"+ confirmed" in raw.getvalue()


def test_the_summary_tells_each_machine_and_groups_failures_by_cause() -> None:
    text = summary()
    assert "cinnabar  ✓ confirmed" in text
    assert "abc-nixos" in text
    assert "CP0001 An error a user can understand and act on (1): galena" in text
    assert "      line 8" in text
    assert "      line 3" not in text
    assert "log: /state/galena.log" in text
    assert "3 machines in 4.5 s: unchanged 1, confirmed 1, rolled back 1   run 260304-050607-k3" in text
    assert "`clanpy --lab machines update galena`" in text


def test_the_summary_of_a_good_run_asks_for_nothing() -> None:
    started = RunStarted(command="update", fleet="home", hosts=("cinnabar", "electrum"))
    assert "hint" not in summary((started, FACTS[7], FACTS[9], FACTS[10]))


def test_a_dry_run_says_so() -> None:
    assert "dry run" in summary(dry_run=True)


def test_colours_say_nothing_that_the_text_does_not() -> None:
    assert clean(summary(colour=True).replace("\n", "\t")) == clean(summary().replace("\n", "\t"))


def test_hosts_that_never_finished_count_as_cancelled() -> None:
    assert "cancelled 3" in summary(FACTS[:1])


def test_an_error_is_a_sentence_with_its_place_details_and_a_hint_after_a_blank_line() -> None:
    error = ClanpyError(
        "unknown tag 'worl'", place=Place("inventory.toml", 4), hint="did you mean 'world'?", details=["x"]
    )
    assert error_lines(error) == [
        "error: inventory.toml:4: unknown tag 'worl' (CP0001)",
        "    x",
        "",
        "hint: did you mean 'world'?",
    ]


def test_details_are_bounded_and_what_is_left_out_is_counted() -> None:
    lines = error_lines(ClanpyError("x", details=[f"line {n}" for n in range(100)]))
    assert "    … 80 lines before" in lines
    assert "    line 99" in lines


def test_several_errors_are_told_one_after_another() -> None:
    lines = error_lines(CombinedError([ClanpyError("one", hint="h"), ClanpyError("two")]))
    assert lines == ["error: one (CP0001)", "  hint: h", "error: two (CP0001)", "", "2 errors"]


@given(st.text(), st.integers(min_value=1, max_value=200))
def test_shortened_text_is_never_wider_than_asked(text: str, width: int) -> None:
    assert len(shortened(text, width)) <= width


@given(st.text())
def test_cleaned_text_holds_nothing_a_terminal_would_obey(text: str) -> None:
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in clean(f"\x1b[2J{text}\x1b]0;title\x07"))


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10 s"), (61.6, "1m02s"), (7500, "2h05m")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")])
def test_sizes_read_well(count: int, text: str) -> None:
    assert size(count) == text
