from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clanpy.secrets.disk import Disk
from clanpy.secrets.errors import InterruptedWriteError, TreeLockedError, WriteFailedError
from clanpy.secrets.transaction import PENDING, Transaction, Tree
from support.vault import CountingDisk, DyingDisk, Vault, in_child


P = PurePosixPath
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")


def first_state(transaction: Transaction) -> None:
    for name in ("a", "b", "c"):
        transaction.write(P(f"vars/m/{name}/value"), name.encode())
    transaction.write(P("vars/m/old/secret"), b"old")
    transaction.link(P("vars/m/old/users/alice"), "../../../../sops/users/alice")


def second_state(transaction: Transaction) -> None:
    transaction.write(P("vars/m/a/value"), b"other")
    transaction.write(P("vars/n/d/value"), b"new")
    transaction.remove(P("vars/m/b"))
    transaction.remove(P("vars/m/old"))
    transaction.write(P("vars/m/old/value"), b"now public")
    transaction.link(P("vars/n/d/users/bob"), "../../../../sops/users/bob")


def carry_out(tree: Tree, *changes: Callable[[Transaction], None]) -> tuple[P, ...]:
    with tree.writing() as transaction:
        for change in changes:
            change(transaction)
        return transaction.commit()


def test_a_transaction_writes_links_and_removes(vault: Vault) -> None:
    carry_out(vault.tree(), first_state)
    changed = carry_out(vault.tree(), second_state)

    files = {path: content for path, content in vault.snapshot().items() if path.startswith("vars")}
    assert files == {
        "vars/m/a/value": b"other".hex(),
        "vars/m/c/value": b"c".hex(),
        "vars/m/old/value": b"now public".hex(),
        "vars/n/d/value": b"new".hex(),
        "vars/n/d/users/bob": "-> ../../../../sops/users/bob",
    }
    assert [str(p) for p in changed] == [
        "vars/m/a/value",
        "vars/m/b",
        "vars/m/old",
        "vars/m/old/value",
        "vars/n/d/users/bob",
        "vars/n/d/value",
    ]
    assert not (vault.root / PENDING).exists()
    assert not (vault.root / "vars/m/b").exists()


def test_what_is_so_already_is_not_written(vault: Vault) -> None:
    carry_out(vault.tree(), first_state)
    disk = CountingDisk()

    assert carry_out(vault.tree(disk), first_state) == ()
    assert disk.steps == []


def test_without_a_commit_nothing_happens(vault: Vault) -> None:
    before = vault.snapshot()
    with vault.tree().writing() as transaction:
        first_state(transaction)

    assert vault.snapshot() == before


def test_a_process_killed_at_any_point_leaves_the_old_state_or_the_new(vault: Vault) -> None:
    carry_out(vault.tree(), first_state)
    old = vault.snapshot()
    counting = CountingDisk()
    carry_out(vault.tree(counting), second_state)
    new = vault.snapshot()
    seen = set()

    for point in range(1, len(counting.steps) + 1):
        _back_to(vault, old)
        died = in_child(lambda: carry_out(vault.tree(DyingDisk(point)), second_state))  # noqa: B023 - run at once
        assert died == -signal.SIGKILL
        vault.tree().settle()
        with vault.tree().writing():
            pass  # the next writer clears what was prepared
        assert vault.snapshot() in (old, new), counting.steps[point - 1]
        seen.add(vault.snapshot() == new)

    assert seen == {True, False}


def test_a_process_killed_while_recovering_leaves_it_to_the_next(vault: Vault) -> None:
    carry_out(vault.tree(), first_state)
    counting = CountingDisk()
    old = vault.snapshot()
    carry_out(vault.tree(counting), second_state)
    new = vault.snapshot()
    decided = next(n for n, (kind, name) in enumerate(counting.steps, 1) if (kind, name) == ("rename", "plan.json"))

    _back_to(vault, old)
    assert in_child(lambda: carry_out(vault.tree(DyingDisk(decided + 2)), second_state)) == -signal.SIGKILL
    deaths = 0
    while in_child(lambda: vault.tree(DyingDisk(2)).settle()) != 0:
        deaths += 1

    assert deaths > 2
    assert vault.snapshot() == new


paths = st.sampled_from([f"vars/{a}/{b}/{c}" for a in "ab" for b in "ab" for c in "ab"])
changes = st.one_of(
    st.tuples(st.just("write"), paths, st.sampled_from(["1", "2", ""])),
    st.tuples(st.just("link"), paths, st.sampled_from(["x", "../y"])),
    st.tuples(
        st.just("remove"), st.one_of(paths, st.sampled_from(["vars/a", "vars/a/b", "vars/b/a", "vars"])), st.none()
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(changes, max_size=6), after=st.lists(changes, min_size=1, max_size=8), point=st.integers(1, 60))
def test_any_changes_are_as_if_made_one_after_the_other_or_not_at_all(
    vault: Vault, before: list[tuple[str, str, str]], after: list[tuple[str, str, str]], point: int
) -> None:
    _back_to(vault, {})
    carry_out(vault.tree(), lambda t: _do(t, before))
    old = vault.snapshot()
    expected = dict(old)
    for kind, path, content in after:
        _simulate(expected, kind, path, content)

    died = in_child(lambda: carry_out(vault.tree(DyingDisk(point)), lambda t: _do(t, after)))
    carry_out(vault.tree())

    assert vault.snapshot() in ((old, expected) if died else (expected,))


def _do(transaction: Transaction, steps: list[tuple[str, str, str]]) -> None:
    for kind, path, content in steps:
        if kind == "write":
            transaction.write(P(path), content.encode())
        elif kind == "link":
            transaction.link(P(path), content)
        else:
            transaction.remove(P(path))


def _simulate(state: dict[str, str], kind: str, path: str, content: str) -> None:
    if kind == "write":
        state[path] = content.encode().hex()
    elif kind == "link":
        state[path] = f"-> {content}"
    else:
        for other in [p for p in state if p == path or p.startswith(f"{path}/")]:
            del state[other]


def _back_to(vault: Vault, state: dict[str, str]) -> None:
    for child in vault.root.iterdir():
        Disk().remove_tree(child)
    for path, content in state.items():
        target = vault.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            target.symlink_to(content[3:])
        else:
            target.write_bytes(bytes.fromhex(content))


def test_a_second_writer_waits_and_then_sees_what_the_first_wrote(vault: Vault) -> None:
    inside, go_on = threading.Event(), threading.Event()
    order = []

    def first() -> None:
        with vault.tree().writing() as transaction:
            inside.set()
            go_on.wait(10)
            transaction.write(P("vars/x"), b"1")
            transaction.commit()
            order.append("first")

    def second() -> None:
        inside.wait(10)
        go_on.set()
        with vault.tree().writing() as transaction:
            order.append((vault.root / "vars/x").read_text())
            transaction.write(P("vars/x"), b"2")
            transaction.commit()

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert order == ["first", "1"]
    assert (vault.root / "vars/x").read_text() == "2"


def test_a_writer_that_waits_in_vain_is_told_who_is_in_its_way(vault: Vault) -> None:
    with vault.tree().writing(), pytest.raises(TreeLockedError, match=rf"process {os.getpid()} is writing"):  # noqa: SIM117
        with vault.tree().writing(wait_seconds=0):
            pass


def test_the_lock_of_a_killed_writer_is_gone(vault: Vault) -> None:
    def die() -> None:
        with vault.tree().writing():
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die) == -signal.SIGKILL
    with vault.tree().writing(wait_seconds=0):
        pass


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@needs_root
def test_a_full_disk_changes_nothing_and_is_told(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=256k") as folder:
        tree = Tree(folder)
        carry_out(tree, first_state)
        before = sorted(str(p) for p in folder.rglob("*"))

        def too_much(transaction: Transaction) -> None:
            second_state(transaction)
            transaction.write(P("vars/z/big/value"), b"x" * 400_000)

        with pytest.raises(WriteFailedError, match="no space is left on the device") as failure:
            carry_out(tree, too_much)

        assert failure.value.hint == "nothing was changed"
        assert sorted(str(p) for p in folder.rglob("*")) == before
        carry_out(tree, second_state)


@needs_root
def test_a_read_only_tree_is_told_and_can_be_read(tmp_path: Path) -> None:
    with mounted(tmp_path / "ro", "size=256k") as folder:
        carry_out(Tree(folder), first_state)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)

        Tree(folder).settle()
        with pytest.raises(WriteFailedError, match="read-only"):
            carry_out(Tree(folder), second_state)


@needs_root
def test_an_interrupted_write_in_a_read_only_tree_is_told(vault: Vault, tmp_path: Path) -> None:
    counting = CountingDisk()
    carry_out(vault.tree(counting), first_state)
    decided = counting.steps.index(("rename", "plan.json")) + 1
    with mounted(tmp_path / "ro", "size=256k") as folder:
        assert in_child(lambda: carry_out(Tree(folder, DyingDisk(decided + 1)), first_state)) == -signal.SIGKILL
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)

        with pytest.raises(InterruptedWriteError, match="read-only"):
            Tree(folder).settle()
