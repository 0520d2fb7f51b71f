"""A fleet's own services: the same shape as the built-in ones, and errors that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clanpy.errors import ClanpyError
from clanpy.inventory import resolve
from clanpy.modules.deferred import NixData, NixFile, NixTemplate
from support.fleets import CONFIGURATIONS, TWO, errors, fleet


GREETER = '''
"""A service of the fleet's own."""

from clanpy.services import Computed, Role, Service, Static, Template
from clanpy.services.settings import Field, Settings


class Default(Settings):
    """Settings."""

    word: str = Field("hello", description="What is said")
    names: list[str] = Field(default_factory=list, description="To whom")


def _home(member):
    return {"home": {"sessionVariables": {"WORD": {"_default": member.settings.word}}}}


def _once(share):
    return {"environment": {"variables": {"WORDS": " ".join(m.settings.word for m in share.members)}}}


def _others(member):
    return {"others": list(member.members()["default"])}


SERVICE = Service(
    name="greeter",
    description="Greets",
    roles={
        "default": Role(
            description="Machines that greet",
            settings=Default,
            nixos=(Template("greet.nix.j2", more=_others), Static("greet.nix")),
            home=(Computed(_home),),
        )
    },
    per_machine=_once,
)
'''
FILES = {
    "services/greeter/service.py": GREETER,
    "services/greeter/greet.nix.j2": "{ }",
    "services/greeter/greet.nix": "member: { }",
}
INSTANCES = """
    [users.ann]
    imports = ["core"]

    [instances.users.roles.default]
    machines.alpha.settings.user = "ann"

    [instances.greeter]
    module.input = "self"
    roles.default.tags = ["all"]

    [instances.shouter]
    module = { name = "greeter", input = "self" }
    roles.default.machines.alpha.settings.word = "HEY"
    """
CORE = {"modules/home/core.nix": "{ ... }: { }"}


def test_it_contributes_to_systems_and_homes_by_instance_and_once_by_machine(tmp_path: Path) -> None:
    host = resolve(fleet(tmp_path, TWO + INSTANCES, {**FILES, **CORE}), "alpha")
    by_key = {module.key: module.content for module in host.modules}
    folder = tmp_path / "services" / "greeter"

    template = by_key["nixos/greeter/shouter/default"]
    assert isinstance(template, NixTemplate)
    assert template.path == folder / "greet.nix.j2"
    assert template.context["settings"] == {"word": "HEY", "names": []}
    assert template.context["machine"]["name"] == "alpha"
    assert template.context["domain"] == "lan"
    assert template.context["others"] == ["alpha"]
    static = by_key["nixos/greeter/greeter/default/1"]
    assert isinstance(static, NixFile)
    assert (static.path, static.root) == (folder / "greet.nix", None)
    assert static.settings is not None
    assert "others" not in static.settings
    assert by_key["nixos/greeter"] == NixData({"environment": {"variables": {"WORDS": "hello HEY"}}})
    assert [module.key for module in host.homes["ann"]] == [
        "home/account",
        "home.core",
        "home/greeter/greeter/default",
        "home/greeter/shouter/default",
    ]


def test_its_notes_and_settings_are_shown_like_those_of_any(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + INSTANCES, {**FILES, **CORE})
    (membership,) = resolve(found, "beta").memberships

    assert membership.settings == {"word": "hello", "names": []}
    assert membership.origins["word"] == "default of service greeter"
    assert membership.note == "greeter: no darwin half here, only extra modules apply"


def changed(old: str, new: str) -> dict[str, str]:
    assert old in GREETER
    return {**FILES, "services/greeter/service.py": GREETER.replace(old, new)}


@pytest.mark.parametrize(
    ("files", "says", "place"),
    [
        (changed('name="greeter"', 'name="other"'), "the folder is 'greeter', the service calls itself 'other'", "services/greeter/service.py"),
        (changed("SERVICE =", "service ="), "declares no service", "services/greeter/service.py"),
        (changed("class Default", "class"), "is no Python", "services/greeter/service.py:8:6"),
        (changed('"Greets"', "1 / 0"), "the declaration raises ZeroDivisionError", "services/greeter/service.py:29:17"),
        (changed("nixos=(", "nixso=("), "unexpected keyword argument 'nixso'", "services/greeter/service.py:31:20"),
    ],
)  # fmt: skip
def test_a_broken_declaration_is_told_where_it_stands(
    files: dict[str, str], says: str, place: str, tmp_path: Path
) -> None:
    found = errors(tmp_path, TWO + INSTANCES, {**files, **CORE, **CONFIGURATIONS})

    assert {e.code for e in found} == {"CP0807"}
    assert says in found[0].message
    assert str(found[0].place) == place


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("member.settings.word}", "member.settings.wrd}", "the service 'greeter' fails in what role 'default' contributes to home"),
        ('" ".join(', "object(", "the service 'greeter' fails in what it contributes to a machine"),
        ('"WORDS": " ".join', '"WORDS": iter', "gives no plain data in what it contributes to a machine"),
        ('{"_default": member', '{"_default": 1, "x": member', "'_default' has to be the only key of its table"),
        ('Static("greet.nix")', 'Static("gone.nix")', "names the file 'gone.nix', which is not in its folder"),
        ('["default"]', '["nope"]', "KeyError"),
    ],
)  # fmt: skip
def test_what_its_code_does_wrong_is_an_error_of_the_service(old: str, new: str, says: str, tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + INSTANCES, {**changed(old, new), **CORE})
    with pytest.raises(ClanpyError) as caught:
        resolve(found, "alpha")

    assert says in "\n".join(str(error) for error in getattr(caught.value, "errors", [caught.value]))


def test_an_edit_is_seen_by_the_next_load(tmp_path: Path) -> None:
    root = tmp_path
    first = resolve(fleet(root, TWO + INSTANCES, {**FILES, **CORE}), "beta").memberships[0].settings
    second = (
        resolve(fleet(root, TWO + INSTANCES, {**changed('"hello"', '"good day"'), **CORE}), "beta")
        .memberships[0]
        .settings
    )

    assert (first["word"], second["word"]) == ("hello", "good day")


def test_an_own_service_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, TWO + '[instances.greter]\nmodule.input = "self"\n', {**FILES, **CONFIGURATIONS})

    assert error.code == "CP0801"
    assert error.hint == "did you mean 'greeter'?"


def test_a_built_in_name_of_an_own_service_says_how_to_reach_it(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, TWO + "[instances.greeter]\n", {**FILES, **CONFIGURATIONS})

    assert error.hint == 'there is one that is its own: write `module.input = "self"`'
