"""Staging: which files a machine's tree holds, when its key changes, and what is read and written on the way."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clanpy.inventory.model import Fleet, HostConfig
from clanpy.modules.deferred import DeferredModule, NixFile, NixTemplate
from clanpy.nix.errors import InputsError, SourceError
from clanpy.nix.files import SETTLED, FileCache
from clanpy.nix.inputs import InputOverrides
from clanpy.nix.release import Source
from clanpy.nix.source import Stager, origins, stage
from nix.fleets import FLAKE, account, data, file, fleet, host, write
from nix.world import MINI_FOR_ALL


def tree(source: Source) -> dict[str, str]:
    """Every file of a staged tree."""
    return {
        str(path.relative_to(source.root)): path.read_text()
        for path in sorted(source.root.rglob("*"))
        if path.is_file()
    }


def own(source: Source) -> set[str]:
    """The files of the fleet in a staged tree."""
    return {name for name in tree(source) if not name.startswith(("generated/", "flake."))}


@pytest.fixture
def staged(tmp_path: Path) -> Callable[..., Source]:
    """Stages a machine with the mini world."""

    def run(found: Fleet, config: HostConfig) -> Source:
        return stage(found, config, tmp_path / "cache", MINI_FOR_ALL)

    return run


def test_a_machine_sees_its_own_files_and_no_others(tmp_path: Path, staged: Callable[..., Source]) -> None:
    root = tmp_path / "fleet"
    found = fleet(
        root,
        {
            "modules/nixos/base.nix": "{ }",
            "modules/nixos/other.nix": "{ }",
            "modules/nixos/web/a.nix": "{ imports = [ ./b.nix ]; }",
            "modules/nixos/web/b.nix": "{ }",
            "modules/nixos/web/_files/page.html": "hello",
            "machines/alpha/configuration.nix": "{ x = ../../shared/list.nix; }",
            "machines/alpha/machine.toml": "description = 'x'",
            "machines/beta/configuration.nix": "{ }",
            "shared/list.nix": "[ ./more.txt ]",
            "shared/more.txt": "more",
            "shared/unread.txt": "unread",
        },
    )
    config = host(
        "alpha",
        [
            file(root, "modules/nixos/base.nix"),
            file(root, "modules/nixos/web/a.nix", folder="modules/nixos/web"),
            file(root, "machines/alpha/configuration.nix", folder="machines/alpha"),
        ],
    )

    assert own(staged(found, config)) == {
        "modules/nixos/base.nix",
        "modules/nixos/web/a.nix",
        "modules/nixos/web/b.nix",
        "modules/nixos/web/_files/page.html",
        "machines/alpha/configuration.nix",
        "shared/list.nix",
        "shared/more.txt",
    }


def test_what_the_inventory_reads_is_there_only_when_nix_names_it(
    tmp_path: Path, staged: Callable[..., Source]
) -> None:
    root = tmp_path / "fleet"
    found = fleet(
        root, {"machines/a/configuration.nix": "builtins.readFile ./machine.toml", "machines/a/machine.toml": "x = 1"}
    )

    assert "machines/a/machine.toml" in own(
        staged(found, host(modules=[file(root, "machines/a/configuration.nix", folder="machines/a")]))
    )


def test_the_same_input_gives_the_same_bytes_anywhere(tmp_path: Path) -> None:
    files = {"modules/nixos/a.nix": "{ }", "modules/nixos/b.nix": "{ }"}
    sources = []
    for name in ("one", "two"):
        root = tmp_path / name
        found = fleet(root, files)
        config = host(
            modules=[file(root, "modules/nixos/b.nix"), file(root, "modules/nixos/a.nix"), data("d", {"z": 1, "a": 2})]
        )
        sources.append(stage(found, config, tmp_path / f"cache-{name}", MINI_FOR_ALL))

    assert sources[0].key == sources[1].key
    assert tree(sources[0]) == tree(sources[1])


def test_a_tree_that_is_there_is_not_written_again(tmp_path: Path, staged: Callable[..., Source]) -> None:
    found = fleet(tmp_path / "fleet", {"modules/a.nix": "{ }"})
    config = host(modules=[file(found.root, "modules/a.nix")])
    first = staged(found, config)
    marks = {path: path.stat().st_ino for path in first.root.rglob("*")}

    assert staged(found, config) == first
    assert {path: path.stat().st_ino for path in first.root.rglob("*")} == marks


FILES = [f"modules/{name}.nix" for name in ("a", "b", "c", "d")]


@given(
    links=st.dictionaries(st.sampled_from(FILES), st.sampled_from(FILES), max_size=4),
    imported=st.sets(st.sampled_from(FILES), min_size=1),
    changed=st.sampled_from(FILES),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_key_changes_when_and_only_when_a_file_that_can_be_read_changes(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str], imported: set[str], changed: str
) -> None:
    root = tmp_path_factory.mktemp("fleet")
    text = {name: f"{{ imports = [ {'./' + Path(links[name]).name if name in links else ''} ]; }}" for name in FILES}
    found = fleet(root, text)
    config = host(modules=[file(root, name) for name in sorted(imported)])
    readable, pending = set[str](), list(imported)
    while pending:
        name = pending.pop()
        if name not in readable:
            readable.add(name)
            pending += [links[name]] if name in links else []

    before = stage(found, config, root / "cache", MINI_FOR_ALL)
    write(root, {changed: text[changed] + "\n"})
    after = stage(found, config, root / "cache", MINI_FOR_ALL)

    assert own(before) == readable
    assert (before.key != after.key) == (changed in readable)


def test_the_key_covers_settings_order_tags_and_the_stand_in(tmp_path: Path) -> None:
    root = tmp_path / "fleet"
    found = fleet(root, {"m/a.nix": "{ n, ... }: { }", "m/b.nix": "{ }"})
    a, b = file(root, "m/a.nix", n=1), file(root, "m/b.nix")
    mini = tmp_path / "mini"
    write(mini, {"flake.nix": "{ outputs = _: { }; }"})

    def key(config: HostConfig, overrides: InputOverrides = MINI_FOR_ALL) -> str:
        return stage(found, config, tmp_path / "cache", overrides).key

    keys = [
        key(host(modules=[a, b])),
        key(host(modules=[b, a])),
        key(host(modules=[file(root, "m/a.nix", n=2), b])),
        key(host(modules=[a, b], tags=("web",))),
        key(host("beta", modules=[a, b])),
        key(host(modules=[a, b]), InputOverrides(every=mini)),
    ]
    write(mini, {"flake.nix": "{ outputs = _: { x = 1; }; }"})
    keys.append(key(host(modules=[a, b]), InputOverrides(every=mini)))

    assert len(set(keys)) == len(keys)


def test_a_mode_is_part_of_the_key(tmp_path: Path, staged: Callable[..., Source]) -> None:
    found = fleet(tmp_path / "fleet", {"m/a.nix": "{ x = ./run; }", "m/run": "#!/bin/sh"})
    config = host(modules=[file(found.root, "m/a.nix")])
    before = staged(found, config)
    (found.root / "m/run").chmod(0o755)
    after = staged(found, config)

    assert before.key != after.key
    assert os.access(after.root / "m/run", os.X_OK)


def test_where_a_module_is_named_in_the_inventory_is_no_part_of_the_key(
    tmp_path: Path, staged: Callable[..., Source]
) -> None:
    found = fleet(tmp_path / "fleet", {"m/a.nix": "{ }"})
    module = file(found.root, "m/a.nix")
    moved = DeferredModule(module.key, module.class_, module.content, "elsewhere (inventory.toml:99)")

    assert staged(found, host(modules=[module])).key == staged(found, host(modules=[moved])).key


def test_a_module_counts_once_however_often_it_is_named(tmp_path: Path, staged: Callable[..., Source]) -> None:
    found = fleet(tmp_path / "fleet", {"m/a.nix": "{ }"})
    once = host(modules=[file(found.root, "m/a.nix"), data("k", {"x": 1})])
    twice = host(modules=[*once.modules[1:], *once.modules[1:]])

    assert staged(found, once).key == staged(found, twice).key


def test_two_modules_of_one_key_are_both_there(tmp_path: Path, staged: Callable[..., Source]) -> None:
    found = fleet(tmp_path / "fleet")
    source = staged(found, host(modules=[data("k", {"x": 1}), data("k", {"x": 2})]))

    assert {'key = "k";' in tree(source)["flake.nix"], 'key = "k#2";' in tree(source)["flake.nix"]} == {True}
    assert json.loads(tree(source)["generated/k-2.json"]) == {"x": 2}


def test_only_inputs_that_can_be_read_are_there(tmp_path: Path, staged: Callable[..., Source]) -> None:
    flake = FLAKE.replace("inputs = {", 'inputs = {\n    tools.url = "github:x/tools"; spare.url = "github:x/spare";')
    found = fleet(
        tmp_path / "fleet",
        {
            "flake.nix": flake,
            "none.nix": "{ lib, ... }: { }",
            "one.nix": "{ inputs, ... }: { x = inputs.tools; }",
            "all.nix": "{ inputs, ... }: { x = builtins.attrNames inputs; }",
        },
    )

    def inputs(name: str, **more: Any) -> set[str]:
        source = staged(found, host(modules=[file(found.root, name)], **more))
        return set(json.loads(tree(source)["flake.lock"])["nodes"]) - {"root"}

    everything = {"nixpkgs", "nix-darwin", "home-manager", "tools", "spare"}
    assert inputs("none.nix") == {"nixpkgs"}
    assert inputs("one.nix") == {"nixpkgs", "tools"}
    assert inputs("all.nix") == everything
    assert inputs("none.nix", class_="darwin") == {"nixpkgs", "nix-darwin"}
    assert inputs("none.nix", homes={"ada": [account("ada")]}) == {"nixpkgs", "home-manager"}


def test_a_template_is_rendered_and_its_errors_have_places(tmp_path: Path, staged: Callable[..., Source]) -> None:
    found = fleet(tmp_path / "fleet")
    template = write(tmp_path / "service", {"a.nix.j2": "{ x = {{ value | nix }}; }\n"}) / "a.nix.j2"

    def module(**context: Any) -> DeferredModule:
        return DeferredModule("t", "nixos", NixTemplate(template, context), "service t")

    source = staged(found, host(modules=[module(value={"a": ['"${x}"']})]))
    assert tree(source)["generated/t.nix"] == '{ x = {\n  a = [\n    "\\"\\${x}\\""\n  ];\n}; }\n'

    with pytest.raises(SourceError, match="'value' is undefined") as missing:
        staged(found, host(modules=[module()]))
    assert missing.value.place is not None
    assert missing.value.place.file == str(template)
    template.write_text("{\n{% if %}")
    with pytest.raises(SourceError) as wrong:
        staged(found, host(modules=[module(value=1)]))
    assert wrong.value.place is not None
    assert wrong.value.place.line == 2


def test_a_file_of_another_place_is_staged_with_what_lies_beside_it(
    tmp_path: Path, staged: Callable[..., Source]
) -> None:
    found = fleet(tmp_path / "fleet")
    service = write(tmp_path / "elsewhere/tool", {"role.nix": "{ x = ./data.txt; y = ../secret; }", "data.txt": "d"})
    write(service.parent, {"secret": "s"})
    module = DeferredModule("s", "nixos", NixFile(service / "role.nix", settings={"a": 1}), "service s")
    source = staged(found, host(modules=[module]))

    assert {name.split("/", 1)[1].split("-", 1)[1] for name in own(source)} == {"tool/role.nix", "tool/data.txt"}
    assert str(service / "role.nix") in origins(source, "/nix/store").files.values()


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path, staged: Callable[..., Source]) -> None:
    found = fleet(tmp_path / "fleet")

    with pytest.raises(SourceError, match=r"gone\.nix: can't be read: No such file"):
        staged(found, host(modules=[file(found.root, "gone.nix")]))


def test_a_mac_without_nix_darwin_is_an_error(tmp_path: Path, staged: Callable[..., Source]) -> None:
    found = fleet(tmp_path / "fleet", {"flake.nix": '{ inputs.nixpkgs.url = "x"; }'})

    with pytest.raises(InputsError, match="no input 'nix-darwin'"):
        staged(found, host(class_="darwin"))


def test_homes_inside_and_on_their_own_are_told_apart(tmp_path: Path, staged: Callable[..., Source]) -> None:
    found = fleet(tmp_path / "fleet")
    homes = {"ada": [account("ada")], "bob": [account("bob")]}
    source = staged(found, host("web-1", homes=homes, standalone=["bob"]))
    text = tree(source)["flake.nix"]

    assert [(i.kind, i.attribute, i.account) for i in source.installables] == [
        ("system", "nixosConfigurations.web-1.config.system.build.toplevel", None),
        ("home", 'homeConfigurations."bob@web-1".activationPackage', "bob"),
    ]
    assert "users.ada.imports = homes.ada;" in text
    assert "users.bob" not in text


def test_files_are_read_once_for_all_machines_and_not_at_all_next_time(tmp_path: Path) -> None:
    root = tmp_path / "fleet"
    found = fleet(root, {f"m/{n}.nix": "{ }" for n in range(5)})
    machines = [host(f"m{n}", [file(root, f"m/{k}.nix") for k in range(5)]) for n in range(10)]
    for path in root.rglob("*.nix"):
        os.utime(path, (1, 1))

    def run() -> int:
        stager = Stager(found, tmp_path / "cache", MINI_FOR_ALL)
        later = stager.files.now() + 2 * SETTLED
        stager.files.now = lambda: later
        for machine in machines:
            stager.stage(machine)
        stager.save()
        return stager.files.reads

    assert run() == 5
    assert run() == 0
    (root / "m/3.nix").write_text("{ x = 1; }")
    assert run() == 1


def test_a_file_that_was_changed_a_moment_ago_is_not_trusted_next_time(tmp_path: Path) -> None:
    path = tmp_path / "a.nix"
    path.write_text("{ }")

    def look() -> int:
        cache = FileCache(tmp_path / "files.json")
        cache.content(path)
        cache.save()
        return cache.reads

    assert [look(), look()] == [1, 1]


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"format": 0, "files": {}}'])
def test_a_damaged_memory_of_files_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "files.json").write_text(text)
    (tmp_path / "a.nix").write_text("{ }")
    cache = FileCache(tmp_path / "files.json")

    assert cache.content(tmp_path / "a.nix").paths == ()


def test_a_tree_for_use_without_clanpy_says_why_each_module_is_there(tmp_path: Path) -> None:
    found = fleet(tmp_path / "fleet", {"m/a.nix": "{ }"})
    stager = Stager(found, tmp_path / "cache", MINI_FOR_ALL)
    config = host(modules=[data("k", {"x": 1}), file(found.root, "m/a.nix")])
    stager.write_tree(config, tmp_path / "out")

    assert "# k (inventory.toml:3)" in (tmp_path / "out/flake.nix").read_text()
    assert (tmp_path / "out/m/a.nix").exists()
    with pytest.raises(SourceError, match="is there already"):
        stager.write_tree(config, tmp_path / "out")
