from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clanpy.secrets import Secret, age, sops
from clanpy.secrets.errors import (
    NoKeyError,
    RecipientError,
    SecretFormatError,
    TamperedError,
    UnknownShapeError,
)
from support.vault import NOON, Vault, sops_path


VALUES = {
    "text": b"correct horse",
    "empty": b"",
    "line feeds": b"\n\na\r\n\n",
    "bytes": bytes(range(256)),
    "unicode": "schlüßel → 🔑".encode(),
    "looks encrypted": b"ENC[AES256_GCM,data:xx,iv:yy,tag:zz,type:str]",
    "looks like json": b'{"sops": {"mac": "x"}}',
    "large": b"\x00\xffx" * 200_000,
}


def opened(vault: Vault, who: str, raw: bytes) -> bytes:
    return sops.decrypt(sops.parse(raw, "f"), vault.person(who).keyring.identities).reveal()


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_the_program_writes_is_read_here(vault: Vault, value: bytes) -> None:
    raw = vault.sops_encrypt("f", value, "alice", "bob").read_bytes()

    assert opened(vault, "alice", raw) == value
    assert opened(vault, "bob", raw) == value


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_written_here_is_read_by_the_program(vault: Vault, value: bytes) -> None:
    people = [vault.person("alice").public, vault.person("bob").public]
    (vault.root / "f").write_bytes(sops.encrypt(Secret(value), people, NOON))

    assert vault.sops_decrypt("alice", "f") == value
    assert vault.sops_decrypt("bob", "f") == value


def test_a_file_of_the_program_is_written_back_byte_for_byte(vault: Vault) -> None:
    raw = vault.sops_encrypt("f", b"x", "alice", "bob").read_bytes()
    people = [vault.person("alice").public, vault.person("bob").public]

    same = sops.update_keys(sops.parse(raw, "f"), people, vault.person("alice").keyring.identities)

    assert same == raw


def test_both_write_the_same_shape(vault: Vault) -> None:
    theirs = json.loads(vault.sops_encrypt("f", b"x", "alice").read_bytes())
    ours = json.loads(sops.encrypt(Secret("x"), [vault.person("alice").public], NOON))

    assert list(ours) == list(theirs)
    assert list(ours["sops"]) == list(theirs["sops"])
    assert list(ours["sops"]["age"][0]) == list(theirs["sops"]["age"][0])


def test_readers_are_exchanged_without_touching_the_value(vault: Vault) -> None:
    before = sops.parse(vault.sops_encrypt("f", b"x", "alice").read_bytes(), "f")

    raw = sops.update_keys(before, [vault.person("bob").public], vault.person("alice").keyring.identities)

    after = sops.parse(raw, "f")
    assert after.recipients == (vault.person("bob").public,)
    assert after.document["data"] == before.document["data"]
    (vault.root / "f").write_bytes(raw)
    assert vault.sops_decrypt("bob", "f") == b"x"
    vault.sops_decrypt("alice", "f", code=128)
    with pytest.raises(NoKeyError):
        opened(vault, "alice", raw)


def test_the_program_exchanges_the_readers_of_what_is_written_here(vault: Vault) -> None:
    (vault.root / "f").write_bytes(sops.encrypt(Secret("x"), [vault.person("alice").public], NOON))
    (vault.root / ".sops.yaml").write_text(
        f"creation_rules: [{{age: '{vault.person('alice').public},{vault.person('bob').public}'}}]\n"
    )

    vault.sops("alice", "updatekeys", "--yes", "--input-type", "binary", "f")
    vault.sops("bob", "rotate", "--in-place", "--input-type", "binary", "--output-type", "binary", "f")

    assert opened(vault, "bob", (vault.root / "f").read_bytes()) == b"x"


def _swap(document: dict[str, object], other: dict[str, object]) -> None:
    document["data"] = other["data"]


def _later(document: dict[str, dict[str, str]], other: object) -> None:
    document["sops"]["lastmodified"] = "2031-01-01T00:00:00Z"


def _flip(document: dict[str, str], other: object) -> None:
    data = document["data"]
    document["data"] = data.replace("data:", "data:A", 1).replace("A", "B", 1)


def _empty(document: dict[str, str], other: object) -> None:
    document["data"] = ""


def _no_mac(document: dict[str, dict[str, str]], other: object) -> None:
    document["sops"]["mac"] = ""


def _other_mac(document: dict[str, dict[str, str]], other: dict[str, dict[str, str]]) -> None:
    document["sops"]["mac"] = other["sops"]["mac"]


@pytest.mark.parametrize("tamper", [_swap, _later, _flip, _empty, _no_mac, _other_mac])
def test_a_tampered_file_is_refused_here_as_by_the_program(vault: Vault, tamper: Callable[[Any, Any], None]) -> None:
    path = vault.sops_encrypt("f", b"one secret", "alice")
    document = json.loads(path.read_bytes())
    tamper(document, json.loads(vault.sops_encrypt("g", b"another secret", "alice").read_bytes()))
    path.write_text(json.dumps(document))

    with pytest.raises((TamperedError, SecretFormatError), match="f ") as failure:
        opened(vault, "alice", path.read_bytes())

    assert "one secret" not in str(failure.value)
    program = subprocess.run(
        [sops_path(), "decrypt", "--input-type", "binary", "--output-type", "binary", str(path)],
        env=vault.person("alice").environment,
        capture_output=True,
        check=False,
    )
    assert program.returncode != 0


def test_a_wrong_key_is_told_with_who_could_read_it(vault: Vault) -> None:
    raw = sops.encrypt(Secret("x"), [vault.person("alice").public], NOON)

    with pytest.raises(NoKeyError) as failure:
        opened(vault, "bob", raw)

    assert failure.value.details == (f"it can be read by {vault.person('alice').public}",)


def test_a_part_that_is_not_for_whom_it_says_does_not_hide_another_key(vault: Vault) -> None:
    alice, bob = vault.person("alice"), vault.person("bob")
    document = json.loads(sops.encrypt(Secret("x"), [alice.public, bob.public], NOON))
    document["sops"]["age"][0]["enc"] = document["sops"]["age"][1]["enc"]
    both = [*alice.keyring.identities, *bob.keyring.identities]

    assert sops.decrypt(sops.parse(json.dumps(document).encode(), "f"), both) == Secret("x")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"data": "x"}', b'{"sops": {"age": [{}]}}', b"\xff"])
def test_what_is_no_sops_file_is_told(raw: bytes) -> None:
    with pytest.raises(SecretFormatError, match=r"^f is not a sops file"):
        sops.parse(raw, "f")


def test_what_only_the_program_handles_is_left_to_it(vault: Vault) -> None:
    document = json.loads(sops.encrypt(Secret("x"), [vault.person("alice").public], NOON))
    document["sops"]["pgp"] = [{"fp": "ABCD", "enc": "…", "created_at": "…"}]
    file = sops.parse(json.dumps(document).encode(), "f")

    assert file.recipients == (vault.person("alice").public, "ABCD")
    with pytest.raises(UnknownShapeError, match="pgp"):
        sops.update_keys(file, [vault.person("alice").public], vault.person("alice").keyring.identities)
    with pytest.raises(UnknownShapeError, match="pgp"):
        sops.decrypt(file, vault.person("bob").keyring.identities)
    assert sops.decrypt(file, vault.person("alice").keyring.identities) == Secret("x")


def test_nobody_to_encrypt_to_is_refused() -> None:
    with pytest.raises(RecipientError):
        sops.encrypt(Secret("x"), [], NOON)
    with pytest.raises(RecipientError):
        sops.encrypt(Secret("x"), ["age1nonsense!"], NOON)
    with pytest.raises(UnknownShapeError):
        sops.encrypt(Secret("x"), ["age1yubikey1qfvd"], NOON)


def test_the_time_of_the_last_change_is_utc(vault: Vault) -> None:
    local = datetime.fromisoformat("2026-05-04T14:00:00+02:00")
    file = sops.parse(sops.encrypt(Secret("x"), [vault.person("alice").public], local), "f")

    assert file.meta["lastmodified"] == "2026-05-04T12:00:00Z"
    assert file.last_modified == datetime(2026, 5, 4, 12, tzinfo=UTC)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.binary(max_size=500), seed=st.integers(0, 2**20))
def test_what_is_encrypted_is_decrypted_and_any_flipped_byte_is_noticed(vault: Vault, value: bytes, seed: int) -> None:
    raw = sops.encrypt(Secret(value), [vault.person("alice").public], NOON)
    assert opened(vault, "alice", raw) == value

    at = seed % len(raw)
    changed = raw[:at] + bytes([raw[at] ^ (1 + seed % 7)]) + raw[at + 1 :]
    with suppress(SecretFormatError, TamperedError, NoKeyError):
        assert opened(vault, "alice", changed) == value  # where only white space or the version was hit


@pytest.mark.parametrize("algorithm", ["ed25519", "rsa"])
def test_ssh_keys_read_and_are_written_to_in_both_directions(vault: Vault, tmp_path: Path, algorithm: str) -> None:
    key = tmp_path / "host"
    subprocess.run(["ssh-keygen", "-q", "-t", algorithm, "-N", "", "-C", "root@web", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    identities = age.parse_identities(Secret(key.read_bytes()), origin="host")
    env = {**vault.person("alice").environment, "SOPS_AGE_SSH_PRIVATE_KEY_FILE": str(key)}
    del env["SOPS_AGE_KEY_FILE"]

    ours = tmp_path / "ours"
    ours.write_bytes(sops.encrypt(Secret("x"), [public], NOON))
    kinds = ["--input-type", "binary", "--output-type", "binary"]
    read = subprocess.run([sops_path(), "decrypt", *kinds, str(ours)], env=env, capture_output=True, check=True)
    theirs = subprocess.run(
        [sops_path(), "encrypt", "--age", public, *kinds, "/dev/stdin"],
        env=env,
        input=b"y",
        capture_output=True,
        check=True,
    )

    assert read.stdout == b"x"
    assert sops.decrypt(sops.parse(theirs.stdout, "f"), identities) == Secret("y")
