"""What Nix sees of vars: paths, public values of the machine and those of others that a module asks for, and never a secret."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from clanpy.inventory.model import Fleet, HostConfig
from clanpy.nix.errors import EvaluationError
from clanpy.nix.evaluate import HostError, evaluate
from clanpy.nix.files import mentioned_machines
from clanpy.nix.lexer import tokens
from clanpy.nix.release import Source
from clanpy.nix.source import stage
from clanpy.services.generator import Generator, SshKey, Token, VarFile
from nix.fleets import file, fleet, host, write
from nix.world import MINI_FOR_ALL, World


GENERATORS = (
    Generator(name="openssh", kind=SshKey()),
    Generator(name="token", kind=Token(), files={"token": VarFile(needed_for="users")}),
    Generator(name="later", script="x", files={"note": VarFile(secret=False), "mine": VarFile(deploy=False)}),
)
STORED = {
    "vars/per-machine/alpha/openssh/ssh.id_ed25519.pub/value": "ssh-ed25519 ALPHA\n",
    "vars/per-machine/alpha/openssh/ssh.id_ed25519/secret": "{}",
    "vars/per-machine/beta/openssh/ssh.id_ed25519.pub/value": "ssh-ed25519 BETA\n",
    "vars/per-machine/beta/openssh/ssh.id_ed25519/secret": "{}",
    "vars/per-machine/gamma/openssh/ssh.id_ed25519.pub/value": "ssh-ed25519 GAMMA\n",
    "vars/shared/ca/ca.crt/value": "CERTIFICATE\n",
}


@pytest.fixture
def found(tmp_path: Path) -> Fleet:
    made = fleet(tmp_path / "fleet", STORED)
    return replace(made, machines=dict.fromkeys(("alpha", "beta", "gamma")))  # type: ignore[arg-type]  # names are enough


def config(found: Fleet, module: str, name: str = "x.nix") -> HostConfig:
    write(found.root, {name: module})
    return replace(host(modules=[file(found.root, name)]), generators=GENERATORS)


def staged(found: Fleet, *modules: str) -> Source:
    chosen = config(found, modules[0] if modules else "{ }")
    return stage(found, chosen, found.root.parent / "cache", MINI_FOR_ALL)


def text(source: Source) -> str:
    """Everything in a tree, as one text."""
    return "\n".join(path.read_text() for path in sorted(source.root.rglob("*")) if path.is_file())


def about(source: Source) -> dict[str, dict[str, object]]:
    loaded: dict[str, dict[str, object]] = json.loads((source.root / "generated/clanpy.json").read_text())
    return loaded


def test_a_tree_holds_the_machine_s_own_public_values_and_no_others(found: Fleet) -> None:
    source = staged(found)
    assert "ALPHA" in text(source)
    assert "BETA" not in text(source)
    assert "CERTIFICATE" not in text(source)
    assert about(source)["others"] == {}


def test_others_are_there_for_whoever_asks_for_them(found: Fleet) -> None:
    one = about(staged(found, '{ clanpy, ... }: { x = clanpy.varsOf.beta.openssh."ssh.id_ed25519.pub".value; }'))
    assert list(one["others"]) == ["beta"]
    every = about(staged(found, "{ clanpy, ... }: { x = builtins.attrNames clanpy.varsOf; }"))
    assert list(every["others"]) == ["beta", "gamma"]


def test_the_key_changes_with_the_values_that_are_read_and_with_no_others(found: Fleet) -> None:
    reads_beta = "{ clanpy, ... }: { x = clanpy.varsOf.beta; }"
    alone, with_beta = staged(found).key, staged(found, reads_beta).key
    write(found.root, {"vars/per-machine/beta/openssh/ssh.id_ed25519.pub/value": "ssh-ed25519 OTHER\n"})
    assert staged(found).key == alone
    assert staged(found, reads_beta).key != with_beta
    write(found.root, {"vars/per-machine/gamma/openssh/ssh.id_ed25519.pub/value": "ssh-ed25519 OTHER\n"})
    write(found.root, {"vars/per-machine/alpha/openssh/ssh.id_ed25519/secret": "rotated"})
    assert staged(found).key == alone
    write(found.root, {"vars/per-machine/alpha/openssh/ssh.id_ed25519.pub/value": "ssh-ed25519 NEW\n"})
    assert staged(found).key != alone


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("clanpy.varsOf.beta.x", {"beta"}),
        ('clanpy.varsOf."beta-1".x + clanpy.varsOf.gamma.y', {"beta-1", "gamma"}),
        ("clanpy.vars.x.y.value", set()),
        ("clanpy.varsOf.${name}", None),
        ("map (m: clanpy.varsOf) [ ]", None),
        ("let inherit (clanpy) varsOf; in 1", None),
    ],
)
def test_whose_values_a_file_reads_is_seen_in_its_text(module: str, names: set[str] | None) -> None:
    assert mentioned_machines(list(tokens(module))) == names


def test_public_values_lie_on_the_machine_under_their_paths(found: Fleet) -> None:
    source = staged(found)
    (made,) = (p for p in (source.root / "generated").glob("nixos-vars*.json"))
    etc = json.loads(made.read_text())["environment"]["etc"]
    assert etc == {"clanpy/vars/openssh/ssh.id_ed25519.pub": {"text": "ssh-ed25519 ALPHA\n"}}
    paths = about(source)["vars"]["openssh"]
    assert isinstance(paths, dict)
    assert paths["ssh.id_ed25519.pub"]["path"] == "/etc/clanpy/vars/openssh/ssh.id_ed25519.pub"


async def said(world: World, found: Fleet, expression: str) -> str:
    """What an expression is worth in a module, or the error that it ends with."""
    module = f'{{ clanpy, ... }}: {{ environment.etc.x.text = throw ("<" + builtins.toJSON ({expression}) + ">"); }}'
    sources: Sequence[Source] = [stage(found, config(found, module), found.root.parent / "cache", MINI_FOR_ALL)]
    nix = world.nix()
    (result,) = [r async for r in evaluate(sources, nix, found.root.parent / "cache")]
    assert isinstance(result, HostError)
    assert isinstance(result.error, EvaluationError)
    return " ".join([result.error.message, *result.error.details])


@pytest.mark.nix
@pytest.mark.parametrize(
    ("expression", "worth"),
    [
        ('clanpy.vars.openssh."ssh.id_ed25519".path', '"/run/secrets/vars/openssh/ssh.id_ed25519"'),
        ("clanpy.vars.token.token.path", '"/run/secrets-for-users/vars/token/token"'),
        ('clanpy.vars.openssh."ssh.id_ed25519.pub".value', r'"ssh-ed25519 ALPHA\n"'),
        ('clanpy.varsOf.beta.openssh."ssh.id_ed25519.pub".value', r'"ssh-ed25519 BETA\n"'),
        ('clanpy.varsOf.beta.ca."ca.crt".value', r'"CERTIFICATE\n"'),
        ("clanpy.vars.token.token.secret", "true"),
        ("clanpy.machine.name", '"alpha"'),
        ("builtins.attrNames clanpy.vars", '["later","openssh","token"]'),
    ],
)
async def test_modules_get_paths_and_public_values(found: Fleet, world: World, expression: str, worth: str) -> None:
    assert f"<{worth}>" in await said(world, found, expression)


@pytest.mark.nix
@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("clanpy.vars.token.token.value", "vars.token.token of alpha is a secret: its value can't be used"),
        ('clanpy.varsOf.beta.openssh."ssh.id_ed25519".value', "of beta is a secret: its value can't be used"),
        ("clanpy.vars.later.note.value", "is not generated yet: run `clanpy vars generate alpha`"),
        ("clanpy.vars.later.mine.path", "is not deployed to the machine"),
    ],
)
async def test_what_can_t_be_had_is_said_in_a_sentence(
    found: Fleet, world: World, expression: str, sentence: str
) -> None:
    assert sentence in await said(world, found, expression)
