"""On real hosts of the lab, with a real Nix: what is promised about faults, on NixOS and on darwin."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from activation.folder import activation, owner
from activation.site import Site, prepare, say, target
from clanpy.activation import (
    Activation,
    ActivationResult,
    FollowedPhase,
    GuardError,
    GuardOutcome,
    Phase,
    Question,
    Wanted,
    confirm,
    follow,
    gather,
    generations,
    lock,
    preview,
    recover,
    result,
    start,
    way_back,
)
from clanpy.ssh import Connection, SshError, Timeouts, connect
from support.lab import LentLab


pytestmark = pytest.mark.lab

CONFIRMED, ROLLED_BACK, FAILED = GuardOutcome.CONFIRMED, GuardOutcome.ROLLED_BACK, GuardOutcome.FAILED
CLASSES = pytest.mark.parametrize("class_", ["nixos", "darwin"])
# Where both classes go the same way, the short test takes one.
MOSTLY_NIXOS = pytest.mark.parametrize("class_", ["nixos", pytest.param("darwin", marks=pytest.mark.slow)])
# A link that is down is noticed within a second, so that no test waits for it.
IMPATIENT = Timeouts(keepalive_interval=0.3, keepalive_count=2, close=0.5)

# What old systems do in these tests when they are activated: put right what the new ones break.
MEND = "ip link set eth0 up; rm -f /run/clanpy-lab/no-sshd /var/filler"
CUT = "ip link set eth0 down"
# What a login to a Mac can read only where it was given that.
FULL_DISK_ACCESS = (
    "cd /Library && mkdir -p 'Application Support/com.apple.TCC' && : >'Application Support/com.apple.TCC/TCC.db'"
)
NO_SSHD = "touch /run/clanpy-lab/no-sshd; kill $(cat /run/sshd.pid)"


async def to_the_end(conn: Connection, site: Site, what: Activation, user: str = "root") -> ActivationResult:
    """As the deployer does it: lock, start, follow, confirm over a fresh connection."""
    async with lock(conn, what.owner) as held:
        id_ = await start(conn, what, held=held)
        *_, last = [event async for event in follow(conn, id_)]
        assert isinstance(last, FollowedPhase)
        if last.ended:
            return await result(conn, id_)
        async with connect(site.target(user)) as fresh:
            return await confirm(fresh, id_)


async def reached(site: Site) -> None:
    """Wait until the host answers."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(Exception):
                async with connect(site.target(), timeouts=Timeouts(connect=1.0)) as conn:
                    await conn.run("true")
                    return


async def end_of(site: Site, id_: str) -> ActivationResult:
    """Wait, over connections of its own, until the guard has ended: the host may be out of reach before that, at any moment."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(SshError):
                async with connect(site.target(), timeouts=IMPATIENT) as conn:
                    while (found := await result(conn, id_)).outcome is None:
                        assert found.alive, found
                    return found


async def install(site: Site, name: str = "old") -> None:
    async with connect(site.target()) as conn:
        done = await to_the_end(conn, site, activation(site.paths[name], "first", class_=site.host.class_))
        assert done.outcome is CONFIRMED


@CLASSES
async def test_an_account_with_sudo_takes_a_host_and_its_home_the_whole_way(lab: LentLab, class_: str) -> None:
    host = lab.host(class_=class_)  # type: ignore[arg-type]  # one of the two
    site = await prepare(lab, host, {"old": "", "new": ""}, ("mine",))
    await install(site)
    new, home = site.paths["new"], site.paths["mine"]
    async with connect(site.target("admin")) as conn:
        done = await to_the_end(conn, site, activation(new, class_=class_), "admin")
        assert (done.outcome, done.running, done.previous) == (CONFIRMED, new, site.paths["old"])
        what = activation(home, class_="home", account="admin", confirm_within=0)
        assert (await to_the_end(conn, site, what)).outcome is CONFIRMED
        facts = await gather(conn, Question(accounts=("admin",), elevation=True))
        assert facts.differs(Wanted(system=new, homes={"admin": home})) == ()
        assert (facts.class_, facts.elevation, facts.lock) == (class_, "sudo", None)
        assert await say(conn, "cat /etc/which ~/which") == "newmine"
        assert await say(conn, "stat -c %U ~/.local/state/nix/profiles/home-manager-1-link") == "admin"
        found = await generations(conn)
        assert [(g.number, g.path, g.current) for g in found] == [(1, site.paths["old"], False), (2, new, True)]


async def test_an_account_that_may_not_become_root_takes_its_own_home(lab: LentLab) -> None:
    """The lock, the state and the roots are its own; the daemon keeps what its roots lead to."""
    site = await prepare(lab, lab.host(), {}, ("one", "two"))
    one, two = site.paths["one"], site.paths["two"]
    async with connect(site.target("admin")) as conn:
        for run, path, before in (("run-1", one, ""), ("run-2", two, "one")):
            what = activation(path, run, class_="home", account="admin", confirm_within=0)
            told = await preview(conn, what, elevate=False)
            assert "Activating checkLinkTargets" in told
            assert await say(conn, "cat ~/which 2>/dev/null; true") == before
            async with lock(conn, owner(run), elevate=False) as held:
                id_ = await start(conn, what, held=held, elevate=False)
                assert [event async for event in follow(conn, id_, elevate=False)]
            assert (await result(conn, id_, elevate=False)).outcome is CONFIRMED
        facts = await gather(conn, Question(accounts=("admin", "root")))
        assert (facts.homes["admin"].running, facts.homes["root"].readable) == (two, False)
        assert facts.ways_back["home.admin"].path == one
        await say(conn, "nix-env -p ~/.local/state/nix/profiles/home-manager --delete-generations old")
        await say(conn, "nix-store --gc")
        assert await say(conn, f"test -e {one} && cat ~/which") == "two"
        assert await say(conn, "ls -A /var/lib/clanpy /var/run/clanpy 2>/dev/null; true") == ""


async def test_the_way_back_survives_the_collection_of_garbage(lab: LentLab) -> None:
    site = await prepare(lab, lab.host(), {"old": "", "new": ""})
    await install(site)
    async with connect(site.target()) as conn:
        await to_the_end(conn, site, activation(site.paths["new"]))
        await say(conn, "nix-env -p /nix/var/nix/profiles/system --delete-generations old && nix-store --gc")
        facts = await gather(conn)
        back = way_back(facts)
        assert back.path == site.paths["old"]
        done = await to_the_end(conn, site, activation(back.path, "back", generation=back.generation))
        assert (done.outcome, done.running) == (CONFIRMED, site.paths["old"])
        assert way_back(await gather(conn)).path == site.paths["new"]


@MOSTLY_NIXOS
@pytest.mark.parametrize("broken", [CUT, pytest.param(NO_SSHD, marks=pytest.mark.slow)], ids=["network", "sshd"])
async def test_a_change_that_cuts_the_controller_off_is_undone_by_the_host(
    lab: LentLab, class_: str, broken: str
) -> None:
    host = lab.host(class_=class_)  # type: ignore[arg-type]  # one of the two
    site = await prepare(lab, host, {"old": MEND, "new": broken})
    await install(site)
    async with connect(site.target(), timeouts=IMPATIENT) as conn, lock(conn, owner()) as held:
        await start(conn, activation(site.paths["new"], class_=class_, confirm_within=0.5), held=held)
    done = await end_of(site, "run-1")
    assert (done.outcome, done.reason, done.running) == (ROLLED_BACK, "not_confirmed", site.paths["old"])
    await reached(site)  # a session outlives the end of its sshd: what was asked may have been asked over such a one
    async with connect(site.target()) as conn:
        facts = await gather(conn)
        assert (facts.running, facts.profile, facts.lock) == (site.paths["old"], site.paths["old"], None)


@CLASSES
@pytest.mark.parametrize("phase", [pytest.param(Phase.ACTIVATING, marks=pytest.mark.slow), Phase.AWAITING])
async def test_a_reboot_in_the_middle_is_a_way_back_and_is_told(lab: LentLab, class_: str, phase: Phase) -> None:
    host = lab.host(class_=class_)  # type: ignore[arg-type]  # one of the two
    site = await prepare(lab, host, {"old": "", "new": "sleep 30" if phase is Phase.ACTIVATING else ""})
    await install(site)
    async with connect(site.target(), timeouts=IMPATIENT) as conn:
        await start(conn, activation(site.paths["new"], class_=class_, confirm_within=60.0))
        async for event in follow(conn, "run-1"):
            if isinstance(event, FollowedPhase) and event.phase is phase:
                break
        lab.fault("reboot", host)
    await reached(site)
    async with connect(site.target()) as conn:
        facts = await gather(conn)
        assert facts.running == site.paths["old"]
        assert [run.id for run in facts.left_over] == ["run-1"]
        assert facts.differs(Wanted(system=facts.running)) == ("system",)
        async with lock(conn, owner("run-2")) as held:
            await recover(conn, "run-1", held=held)
            assert [event async for event in follow(conn, "run-1")]
        done = await result(conn, "run-1")
        assert (done.outcome, done.why) == (ROLLED_BACK, "the host was rebooted before the end")
        facts = await gather(conn)
        assert (facts.running, facts.profile, facts.left_over) == (site.paths["old"], site.paths["old"], ())


@pytest.mark.slow
async def test_sessions_that_are_killed_in_the_middle_do_not_stop_an_activation(lab: LentLab) -> None:
    host = lab.host()
    site = await prepare(lab, host, {"old": "", "new": "sleep 0.5"})
    await install(site)
    async with connect(site.target()) as conn:
        await start(conn, activation(site.paths["new"]))
        lab.fault("kill-sessions", host)
    async with connect(site.target()) as conn:
        phases = [event.phase async for event in follow(conn, "run-1") if isinstance(event, FollowedPhase)]
        assert phases[-1] is Phase.AWAITING
        assert (await confirm(conn, "run-1")).running == site.paths["new"]


@pytest.mark.slow
async def test_on_a_disk_that_is_full_nothing_is_begun(lab: LentLab) -> None:
    host = lab.host(disk="160m")
    site = await prepare(lab, host, {"old": "", "new": ""})
    await install(site)
    lab.fault("fill", host)
    async with connect(site.target()) as conn:
        with pytest.raises(GuardError, match="is the disk full"):
            await start(conn, activation(site.paths["new"]))
        assert (await gather(conn)).running == site.paths["old"]


async def test_a_disk_that_fills_up_in_the_middle_leads_back_and_is_told(lab: LentLab) -> None:
    host = lab.host(disk="160m")
    site = await prepare(lab, host, {"old": MEND, "new": "cat /dev/zero >/var/filler"})
    await install(site)
    async with connect(site.target()) as conn:
        done = await to_the_end(conn, site, activation(site.paths["new"]))
        assert (done.outcome, done.code, done.running) == (ROLLED_BACK, 2, site.paths["old"])


async def test_a_store_that_is_read_only_keeps_the_host_as_it_was(lab: LentLab) -> None:
    host = lab.host()
    site = await prepare(lab, host, {"old": "", "new": ""})
    await install(site)
    lab.fault("ro-store", host)
    async with connect(site.target()) as conn:
        done = await to_the_end(conn, site, activation(site.paths["new"]))
        assert (done.outcome, done.reason) == (FAILED, "not_recorded")
        assert (await gather(conn)).running == site.paths["old"]


@pytest.mark.slow
async def test_another_switch_on_the_host_is_waited_for_by_nobody_and_undoes_nothing(lab: LentLab) -> None:
    site = await prepare(lab, lab.host(), {"old": "", "new": ""})
    await install(site)
    async with (
        connect(site.target()) as conn,
        contextlib.aclosing(
            conn.follow("exec 9>/run/nixos/switch-to-configuration.lock; flock 9; echo locked; sleep 60")
        ) as other,
    ):
        assert await anext(other) == "locked"
        done = await to_the_end(conn, site, activation(site.paths["new"]))
        assert (done.outcome, done.code) == (FAILED, 11)
        assert done.why == "the activation was refused: another switch is under way on the host"


@pytest.mark.parametrize("missing", ["setsid", pytest.param("setsid perl", marks=pytest.mark.slow)])
async def test_a_host_without_setsid_detaches_all_the_same(lab: LentLab, missing: str) -> None:
    """macOS has no setsid; and one day it may have no perl."""
    host = lab.host(class_="darwin")
    site = await prepare(lab, host, {"old": "", "new": "sleep 0.5", "slow": "sleep 30"})
    await install(site)
    async with connect(site.target()) as conn:
        await say(conn, FULL_DISK_ACCESS)  # or it would be a job of launchd
        await say(conn, f"cd /usr/bin && rm {missing}")
        await start(conn, activation(site.paths["new"], class_="darwin"))
        lab.fault("kill-sessions", host)
    async with connect(target(lab, host)) as conn:
        assert [event async for event in follow(conn, "run-1")]
        assert (await confirm(conn, "run-1")).outcome is CONFIRMED
        done = await to_the_end(
            conn, site, activation(site.paths["slow"], "run-2", class_="darwin", activate_within=1.5)
        )
        assert (done.outcome, done.code, done.running) == (ROLLED_BACK, 124, site.paths["new"])


async def test_on_macos_the_guard_is_a_job_of_launchd_that_is_gone_when_it_has_ended(lab: LentLab) -> None:
    site, noted = await mac(lab)
    what = activation(site.paths["new"], class_="darwin")
    async with connect(site.target("admin")) as conn:
        assert (await to_the_end(conn, site, what, "admin")).outcome is CONFIRMED
        while f"remove clanpy.{what.id}" not in await say(conn, noted):  # its last act
            pass
        assert f"submit -l clanpy.{what.id} -- /bin/sh" in await say(conn, noted)


async def test_where_logins_to_a_mac_have_full_disk_access_the_guard_keeps_it(lab: LentLab) -> None:
    site, noted = await mac(lab)
    what = activation(site.paths["new"], class_="darwin")
    async with connect(site.target()) as conn:
        await say(conn, FULL_DISK_ACCESS)
        assert (await to_the_end(conn, site, what)).outcome is CONFIRMED
        assert what.id not in await say(conn, noted)


async def test_a_guard_that_is_killed_on_macos_is_started_again_by_launchd_and_goes_back(lab: LentLab) -> None:
    """The lab's launchctl only starts programs: what starts the guard again is the job itself."""
    site, _ = await mac(lab)
    what = activation(site.paths["new"], class_="darwin", confirm_within=60)
    async with connect(site.target()) as conn:
        async with lock(conn, owner()) as held:
            id_ = await start(conn, what, held=held)
            waiting = follow(conn, id_)
            assert [event async for event in waiting][-1] == FollowedPhase(Phase.AWAITING)
        await say(conn, f"kill -KILL $(sed -n 's/^pid=//p' /var/lib/clanpy/runs/{id_}/state)")
        ended = await end_of_killed(conn, id_)
        assert (ended.outcome, ended.running) == (GuardOutcome.ROLLED_BACK, site.paths["old"])


async def mac(lab: LentLab) -> tuple[Site, str]:
    """A Mac that runs its old system, and the command that shows what its launchctl was told."""
    site = await prepare(lab, lab.host(class_="darwin"), {"old": "", "new": ""})
    await install(site)
    return site, "cat /var/log/launchctl.log"


async def end_of_killed(conn: Connection, id_: str) -> ActivationResult:
    """Wait for the result of a guard that is not always there meanwhile."""
    async with asyncio.timeout(30):
        while (found := await result(conn, id_)).outcome is None:
            pass
    return found
