from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from clanpy.generators.errors import GeneratorInvalidError
from clanpy.modules.deferred import NixClass
from clanpy.services.generator import (
    Generator,
    Password,
    Prompt,
    PromptDisplay,
    SshCertificate,
    SshKey,
    Token,
    VarFile,
    X509Certificate,
)
from clanpy.vars import parse, parse_duration, problems


def test_a_generator_is_read_from_plain_data() -> None:
    read = parse(
        "wifi",
        {
            "share": True,
            "dependencies": ["ca"],
            "validation": {"names": {"a": 1}},
            "script": "true",
            "prompts": {
                "password": {"type": "hidden", "description": "d", "persist": True, "display": {"label": "Password"}}
            },
            "files": {
                "psk": {"secret": True, "mode": "0440", "needed_for": "users", "restart_units": ["wifi.service"]}
            },
            "runtime_inputs": ["openssl"],
            "expires": "90d",
            "renew_before": "2w",
        },
    )

    assert read == Generator(
        name="wifi",
        share=True,
        dependencies=("ca",),
        validation={"names": {"a": 1}},
        script="true",
        prompts={
            "password": Prompt(type="hidden", description="d", persist=True, display=PromptDisplay(label="Password"))
        },
        files={"psk": VarFile(mode="0440", needed_for="users", restart_units=("wifi.service",))},
        runtime_inputs=("openssl",),
        expires=timedelta(days=90),
        renew_before=timedelta(days=14),
    )
    assert problems(read, "nixos") == []


def test_the_spelling_of_clan_is_understood() -> None:
    read = parse(
        "g", {"script": "x", "runtimeInputs": ["jq"], "files": {"f": {"neededFor": "users", "restartUnits": ["a"]}}}
    )

    assert read.runtime_inputs == ("jq",)
    assert read.files["f"] == VarFile(needed_for="users", restart_units=("a",))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ssh-key", SshKey()),
        ({"name": "ssh-key", "algorithm": "rsa", "bits": 3072}, SshKey(algorithm="rsa", bits=3072)),
        ({"name": "token", "encoding": "base64", "size": 16}, Token(encoding="base64", size=16)),
        (
            {"name": "x509-certificate", "authority": "ca", "names": ["a", "b"]},
            X509Certificate(authority="ca", names=("a", "b")),
        ),
    ],
)
def test_kinds_are_read_by_name(kind: Any, expected: object) -> None:
    assert parse("g", {"kind": kind}).kind == expected


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"scirpt": "x"}, "'scirpt', which is not known"),
        ({"script": 5}, "script = 5, which is no str"),
        ({"share": "yes"}, "share = 'yes', which is no bool"),
        ({"files": {"f": {"modee": "0400"}}}, "'files.f.modee', which is not known"),
        ({"files": {"f": {"secret": 1}}}, "files.f.secret = 1, which is no bool"),
        ({"files": {"f": {"needed_for": "user"}}}, "files.f.needed_for = 'user'"),
        ({"files": ["f"]}, "files that is no table"),
        ({"prompts": {"p": {"type": "password"}}}, "prompts.p.type = 'password'"),
        ({"kind": "ssh"}, "kind 'ssh', which is not known"),
        ({"kind": {"name": "ssh-certificate"}}, "kind without authority, key, principals"),
        ({"kind": {"name": "token", "size": True}}, "kind.size = True, which is no int"),
        ({"expires": "soon"}, "expires = 'soon', which is no time"),
        ({"dependencies": "ca"}, "dependencies that is no list of texts"),
    ],
)
def test_data_that_makes_no_sense_is_told(data: dict[str, Any], said: str) -> None:
    with pytest.raises(GeneratorInvalidError, match=r"^generator 'g' has ") as failure:
        parse("g", data)
    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", timedelta(days=90)),
        ("2 weeks", timedelta(days=14)),
        ("12h", timedelta(hours=12)),
        ("30 minutes", timedelta(minutes=30)),
        ("1y", timedelta(days=365)),
        ("90", None),
        ("", None),
        ("-1d", None),
    ],
)
def test_durations_are_read(text: str, expected: timedelta | None) -> None:
    assert parse_duration(text) == expected


VALUE = {"value": VarFile()}


@pytest.mark.parametrize(
    ("generator", "class_", "said"),
    [
        (Generator(name="g"), "nixos", "makes no files"),
        (Generator(name="g", files=VALUE), "nixos", "no kind, script or python function to make value"),
        (Generator(name="g", script="x", kind=Token(), files=VALUE), "nixos", "kind and script"),
        (Generator(name="a/b", kind=Token()), "nixos", "can't be used"),
        (Generator(name="..", kind=Token()), "nixos", "can't be used"),
        (Generator(name="g", script="x", files={"../x": VarFile()}), "nixos", "can't be used"),
        (Generator(name="g", script="x", files=VALUE, dependencies=("g",)), "nixos", "depends on itself"),
        (Generator(name="g", python="nonsense", files=VALUE), "nixos", "not `module:function`"),
        (Generator(name="g", kind=Token(), runtime_inputs=("jq",)), "nixos", "no script that could use them"),
        (Generator(name="g", script="x", files={"f": VarFile(mode="400")}), "nixos", "not four octal digits"),
        (Generator(name="g", script="x", files={"f": VarFile(mode="0888")}), "nixos", "not four octal digits"),
        (Generator(name="g", script="x", files={"f": VarFile(restart_units=("a",))}), "darwin", "no units on darwin"),
        (Generator(name="g", kind=Token(), validation=["a"]), "nixos", "with a list in it"),
        (Generator(name="g", kind=Token(), validation={"a": {"b": {"c": 1}}}), "nixos", "nested more than two deep"),
        (Generator(name="g", kind=Token(), validation=1.5), "nixos", "with a float in it"),
        (Generator(name="g", kind=Token(), expires=timedelta(0)), "nixos", "expires at once"),
        (
            Generator(name="g", kind=Token(), expires=timedelta(1), renew_before=timedelta(2)),
            "nixos",
            "renew_before is not shorter",
        ),
        (Generator(name="g", kind=SshKey(algorithm="rsa", bits=512)), "nixos", "512 bits"),
        (
            Generator(name="g", kind=SshCertificate(authority="a", key="b", principals=())),
            "nixos",
            "without principals",
        ),
        (Generator(name="g", kind=X509Certificate(authority="a", names=())), "nixos", "without names"),
        (Generator(name="g", kind=X509Certificate(authority="a", names=("hä",))), "nixos", "not ASCII"),
        (Generator(name="g", kind=Password(prompt="p")), "nixos", "which is not declared"),
        (Generator(name="g", kind=Token(size=0)), "nixos", "without any characters"),
    ],
)
def test_declarations_that_make_no_sense_are_told(generator: Generator, class_: NixClass, said: str) -> None:
    assert any(said in str(problem) for problem in problems(generator, class_))


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = Generator(
        name="g", script="x", kind=Token(), files={"f": VarFile(mode="x")}, validation=[1], expires=timedelta(0)
    )

    assert len(problems(wrong, "nixos")) == 4
