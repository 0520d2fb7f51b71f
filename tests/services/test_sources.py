"""Where services come from: inputs of the fleet's flake, and Python packages that are installed."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from clanpy.inventory import resolve
from clanpy.services.inputs import flake_inputs, source_path
from clanpy.services.registry import Available, available
from support.fleets import CONFIGURATIONS, TWO, errors, fleet, write


BELL = '''
"""A service that rings."""

from clanpy.services import Computed, Role, Service
from clanpy.services.settings import Field, Settings


class Default(Settings):
    """Settings."""

    sound: str = Field("ding", description="What is heard")


def _nixos(member):
    return {"environment": {"variables": {"BELL": member.settings.sound}}}


SERVICE = Service(
    name="bell",
    description="Rings",
    roles={"default": Role(description="Machines that ring", settings=Default, nixos=(Computed(_nixos),))},
)
'''
INSTANCE = '[instances.bell]\nmodule.input = "{}"\nroles.default.machines = ["alpha"]\n'


def lock(**inputs: Any) -> str:
    nodes = {name: {"locked": locked} for name, locked in inputs.items()}
    return json.dumps({"nodes": {"root": {"inputs": {n: n for n in inputs}}, **nodes}, "root": "root", "version": 7})


def heard(root: Path, input_: str) -> Any:
    host = resolve(fleet(root, TWO + INSTANCE.format(input_)), "alpha")
    content: Any = next(module.content for module in host.modules if "/bell/" in module.key)
    return content.value["environment"]["variables"]["BELL"]


def test_an_input_that_is_a_folder_brings_services(tmp_path: Path) -> None:
    write(tmp_path, {"elsewhere/services/bell/service.py": BELL})
    root = write(tmp_path / "fleet", {"flake.lock": lock(bells={"type": "path", "path": "../elsewhere"})})

    assert heard(root, "bells") == "ding"
    assert Available("bell", "bells") in available(root)


def test_an_input_in_the_store_is_found_by_the_hash_of_its_lock(tmp_path: Path) -> None:
    digest = "sha256-" + base64.b64encode(hashlib.sha256(b"").digest()).decode()
    store = tmp_path / "store"
    source = write(store / source_path(digest).name, {"sub/services/bell/service.py": BELL})
    locked = {"type": "github", "narHash": digest, "dir": "sub"}
    root = write(tmp_path / "fleet", {"flake.lock": lock(bells=locked, gone={**locked, "dir": "gone"})})

    assert {name: found.folder for name, found in flake_inputs(root, store).items()} == {
        "bells": source / "sub",
        "gone": None,
    }


def test_the_store_path_of_a_source_is_the_one_that_nix_gives_it() -> None:
    # `builtins.path` of a folder with one file `a` that holds "x\n", and the hash of its archive
    found = source_path("sha256-Kz7d0+VY3MRwGN0zhI0EyhGWl7cwkPeJHRYdUObZb5k=")

    assert str(found) == "/nix/store/d7svvys10nn2iwgh334z31rabfhka50a-source"
    with pytest.raises(ValueError, match="no SHA-256"):
        source_path("sha1-abc=")


def test_an_input_that_follows_another_is_that_one(tmp_path: Path) -> None:
    write(tmp_path, {"elsewhere/services/bell/service.py": BELL})
    document = json.loads(lock(first={"type": "path", "path": "../elsewhere"}))
    document["nodes"]["root"]["inputs"]["second"] = ["first"]
    root = write(tmp_path / "fleet", {"flake.lock": json.dumps(document)})

    assert heard(root, "second") == "ding"


def test_a_package_brings_services_by_its_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path / "site",
        {
            "more_bells.py": BELL.replace("ding", "dong"),
            "More_Bells-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: More_Bells\nVersion: 1.0\n",
            "More_Bells-1.0.dist-info/entry_points.txt": "[clanpy.services]\nbell = more_bells:SERVICE\nmodule = more_bells\n",
        },
    )
    monkeypatch.syspath_prepend(tmp_path / "site")

    assert heard(tmp_path / "fleet", "more-bells") == "dong"
    (error,) = errors(tmp_path / "other", TWO + '[instances.bel.module]\ninput = "more-bells"\n', dict(CONFIGURATIONS))
    assert (error.code, error.hint) == ("CP0801", "did you mean 'bell'?")


@pytest.mark.parametrize(
    ("input_", "says", "hint"),
    [
        ("blels", "the input 'blels', which is not known", "did you mean 'bells'?"),
        ("nothing-like-it", "which is not known", "known: self, bells, far"),
        ("bells", "there is no service 'bell'", "the input 'bells' has no folder services/ with services in it"),
        ("far", "whose source is not on this computer", "`nix flake archive` fetches the inputs"),
    ],
)
def test_an_input_without_the_service_is_told_with_what_there_is(
    input_: str, says: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    far = {"type": "github", "narHash": "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
    files = {"flake.lock": lock(bells={"type": "path", "path": "../elsewhere"}, far=far), **CONFIGURATIONS}
    (error,) = errors(tmp_path / "fleet", TWO + INSTANCE.format(input_), files)

    assert error.code == "CP0801"
    assert says in error.message
    assert error.hint is not None
    assert hint in error.hint
    assert error.place is not None
    assert error.place.file == "inventory.toml"


def test_a_lock_that_cannot_be_read_is_an_error_at_its_place(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, TWO + INSTANCE.format("x"), {"flake.lock": "[]", **CONFIGURATIONS})

    assert str(error.place) == "flake.lock"
    assert "is no lock file" in error.message
