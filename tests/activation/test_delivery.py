"""Secrets on a host: exchanged as a whole, whatever ends the script on its way, and put back when what came with them is."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from activation.folder import SHELLS, Machine, activation, make_machine
from clanpy.activation import confirm, follow, gather, result, revert, start
from clanpy.activation.delivery import Delivered, SecretFile, SecretSet, deliver, escaped, stream, take_back
from clanpy.activation.errors import DeliveryError
from clanpy.activation.scripts import assemble
from clanpy.secrets import Secret


PLACES = {
    "services": "run/secrets/vars",
    "users": "run/secrets-for-users/vars",
    "activation": "var/lib/sops-nix/activation",
    "partitioning": "var/lib/sops-nix/partitioning",
    "sops": "var/lib/sops-nix/vars",
}
SYSTEMCTL = """#!/bin/sh
echo "$@" >>"$CLANPY_ROOT/systemctl"
case $1 in is-active) [ "$3" != idle.service ] ;; is-failed) exit 1 ;; esac
"""


@pytest.fixture(params=[pytest.param(s, marks=pytest.mark.slow) if s == "busybox" else s for s in SHELLS])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A host under each of the shells, in memory."""
    yield from in_memory(request.param)


@pytest.fixture
def one() -> Iterator[Machine]:
    """A host under dash, in memory."""
    yield from in_memory("dash")


def in_memory(shell: str) -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        made = make_machine(Path(folder), shell)
        (made.root / "run/systemd/system").mkdir(parents=True)
        tool = Path(folder) / "tools/systemctl"
        tool.write_text(SYSTEMCTL)
        tool.chmod(0o755)
        yield made
        made.end()


def secret(name: str, content: bytes | str, **more: object) -> SecretFile:
    values: dict[str, object] = {
        "store": "services",
        "owner": str(os.getuid()),
        "group": str(os.getgid()),
        "mode": "0400",
        "digest": f"{hash((name, content)) & 0xFFFFFFFF:x}",
        **more,
    }
    return SecretFile(name=name, content=Secret(content), **values)  # type: ignore[arg-type]  # the tests' own keywords


def these(*files: SecretFile, direct: bool = True) -> SecretSet:
    return SecretSet(files=files, digest=f"{hash(files and tuple(f.digest for f in files)) & 0xFFFF:x}", direct=direct)


async def bring(
    machine: Machine, secrets: SecretSet, *, name: str = "one", run: str = "run-1", apply: bool = True
) -> Delivered:
    return await deliver(machine.conn, secrets, run=run, name=name, apply=apply)


def read(machine: Machine) -> dict[str, str]:
    """Everything that services, users and activations of a host find, by store and name."""
    found = {}
    for store, place in PLACES.items():
        folder = machine.root / place
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file():
                found[f"{store}/{path.relative_to(folder)}"] = path.read_bytes().decode("latin1")
    return found


def holding(folder: Path, text: bytes) -> list[Path]:
    """The files below a folder that hold a text, wherever links lead."""
    return [
        path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and text in path.read_bytes()
    ]


def real(path: Path) -> str:
    return os.path.realpath(path)


def run(*words: str, machine: Machine | None = None, given: bytes = b"") -> int:
    env = machine.conn.env if machine else None
    return subprocess.run(words, env=env, input=given, capture_output=True, check=False).returncode


def restarted(machine: Machine) -> list[str]:
    path = machine.root / "systemctl"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line.removeprefix("restart ") for line in lines if line.startswith("restart ")]


EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize(
    "content", [b"", b"x", b"two\nlines\n", b"  blanks \t", b"%s \\n \\0101 $HOME `id`", EVERY_BYTE]
)
async def test_what_arrives_is_what_was_sent(machine: Machine, content: bytes) -> None:
    await bring(machine, these(secret("a/b", content)))

    assert (machine.root / "run/secrets/vars/a/b").read_bytes() == content


async def test_each_file_has_its_place_owner_and_mode(machine: Machine) -> None:
    files = (
        secret("a/key", "KEY"),
        secret("a/hash", "HASH", store="users", mode="0440"),
        secret("b/seed", "3", store="activation", mode="0600"),
        secret("b/disk", "4", store="partitioning"),
    )
    delivered = await bring(machine, these(*files))

    assert delivered.changed == 4
    assert read(machine) == {
        "services/a/key": "KEY",
        "users/a/hash": "HASH",
        "activation/b/seed": "3",
        "partitioning/b/disk": "4",
    }
    modes = {f.name: stat.S_IMODE((machine.root / PLACES[f.store] / f.name).stat().st_mode) for f in files}
    assert modes == {"a/key": 0o400, "a/hash": 0o440, "b/seed": 0o600, "b/disk": 0o400}
    inside = machine.root / "run/clanpy-secrets"
    for folder in (inside, *(path for path in inside.rglob("*") if path.is_dir())):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o711, folder
    assert holding(machine.root / "var", b"KEY") + holding(machine.root / "var", b"HASH") == []


async def test_the_new_set_is_the_whole_set(machine: Machine) -> None:
    await bring(machine, these(secret("a/old", "old"), secret("a/both", "1")), name="one")
    await bring(machine, these(secret("a/new", "new"), secret("a/both", "2")), name="two")
    assert read(machine) == {"services/a/both": "2", "services/a/new": "new"}

    await bring(machine, these(), name="three")
    assert read(machine) == {}
    sets = {path.name for path in (machine.vault / "secrets").iterdir()}
    assert sets == {"current", "two", "three"}, "the last one is kept for the way back, and no other"
    assert {path.name for path in (machine.root / "run/clanpy-secrets").iterdir()} == {"two", "three"}


async def test_facts_tell_a_digest_and_whether_memory_still_holds_it(machine: Machine) -> None:
    assert (await gather(machine.conn)).secrets is None

    await bring(machine, SecretSet(files=(secret("a/key", "1"),), digest="abc123"))
    assert (await gather(machine.conn)).secrets == "abc123"

    shutil.rmtree(machine.root / "run/clanpy-secrets")  # a reboot
    assert (await gather(machine.conn)).secrets is None


async def test_units_of_what_changed_are_restarted_and_no_others(machine: Machine) -> None:
    def now(key: str, *, more: str = "same") -> SecretSet:
        return these(
            secret("a/key", key, units=("web.service", "idle.service")), secret("a/other", more, units=("db.service",))
        )

    assert (await bring(machine, now("1"), name="one")).lines == (
        "clanpy: restarting db.service: its secret has changed",
        "clanpy: restarting web.service: its secret has changed",
    )
    assert restarted(machine) == ["db.service", "web.service"], "one that does not run reads it when it starts"
    await bring(machine, now("2"), name="two")
    assert restarted(machine) == ["web.service"]
    assert (await bring(machine, now("2"), name="three")).changed == 0
    assert restarted(machine) == []


async def test_an_owner_who_is_made_by_the_activation_gets_the_file_after_it(one: Machine) -> None:
    await bring(one, these(secret("a/key", "1", owner="nobody-here", group="none")), apply=False)
    path = one.root / "run/secrets/vars/a/key"
    assert path.stat().st_uid == os.getuid()
    assert stat.S_IMODE(path.stat().st_mode) == 0o400

    said = await bring(one, these(secret("a/key", "1", owner="nobody-here", group="none")), name="two")
    assert said.lines == (f"clanpy: the secret {real(path)} stays root's: there is no nobody-here:none on this host",)


async def test_what_was_there_before_clanpy_is_moved_aside(one: Machine) -> None:
    old = one.root / "var/lib/sops-nix"
    (old / "activation/x").mkdir(parents=True)
    (old / "key.txt").write_text("old")

    await bring(one, these(secret("key.txt", "new", store="key"), secret("x/y", "1", store="activation"), direct=False))

    assert (old / "key.txt").read_text() == "new"
    assert (old / "activation/x/y").read_text() == "1"
    assert (old / "activation.before-clanpy/x").is_dir()


async def test_sops_nix_keeps_its_own_folder(one: Machine) -> None:
    await bring(one, these(secret("a/key", "1")))
    assert (one.root / "run/secrets").is_dir()
    await bring(one, these(secret("a/key", "cipher", store="sops"), direct=False), name="two")
    assert not (one.root / "run/secrets").exists()

    (one.root / "run/secrets.d/1").mkdir(parents=True)
    (one.root / "run/secrets").symlink_to("secrets.d/1")
    with pytest.raises(DeliveryError, match="sops-nix has /run/secrets"):
        await bring(one, these(secret("a/key", "1")), name="three")
    assert read(one) == {"sops/a/key": "cipher"}


async def test_nothing_is_written_where_there_is_no_memory(one: Machine, tmp_path: Path) -> None:
    on_disk = make_machine(tmp_path)
    stub = tmp_path / "tools/stat"
    stub.write_text("#!/bin/sh\necho ext2/ext3\n")
    mount = tmp_path / "tools/mount"
    mount.write_text("#!/bin/sh\nexit 1\n")
    for tool in (stub, mount):
        tool.chmod(0o755)

    with pytest.raises(DeliveryError, match="no place in memory"):
        await bring(on_disk, these(secret("a/key", "planted")))
    assert holding(tmp_path, b"planted") == []


async def test_a_stream_that_ends_early_changes_nothing(machine: Machine) -> None:
    await bring(machine, these(secret("a/key", "old")), name="one")
    whole = b"".join(stream(these(secret("a/key", "new"), secret("b/key", "new"))))

    for end in (0, 5, len(whole) // 2, len(whole) - 3):
        done = machine.conn
        said = await done.run(script(machine, f"cut-{end}"), input=whole[:end])
        assert "@refused=cut_off" in said.stdout
        assert read(machine) == {"services/a/key": "old"}
    assert {path.name for path in (machine.vault / "secrets").iterdir()} == {"current", "one"}


def script(machine: Machine, name: str, *, apply: int = 1) -> str:
    return assemble(
        "secrets",
        "deliver",
        variables={"act": "deliver", "run": "run-2", "fresh": name, "direct": True, "apply": apply},
    )


async def test_whatever_kills_it_leaves_the_old_secrets_or_the_new(one: Machine) -> None:
    """Bash runs the script with a trap before each of its commands, that kills it before the n-th, for every n."""
    old = {"services/a/key": "old", "users/a/hash": "old", "activation/a/seed": "old"}
    new = {"services/a/key": "new", "users/a/hash": "new", "activation/a/seed": "new", "partitioning/b/x": "new"}
    before = these(*(secret(n.partition("/")[2], v, store=n.partition("/")[0]) for n, v in old.items()))
    after = these(*(secret(n.partition("/")[2], v, store=n.partition("/")[0]) for n, v in new.items()))
    await bring(one, before, name="base")
    whole, seen, point = b"".join(stream(after)), set(), 0
    while True:
        point += 1
        trap = f"set -T; n=0; trap '[ $((n += 1)) -lt {point} ] || kill -9 $$' DEBUG\n"
        ended = run("bash", "-c", trap + script(one, f"new-{point}"), machine=one, given=whole)
        now = read(one)
        assert now in (old, new), f"killed before command {point}"
        seen.add("new" if now == new else "old")
        if ended == 0:
            break
        if now == new:
            assert (await bring(one, before, name=f"again-{point}")).changed >= 0
            assert read(one) == old
    assert seen == {"old", "new"}
    assert point > 100
    left = {path.name for path in (one.vault / "secrets").iterdir()} - {"current"}
    assert len(left) == 2, "what was cut off is removed by the next delivery"


async def test_a_full_memory_changes_nothing(tmp_path: Path) -> None:
    """A host in a file system of its own, with 256 KiB of room."""
    if os.getuid() != 0:
        pytest.skip("only root can mount one")
    place = tmp_path / "small"
    place.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=256k", "small", str(place)):
        pytest.skip("nothing can be mounted here")
    try:
        small = make_machine(place)
        await bring(small, these(secret("a/key", "old")), name="one")
        with pytest.raises(DeliveryError, match="there is no room"):
            await bring(small, these(secret("a/key", "new"), secret("a/big", b"x" * 300_000)), name="two")
        assert read(small) == {"services/a/key": "old"}
        await bring(small, these(secret("a/key", "new")), name="three")
        assert read(small) == {"services/a/key": "new"}
    finally:
        run("umount", "-l", str(place))


async def activated(machine: Machine, new: str, *, confirmed: bool) -> None:
    id_ = await start(machine.conn, activation(new), elevate=False)
    async for _ in follow(machine.conn, id_):
        pass
    ended = await (confirm(machine.conn, id_) if confirmed else revert(machine.conn, id_, "asked"))
    assert ended.outcome is not None


async def test_going_back_brings_the_secrets_from_before(machine: Machine) -> None:
    machine.install(machine.add("old"))
    new = machine.add("new")
    await bring(machine, these(secret("a/key", "old", units=("web.service",))), name="one", run="run-0")
    restarted(machine)

    await bring(machine, these(secret("a/key", "new", units=("web.service",))), name="two", apply=False)
    assert restarted(machine) == []
    await activated(machine, new, confirmed=False)

    assert read(machine) == {"services/a/key": "old"}
    assert restarted(machine) == ["web.service", "web.service"], "with the new one, and again with the old one"
    assert (await gather(machine.conn)).secrets is not None


async def test_going_forward_keeps_the_new_secrets_and_restarts_their_units_after_the_activation(
    machine: Machine,
) -> None:
    machine.install(machine.add("old"))
    new = machine.add("new")
    await bring(machine, these(secret("a/key", "old", units=("web.service",))), name="one", run="run-0")
    restarted(machine)

    await bring(machine, these(secret("a/key", "new", units=("web.service",))), name="two", apply=False)
    await activated(machine, new, confirmed=True)

    assert read(machine) == {"services/a/key": "new"}
    assert restarted(machine) == ["web.service"]


async def test_an_activation_that_fails_brings_them_back_too(machine: Machine) -> None:
    machine.install(machine.add("old"))
    new = machine.add("new", "fail2")
    await bring(machine, these(secret("a/key", "old")), name="one", run="run-0")
    await bring(machine, these(secret("a/key", "new")), name="two", apply=False)
    id_ = await start(machine.conn, activation(new), elevate=False)
    async for _ in follow(machine.conn, id_):
        pass
    assert (await result(machine.conn, id_)).outcome == "rolled_back"
    assert read(machine) == {"services/a/key": "old"}


async def test_the_first_secrets_of_a_host_are_gone_again_when_their_activation_is_taken_back(one: Machine) -> None:
    await bring(one, these(secret("a/key", "new")), apply=False)
    await take_back(one.conn, "run-1")
    assert read(one) == {}
    assert (await gather(one.conn)).secrets is None


async def test_only_the_run_that_brought_them_takes_them_back(one: Machine) -> None:
    await bring(one, these(secret("a/key", "new")), apply=False)
    assert await take_back(one.conn, "run-7") == ()
    assert read(one) == {"services/a/key": "new"}


def test_content_is_one_line_of_printable_characters() -> None:
    assert escaped(b"a\\b\n\xff") == b"a\\0134b\\0012\\0377"
    assert b"\n" not in escaped(EVERY_BYTE)


def test_a_name_that_is_no_word_is_refused() -> None:
    with pytest.raises(DeliveryError, match="no single word"):
        list(stream(these(secret("a b", "x"))))
