from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clanpy.secrets import Secret, age, load_keyring
from clanpy.secrets.errors import NoKeyError, PlaintextPlaceError, RecipientError, SecretFormatError
from clanpy.secrets.scratch import is_memory, memory_folder, scratch_folder
from support.vault import Vault


def test_keys_are_found_in_every_place_that_the_program_looks_at(vault: Vault, tmp_path: Path) -> None:
    alice, bob, carol, dave = (vault.person(name) for name in ("alice", "bob", "carol", "dave"))
    ssh = tmp_path / ".ssh/id_ed25519"
    ssh.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh], check=True)
    usual = tmp_path / "config/sops/age/keys.txt"
    usual.parent.mkdir(parents=True)
    usual.write_text(dave.private)

    keyring = load_keyring(
        {
            "SOPS_AGE_KEY": f"# made today\n{alice.private}\n\n",
            "SOPS_AGE_KEY_CMD": f"cat {bob.file}",
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "PATH": "/usr/bin:/bin",
        },
        home=tmp_path,
    )
    with_file = load_keyring({"SOPS_AGE_KEY_FILE": str(carol.file)}, home=tmp_path)

    ssh_public = " ".join(ssh.with_suffix(".pub").read_text().split()[:2])
    assert keyring.recipients == (alice.public, bob.public, dave.public, ssh_public)
    assert with_file.recipients == (carol.public, ssh_public)
    assert [i.origin for i in keyring.identities] == ["SOPS_AGE_KEY", "SOPS_AGE_KEY_CMD", str(usual), str(ssh)]


def test_a_key_with_a_passphrase_in_the_usual_place_is_skipped_and_said_so(tmp_path: Path) -> None:
    ssh = tmp_path / ".ssh/id_ed25519"
    ssh.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "hunter22", "-f", ssh], check=True)

    keyring = load_keyring({}, home=tmp_path)

    assert keyring.identities == ()
    assert any("without passphrase" in line for line in keyring.skipped)
    with pytest.raises(NoKeyError, match="no private key at hand") as failure:
        keyring.require()
    assert len(failure.value.details) == 3


@pytest.mark.parametrize(
    "environment",
    [
        {"SOPS_AGE_KEY": "AGE-SECRET-KEY-1PLANTED"},
        {"SOPS_AGE_KEY_FILE": "/proc/self"},
        {"SOPS_AGE_KEY_CMD": "false AGE-SECRET-KEY-1PLANTED"},
        {"SOPS_AGE_KEY_CMD": "echo AGE-SECRET-KEY-1PLANTED"},
        {"SOPS_AGE_SSH_PRIVATE_KEY_FILE": "/proc"},
    ],
)
def test_a_place_that_is_named_and_has_no_key_is_an_error_that_does_not_show_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(NoKeyError) as failure:
        load_keyring({"PATH": "/usr/bin:/bin", **environment}, home=tmp_path)

    assert "PLANTED" not in f"{failure.value} {failure.value.hint} {failure.value.details}"
    assert next(iter(environment)) in str(failure.value)


def test_a_named_file_that_is_not_there_matters_only_when_a_key_is_needed(tmp_path: Path) -> None:
    keyring = load_keyring({"SOPS_AGE_KEY_FILE": "/nonexistent/keys"}, home=tmp_path)

    with pytest.raises(NoKeyError) as failure:
        keyring.require()
    assert "SOPS_AGE_KEY_FILE=/nonexistent/keys: there is no such file" in failure.value.details


def test_keyrings_and_identities_do_not_show_keys(vault: Vault) -> None:
    keyring = vault.person("alice").keyring

    shown = f"{keyring!r} {keyring.identities!r} {keyring.identities[0]}"

    assert vault.person("alice").private not in shown
    assert vault.person("alice").public in shown


@settings(max_examples=40, deadline=None)
@given(value=st.binary(max_size=300), armored=st.booleans())
def test_age_files_round_trip(value: bytes, armored: bool) -> None:
    private, public = age.generate()

    data = age.encrypt(value, [public], armored=armored)

    assert age.decrypt(data, age.parse_identities(private, origin="x")) == value


@pytest.mark.parametrize("armored", [False, True])
def test_the_age_program_agrees_in_both_directions(vault: Vault, armored: bool) -> None:
    alice = vault.person("alice")
    ours = age.encrypt(b"x", [alice.public], armored=armored)
    flag = ["-a"] if armored else []
    theirs = subprocess.run(["age", *flag, "-r", alice.public], input=b"y", capture_output=True, check=True).stdout

    read = subprocess.run(["age", "-d", "-i", alice.file], input=ours, capture_output=True, check=True).stdout
    assert read == b"x"
    assert age.decrypt(theirs, alice.keyring.identities) == b"y"


def test_public_keys_are_told_apart() -> None:
    _, public = age.generate()

    assert age.is_native(public)
    assert age.is_native("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN a@b")
    assert not age.is_native("age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt")
    assert age.normal("ssh-ed25519 AAAA somebody@host") == "ssh-ed25519 AAAA"
    for wrong in ("", "age", "AGE-SECRET-KEY-1X", "ssh-dss AAAA", f"{public} ssh-ed25519"):
        with pytest.raises(RecipientError):
            age.is_native(wrong)


def test_a_public_key_belongs_to_its_private_one(vault: Vault) -> None:
    alice = vault.person("alice")

    assert age.public_key(Secret(alice.private)) == alice.public
    with pytest.raises(NoKeyError):
        age.public_key(Secret("# nothing\n"))


def test_what_is_no_age_file_is_told(vault: Vault) -> None:
    with pytest.raises(SecretFormatError):
        age.decrypt(b"nonsense", vault.person("alice").keyring.identities)
    with pytest.raises(NoKeyError):
        age.decrypt(b"nonsense", [])


# --- places for plain text ---


def test_plain_text_goes_to_memory_and_is_gone_afterwards() -> None:
    with scratch_folder() as folder:
        assert is_memory(folder)
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "x").write_text("x")

    assert not folder.exists()


def test_a_folder_on_a_disk_is_refused(tmp_path: Path) -> None:
    if is_memory(tmp_path):
        pytest.skip("the temporary folder of this computer is memory")
    with pytest.raises(PlaintextPlaceError, match="is not memory"):
        memory_folder({"CLANPY_TMPFS": str(tmp_path)})


def test_a_runtime_folder_that_is_no_memory_is_passed_over(tmp_path: Path) -> None:
    assert memory_folder({"XDG_RUNTIME_DIR": str(tmp_path)}) != tmp_path
