"""The forms of a report: a page for people, and what CI systems and monitoring read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET  # writes only; nothing is parsed

from clanpy.events import Outcome
from clanpy.ui.format import MARKS, counted, duration, words
from clanpy.ui.report.page import page
from clanpy.ui.report.story import HostStory, Story


LAST_LINES = 5


def junit(story: Story) -> str:
    """A suite with a case for each host, as CI systems show tests: hosts that were left alone are skipped ones."""
    bad = [host for host in story.hosts if not host.is_good]
    skipped = [host for host in story.hosts if host.outcome is Outcome.SKIPPED]
    suite = ET.Element(
        "testsuite",
        name=f"{story.state.fleet or 'fleet'}: {story.state.command or 'run'}",
        tests=str(len(story.hosts)),
        failures=str(len(bad)),
        skipped=str(len(skipped)),
        time=f"{story.seconds:.3f}",
        timestamp=story.began.isoformat(timespec="seconds"),
    )
    for host in sorted(story.hosts, key=lambda host: host.name):
        case = ET.SubElement(
            suite, "testcase", name=host.name, classname=str(story.state.command), time=f"{host.state.seconds or 0:.3f}"
        )
        if host.outcome is Outcome.SKIPPED:
            ET.SubElement(case, "skipped", message=_xml(host.message or words(host.outcome)))
        elif not host.is_good:
            failure = ET.SubElement(
                case, "failure", type=_code(host), message=_xml(host.message or words(host.outcome))
            )
            failure.text = _xml("\n".join(_said(host)))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def github(story: Story) -> str:
    """Markdown for the summary of a job on GitHub."""
    return "\n".join(_markdown(story)) + "\n"


def gitlab(story: Story) -> str:
    """A code quality report for GitLab: a finding for each host that is not as wanted."""
    findings = [
        {
            "description": f"{host.name}: {host.message or words(host.outcome)}",
            "check_name": _code(host),
            "fingerprint": hashlib.sha256(f"{host.name}/{_code(host)}/{host.message}".encode()).hexdigest(),
            "severity": "critical" if host.outcome is Outcome.FAILED else "major",
            "location": {"path": f"machines/{host.name}", "lines": {"begin": 1}},
        }
        for host in story.hosts
        if not host.is_good
    ]
    return json.dumps(findings, indent=2) + "\n"


def prometheus(story: Story) -> str:
    """Metrics in Prometheus' text format, for the textfile collector of a node exporter."""
    return "\n".join(_metrics(story)) + "\n"


FORMATS: Mapping[str, Callable[[Story], str]] = {
    "html": page,
    "junit": junit,
    "github": github,
    "gitlab": gitlab,
    "prometheus": prometheus,
}


def render(story: Story, form: str) -> str:
    """A report in one of `FORMATS`."""
    return FORMATS[form](story)


def _markdown(story: Story) -> Iterator[str]:
    state = story.state
    told = ", ".join(f"{count} {words(outcome)}" for outcome, count in story.outcomes.items())
    yield f"### {state.command} of {counted(len(story.hosts), 'machine')}: {told}"
    yield ""
    yield f"Run `{state.run}` of {state.fleet}, {duration(story.seconds)}."
    yield ""
    yield "| machine | outcome | took | |"
    yield "|---|---|---|---|"
    for host in story.hosts:
        said = _cell(f"`{_code(host)}` {host.message}" if host.message else "")
        took = duration(host.state.seconds) if host.state.seconds is not None else ""
        yield f"| {host.name} | {MARKS[host.outcome]} {words(host.outcome)} | {took} | {said} |"
    for code, hosts in story.causes.items():
        lines = _said(hosts[0])
        yield ""
        yield f"<details><summary>{code}: {counted(len(hosts), 'machine')}</summary>"
        yield ""
        yield "```text"
        yield from (line.replace("```", "'''") for line in lines)
        yield "```"
        yield ""
        yield "</details>"


def _metrics(story: Story) -> Iterator[str]:
    fleet = _label(story.state.fleet or "")
    yield "# HELP clanpy_run_hosts Hosts of the last run by outcome."
    yield "# TYPE clanpy_run_hosts gauge"
    for outcome, count in story.outcomes.items():
        yield f'clanpy_run_hosts{{fleet="{fleet}",outcome="{outcome.value}"}} {count}'
    values: list[tuple[str, str, Any]] = [
        ("clanpy_run_seconds", "How long the last run took.", f"{story.seconds:.3f}"),
        ("clanpy_run_timestamp_seconds", "When the last run began.", f"{story.began.timestamp():.0f}"),
    ]
    if story.state.exit_code is not None:
        values.append(("clanpy_run_exit_code", "What the last run ended with.", int(story.state.exit_code)))
    for name, help_, value in values:
        yield f"# HELP {name} {help_}"
        yield f"# TYPE {name} gauge"
        yield f'{name}{{fleet="{fleet}"}} {value}'
    yield "# HELP clanpy_host_ok Whether a host is as wanted."
    yield "# TYPE clanpy_host_ok gauge"
    for host in sorted(story.hosts, key=lambda host: host.name):
        yield f'clanpy_host_ok{{fleet="{fleet}",host="{_label(host.name)}"}} {int(host.is_good)}'


def _code(host: HostStory) -> str:
    return str(host.state.error["code"]) if host.state.error else host.outcome.value


def _said(host: HostStory) -> list[str]:
    """What was said of a host that is not as wanted."""
    error = host.state.error or {}
    lines = [line for text in error.get("details", ()) for line in str(text).splitlines()]
    hint = [f"hint: {error['hint']}"] if error.get("hint") else []
    return [error.get("message", words(host.outcome)), *lines[-LAST_LINES:], *hint]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _xml(text: str) -> str:
    """Text without the control characters that XML can't hold."""
    return "".join(c for c in text if c in "\t\n\r" or ord(c) >= 0x20)  # noqa: PLR2004 - where printable ones begin
