"""Settings declared as options of the module system."""

from __future__ import annotations

from pathlib import Path

from clanpy.inventory.memberships import settings
from clanpy.modules import option, types
from clanpy.services.describe import settings_of
from clanpy.services.from_options import from_options
from clanpy.services.settings import check
from support.fleets import CONFIGURATIONS, TWO, errors, fleet


DECLARED = from_options(
    {
        "port": option(types.port, default=22, description="Where it listens"),
        "label": option(types.str, description="What it is called"),
        "places": option(
            types.attrs_of(types.submodule({"options": {"size": option(types.int, default=3)}})), default={}
        ),
        "deep": {"flag": option(types.bool, default=False), "computed": option(types.int, default=lambda: 6 * 7)},
    }
)
SERVICE = '''
"""A service whose settings are options."""

from clanpy.modules import option, types
from clanpy.services import Computed, Role, Service
from clanpy.services.from_options import from_options

SETTINGS = from_options({"some_port": option(types.port, default=22, description="Where it listens"), "words": option(types.list_of(types.str), default=[])})
SERVICE = Service(
    name="opts",
    description="Has options",
    roles={"default": Role(description="Members", settings=SETTINGS, nixos=(Computed(lambda m: {"port": m.settings.some_port}),))},
)
'''  # fmt: skip
INSTANCE = TWO + '[instances.opts]\nmodule.input = "self"\n[instances.opts.roles.default]\nmachines = ["alpha"]\n'


def test_values_are_merged_as_their_types_say_and_defaults_fill_in() -> None:
    found, problems = check(DECLARED, {"label": "x", "places": {"a": {}, "b": {"size": 5}}})

    assert problems == []
    assert found is not None
    assert found.model_dump(mode="json") == {
        "port": 22,
        "label": "x",
        "places": {"a": {"size": 3}, "b": {"size": 5}},
        "deep": {"flag": False, "computed": 42},
    }


def test_what_is_wrong_is_told_by_its_path() -> None:
    _, problems = check(DECLARED, {"port": "22", "deep": {"flga": True}, "places": {"a": {"size": "big"}}})

    assert {(p.kind, p.path) for p in problems} == {
        ("missing", ("label",)),
        ("wrong", ("port",)),
        ("wrong", ("places",)),
        ("unknown", ("deep", "flga")),
    }
    assert "is not of type '16 bit unsigned integer" in next(p.message for p in problems if p.path == ("port",))


def test_they_are_described_in_the_words_of_their_types() -> None:
    described = {found.path: (found.type, found.default) for found in settings_of(DECLARED)}

    assert described["port"][0].startswith("16 bit unsigned integer")
    assert described["port"][1] == "22"
    assert described["label"] == ("string", None)
    assert described["deep.flag"] == ("boolean", "false")


def test_a_service_can_declare_its_settings_so(tmp_path: Path) -> None:
    files = {"services/opts/service.py": SERVICE, **CONFIGURATIONS}
    text = INSTANCE + 'settings = { somePort = 80, words = ["a"] }\nmachines.alpha.settings.words = ["b"]\n'
    text = text.replace('machines = ["alpha"]\n', "")

    assert settings(fleet(tmp_path, text, files)) == {
        "opts/default/alpha": {"some_port": 80, "words": ["b", "a"]},
    }
    (error,) = errors(tmp_path, INSTANCE + "settings.some_port = 80000\n", files)
    assert (error.code, error.place.line if error.place else 0) == ("CP0804", len(INSTANCE.splitlines()) + 1)
