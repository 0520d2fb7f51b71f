"""`clanpy generate`: the fleet as a plain flake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clanpy.cli.context import Json, Names, Tags, new_app, print_json, say, split_tags


app = new_app("Write the fleet as a plain flake, for use without clanpy.")


@app.command()
def generate(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to: a folder that is not there yet, or is empty")],
    names: Names = None,
    tags: Tags = None,
    *,
    json: Json = False,
) -> None:
    """Write what clanpy hands to Nix as one flake that `nix build` and `nixos-rebuild --flake` accept without clanpy.

    The whole fleet comes with the packages of its platforms and the home of every person for each of them; chosen machines come alone,
    with the packages of theirs.
    """
    from clanpy.cli.site import open_site  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.machines import select  # noqa: PLC0415 - as above
    from clanpy.nix.generate import Contents, write_flake  # noqa: PLC0415 - as above
    from clanpy.nix.source import installables  # noqa: PLC0415 - as above

    site = open_site(ctx)
    machines = [machine.name for machine in select(site.fleet, names or (), split_tags(tags))]
    contents = Contents.of(site.fleet, machines, is_whole=not (names or tags))
    write_flake(site.fleet, contents, folder, site.surroundings.cache, site.surroundings.overrides)
    attributes = {host.name: [found.attribute for found in installables(host)] for host in contents.hosts}
    packages = {system: list(layers.names) for system, layers in contents.platforms.items()}
    if json:
        print_json({"folder": str(folder.absolute()), "machines": attributes, "packages": packages})
        return
    say(f"wrote the flake of {len(machines)} machines to {folder}; build one with")
    say(f"  nix build {folder}#{next(iter(attributes.values()))[0]}")
