"""Staging: writing a machine's own source tree, which holds only the files that it can read, as a plain flake.

A tree lies in `<cache>/sources/<key>/`, where the key is made from its content; beside it, `<key>.json` says where each file came
from and by which hash Nix knows the tree. A tree that is there already is not written again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clanpy.inventory.layers import Layers
from clanpy.inventory.model import Fleet, HostConfig, Machine
from clanpy.modules.deferred import DeferredModule, NixData, NixFile, NixTemplate
from clanpy.nix.diagnose import Origins, store_path
from clanpy.nix.errors import SourceError
from clanpy.nix.files import FileCache, write_atomically
from clanpy.nix.inputs import FleetInputs, InputOverrides, InputSet
from clanpy.nix.literals import attribute, quote, to_nix
from clanpy.nix.nar import nar_hash
from clanpy.nix.release import Installable, Source
from clanpy.nix.render import (
    FlakeText,
    LayersText,
    ModuleText,
    PackagesText,
    render_flake,
    render_template,
    slug,
    to_json,
)
from clanpy.nix.tree import Tree
from clanpy.nix.vars import own_vars, vars_modules, vars_of_others


LAYERS = Path(__file__).resolve().parent / "lib" / "layers.nix"
ARGUMENT = Path(__file__).resolve().parent / "lib" / "clanpy.nix"
# Files of a machine's folder that the inventory reads, and Nix only when it names them.
OF_THE_INVENTORY = frozenset(("machine.toml", "machine.py", "vars.toml"))


def stage(fleet: Fleet, host: HostConfig, cache_dir: Path, overrides: InputOverrides | None = None) -> Source:
    """Write one machine's source tree. For more than one machine, `Stager` reads each file once.

    Raises:
        SourceError: a file can't be read or rendered.
        InputsError: flake.nix or flake.lock can't be used.
    """
    stager = Stager(fleet, cache_dir, overrides)
    source = stager.stage(host)
    stager.save()
    return source


def manifest(source: Source) -> Mapping[str, Any]:
    """What is known about a staged tree: `nar_hash`, and `origins` by file."""
    return dict(json.loads(_manifest_path(source.root).read_bytes()))


def origins(source: Source, store_dir: str) -> Origins:
    """Leads back from a staged tree, and from Nix's copy of it, to the fleet's own files."""
    about = manifest(source)
    return Origins(files=about["origins"], root=source.root, stored=store_path(about["nar_hash"], store_dir))


@dataclass(slots=True)
class Stager:
    """Stages machines of one fleet. Files are read once, whichever machines share them.

    `written` is a folder with another flake.nix and flake.lock than the fleet's own: what machines would be with those inputs.
    """

    fleet: Fleet
    cache_dir: Path
    overrides: InputOverrides | None = None
    written: Path | None = None
    files: FileCache = field(init=False)
    _inputs: FleetInputs | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.files = FileCache(self.cache_dir / "files.json")

    @property
    def inputs(self) -> FleetInputs:
        """The fleet's inputs, read when first needed."""
        if self._inputs is None:
            overrides = self.overrides or InputOverrides()
            self._inputs = FleetInputs(self.fleet.root, overrides, self.files.nar_hash, self.written)
        return self._inputs

    def stage(self, host: HostConfig) -> Source:
        """Write one machine's tree, unless it is there.

        Raises:
            SourceError: a file can't be read or rendered.
            InputsError: flake.nix or flake.lock can't be used.
        """
        return self._keep(self._tree(host, with_reasons=False), host.machine, installables(host))

    def stage_inputs(self, names: Iterable[str]) -> Source:
        """Write a tree that has nothing but some inputs, unless it is there.

        Raises:
            InputsError: flake.nix or flake.lock can't be used, or has no such input.
        """
        chosen = self.inputs.select([self.inputs.first(name) for name in names])
        tree = Tree(self.fleet.root, self.files)
        text = f"{{\n  inputs = {to_nix(chosen.specs, indent=1)};\n  outputs = _: {{ }};\n}}\n"
        tree.put("flake.nix", text.encode(), "flake.nix")
        tree.put("flake.lock", to_json(chosen.lock).encode(), "flake.lock")
        return self._keep(tree, Machine(name="the fleet", class_="nixos", system=""), ())

    def _keep(self, tree: Tree, machine: Machine, wanted: tuple[Installable, ...]) -> Source:
        """Write a tree into the cache, unless it is there."""
        key = tree.digest()
        root = self.cache_dir / "sources" / key
        if not _manifest_path(root).exists() or not root.is_dir():
            tree.write(root)
            about = {"host": machine.name, "nar_hash": nar_hash(root), "origins": tree.origins}
            write_atomically(_manifest_path(root), to_json(about).encode())
        return Source(
            host=machine.name,
            class_=machine.class_,
            system=machine.system,
            root=root,
            key=key,
            installables=wanted,
        )

    def write_tree(self, host: HostConfig, folder: Path) -> None:
        """Write a machine's tree into a folder of its own, for use without clanpy: with the reason of each module beside it.

        Raises:
            SourceError: a file can't be read or rendered, or the folder is there already.
            InputsError: flake.nix or flake.lock can't be used.
        """
        if folder.exists():
            raise SourceError(f"the folder {folder} is there already")
        self._tree(host, with_reasons=True).write(folder)

    def save(self) -> None:
        """Keep what was learnt about files for the next run."""
        self.files.save()

    def _tree(self, host: HostConfig, *, with_reasons: bool) -> Tree:
        tree = Tree(self.fleet.root, self.files)
        text, chosen = self.fill(tree, host, with_reasons=with_reasons)
        tree.put("flake.nix", render_flake(text).encode(), "flake.nix")
        tree.put("flake.lock", to_json(chosen.lock).encode(), "flake.lock")
        return tree

    def fill(self, tree: Tree, host: HostConfig, *, with_reasons: bool) -> tuple[FlakeText, InputSet]:
        """Put all that a machine reads into a tree; gives what its flake is rendered from, and its inputs."""
        own = own_vars(self.fleet, host)
        modules = self._modules(tree, (*host.modules, *vars_modules(self.fleet, host, own)) if host.modules else ())
        homes = {account: self._modules(tree, found) for account, found in sorted(host.homes.items())}
        self._argument(tree, host, own)
        return self._flake(tree, host, modules, homes, with_reasons=with_reasons)

    def _flake(
        self,
        tree: Tree,
        host: HostConfig,
        modules: Sequence[ModuleText],
        homes: Mapping[str, Sequence[ModuleText]],
        *,
        with_reasons: bool,
    ) -> tuple[FlakeText, InputSet]:
        is_darwin = host.machine.class_ == "darwin" and bool(modules)
        nixpkgs = self.inputs.first("nixpkgs")
        darwin = self.inputs.first("nix-darwin", "darwin") if is_darwin else None
        home_manager = self.inputs.first("home-manager") if homes else None
        layers = self._layers(tree, host.packages) if host.packages else None
        mentioned = tree.inputs()
        names = self.inputs.specs if mentioned is None else mentioned
        needed = (nixpkgs, darwin, home_manager, *_inputs_of(host.packages))
        chosen = self.inputs.select([*names, *(self.inputs.first(name) for name in needed if name)])
        text = FlakeText(
            host=host.name,
            class_=host.machine.class_,
            system=host.machine.system,
            inputs=chosen.specs,
            nixpkgs=nixpkgs,
            darwin=darwin,
            home_manager=home_manager,
            modules=modules,
            homes=homes,
            standalone=_standalone(host),
            with_reasons=with_reasons,
            layers=layers,
            about=path_literal(f"{tree.generated}/clanpy.nix", tree.up),
        )
        return text, chosen

    def fill_packages(self, tree: Tree, system: str, layers: Layers) -> tuple[PackagesText, InputSet]:
        """Put all that the packages of a platform are made from into a tree; gives what its file is rendered from, and its inputs."""
        nixpkgs = self.inputs.first("nixpkgs")
        text = PackagesText(system=system, nixpkgs=nixpkgs, layers=self._layers(tree, layers) if layers else None)
        needed = [self.inputs.first(name) for name in (nixpkgs, *_inputs_of(layers))]
        return text, self.inputs.select(needed)

    def _argument(self, tree: Tree, host: HostConfig, own: Mapping[str, Any]) -> None:
        """Write what modules get as `clanpy`. Of other machines there is what some module asks for."""
        others = vars_of_others(self.fleet, host, tree.machines())
        about = {**_about(host), "vars": own, "others": others}
        tree.put(f"{tree.generated}/clanpy.json", to_json(about).encode(), "the inventory")
        tree.put(f"{tree.generated}/clanpy.nix", ARGUMENT.read_bytes(), "clanpy")

    def _layers(self, tree: Tree, layers: Layers) -> LayersText:
        """The layers of packages of a system, with their files in the tree."""

        def put(path: Path) -> str:
            return path_literal(tree.add_file(path), tree.up)

        for path in layers.custom.values():
            tree.add_folder(path.parent)
        config = tree.add_text("nixpkgs-config.json", to_json(layers.config), "nixpkgs (inventory.toml)")
        return LayersText(
            library=put(LAYERS),
            config=path_literal(config, tree.up),
            channels={
                name: (input_, [put(patch) for patch in patches]) for name, (input_, patches) in layers.channels.items()
            },
            fallbacks=layers.fallbacks,
            overrides={name: put(path) for name, path in layers.overrides.items()},
            external=layers.external,
            custom={name: put(path) for name, path in layers.custom.items()},
        )

    def _modules(self, tree: Tree, modules: Iterable[DeferredModule]) -> list[ModuleText]:
        found: dict[str, tuple[DeferredModule, ModuleText]] = {}
        for module in modules:
            key, number = module.key, 1
            while key in found and found[key][0].content != module.content:
                number += 1
                key = f"{module.key}#{number}"
            if key not in found:
                found[key] = module, self._module(tree, key, module)
        return [text for _, text in found.values()]

    def _module(self, tree: Tree, key: str, module: DeferredModule) -> ModuleText:
        return ModuleText(key, self._body(tree, key, module), " ".join(module.origin.split()))

    def _body(self, tree: Tree, key: str, module: DeferredModule) -> str:
        match module.content:
            case NixFile() as file:
                return self._file_body(tree, key, file, module.origin)
            case NixData(value=value):
                name = tree.add_text(f"{slug(key)}.json", to_json(value), module.origin)
                tree.origins.setdefault(key, module.origin)
                return f"_file = {quote(key)}; config = read {path_literal(name, tree.up)};"
            case NixTemplate(path=path, context=context):
                name = tree.add_text(f"{slug(key)}.nix", render_template(path, context), str(path))
                return f"imports = [ {path_literal(name, tree.up)} ];"

    def _file_body(self, tree: Tree, key: str, file: NixFile, origin: str) -> str:
        name = tree.add_file(file.path)
        if file.root is not None:
            tree.add_folder(file.root, leave_out=OF_THE_INVENTORY)
        if file.settings is None:
            return f"imports = [ {path_literal(name, tree.up)} ];"
        settings = tree.add_text(f"{slug(key)}.json", to_json(file.settings), origin)
        return f"_file = {path_literal(name, tree.up)}; imports = [ (import {path_literal(name, tree.up)} (read {path_literal(settings, tree.up)})) ];"


def installables(host: HostConfig) -> tuple[Installable, ...]:
    """What is built for a machine: its system, then each home that is activated on its own."""
    name, toplevel = attribute(host.name), "config.system.build.toplevel"
    outputs = "darwinConfigurations" if host.machine.class_ == "darwin" else "nixosConfigurations"
    system = Installable(kind="system", attribute=f"{outputs}.{name}.{toplevel}")
    homes = tuple(
        Installable(
            kind="home",
            attribute=f"homeConfigurations.{quote(f'{account}@{host.name}')}.activationPackage",
            account=account,
        )
        for account in sorted(_standalone(host))
    )
    return (system, *homes) if host.modules else homes


def narrowed(source: Source, account: str) -> Source:
    """The same sources, of which only one home is wanted: what may be wrong with the system is not looked at.

    Its release has the home in the place of the system, and is remembered beside that of the whole.
    """
    mine = tuple(found for found in source.installables if found.account == account)
    return replace(source, key=f"{source.key}.{account}", installables=mine)


def _inputs_of(layers: Layers) -> list[str]:
    """The flake inputs that the layers of packages name."""
    return [*(input_ for input_, _ in layers.channels.values()), *(input_ for input_, _ in layers.external)]


def path_literal(name: str, up: str) -> str:
    """The name of a file of the tree as a Nix path; `up` leads to the tree's root."""
    return (
        f"{up}{name}"
        if all(c.isalnum() or c in "._+-/" for c in name) and name.isascii()
        else f"({up}. + {quote(f'/{name}')})"
    )


def _standalone(host: HostConfig) -> frozenset[str]:
    return frozenset(u.account for u in host.users if u.home_manager == "standalone" and u.account in host.homes)


def _about(host: HostConfig) -> dict[str, Any]:
    """What the modules of a machine may know of it: the argument `clanpy`."""
    machine = host.machine
    return {
        "domain": host.domain,
        "machine": {
            "class": machine.class_,
            "name": machine.name,
            "primary_user": machine.primary_user,
            "system": machine.system,
            "tags": list(machine.tags),
            "type": machine.type,
        },
    }


def _manifest_path(root: Path) -> Path:
    return root.with_name(f"{root.name}.json")
