from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clanpy.errors import ToolMissingError
from clanpy.secrets import Keyring, load_keyring
from clanpy.secrets import yaml as sops_yaml
from clanpy.secrets.errors import NoKeyError, SecretFormatError, TamperedError, UnknownShapeError
from clanpy.secrets.structured import decrypt_structured, read_structured
from support.vault import Vault


def flat(value: Any, place: tuple[str, ...] = ()) -> dict[str, str]:
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in flat(inner, (*place, key)).items()}
    if isinstance(value, list):
        return {k: v for n, inner in enumerate(value) for k, v in flat(inner, (*place, str(n))).items()}
    if value is None:
        return {}
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return {"/".join(place): text}


def encrypted(vault: Vault, text: str, kind: str, *options: str) -> bytes:
    given = ("--age", vault.person("alice").public) if "--config" not in options else ()
    front = options if "--config" in options else ()
    back = () if "--config" in options else options
    return vault.sops(
        "alice",
        *front,
        "encrypt",
        *given,
        *back,
        "--input-type",
        kind,
        "--output-type",
        kind,
        "/dev/stdin",
        given=text.encode(),
    )


def opened(raw: bytes, kind: Any, keyring: Keyring) -> dict[str, str]:
    return {place: secret.text() for place, secret in decrypt_structured(raw, kind, "f", keyring).items()}


EXAMPLE = """\
# a comment
users:
    alice: pässword # at the side
    n: 5
    big: 123456789012
    f: 1.5
    e: 1e10
    t: true
    nul: null
    empty: ""
    emptymap: {}
    emptylist: []
    date: 2024-01-02
    on: "on"
    multi: |
        line1

        line2
    "quoted: key": x
    list:
        - a
        - b: c
          d: [1, 2]
        - - nested
          - list
# between
open_unencrypted: hello there
open2_unencrypted:
    n: 5
    no: false
    s: 'it''s'
    d: "a\\tb\\u00e4"
    list: [x, y]
"""


def test_a_yaml_file_of_the_program_is_read_with_its_code_checked(vault: Vault) -> None:
    raw = encrypted(vault, EXAMPLE, "yaml")

    found = opened(raw, "yaml", vault.person("alice").keyring)

    (vault.root / "f.yaml").write_bytes(raw)
    theirs = json.loads(
        vault.sops("alice", "decrypt", "--output-type", "json", "f.yaml"), parse_int=str, parse_float=str
    )
    assert found == flat(theirs)
    assert found["users/list/1/d/1"] == "2"
    assert found["users/multi"] == "line1\n\nline2\n"


OPTIONS = {
    "as usual": (),
    "by regex": ("--encrypted-regex", "^(password|d)"),
    "not by regex": ("--unencrypted-regex", "^open"),
    "by suffix": ("--encrypted-suffix", "_secret"),
    "not by suffix": ("--unencrypted-suffix", "_open"),
}
DOCUMENT = {
    "password": "x",
    "data": {"a": ["b", {"c": "d"}, True, None, ""], "e_secret": "f"},
    "open": {"g": "h", "i_open": False},
    "last": "",
}


@pytest.mark.parametrize("kind", ["json", "yaml"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_rule_of_what_is_encrypted_is_followed(vault: Vault, options: tuple[str, ...], kind: str) -> None:
    raw = encrypted(vault, json.dumps(DOCUMENT), kind, *options)

    assert opened(raw, kind, vault.person("alice").keyring) == flat(DOCUMENT)


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_a_file_whose_code_covers_only_encrypted_values_is_read(vault: Vault, kind: str) -> None:
    rule = f"creation_rules: [{{age: '{vault.person('alice').public}', mac_only_encrypted: true, encrypted_regex: ^pass}}]\n"
    (vault.root / "rules.yaml").write_text(rule)
    raw = encrypted(vault, json.dumps(DOCUMENT), kind, "--config", "rules.yaml")

    assert b"mac_only_encrypted" in raw
    assert opened(raw, kind, vault.person("alice").keyring) == flat(DOCUMENT)


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(lambda s: s != "sops")
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=20)
documents = st.dictionaries(
    names,
    st.recursive(
        st.one_of(texts, st.booleans(), st.integers(-(2**40), 2**40), st.none()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
        max_leaves=8,
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("kind", ["json", "yaml"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents)
def test_generated_documents_are_read_as_the_program_reads_them_or_left_to_it(
    vault: Vault, document: Mapping[str, Any], kind: str
) -> None:
    raw = encrypted(vault, json.dumps(document, ensure_ascii=False), kind)
    (vault.root / f"f.{kind}").write_bytes(raw)
    theirs = json.loads(
        vault.sops("alice", "decrypt", "--output-type", "json", f"f.{kind}"), parse_int=str, parse_float=str
    )

    found = {p: s.text() for p, s in read_structured(vault.root / f"f.{kind}", vault.person("alice").keyring).items()}

    assert found == flat(theirs)


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_a_file_that_was_tampered_with_is_refused(vault: Vault, kind: str) -> None:
    raw = encrypted(vault, json.dumps({"a": "one", "b": "two", "c_unencrypted": "three"}), kind).decode()
    lines = raw.splitlines()
    a, b = (next(n for n, line in enumerate(lines) if line.strip().startswith((f'"{k}":', f"{k}:"))) for k in "ab")
    swapped = lines.copy()
    swapped[a], swapped[b] = lines[a].replace("a", "a", 1), lines[b]
    head_a, head_b = lines[a].split("ENC", 1)[0], lines[b].split("ENC", 1)[0]
    swapped[a], swapped[b] = head_a + "ENC" + lines[b].split("ENC", 1)[1], head_b + "ENC" + lines[a].split("ENC", 1)[1]
    without = [line for n, line in enumerate(lines) if n != b]
    keyring = vault.person("alice").keyring

    for changed in ("\n".join(swapped), "\n".join(without), raw.replace("three", "four")):
        with pytest.raises(TamperedError):
            opened(changed.encode(), kind, keyring)


def test_a_wrong_key_and_what_is_no_sops_file_are_told(vault: Vault) -> None:
    raw = encrypted(vault, '{"a": "b"}', "json")
    with pytest.raises(NoKeyError):
        opened(raw, "json", vault.person("bob").keyring)
    with pytest.raises(SecretFormatError):
        opened(b'{"a": "b"}', "json", vault.person("bob").keyring)
    with pytest.raises(SecretFormatError):
        opened(b"{", "json", vault.person("bob").keyring)


@pytest.mark.parametrize("kind", ["env", "ini"])
def test_kinds_that_are_not_known_here_go_through_the_program(vault: Vault, kind: str) -> None:
    text = "a=b\n" if kind == "env" else "[s]\na = b\n"
    path = vault.root / f"f.{kind}"
    path.write_bytes(encrypted(vault, text, {"env": "dotenv"}.get(kind, kind)))
    alice = vault.person("alice")

    found = {place: secret.text() for place, secret in read_structured(path, alice.keyring).items()}

    assert found == ({"a": "b"} if kind == "env" else {"s/a": "b"})
    without = load_keyring({**alice.environment, "PATH": "/nowhere"})
    with pytest.raises(ToolMissingError):
        read_structured(path, without)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x b",
        "a: *x",
        "a: !!str b",
        "a: [b]",
        "a: {b: c}",
        "a: >\n  b",
        "a: b\n  c",
        "a: 1.5",
        "a: 0x10",
        "a: yes",
        "a: 2024-01-02",
        "---\na: b",
        "a: b\na: c",
        "\ta: b",
        "? a\n: b",
        "a: b: c",
        "a: |2\n  b",
        "a:\n  - b\n  # c\n  - d",
    ],
)
def test_yaml_that_is_not_certain_is_left_to_the_program(text: str) -> None:
    with pytest.raises(UnknownShapeError):
        sops_yaml.load(text, "f")


def test_the_yaml_that_the_program_writes_is_read() -> None:
    text = 'a: b c\n"n": 5\nl:\n- x\n-   v: 1\n    w:\n    - q\nm:\n    - - k\n      - - j\no: |-\n    t\n\n    u\np: {}\nq: []\nr: ""\n'

    assert sops_yaml.load(text, "f") == {
        "a": "b c",
        "n": 5,
        "l": ["x", {"v": 1, "w": ["q"]}],
        "m": [["k", ["j"]]],
        "o": "t\n\nu",
        "p": {},
        "q": [],
        "r": "",
    }


def test_a_file_that_is_not_there_is_told(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no such file"):
        read_structured(tmp_path / "x.json", vault.person("alice").keyring)
