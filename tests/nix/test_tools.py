"""Programs for scripts, from the fleet's nixpkgs."""

from __future__ import annotations

from pathlib import Path

import pytest

from clanpy.nix.errors import NixCommandError
from clanpy.nix.tools import build_tools
from nix.fleets import write
from nix.world import MINI_FOR_ALL, World


pytestmark = pytest.mark.nix


async def test_packages_of_the_fleet_s_nixpkgs_are_built_for_this_computer(tmp_path: Path, world: World) -> None:
    root = write(tmp_path / "fleet", {})

    found = await build_tools(world.nix(), root, ["openssl", "pkgs.hello"], MINI_FOR_ALL)

    names = [Path(folder).parent.name.partition("-")[2].rpartition("-")[0] for folder in found]
    assert names == ["openssl", "hello"]
    assert all((Path(folder) / name).is_file() for folder, name in zip(found, names, strict=True))


async def test_a_package_that_is_not_there_is_told(tmp_path: Path, world: World) -> None:
    with pytest.raises(NixCommandError, match="building nothing-of-this") as caught:
        await build_tools(world.nix(), write(tmp_path / "fleet", {}), ["nothing-of-this"], MINI_FOR_ALL)
    assert "attribute 'nothing-of-this' missing" in "\n".join(caught.value.details)


def test_programs_of_nix_get_no_private_key(world: World) -> None:
    nix = world.nix()
    nix.environ["SOPS_AGE_KEY"] = "AGE-SECRET-KEY-1"  # type: ignore[index]  # a dictionary, in tests
    assert "SOPS_AGE_KEY" not in nix.environment()
