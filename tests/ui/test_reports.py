"""Reports of runs: the same story as a page, and in what CI systems and monitoring read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from clanpy.events import (
    Bus,
    Event,
    Fact,
    HostAdmitted,
    HostFinished,
    HostUnhealthy,
    Outcome,
    RolloutStopped,
    RunFinished,
    RunStarted,
    Stage,
    StageFinished,
    StageStarted,
    WaveStarted,
)
from clanpy.ui.report import FORMATS, render, story_of
from support.virtual_time import MONDAY


NASTY = '<script>alert("&")</script> | ]]> \x07'


def _error(message: str, code: str = "CP0505") -> dict[str, Any]:
    details = [f"line {n}" for n in range(20)]
    return {"code": code, "message": message, "place": None, "hint": "look", "details": details}


def _events(hosts: int = 4) -> list[Mapping[str, Any]]:
    written: list[Event] = []
    ticks = iter(range(1_000_000))
    bus = Bus("260105-120000-aa", (written.append,), now=lambda: MONDAY + timedelta(seconds=next(ticks) / 10))
    names = [f"host{n:03}" for n in range(hosts)]
    facts: list[Fact] = [
        RunStarted(command="update", fleet='the "fleet"', hosts=names),
        WaveStarted(wave=0, title="canary", hosts=1),
    ]
    for n, name in enumerate(names):
        good = n % 4 != 3
        facts += [
            StageStarted(host=name, stage=Stage.COPY),
            StageFinished(host=name, stage=Stage.COPY, ok=True, seconds=0.1, note="4 paths"),
            HostAdmitted(host=name, wave=0),
            StageStarted(host=name, stage=Stage.ACTIVATE),
            StageFinished(host=name, stage=Stage.ACTIVATE, ok=good, seconds=0.1),
            HostFinished(
                host=name,
                outcome=Outcome.CONFIRMED if good else Outcome.ROLLED_BACK,
                seconds=0.5,
                system="/nix/store/bbb-new" if good else "/nix/store/aaa-old",
                previous="/nix/store/aaa-old",
                error=None if good else _error(NASTY),
                log=None,
            ),
        ]
    facts += [
        HostUnhealthy(host=names[0], reason="http 500"),
        RolloutStopped(reason="too bad", then="hold"),
        RunFinished(exit_code=3, outcomes={}, seconds=9.0),
    ]
    for fact in facts:
        bus.emit(fact)
    return [event.to_dict() for event in written]


class _Page(HTMLParser):
    """What a page consists of; elements that are not closed, or closed twice, are seen."""

    VOID = frozenset({"meta", "rect", "line", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(hosts: int = 4) -> _Page:
    page = _Page()
    page.feed(render(story_of(_events(hosts), run="260105-120000-aa"), "html"))
    page.open = [tag for tag in page.open if tag != "meta"]
    return page


@pytest.mark.parametrize("hosts", [0, 1, 8, 200])
def test_the_page_has_every_host_and_every_stage_in_its_picture(hosts: int) -> None:
    page = _page(max(hosts, 1))
    assert page.open == []
    titles = re.findall(r"host\d{3}: (?:copy|activate)", page.text)
    assert len(titles) == 2 * max(hosts, 1)


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    page = _page()
    assert {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe"} == set()
    assert not [attrs for _, attrs in page.elements if {"src", "href"} & attrs.keys()]
    assert NASTY in page.text


def test_a_run_that_went_wrong_does_not_look_as_if_it_had_gone_well() -> None:
    page = _page()
    assert "not all as wanted" in page.text
    assert "is not well any more: http 500" in page.text
    assert "stopped: too bad" in page.text


def test_a_run_of_nothing_has_a_report_too() -> None:
    story = story_of([], run="260105-120000-aa")
    assert all(render(story, form) is not None for form in FORMATS)


def test_a_run_that_was_killed_shows_what_it_was_in_the_middle_of() -> None:
    events = _events()[:3]
    story = story_of(events, run="260105-120000-aa")
    assert [span.stage for span in story.hosts[0].spans] == ["copy"]
    assert not story.hosts[0].spans[0].ok


def test_junit_has_a_case_for_each_host_that_fails_when_the_host_did() -> None:
    suite = ET.fromstring(render(story_of(_events(8), run="r"), "junit"))
    assert (suite.get("tests"), suite.get("failures")) == ("8", "3")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["host000", "host003", "host007"]
    failure = suite.find("testcase[@name='host003']/failure")
    assert failure is not None
    assert "line 19" in str(failure.text)


def test_gitlab_reads_a_finding_for_each_host_that_is_not_as_wanted() -> None:
    findings = json.loads(render(story_of(_events(8), run="r"), "gitlab"))
    assert len(findings) == 3
    assert len({finding["fingerprint"] for finding in findings}) == 3
    for finding in findings:
        assert {"description", "check_name", "fingerprint", "severity", "location"} <= finding.keys()


def test_what_github_shows_is_a_table_whose_cells_stay_cells() -> None:
    text = render(story_of(_events(), run="r"), "github")
    rows = [line for line in text.splitlines() if line.startswith("| host")]
    assert len(rows) == 4
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)


def test_prometheus_reads_a_line_a_value() -> None:
    text = render(story_of(_events(), run="r"), "prometheus")
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+\{(\w+="(\\.|[^"\\])*",?)+\} [0-9.e+-]+', line), line
    assert 'clanpy_host_ok{fleet="the \\"fleet\\"",host="host003"} 0' in text
