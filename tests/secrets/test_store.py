from __future__ import annotations

import json
import subprocess
from pathlib import PurePosixPath

import pytest

from clanpy.secrets import (
    AgeStore,
    Placement,
    Reader,
    ReaderKind,
    Regrant,
    Secret,
    SecretStore,
    VarId,
    VarStore,
    plain_store,
)
from clanpy.secrets.errors import (
    AccessError,
    NoKeyError,
    PlainStoreError,
    RecipientError,
    SecretNotFoundError,
    TamperedError,
)
from support.vault import Vault, noon


KEY = PurePosixPath("vars/per-machine/web/ssh/key")
SHARED = PurePosixPath("vars/shared/ca/key")


def write(vault: Vault, store: SecretStore, folder: PurePosixPath, value: str, *readers: Reader) -> None:
    with vault.tree().writing() as transaction:
        store.write(transaction, folder, Secret(value), readers)
        transaction.commit()


def grant(vault: Vault, store: SecretStore, folder: PurePosixPath, *readers: Reader) -> Regrant | None:
    with vault.tree().writing() as transaction:
        change = store.grant(transaction, folder, readers)
        transaction.commit()
        return change


def group(vault: Vault, name: str, *members: Reader) -> Reader:
    with vault.tree().writing() as transaction:
        vault.access().put_members(transaction, name, members)
        transaction.commit()
    return Reader(ReaderKind.GROUP, name)


def test_a_secret_is_laid_out_as_clan_does(vault: Vault) -> None:
    web = vault.machine("web")
    write(vault, vault.store(), KEY, "x", web)
    write(vault, vault.store(), SHARED, "x", web)

    files = vault.snapshot()
    assert files[f"{KEY}/machines/web"] == "-> ../../../../../../sops/machines/web"
    assert files[f"{KEY}/users/alice"] == "-> ../../../../../../sops/users/alice"
    assert files[f"{SHARED}/machines/web"] == "-> ../../../../../sops/machines/web"
    assert (vault.root / KEY / "machines/web").resolve() == vault.root / "sops/machines/web"
    assert f"{KEY}/secret" in files
    assert json.loads((vault.root / "sops/users/alice/key.json").read_text()) == [
        {"publickey": vault.person("alice").public, "type": "age"}
    ]


def test_a_secret_is_read_by_those_who_may_and_nobody_else(vault: Vault) -> None:
    web = vault.machine("web")
    write(vault, vault.store("alice"), KEY, "x", web)

    assert vault.store("alice").read(KEY) == Secret("x")
    assert vault.store("web").read(KEY) == Secret("x")
    assert vault.sops_decrypt("web", f"{KEY}/secret") == b"x"
    with pytest.raises(NoKeyError):
        vault.store("bob").read(KEY)


def test_the_writer_becomes_a_reader_only_where_no_other_reader_is_the_writer(vault: Vault) -> None:
    web, alice = vault.machine("web"), vault.person("alice").user
    admins = group(vault, "admins", alice)
    write(vault, vault.store(), KEY, "x", web, admins)

    assert vault.store().access(KEY).readers == {web, admins}
    assert vault.store().read(KEY) == Secret("x")


def test_a_file_written_by_the_program_is_read_and_extended(vault: Vault) -> None:
    vault.sops_encrypt(f"{KEY}/secret", b"x", "alice")
    (vault.root / KEY / "users").mkdir()
    (vault.root / KEY / "users/alice").symlink_to("../../../../../../sops/users/alice")
    before = vault.snapshot()
    store = vault.store()

    assert store.read(KEY) == Secret("x")
    assert grant(vault, store, KEY, vault.person("alice").user) is None
    assert vault.snapshot() == before

    change = grant(vault, store, KEY, vault.person("alice").user, vault.person("bob").user)

    assert change is not None
    assert change.added == (vault.person("bob").public,)
    assert change.removed == ()
    assert vault.sops_decrypt("bob", f"{KEY}/secret") == b"x"
    after = vault.snapshot()
    assert {path for path in after if after[path] != before.get(path)} == {f"{KEY}/secret", f"{KEY}/users/bob"}


def test_who_loses_access_can_not_read_the_new_file_even_with_the_old_data_key(vault: Vault) -> None:
    alice, bob = vault.person("alice"), vault.person("bob")
    write(vault, vault.store(), KEY, "x", alice.user, bob.user)
    before = json.loads((vault.root / KEY / "secret").read_text())

    change = grant(vault, vault.store(), KEY, alice.user)

    after = json.loads((vault.root / KEY / "secret").read_text())
    assert change is not None
    assert change.removed == (bob.public,)
    assert before["data"] != after["data"]
    assert not (vault.root / KEY / "users/bob").is_symlink()
    with pytest.raises(NoKeyError):
        vault.store("bob").read(KEY)


def test_access_tells_what_git_gives_and_what_the_ciphertext_gives(vault: Vault) -> None:
    alice, bob, carol = (vault.person(name) for name in ("alice", "bob", "carol"))
    write(vault, vault.store(), KEY, "x", alice.user, bob.user)
    (vault.root / KEY / "users/bob").unlink()
    (vault.root / KEY / "users/mallory").symlink_to("../../../../../../sops/users/mallory")
    (vault.root / KEY / "users/eve").symlink_to("../../../../../../../elsewhere/users/eve")
    vault.register(carol.user, carol.public)
    (vault.root / KEY / "users/carol").symlink_to("../../../../../../sops/users/carol")

    access = vault.store().access(KEY)

    assert access.readers == {alice.user, carol.user}
    assert access.added == {carol.public}
    assert access.removed == {bob.public}
    assert [path.name for path in access.dangling] == ["eve", "mallory"]


def test_a_link_in_the_wrong_folder_gives_nobody_access(vault: Vault) -> None:
    web = vault.machine("web")
    write(vault, vault.store(), KEY, "x", web)
    (vault.root / KEY / "users/web").symlink_to("../../../../../../sops/machines/web")

    assert [p.name for p in vault.store().access(KEY).dangling] == ["web"]


def test_a_link_with_another_name_than_its_target_gives_nobody_access(vault: Vault) -> None:
    write(vault, vault.store(), KEY, "x", vault.person("alice").user)
    (vault.root / KEY / "users/carol").symlink_to("../../../../../../sops/users/bob")

    access = vault.store().access(KEY)

    assert access.readers == {vault.person("alice").user}
    assert [p.name for p in access.dangling] == ["carol"]


def test_a_link_that_says_the_same_in_other_words_stays(vault: Vault) -> None:
    write(vault, vault.store(), KEY, "x", vault.person("alice").user)
    link = vault.root / KEY / "users/alice"
    link.unlink()
    link.symlink_to("../../../../../../sops/groups/../users/alice")
    before = vault.snapshot()

    assert grant(vault, vault.store(), KEY, vault.person("alice").user) is None
    assert vault.snapshot() == before


def test_rotating_keeps_value_and_readers_and_changes_the_ciphertext(vault: Vault) -> None:
    alice, bob = vault.person("alice"), vault.person("bob")
    write(vault, vault.store(), KEY, "x", alice.user, bob.user)
    before = json.loads((vault.root / KEY / "secret").read_text())

    with vault.tree().writing() as transaction:
        vault.store().rotate(transaction, KEY)
        transaction.commit()

    after = json.loads((vault.root / KEY / "secret").read_text())
    assert vault.sops_decrypt("bob", f"{KEY}/secret") == b"x"
    assert before["data"] != after["data"]
    assert before["sops"]["age"][0]["enc"] != after["sops"]["age"][0]["enc"]


def test_an_unknown_reader_is_told_with_the_nearest_name(vault: Vault) -> None:
    vault.machine("webserver")
    with pytest.raises(AccessError, match="no machine 'websrver'") as failure:
        write(vault, vault.store(), KEY, "x", Reader(ReaderKind.MACHINE, "websrver"))
    assert "webserver" in str(failure.value.hint)


def test_a_writer_who_is_no_user_of_the_fleet_is_told(vault: Vault) -> None:
    web = vault.machine("web")
    with pytest.raises(NoKeyError, match="belongs to a user") as failure:
        write(vault, vault.store("stranger"), KEY, "x", web)
    assert "keygen" in str(failure.value.hint)


def test_nobody_left_is_refused(vault: Vault) -> None:
    write(vault, vault.store(), KEY, "x", vault.person("alice").user)
    with pytest.raises(RecipientError):
        grant(vault, vault.store(), KEY)


@pytest.mark.parametrize("kind", ["sops", "age", "plain"])
def test_a_secret_that_is_not_there_is_told(vault: Vault, kind: str) -> None:
    stores: dict[str, SecretStore] = {
        "sops": vault.store(),
        "age": AgeStore(vault.root, vault.access(), vault.person("alice").keyring, noon),
        "plain": plain_store(vault.root, noon, lab="lab"),
    }
    with pytest.raises(SecretNotFoundError, match="there is no secret"):
        stores[kind].read(KEY)
    assert not stores[kind].exists(KEY)


def test_removing_somebody_ends_memberships_and_leaves_those_whose_name_begins_the_same(vault: Vault) -> None:
    web, web1 = vault.machine("web"), vault.machine("web-1")
    group(vault, "servers", web, web1)
    with vault.tree().writing() as transaction:
        access = vault.access()
        access.remove(transaction, web)
        assert access.names(ReaderKind.MACHINE) == ("web-1",)
        assert access.members("servers") == (web1,)
        transaction.commit()

    assert vault.access().names(ReaderKind.MACHINE) == ("web-1",)
    assert vault.access().members("servers") == (web1,)


def test_a_key_file_in_the_older_form_is_read_and_left_alone(vault: Vault) -> None:
    path = vault.root / "sops/users/alice/key.json"
    path.write_text(json.dumps({"publickey": vault.person("alice").public, "type": "age"}, indent=2))
    before = path.read_bytes()

    vault.register(vault.person("alice").user, vault.person("alice").public)

    assert path.read_bytes() == before
    assert [key.text for key in vault.access().keys(vault.person("alice").user)] == [vault.person("alice").public]


# --- age ---


def age_store(vault: Vault, who: str = "alice") -> AgeStore:
    return AgeStore(vault.root, vault.access(), vault.person(who).keyring, noon)


def test_the_age_program_reads_what_the_age_store_writes(vault: Vault) -> None:
    web = vault.machine("web")
    write(vault, age_store(vault), KEY, "x", web)
    file = vault.root / "secrets/clan-vars/per-machine/web/ssh/key/key.age"

    for who in ("alice", "web"):
        key = vault.person(who).file
        assert subprocess.run(["age", "-d", "-i", key, file], capture_output=True, check=True).stdout == b"x"
        assert age_store(vault, who).read(KEY) == Secret("x")
    assert set(file.with_suffix(".age.recipients").read_text().split()) == {
        vault.person("alice").public,
        vault.person("web").public,
    }
    assert list(age_store(vault).folders()) == [KEY]


def test_the_age_store_reads_what_the_age_program_writes(vault: Vault) -> None:
    file = vault.root / "secrets/clan-vars/per-machine/web/ssh/key/key.age"
    file.parent.mkdir(parents=True)
    subprocess.run(["age", "-r", vault.person("alice").public, "-o", file], input=b"x", check=True)

    assert age_store(vault).read(KEY) == Secret("x")
    with pytest.raises(NoKeyError):
        age_store(vault, "bob").read(KEY)
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(TamperedError):
        age_store(vault).read(KEY)


def test_the_age_store_gives_and_takes_access(vault: Vault) -> None:
    alice, bob = vault.person("alice"), vault.person("bob")
    write(vault, age_store(vault), KEY, "x", alice.user, bob.user)

    assert grant(vault, age_store(vault), KEY, alice.user, bob.user) is None
    assert age_store(vault).access(KEY).readers == {alice.user, bob.user}
    change = grant(vault, age_store(vault), KEY, alice.user)
    assert change is not None
    assert change.removed == (bob.public,)
    with pytest.raises(NoKeyError):
        age_store(vault, "bob").read(KEY)


# --- plain ---


def test_the_plain_store_is_refused_outside_a_lab(vault: Vault) -> None:
    with pytest.raises(PlainStoreError):
        plain_store(vault.root, noon, lab=None)


def test_the_plain_store_works_in_a_lab(vault: Vault) -> None:
    store = plain_store(vault.root, noon, lab="lab")
    write(vault, store, KEY, "x")
    assert store.read(KEY) == Secret("x")
    assert list(store.folders()) == [KEY]


# --- vars ---


def test_vars_are_found_on_the_disk_whoever_they_belong_to(vault: Vault) -> None:
    store = VarStore(vault.root, vault.store())
    web = vault.machine("web")
    machine = VarId(Placement.machine("web"), "ssh", "key")
    shared = VarId(Placement.shared(), "ca", "cert")
    with vault.tree().writing() as transaction:
        store.write(transaction, machine, Secret("x"), secret=True, readers=[web])
        store.write(transaction, shared, Secret("y"), secret=False)
        store.note(transaction, Placement.shared(), "ca", validation="abc", at=None)
        transaction.commit()
    (vault.root / "vars/per-export/A:B:C:D/g/f").mkdir(parents=True)
    (vault.root / "vars/per-export/A:B:C:D/g/f/value").write_text("z")

    found = list(store.scan())

    assert [(str(s.var), s.secret) for s in found] == [
        ("web/ssh/key", True),
        ("shared/ca/cert", False),
        ("A:B:C:D/g/f", False),
    ]
    assert store.validation(Placement.shared(), "ca") == "abc"
    assert (vault.root / "vars/shared/ca/.validation-hash").read_bytes() == b"abc"
    assert store.public(shared) == b"y"


def test_a_var_that_becomes_public_leaves_no_ciphertext_behind_and_the_other_way_round(vault: Vault) -> None:
    store = VarStore(vault.root, vault.store())
    var = VarId(Placement.shared(), "ca", "cert")
    for secret in (True, False, True):
        with vault.tree().writing() as transaction:
            store.write(transaction, var, Secret("x"), secret=secret, readers=[vault.person("alice").user])
            transaction.commit()
        there = sorted(path.name for path in (vault.root / var.folder).iterdir())
        assert there == (["secret", "users"] if secret else ["value"])
        assert store.read(var, secret=secret) == Secret("x")
