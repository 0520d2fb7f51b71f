"""A whole fleet as one plain flake, for whoever wants to go on without clanpy: what is handed to Nix otherwise, in one tree.

The fleet's own files lie where they lie in the fleet, each once, however many machines read it; `generated/<machine>/` has what
clanpy computed for a machine. `nix build`, `nixos-rebuild --flake` and `darwin-rebuild --flake` accept the result, and so does
`home-manager --flake`, for every person on every platform.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from clanpy.inventory import resolve
from clanpy.inventory.homes import hosts_elsewhere, platforms
from clanpy.inventory.hosts import homes_anywhere
from clanpy.inventory.layers import Layers
from clanpy.inventory.model import Fleet, HostConfig
from clanpy.inventory.packages import packages_of
from clanpy.nix.errors import SourceError
from clanpy.nix.inputs import InputOverrides, InputSet
from clanpy.nix.render import render_fleet, render_packages, render_part, to_json
from clanpy.nix.source import Stager
from clanpy.nix.tree import GENERATED, Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What goes into the flake.

    Attributes:
        hosts: machines, and hosts of others on which there are homes.
        homes: for every person and platform, the home of the one account in it, wherever it may be taken to.
        platforms: the layers of packages of each platform.
    """

    hosts: Sequence[HostConfig]
    homes: Sequence[HostConfig] = ()
    platforms: Mapping[str, Layers] = field(default_factory=dict)

    @classmethod
    def of(cls, fleet: Fleet, machines: Sequence[str], *, is_whole: bool = False) -> Self:
        """Machines by name, with the packages of their platforms; and of the whole fleet all else, too.

        Raises:
            ClanpyError: what is wrong with one of them.
        """
        hosts = [resolve(fleet, name) for name in (*machines, *(hosts_elsewhere(fleet) if is_whole else ()))]
        systems = platforms(fleet) if is_whole else sorted({host.machine.system for host in hosts})
        packages = packages_of(fleet)
        return cls(
            hosts=hosts,
            homes=tuple(homes_anywhere(fleet)) if is_whole else (),
            platforms={system: packages.on(fleet.root, system, hidden=True) for system in systems},
        )


def write_flake(
    fleet: Fleet,
    contents: Contents,
    folder: Path,
    cache_dir: Path,
    overrides: InputOverrides | None = None,
) -> None:
    """Write the flake of a fleet, or of some of its machines, into a folder that is not there yet, or is empty.

    Raises:
        SourceError: a file can't be read or rendered, or the folder has something in it.
        InputsError: flake.nix or flake.lock can't be used.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SourceError(f"there is something in {folder} already", hint="name a folder that is not there yet")
    stager = Stager(fleet, cache_dir, overrides)
    tree = _tree(stager, contents)
    if folder.exists():
        folder.rmdir()
    tree.write(folder)
    stager.save()


def _tree(stager: Stager, contents: Contents) -> Tree:
    tree = Tree(stager.fleet.root, stager.files, up="../../")
    people: dict[str, list[str]] = {system: [] for system in contents.platforms}
    inputs: set[str] = set()
    for host in contents.hosts:
        inputs.update(_put_host(stager, tree, host, host.name).specs)
    for user, system, home in _homes(stager, contents):
        people[system].append(user)
        inputs.update(_put_host(stager, tree, home, f"{user}@{system}").specs)
    for system, layers in contents.platforms.items():
        inputs.update(_put_packages(stager, tree, system, layers).specs)
    every = stager.inputs.select(inputs)
    text = render_fleet(stager.fleet.meta.name, [host.name for host in contents.hosts], every.specs, people)
    tree.put("flake.nix", text.encode(), "flake.nix")
    tree.put("flake.lock", to_json(every.lock).encode(), "flake.lock")
    return tree


def _homes(stager: Stager, contents: Contents) -> Iterator[tuple[str, str, HostConfig]]:
    """The homes with their people and platforms; none where the fleet has no home-manager."""
    if "home-manager" not in stager.inputs.specs:
        return
    for home in contents.homes:
        if home.machine.system in contents.platforms:
            yield home.users[0].user, home.machine.system, home


def _put_host(stager: Stager, tree: Tree, host: HostConfig, name: str) -> InputSet:
    tree.generated = f"{GENERATED}/{name}"
    part, chosen = stager.fill(tree, host, with_reasons=True)
    tree.put(f"{tree.generated}/default.nix", render_part(part).encode(), "flake.nix")
    return chosen


def _put_packages(stager: Stager, tree: Tree, system: str, layers: Layers) -> InputSet:
    tree.generated = f"{GENERATED}/packages_{system}"  # no machine is called that: '_' is not in their names
    text, chosen = stager.fill_packages(tree, system, layers)
    tree.put(f"{tree.generated}/default.nix", render_packages(text, layers.names).encode(), "flake.nix")
    return chosen
