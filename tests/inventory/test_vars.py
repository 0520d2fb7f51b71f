"""Generators that the inventory declares: for the fleet, for aspects, tags and machines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from clanpy.errors import ClanpyError
from clanpy.inventory import load, resolve
from clanpy.inventory.explain import explain
from clanpy.inventory.hosts import host_generators as generators
from clanpy.inventory.schema import PHASES, PROMPT_TYPES
from clanpy.inventory.vars import delivery, vars_settings
from clanpy.modules.deferred import NixData
from clanpy.services import generator as declared
from clanpy.services.generator import Generator, Token


MACHINES = """
[machines.web]
class = "nixos"
system = "x86_64-linux"
tags = ["server"]
imports = ["backup"]
[machines.web-1]
class = "nixos"
system = "x86_64-linux"
[machines.mac]
class = "darwin"
system = "aarch64-darwin"
"""


def fleet(root: Path, text: str = "", **files: str) -> Path:
    (root / "inventory.toml").write_text(f'[meta]\nname = "lab"\n{MACHINES}{text}')
    (root / "modules/nixos").mkdir(parents=True)
    (root / "modules/nixos/backup.nix").write_text("{ }\n")
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def declares(root: Path) -> Mapping[str, list[str]]:
    loaded = load(root)
    return {name: [found.name for found in generators(loaded, name)] for name in loaded.machines}


def test_a_generator_of_the_fleet_is_every_machine_s_unless_it_says_whose(tmp_path: Path) -> None:
    root = fleet(
        tmp_path,
        """
        [vars.generators.all]
        kind = "token"
        [vars.generators.servers]
        tags = ["server"]
        kind = "token"
        [vars.generators.two]
        machines = ["mac"]
        tags = ["server"]
        kind = "token"
        [vars.generators.nobody]
        machines = []
        kind = "token"
        [vars.generators.borg]
        aspects = ["backup"]
        kind = "token"
        """,
    )
    assert declares(root) == {"mac": ["all", "two"], "web": ["all", "borg", "servers", "two"], "web-1": ["all"]}


def test_machines_and_tags_declare_their_own(tmp_path: Path) -> None:
    root = fleet(
        tmp_path,
        """
        [machines.mac.vars.generators.own]
        kind = "token"
        [tags.server.vars.generators.tagged]
        kind = "token"
        """,
        machines__web__vars_toml='[generators.file]\nkind = "token"\n',
        vars_toml='[generators.fleet]\nmachines = ["web"]\nkind = "token"\n',
    )
    assert declares(root) == {"mac": ["own"], "web": ["file", "fleet", "tagged"], "web-1": []}


def test_an_aspect_s_own_files_name_what_its_machines_need(tmp_path: Path) -> None:
    root = fleet(
        tmp_path,
        """
        [tags.all]
        imports = []
        """,
        modules__borg_toml='[vars.generators.borg]\naspects = ["backup"]\nkind = "token"\n',
        modules__wifi_py=(
            "def module(*, config, **_):\n"
            "    return {'vars': {'generators': {name: {'kind': 'passphrase'} for name in ['wifi']}}}\n"
        ),
    )
    assert declares(root) == {"mac": ["wifi"], "web": ["borg", "wifi"], "web-1": ["wifi"]}


def test_what_is_declared_alike_counts_once_and_otherwise_both_places_are_told(tmp_path: Path) -> None:
    root = fleet(
        tmp_path,
        """
        [vars.generators.token]
        kind = { name = "token", size = 16 }
        [machines.web.vars.generators.token]
        kind = { name = "token", size = 16 }
        [machines.mac.vars.generators.token]
        kind = { name = "token", size = 20 }
        """,
    )
    loaded = load(root)
    (found,) = generators(loaded, "web")
    assert found.kind == Token(size=16)

    with pytest.raises(ClanpyError, match="the generator 'token' of 'mac' is declared in two ways") as caught:
        resolve(loaded, "mac")
    assert [text.partition("(")[2] for text in caught.value.details] == ["inventory.toml:16)", "inventory.toml:20)"]


def test_every_key_of_a_generator_is_understood(tmp_path: Path) -> None:
    root = fleet(
        tmp_path,
        """
        [machines.web.vars.generators.full]
        share = true
        dependencies = ["other"]
        validation = { a = 1, b = "x" }
        script = "cp $prompts/word $out/word"
        runtimeInputs = ["openssl"]
        expires = "90d"
        renewBefore = "1w"
        [machines.web.vars.generators.full.prompts.word]
        type = "hidden"
        description = "A word"
        persist = true
        display = { helperText = "any" }
        [machines.web.vars.generators.full.files.word]
        owner = "web"
        group = "web"
        mode = "0440"
        neededFor = "users"
        restartUnits = ["web.service"]
        deploy = false
        secret = false
        [machines.web.vars.generators.other]
        kind = "token"
        validation = "v"
        """,
    )
    full, other = generators(load(root), "web")
    assert other.validation == "v"
    assert (full.share, full.dependencies, full.validation) == (True, ("other",), {"a": 1, "b": "x"})
    assert (full.runtime_inputs, full.expires, full.renew_before) == (("openssl",), timedelta(90), timedelta(7))
    assert full.prompts["word"].display.helper_text == "any"
    assert full.prompts["word"].persist
    assert full.files["word"] == declared.VarFile(
        secret=False,
        deploy=False,
        owner="web",
        group="web",
        mode="0440",
        needed_for="users",
        restart_units=("web.service",),
    )
    assert full.place is not None
    assert str(full.place).startswith("inventory.toml:16")


def test_several_files_may_write_one_generator(tmp_path: Path) -> None:
    root = fleet(
        tmp_path,
        '[vars.generators.token]\nmachines = ["web"]\nkind = "token"\n',
        modules__a_toml="[vars.generators.token]\nshare = true\n",
    )
    (found,) = generators(load(root), "web")
    assert found.share
    assert isinstance(found, Generator)
    assert explain(load(root), "vars.generators.token.share").value is True


def test_mistakes_have_places(tmp_path: Path) -> None:
    root = fleet(
        tmp_path,
        """
        [vars.generators.token]
        kind = "token"
        shared = true
        """,
    )
    with pytest.raises(ClanpyError, match="shared") as caught:
        load(root)
    assert str(caught.value.place).startswith("inventory.toml:18")


def test_how_machines_get_their_secrets_is_said_once_or_for_a_machine(tmp_path: Path) -> None:
    root = fleet(
        tmp_path,
        """
        [vars.settings]
        delivery = "sops-nix"
        default_groups = ["admins"]
        [machines.mac.vars]
        delivery = "direct"
        """,
    )
    loaded = load(root)
    assert (delivery(loaded, "web"), delivery(loaded, "mac")) == ("sops-nix", "direct")
    assert vars_settings(loaded).default_groups == ("admins",)


SERVICE = """
from clanpy.services import Computed, Role, Service
from clanpy.services.settings import Field, Settings


class Link(Settings):
    key_file: str = Field("", description="A path")
    peer: str = Field("", description="A key")
    many: list[str] = Field([], description="Keys")


SERVICE = Service(
    name="link",
    description="Links",
    roles={"end": Role(description="An end", settings=Link, nixos=(Computed(lambda m: {"x": m.settings.peer}),))},
)
"""
LINKED = """
[vars.generators.wg]
kind = "wireguard-key"
files.privatekey = { needed_for = "users" }
[instances.link]
module = { name = "link", input = "self" }
roles.end.machines = ["web", "web-1"]
[instances.link.roles.end.settings]
key_file = { _path = "vars.wg.privatekey" }
peer = { _force = { _value = "wg/publickey", machine = "web-1" } }
many = [{ _value = "wg/publickey" }, "other"]
"""


def linked(root: Path, text: str = LINKED, **values: str) -> Path:
    fleet(root, text)
    (root / "services/link").mkdir(parents=True)
    (root / "services/link/service.py").write_text(SERVICE)
    for machine, value in values.items():
        folder = root / f"vars/per-machine/{machine.replace('_', '-')}/wg/publickey"
        folder.mkdir(parents=True)
        (folder / "value").write_text(value)
    return root


def test_settings_get_paths_and_public_values_of_others_too(tmp_path: Path) -> None:
    loaded = load(linked(tmp_path, web="WEB\n", web_1="ONE\n"))

    found = {name: resolve(loaded, name).memberships[0].settings for name in ("web", "web-1")}
    path = "/run/secrets-for-users/vars/wg/privatekey"
    assert found["web"] == {"key_file": path, "peer": "ONE", "many": ["WEB", "other"]}
    assert found["web-1"] == {"key_file": path, "peer": "ONE", "many": ["ONE", "other"]}


def test_a_value_that_is_not_generated_yet_keeps_a_machine_from_being_built_and_not_from_being_generated(
    tmp_path: Path,
) -> None:
    loaded = load(linked(tmp_path, web="WEB\n"))

    assert [found.name for found in generators(loaded, "web")] == ["wg"]
    with pytest.raises(ClanpyError, match=r"reads vars.wg.publickey of web-1, which is not generated yet") as caught:
        resolve(loaded, "web")
    assert caught.value.code == "CP0811"
    assert caught.value.hint == "`clanpy vars generate web-1`"


def test_the_value_of_a_secret_in_settings_is_an_error_that_says_so(tmp_path: Path) -> None:
    loaded = load(linked(tmp_path, LINKED.replace('"wg/publickey" }, "other"', '"wg/privatekey" }'), web_1="ONE\n"))

    with pytest.raises(ClanpyError, match="which is a secret") as caught:
        resolve(loaded, "web")
    assert "reads the value of vars.wg.privatekey of web" in caught.value.message
    assert caught.value.hint == 'read its path: { _path = "wg/privatekey" }'


def test_aspects_that_are_data_have_references_too(tmp_path: Path) -> None:
    text = """
[vars.generators.token]
kind = "token"
[aspects.nixos.backup.services.x]
tokenFile = { _path = "token/token" }
peers = { _before = [{ _value = "token/token", machine = "mac" }] }
"""
    root = fleet(tmp_path, text)
    folder = root / "vars/per-machine/mac/token/token"
    folder.mkdir(parents=True)
    (folder / "value").write_text("seen")
    with pytest.raises(ClanpyError, match="is a secret"):
        resolve(load(root), "web")

    fleet_again = text.replace('kind = "token"', 'script = "x"\nfiles.token.secret = false')
    (root / "inventory.toml").write_text(f'[meta]\nname = "lab"\n{MACHINES}{fleet_again}')
    contents = [m.content.value for m in resolve(load(root), "web").modules if isinstance(m.content, NixData)]
    (found,) = (value["services"]["x"] for value in contents if "services" in value)
    assert found["tokenFile"] == "/etc/clanpy/vars/token/token"
    assert "seen" in str(found["peers"])


def test_the_words_of_the_schema_are_those_of_generators() -> None:
    assert (PHASES, PROMPT_TYPES) == (declared.PHASES, declared.PROMPT_TYPES)
