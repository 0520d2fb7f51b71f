"""A Nix with a store of its own, so that tests meet nothing that other programs left behind and leave nothing themselves."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clanpy.nix.inputs import InputOverrides
from clanpy.nix.nar import nar_hash
from clanpy.nix.program import Finished, NixProgram


MINI = Path(__file__).parents[2] / "src/clanpy/nix/mini"
MINI_FOR_ALL = InputOverrides(every=MINI)
CONFIG = (
    "sandbox = false",
    "build-users-group =",
    "substituters =",
    "extra-platforms = aarch64-darwin x86_64-darwin aarch64-linux",
    "flake-registry =",
    "fsync-metadata = false",
)


@dataclass(frozen=True, slots=True)
class World:
    """A store below `folder`."""

    folder: Path
    mini: str = field(init=False)

    def __post_init__(self) -> None:
        reference = f"path:{MINI}?narHash={nar_hash(MINI)}"
        object.__setattr__(self, "mini", f'(builtins.getFlake "{reference}")')

    @property
    def environ(self) -> dict[str, str]:
        state = self.folder / "var"
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("NIX_")},
            "NIX_STORE_DIR": str(self.folder / "store"),
            "NIX_STATE_DIR": str(state),
            "NIX_LOG_DIR": str(state / "log"),
            "NIX_CONF_DIR": str(self.folder / "etc"),
            "HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": str(self.folder / "home/cache"),
        }

    def nix(self, *more: str) -> NixProgram:
        """A Nix of this world that has started nothing yet."""
        return NixProgram.find(config=[*CONFIG, *more], environ=self.environ)

    async def eval(self, expression: str) -> Any:
        """The value of a pure expression, in which `mini` and `lib` are known."""
        return json.loads((await self.try_eval(expression)).check("evaluating"))

    async def try_eval(self, expression: str) -> Finished:
        text = f"let mini = {self.mini}; inherit (mini) lib; in {expression}"
        return await self.nix().run(["nix", "eval", "--json", "--expr", text])

    async def build(self, expressions: Mapping[str, str]) -> dict[str, Path]:
        """What several expressions build, from one evaluation and one build."""
        body = " ".join(
            f'"{name}" = (let d = {text}; in [ d.drvPath d.outPath ]);' for name, text in expressions.items()
        )
        found: dict[str, list[str]] = await self.eval(f"{{ {body} }}")
        drvs = list(dict.fromkeys(drv for drv, _ in found.values()))
        done = await self.nix().run(["nix-store", "--realise", "--max-jobs", "4", *drvs])
        done.check("building")
        return {name: Path(out) for name, (_, out) in found.items()}

    def build_now(self, expressions: Mapping[str, str]) -> dict[str, Path]:
        """The same for those who are not in an event loop."""
        return asyncio.run(self.build(expressions))


def nixos(module: str) -> str:
    """A NixOS system of mini with one module."""
    base = '{ nixpkgs.hostPlatform = "x86_64-linux"; networking.hostName = "host"; }'
    return (
        f"(mini.lib.nixosSystem {{ modules = [ mini.nixosModules.home-manager {base} ({module}) ]; }})"
        ".config.system.build.toplevel"
    )


def darwin(module: str) -> str:
    """A darwin system of mini with one module."""
    base = '{ nixpkgs.hostPlatform = "aarch64-darwin"; networking.hostName = "mac"; }'
    return f"(mini.lib.darwinSystem {{ modules = [ mini.darwinModules.home-manager {base} ({module}) ]; }}).system"


def home(module: str, *, user: str = "ada") -> str:
    """A home of mini with one module."""
    base = f'{{ home.username = "{user}"; home.homeDirectory = "/home/{user}"; }}'
    return (
        "(mini.lib.homeManagerConfiguration { pkgs = mini.legacyPackages.x86_64-linux; "
        f"modules = [ {base} ({module}) ]; }}).activationPackage"
    )
