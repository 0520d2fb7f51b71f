"""Where systemd is, the guard is a unit of its own: nothing that happens to sshd, or to a session, is its business."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from activation.folder import activation
from activation.site import prepare, say
from activation.test_on_hosts import IMPATIENT, MEND, end_of, install, reached
from clanpy.activation import FollowedPhase, GuardOutcome, Phase, confirm, follow, gather, result, start
from clanpy.lab import HostSpec, LabSpec, up
from clanpy.lab.base import is_made
from clanpy.ssh import connect


BASE = "sid-systemd"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(not is_made(BASE), reason=f"the base {BASE} has not been made here"),
]


async def test_the_guard_is_a_unit_that_outlives_sshd_and_is_started_again_by_a_boot(
    own_lab_name: Callable[[str], str],
) -> None:
    lab = up(LabSpec(name=own_lab_name("guard"), base=BASE, hosts=(HostSpec(name="a", users=("admin",)),)))
    with lab.inside():
        site = await prepare(
            lab.environment,
            lab.host("a"),
            {
                "old": MEND,
                "new": "systemctl restart clanpy-lab-sshd; sleep 0.3",
                "cut": "ip link set eth0 down; systemctl stop clanpy-lab-sshd",
                "back": "systemctl --no-block start clanpy-lab-sshd; " + MEND,
            },
        )
        await install(site)
        new = site.paths["new"]

        # sshd is started anew in the middle, and every session killed
        async with connect(site.target("admin")) as conn:
            await start(conn, activation(new))
            shown = await say(conn, "systemctl show --value -p ActiveState,OOMScoreAdjust clanpy-run-1")
            assert sorted(shown.split()) == ["-900", "active"]
            lab.fault("kill-sessions", "a")
        await reached(site)
        async with connect(site.target("admin")) as conn:
            phases = [event.phase async for event in follow(conn, "run-1") if isinstance(event, FollowedPhase)]
            assert phases[-1] is Phase.AWAITING
            pid = await say(conn, "systemctl show --value -p MainPID clanpy-run-1")
            assert "/clanpy-run-1.service" in await say(conn, f"cat /proc/{pid}/cgroup")
            assert (await confirm(conn, "run-1")).outcome is GuardOutcome.CONFIRMED
            # Nothing is left of the unit: --collect.
            async with asyncio.timeout(10):
                while "inactive" not in await say(conn, "systemctl show --value -p ActiveState clanpy-run-1"):
                    pass

        # the network goes, and nobody is there any more
        async with connect(site.target(), timeouts=IMPATIENT) as conn:
            await start(conn, activation(site.paths["back"], "run-2", confirm_within=0))
            assert [event async for event in follow(conn, "run-2")]
            await start(conn, activation(site.paths["cut"], "run-3", confirm_within=0.5))
        done = await end_of(site, "run-3")
        assert (done.outcome, done.running) == (GuardOutcome.ROLLED_BACK, site.paths["back"])

        # an orderly reboot ends the guard with everything else, and is the way back; the next boot starts it again to say so
        async with connect(site.target(), timeouts=IMPATIENT) as conn:
            await start(conn, activation(new, "run-4"))
            assert [event async for event in follow(conn, "run-4")]
            before = (await gather(conn)).boot
            await say(conn, "systemctl --no-block reboot")
        async with asyncio.timeout(60):
            while True:
                await reached(site)
                async with connect(site.target()) as conn:
                    facts = await gather(conn)
                if facts.boot != before:
                    break
        async with connect(site.target()) as conn:
            async with asyncio.timeout(30):
                while (done := await result(conn, "run-4")).outcome is None:
                    pass
            assert (done.outcome, done.reason) == (GuardOutcome.ROLLED_BACK, "rebooted")
            assert (await gather(conn)).left_over == ()
            assert await say(conn, "ls -d /etc/systemd/system.control 2>/dev/null; true") == ""
