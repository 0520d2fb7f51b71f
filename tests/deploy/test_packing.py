"""What a machine has to have, as it is packed for it: nothing that is not its own, under digests that say nothing to others."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from clanpy.activation.delivery import SecretSet
from clanpy.deployment.delivery import Deliveries, pack
from clanpy.deployment.options import Surroundings
from clanpy.generators.fleet import read_fleet
from clanpy.generators.generate import How, generate
from clanpy.generators.maintain import rotate_keys
from clanpy.generators.people import rotate_machine_key
from clanpy.generators.plan import Wanted
from clanpy.generators.session import Session
from clanpy.inventory import load, resolve
from clanpy.secrets.errors import SecretsError
from support.vault import Vault


INVENTORY = """
[meta]
name = "lab"
[machines.web]
class = "nixos"
system = "x86_64-linux"
[machines.mac]
class = "darwin"
system = "aarch64-darwin"
[vars.generators.token]
kind = "token"
files.token = { owner = "web", restart_units = [UNITS] }
machines = ["web"]
[vars.generators.login]
kind = "password"
[vars.generators.ssh]
kind = "ssh-key"
[vars.generators.early]
kind = "token"
files.token = { needed_for = "activation", mode = "0600" }
[vars.generators.others]
kind = "token"
machines = ["mac"]
"""
Packing = Callable[..., SecretSet]


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    made = Vault.make(tmp_path, "alice")
    (made.root / "inventory.toml").write_text(INVENTORY.replace("UNITS", '"web.service"'))
    asyncio.run(generate(session(made), Wanted(machines=("mac", "web")), How()))
    return made


def session(vault: Vault) -> Session:
    found = read_fleet(load(vault.root))
    return Session.open(found.context, backend=found.backend, environment=vault.person("alice").environment)


def packed(vault: Vault, machine: str = "web", extra: str = "") -> SecretSet:
    if extra:
        (vault.root / "vars.toml").write_text(extra)
    fleet = load(vault.root)
    around = Surroundings(fleet=fleet, targets={}, cache=vault.root.parent / "cache")
    return pack(session(vault), resolve(fleet, machine), around)


def names(found: SecretSet) -> list[str]:
    return [f"{file.store}/{file.name}" for file in found.files]


def test_a_machine_gets_its_own_deployed_secrets_and_nothing_else(vault: Vault) -> None:
    assert names(packed(vault)) == [
        "activation/early/token",
        "users/login/password-hash",
        "services/ssh/ssh.id_ed25519",
        "services/token/token",
    ]
    token = packed(vault).files[-1]
    assert (token.owner, token.group, token.mode, token.units) == ("web", "root", "0400", ("web.service",))
    assert {file.group for file in packed(vault, "mac").files} == {"wheel"}


def test_sops_nix_gets_the_key_the_ciphertexts_and_what_is_needed_before_it(vault: Vault) -> None:
    found = packed(vault, extra='[settings]\ndelivery = "sops-nix"\n')
    assert names(found) == [
        "key/key.txt",
        "activation/early/token",
        "sops/login/password-hash",
        "sops/ssh/ssh.id_ed25519",
        "sops/token/token",
    ]
    assert not found.direct
    assert found.files[0].content.text().startswith("AGE-SECRET-KEY-")
    assert b"AES256_GCM" in found.files[-1].content.reveal()
    (vault.root / "vars.toml").write_text('[settings]\ndelivery = "sops-nix"\nbackend = "age"\n')
    asyncio.run(generate(session(vault), Wanted(machines=("web",)), How()))
    with pytest.raises(SecretsError, match="the backend `sops` alone"):
        packed(vault)


def test_digests_change_with_what_arrives_and_with_nothing_else(vault: Vault) -> None:
    before = packed(vault)
    assert packed(vault).digest == before.digest
    asyncio.run(rotate_keys(session(vault)))
    assert packed(vault).digest == before.digest, "new ciphertexts of the same values"
    (vault.root / "inventory.toml").write_text(INVENTORY.replace("UNITS", ""))
    assert packed(vault).digest == before.digest, "units are told when something else has changed"
    (vault.root / "inventory.toml").write_text(INVENTORY.replace("UNITS", "").replace('"web", ', '"other", '))
    assert packed(vault).digest != before.digest

    asyncio.run(generate(session(vault), Wanted(machines=("web",), generators=("token",), regenerate=True), How()))
    after = {file.name: file.digest for file in packed(vault).files}
    changed = {file.name for file in before.files if after[file.name] != file.digest}
    assert changed == {"token/token"}


def test_digests_are_keyed_with_the_machine_s_private_key(vault: Vault) -> None:
    before = packed(vault)
    for file in before.files:
        assert file.digest not in sha256(file.content.reveal()).hexdigest()
    asyncio.run(rotate_machine_key(session(vault), "web"))
    assert {file.digest for file in packed(vault).files}.isdisjoint({file.digest for file in before.files})


def test_without_a_private_key_of_the_machine_ciphertexts_stand_for_contents(vault: Vault) -> None:
    shutil.rmtree(vault.root / "sops/secrets/web-age.key")
    before = packed(vault)
    assert packed(vault).digest == before.digest
    asyncio.run(rotate_keys(session(vault)))
    assert packed(vault).digest != before.digest


async def test_what_is_wrong_with_one_machine_is_not_said_of_another(vault: Vault) -> None:
    (vault.root / "vars.toml").write_text(
        '[generators.late]\nkind = "token"\nmachines = ["web"]\n'
        '[generators.a]\nscript = "x"\nfiles.f = {}\ndependencies = ["a2"]\nmachines = ["mac"]\n'
        '[generators.a2]\nscript = "x"\nfiles.f = {}\ndependencies = ["a"]\nmachines = ["mac"]\n'
    )
    fleet = load(vault.root)
    deliveries = Deliveries(Surroundings(fleet=fleet, targets={}, cache=vault.root.parent / "cache"), "run-1")

    web, mac = (deliveries.problem(resolve(fleet, name)) for name in ("web", "mac"))
    assert web is not None
    assert web.message == "the vars of web are not ready: late is missing"
    assert web.hint == "`clanpy vars generate web`"
    assert mac is not None
    assert "in a circle" in mac.message
