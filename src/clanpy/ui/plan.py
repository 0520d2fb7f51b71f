"""A plan for people: from its JSON (`clanpy.plan/1`), as text and as one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clanpy.ui.format import clean, counted, painted, size


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Json = Mapping[str, Any]

LAST_LINES = 5
MOST = 40  # lines of one kind; the rest is counted
SIGNS = {"added": "+", "changed": "~", "removed": "-"}
STYLES = {"added": "green", "changed": "yellow", "removed": "red"}


def plan_page(plan: Json) -> str:
    """The plan as one page: no script, no font and no style from elsewhere."""
    from clanpy.ui.report.page import environment  # noqa: PLC0415 - templates are loaded for pages alone

    changing = [group for group in plan["groups"] if not group["unchanged"]]
    return (
        environment()
        .get_template("plan.html.j2")
        .render(
            plan=plan,
            changing=sum(len(group["hosts"]) for group in changing),
            told=[list(_in_short(plan, group)) for group in changing],
        )
    )


def plan_lines(plan: Json, *, colour: bool = False) -> Iterator[str]:
    """The plan as text: machines with the same change once, those without a change last."""
    for group in plan["groups"]:
        hosts = " ".join(group["hosts"])
        if group["unchanged"]:
            yield painted(f"{hosts}: unchanged", "dim", colour=colour)
            continue
        yield painted(f"{hosts}: {', '.join(_in_short(plan, group))}", "bold", colour=colour)
        yield from (f"  {line}" for line in _details(group, colour=colour))
    for name, error in plan["errors"].items():
        yield painted(f"{name}: {clean(error['message'])} ({error['code']})", "red", colour=colour)
        yield from (f"    {clean(line)}" for line in error.get("details", ())[-LAST_LINES:])
        if error.get("hint"):
            yield f"  hint: {error['hint']}"


def plan_summary(plan: Json) -> str:
    """The plan in one line."""
    unchanged = sum(len(group["hosts"]) for group in plan["groups"] if group["unchanged"])
    parts = [f"{len(plan['hosts']) - unchanged} would change", f"{unchanged} unchanged"]
    if plan["errors"]:
        parts.append(f"{len(plan['errors'])} not known")
    reboots = sum(len(group["hosts"]) for group in plan["groups"] if group["reboot"])
    if reboots:
        parts.append(f"{reboots} with need of a reboot")
    total = sum(host["bytes"] for host in plan["hosts"].values())
    parts.append(f"{size(total)} to send")
    return f"{counted(len(plan['hosts']) + len(plan['errors']), 'machine')}: {', '.join(parts)}"


def _in_short(plan: Json, group: Json) -> Iterator[str]:
    """What changes for a group, counted."""
    if group["first"]:
        yield "the first system"
    packages, files, secrets = group["packages"], group["files"], group["secrets"]
    if packages:
        yield counted(len(packages), "package")
    if group["rebuilt"]:
        yield f"{counted(len(group['rebuilt']), 'package')} built anew"
    if any(files.values()):
        yield counted(sum(map(len, files.values())), "file")
    if any(secrets.values()):
        yield counted(sum(map(len, secrets.values())), "secret")
    yield _to_send([plan["hosts"][name] for name in group["hosts"]])


def _to_send(hosts: Sequence[Json]) -> str:
    sizes = sorted({host["bytes"] for host in hosts})
    if sizes == [0]:
        return "nothing to send"
    each = " each" if len(hosts) > 1 else ""
    return (
        f"{size(sizes[0])} to send{each}" if len(sizes) == 1 else f"{size(sizes[0])} to {size(sizes[-1])} to send{each}"
    )


def _details(group: Json, *, colour: bool) -> Iterator[str]:
    if group["reboot"]:
        yield painted(f"a reboot is needed for: {', '.join(map(clean, group['reboot']))}", "yellow", colour=colour)
    yield from _cut(
        [
            painted(f"{SIGNS[one['change']]} {_package(one)}", STYLES[one["change"]], colour=colour)
            for one in group["packages"]
        ],
        "package",
    )
    yield from _cut(list(_delta("/etc/", group["files"], colour=colour)), "file")
    yield from _cut(list(_delta("secret ", group["secrets"], colour=colour)), "secret")
    units = group["units"] or {}
    source = " (by its file)" if units.get("source") == "files" else ""
    told = [
        f"{what} {clean(unit)}{source}"
        for what in ("stop", "restart", "reload", "start")
        for unit in units.get(what, ())
    ]
    yield from _cut(told, "unit")


def _package(one: Json) -> str:
    before, after = ", ".join(one["before"]), ", ".join(one["after"])
    return clean(f"{one['name']} {before} → {after}" if before and after else f"{one['name']} {before or after}")


def _delta(before: str, delta: Json, *, colour: bool) -> Iterator[str]:
    """The names of a delta, those in a home without what others begin with."""
    for what, sign in SIGNS.items():
        for name in delta[what]:
            told = name if name.startswith("home.") and before == "/etc/" else f"{before}{name}"
            yield painted(clean(f"{sign} {told}"), STYLES[what], colour=colour)


def _cut(lines: Sequence[str], noun: str) -> Iterator[str]:
    yield from lines[:MOST]
    if len(lines) > MOST:
        yield f"… and {counted(len(lines) - MOST, noun)} more (--format html or json has all)"
