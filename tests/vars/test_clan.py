"""A repository as clan writes it, made with the real `sops` program: it is read, and extended without touching anything."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from os.path import relpath
from pathlib import Path

import pytest

from clanpy.generators.maintain import fix, prune
from clanpy.generators.states import examine
from clanpy.generators.values import get
from clanpy.secrets import Placement, VarId
from clanpy.services.generator import PUBLIC, Generator, SshKey, Token, VarFile
from clanpy.vars import Session, Wanted, intend
from support.generators import generated, script, session
from support.vault import Person, Vault


SSH = script("openssh", "exit 1", files={"ssh.id_ed25519": VarFile(), "ssh.id_ed25519.pub": PUBLIC})
CA = script("openssh-ca", "exit 1", files={"id_ed25519": VarFile(deploy=False), "id_ed25519.pub": PUBLIC}, share=True)
WIFI = script(
    "wifi.home", "exit 1", files={"password": VarFile()}, share=True, validation={"ssid": "häuschen", "band": 5}
)
FLEET = {"web": [SSH, CA, WIFI], "db": [SSH, CA]}


def link(vault: Vault, folder: str, kind: str, name: str) -> None:
    place = vault.root / folder / kind
    place.mkdir(parents=True, exist_ok=True)
    (place / name).symlink_to(relpath(vault.root / "sops" / kind / name, place))


def secret(vault: Vault, folder: str, value: bytes, users: Iterable[str], machines: Iterable[str] = ()) -> None:
    vault.sops_encrypt(f"{folder}/secret", value, *users, *machines)
    for name in users:
        link(vault, folder, "users", name)
    for name in machines:
        link(vault, folder, "machines", name)


def key_file(vault: Vault, kind: str, person: Person) -> None:
    path = vault.root / "sops" / kind / person.name / "key.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"publickey": person.public, "type": "age"}, indent=2))


def public(vault: Vault, folder: str, value: str) -> None:
    path = vault.root / folder / "value"
    path.parent.mkdir(parents=True)
    path.write_text(value)


@pytest.fixture
def clan(tmp_path: Path) -> Vault:
    vault = Vault.make(tmp_path, "nobody")
    for child in (vault.root / "sops").iterdir():
        (child / "nobody/key.json").unlink()
        (child / "nobody").rmdir()
    key_file(vault, "users", vault.person("alice"))
    for name in ("web", "db"):
        key_file(vault, "machines", vault.person(name))
        secret(vault, f"sops/secrets/{name}-age.key", vault.person(name).private.encode(), ["alice"])
        secret(vault, f"vars/per-machine/{name}/openssh/ssh.id_ed25519", b"private\n", ["alice"], [name])
        public(vault, f"vars/per-machine/{name}/openssh/ssh.id_ed25519.pub", "ssh-ed25519 AAAA\n")
    secret(vault, "vars/shared/openssh-ca/id_ed25519", b"ca\n", ["alice"])
    public(vault, "vars/shared/openssh-ca/id_ed25519.pub", "ssh-ed25519 AAAB\n")
    secret(vault, "vars/shared/wifi.home/password", b"hunter2", ["alice"], ["web"])
    wanted = '{"band":5,"ssid":"häuschen"}'.encode()
    (vault.root / "vars/shared/wifi.home/.validation-hash").write_text(sha256(wanted).hexdigest())
    _as_older_versions_wrote(vault.root / "vars/shared/wifi.home/password/secret")
    return vault


def _as_older_versions_wrote(path: Path) -> None:
    """Versions of the program before 3.10 wrote the kinds of keys that a file does not have, too."""
    document = json.loads(path.read_text())
    meta = document["sops"]
    none = dict.fromkeys(("kms", "gcp_kms", "azure_kv", "hc_vault"))
    document["sops"] = {**none, **meta, "pgp": None, "unencrypted_suffix": "_unencrypted", "version": "3.8.1"}
    path.write_text(json.dumps(document, indent="\t") + "\n")


def opened(vault: Vault, fleet: dict[str, list[Generator]] = FLEET) -> Session:
    return session(vault, fleet)


async def test_what_clan_wrote_is_in_order_and_nothing_has_to_be_done(clan: Vault) -> None:
    before = clan.snapshot()
    found = opened(clan)

    assert examine(found.graph, found.store, found.policy, ["web", "db"], found.now()) == ()
    assert not intend(found, Wanted(machines=("web", "db")))
    assert (await generated(found)).changed == ()
    assert (await fix(found)).changed == ()
    assert await prune(found) == ()
    assert get(found, "web", "wifi.home/password").text() == "hunter2"
    assert get(found, "db", "openssh-ca/id_ed25519").text() == "ca\n"
    assert clan.snapshot() == before


async def test_extending_it_touches_nothing_that_was_there(clan: Vault) -> None:
    before = clan.snapshot()
    more = {
        "web": [*FLEET["web"], Generator(name="token", kind=Token())],
        "db": [*FLEET["db"], WIFI],
        "new": [Generator(name="openssh", kind=SshKey()), CA],
    }

    await generated(opened(clan, more))

    after = clan.snapshot()
    assert {path for path in before if after.get(path) != before[path]} == {"vars/shared/wifi.home/password/secret"}
    assert {path.rsplit("/", 1)[0] for path in after.keys() - before.keys()} == {
        "sops/machines/new",
        "sops/secrets/new-age.key",
        "sops/secrets/new-age.key/users",
        "vars/per-machine/new/openssh/ssh.id_ed25519",
        "vars/per-machine/new/openssh/ssh.id_ed25519.pub",
        "vars/per-machine/new/openssh/ssh.id_ed25519/machines",
        "vars/per-machine/new/openssh/ssh.id_ed25519/users",
        "vars/per-machine/web/token/token",
        "vars/per-machine/web/token/token/machines",
        "vars/per-machine/web/token/token/users",
        "vars/shared/wifi.home/password/machines",
    }


async def test_a_reader_is_added_to_a_file_of_an_older_version_and_the_program_still_reads_it(clan: Vault) -> None:
    path = "vars/shared/wifi.home/password/secret"
    before = json.loads((clan.root / path).read_text())

    await generated(opened(clan, {"web": FLEET["web"], "db": [*FLEET["db"], WIFI]}))

    after = json.loads((clan.root / path).read_text())
    assert {k: v for k, v in after["sops"].items() if k != "age"} == {
        k: v for k, v in before["sops"].items() if k != "age"
    }
    assert after["data"] == before["data"]
    assert before["sops"]["age"][0] in after["sops"]["age"]
    for who in ("alice", "web", "db"):
        assert clan.sops_decrypt(who, path) == b"hunter2"


async def test_flake_level_values_are_left_alone(clan: Vault) -> None:
    secret(clan, "vars/per-export/S:I:R:M/g/f", b"x", ["alice"])
    before = clan.snapshot()

    await prune(opened(clan))
    await fix(opened(clan))

    assert clan.snapshot() == before
    folder = VarId(Placement.machine("web"), "openssh", "ssh.id_ed25519").folder
    assert str(folder) == "vars/per-machine/web/openssh/ssh.id_ed25519"


async def test_secrets_that_no_generator_declares_follow_their_links_too(clan: Vault) -> None:
    folder = "vars/per-export/S:I:R:M/g/f"
    secret(clan, folder, b"x", ["alice"])
    key_file(clan, "users", clan.person("bob"))
    link(clan, folder, "users", "bob")

    done = await fix(opened(clan))

    assert [str(change.folder) for change in done.changes] == [folder]
    assert clan.sops_decrypt("bob", f"{folder}/secret") == b"x"
