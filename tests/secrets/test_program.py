from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from clanpy.errors import ToolMissingError
from clanpy.secrets import AccessFolder, Keyring, PublicKey, Reader, ReaderKind, Secret, SopsStore, load_keyring, sops
from clanpy.secrets.errors import ProgramFailedError
from clanpy.secrets.program import SopsProgram
from support.vault import Vault, noon


KEY = PurePosixPath("vars/shared/g/f")
# A recipient of a plugin that is not installed anywhere.
YUBIKEY = "age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt"


def program(vault: Vault) -> SopsProgram:
    return SopsProgram.find(vault.person("alice").environment)


def test_the_program_gets_plain_text_by_stdin_and_gives_it_by_stdout(vault: Vault) -> None:
    raw = program(vault).encrypt(Secret("x"), [PublicKey(vault.person("alice").public)])
    (vault.root / "f").write_bytes(raw)

    assert program(vault).decrypt(vault.root / "f") == Secret("x")
    assert sops.decrypt(sops.parse(raw, "f"), vault.person("alice").keyring.identities) == Secret("x")


def test_creation_rules_of_the_place_do_not_interfere(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    (vault.root / ".sops.yaml").write_text("creation_rules: [{path_regex: nothing, age: age1nonsense}]\n")
    monkeypatch.chdir(vault.root)

    assert program(vault).encrypt(Secret("x"), [PublicKey(vault.person("alice").public)])


def test_a_program_that_fails_is_told_with_its_last_words_and_without_values(vault: Vault) -> None:
    with pytest.raises(ProgramFailedError, match=r"`sops` could not encrypt \(exit \d+\)") as failure:
        program(vault).encrypt(Secret("planted"), [PublicKey("age1nonsense")])

    assert failure.value.details
    assert "planted" not in str(failure.value.details)


def test_a_recipient_whose_plugin_is_missing_is_told_and_nothing_is_written(vault: Vault) -> None:
    vault.register(Reader(ReaderKind.USER, "bob"), vault.person("bob").public, YUBIKEY)
    before = vault.snapshot()

    with pytest.raises(ProgramFailedError), vault.tree().writing() as transaction:
        vault.store().write(transaction, KEY, Secret("x"), [vault.person("alice").user, Reader(ReaderKind.USER, "bob")])

    assert vault.snapshot() == before


def test_a_program_that_leaves_out_a_recipient_is_noticed(vault: Vault, tmp_path: Path) -> None:
    forgetful = tmp_path / "bin" / "sops"
    forgetful.parent.mkdir()
    alice, bob = vault.person("alice"), vault.person("bob")
    done = sops.encrypt(Secret("x"), [alice.public], noon())
    (tmp_path / "answer").write_bytes(done)
    forgetful.write_text(f"#!/bin/sh\ncat > /dev/null; cat {tmp_path}/answer\n")
    forgetful.chmod(0o755)

    with pytest.raises(ProgramFailedError, match="did not encrypt to all recipients") as failure:
        SopsProgram(str(forgetful), {}).encrypt(Secret("x"), [PublicKey(alice.public), PublicKey(bob.public)])
    assert failure.value.details == (f"not for {bob.public}",)


def test_without_the_program_it_is_said_that_it_is_needed(vault: Vault) -> None:
    vault.register(Reader(ReaderKind.USER, "bob"), YUBIKEY)
    keyring = load_keyring({**vault.person("alice").environment, "PATH": "/nowhere"})
    store = SopsStore(vault.root, vault.access(), keyring, noon)

    with pytest.raises(ToolMissingError, match="`sops` is needed"), vault.tree().writing() as transaction:
        store.write(transaction, KEY, Secret("x"), [Reader(ReaderKind.USER, "bob")])


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_pgp_goes_through_the_program(vault: Vault, tmp_path: Path) -> None:
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    alice = vault.person("alice")
    env = {**alice.environment, "GNUPGHOME": str(home)}
    try:
        make = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "carol@example", "default", "default"]
        subprocess.run(make, env=env, capture_output=True, check=True)
        listed = subprocess.run(["gpg", "--list-keys", "--with-colons"], env=env, capture_output=True, check=True)
        fingerprint = next(line.split(":")[9] for line in listed.stdout.decode().splitlines() if line.startswith("fpr"))
        with vault.tree().writing() as transaction:
            access = vault.access()
            carol = Reader(ReaderKind.USER, "carol")
            access.put_keys(transaction, carol, [PublicKey(fingerprint, "pgp")])
            store = SopsStore(vault.root, access, replace(alice.keyring, environment=env), noon)
            store.write(transaction, KEY, Secret("x"), [alice.user, carol])
            transaction.commit()

        only_pgp = Keyring((), (), {k: v for k, v in env.items() if k != "SOPS_AGE_KEY_FILE"})
        assert SopsStore(vault.root, AccessFolder(vault.root), only_pgp, noon).read(KEY) == Secret("x")
        assert store.read(KEY) == Secret("x")
        assert store.access(KEY).recipients == {alice.public, fingerprint}
        assert store.access(KEY).added == frozenset()
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)
