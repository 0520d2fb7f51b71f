"""A whole fleet as one plain flake, for whoever wants to go on without clanpy: what is handed to Nix otherwise, in one tree.

The fleet's own files lie where they lie in the fleet, each once, however many machines read it; `generated/<machine>/` has what
clanpy computed for a machine. `nix build`, `nixos-rebuild --flake` and `darwin-rebuild --flake` accept the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clanpy.inventory.model import Fleet, HostConfig
from clanpy.nix.errors import SourceError
from clanpy.nix.inputs import InputOverrides
from clanpy.nix.render import render_fleet, render_part, to_json
from clanpy.nix.source import Stager
from clanpy.nix.tree import GENERATED, Tree


def write_flake(
    fleet: Fleet,
    hosts: Sequence[HostConfig],
    folder: Path,
    cache_dir: Path,
    overrides: InputOverrides | None = None,
) -> None:
    """Write the flake of some machines of a fleet into a folder that is not there yet, or is empty.

    Raises:
        SourceError: a file can't be read or rendered, or the folder has something in it.
        InputsError: flake.nix or flake.lock can't be used.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SourceError(f"there is something in {folder} already", hint="name a folder that is not there yet")
    stager = Stager(fleet, cache_dir, overrides)
    tree = _tree(stager, hosts)
    if folder.exists():
        folder.rmdir()
    tree.write(folder)
    stager.save()


def _tree(stager: Stager, hosts: Sequence[HostConfig]) -> Tree:
    tree = Tree(stager.fleet.root, stager.files, up="../../")
    inputs: set[str] = set()
    for host in hosts:
        tree.generated = f"{GENERATED}/{host.name}"
        part, chosen = stager.fill(tree, host, with_reasons=True)
        inputs.update(chosen.specs)
        tree.put(f"{tree.generated}/default.nix", render_part(part).encode(), "flake.nix")
    every = stager.inputs.select(inputs)
    text = render_fleet(stager.fleet.meta.name, [host.name for host in hosts], every.specs)
    tree.put("flake.nix", text.encode(), "flake.nix")
    tree.put("flake.lock", to_json(every.lock).encode(), "flake.lock")
    return tree
