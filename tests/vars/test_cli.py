from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from clanpy.cli.program import run
from clanpy.secrets import Secret, age, sops
from clanpy.secrets.errors import NoKeyError
from support.vault import Person, Vault


INVENTORY = """
[meta]
name = "lab"
[machines.web]
class = "nixos"
system = "x86_64-linux"
tags = ["server"]
[machines.web-1]
class = "nixos"
system = "x86_64-linux"
[users.alice]
[users.bob]
"""
VARS = """
[generators.token]
kind = "token"
validation = "v"
[generators.ca]
kind = { name = "ssh-key", file = "id_ed25519" }
share = true
[generators.openssh]
tags = ["server"]
kind = "ssh-key"
[generators.cert]
tags = ["server"]
kind = { name = "ssh-certificate", authority = "ca", key = "openssh", principals = ["web"] }
"""


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def json(self) -> object:
        return json.loads(self.out)


Clanpy = Callable[..., Said]


@pytest.fixture
def alice(vault: Vault) -> Person:
    return vault.person("alice")


@pytest.fixture
def clanpy(
    vault: Vault, alice: Person, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Clanpy:
    (vault.root / "inventory.toml").write_text(INVENTORY)
    (vault.root / "vars.toml").write_text(VARS)
    for name, value in {**alice.environment, "USER": "alice", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(vault.root)

    def call(*words: str, given: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        capfd.readouterr()
        code = run(words)
        return Said(code, *capfd.readouterr())

    return call


def test_a_plan_says_what_would_run_and_why_and_changes_nothing(vault: Vault, clanpy: Clanpy) -> None:
    before = vault.snapshot()

    said = clanpy("vars", "generate", "web", "--plan")

    assert said.code == 0
    assert said.lines == [
        "key for machine web",
        "shared/ca: missing: without id_ed25519, id_ed25519.pub",
        "web/openssh: missing: without ssh.id_ed25519, ssh.id_ed25519.pub",
        "web/cert: missing: without ssh.id_ed25519-cert.pub",
        "web/token: missing: without token",
    ]
    assert vault.snapshot() == before


def test_generating_checking_and_reading(vault: Vault, clanpy: Clanpy) -> None:
    assert clanpy("vars", "check").code == 1
    made = clanpy("vars", "generate", "--json").json()
    assert isinstance(made, dict)
    assert made["deliver_to"] == ["web", "web-1"]

    assert clanpy("vars", "check", "--decrypt").code == 0
    assert clanpy("vars", "generate").err == "nothing to do\n"
    assert (
        clanpy("vars", "get", "web", "token").out
        == vault.sops_decrypt("alice", "vars/per-machine/web/token/token/secret").decode()
    )
    listed = {line.partition(":")[0]: line.partition(": ")[2] for line in clanpy("vars", "list", "web").lines}
    assert listed["token/token"] == "********"
    assert listed["ca/id_ed25519.pub"].startswith("ssh-ed25519 ")
    items = clanpy("vars", "list", "web", "--json").json()
    assert isinstance(items, list)
    assert {item["file"] for item in items if item["secret"] and item["value"]} == set()


def test_rotating_says_where_the_new_values_go(clanpy: Clanpy) -> None:
    clanpy("vars", "generate")

    assert clanpy("vars", "rotate").code == 2
    planned = clanpy("vars", "rotate", "-g", "ca", "--plan")
    said = clanpy("vars", "rotate", "-g", "ca")

    assert planned.lines == ["shared/ca: asked for", "web/cert: made from shared/ca, which is made again"]
    assert "to be delivered to: web, web-1" in said.err
    assert "under new data keys" in clanpy("vars", "rotate", "--keys-only").err
    assert clanpy("vars", "check", "--decrypt").code == 0


def test_setting_a_value_from_stdin(vault: Vault, clanpy: Clanpy) -> None:
    said = clanpy("vars", "set", "web", "token", given=b"by hand")

    assert said.code == 0
    assert "by hand" not in said.out + said.err
    assert clanpy("vars", "get", "web", "token/token").out == "by hand"


def test_taking_out_and_bringing_back(clanpy: Clanpy) -> None:
    clanpy("vars", "generate")
    before = clanpy("vars", "get", "web", "token").out
    folder = Path("/dev/shm") / f"clanpy-test-{Path.cwd().parent.name}"

    assert clanpy("vars", "export", "on-disk").code == 69
    try:
        assert clanpy("vars", "export", str(folder)).code == 0
        clanpy("vars", "generate", "-r")
        assert clanpy("vars", "import", str(folder)).err == "7 values were stored\n"
    finally:
        shutil.rmtree(folder)
    assert clanpy("vars", "get", "web", "token").out == before


def test_errors_have_codes_and_exit_codes(clanpy: Clanpy) -> None:
    unknown = clanpy("vars", "generate", "webb")
    assert unknown.code == 64
    assert "did you mean" in unknown.err
    assert clanpy("vars", "get", "web", "tokn").code == 64
    missing = clanpy("vars", "get", "web", "token", "--debug")
    assert missing.code == 64
    assert "CP0627" in missing.err


def test_a_fleet_whose_generators_make_no_sense_is_told_with_all_that_is_wrong(vault: Vault, clanpy: Clanpy) -> None:
    (vault.root / "vars.toml").write_text(
        '[settings]\nbackend = "vault"\n[generators.a]\nkind = "tokn"\n[generators.b]\nmachines = ["webb"]\nkind = "token"\n'
    )
    said = clanpy("check")

    assert said.code == 65
    for part in (
        "'vars.settings.backend' should be 'sops' or 'age' or 'plain'",
        "kind 'tokn', which is not known",
        "machine 'webb', which does not exist",
    ):
        assert part in said.err


def test_generators_of_one_machine_are_read_from_its_folder(vault: Vault, clanpy: Clanpy) -> None:
    (vault.root / "machines/web-1").mkdir(parents=True)
    (vault.root / "machines/web-1/vars.toml").write_text('[generators.mine]\nkind = "token"\n')

    assert "web-1/mine: missing: without token" in clanpy("vars", "generate", "web-1", "--plan").lines
    assert "web/mine" not in clanpy("vars", "generate", "web", "--plan").out
    (vault.root / "machines/web-1/vars.toml").write_text('[generators.token]\nkind = "token"\n')
    said = clanpy("vars", "check").err
    assert "the generator 'token' of 'web-1' is declared in two ways" in said
    assert "vars.toml:2" in said
    assert "machines/web-1/vars.toml:1" in said


def test_a_machine_whose_generators_are_wrong_stops_no_other_and_loses_nothing(vault: Vault, clanpy: Clanpy) -> None:
    clanpy("vars", "generate")
    broken = "[machines.web-1.vars.generators.bad]\n[instances.nothing]\nroles.any.machines = ['web-1']\n"
    (vault.root / "inventory.toml").write_text(INVENTORY + broken)
    before = vault.snapshot()

    assert clanpy("vars", "check", "web").code == 0
    assert clanpy("vars", "generate", "web").err == "nothing to do\n"
    assert clanpy("vars", "generate", "web-1").code == 65
    assert clanpy("vars", "prune").code == 65
    assert vault.snapshot() == before
    assert clanpy("vars", "rotate", "web", "-g", "ca").code == 0
    assert (vault.root / "vars/shared/ca/id_ed25519/machines/web-1").is_symlink(), "it keeps what it could read"
    assert clanpy("vars", "fix", "web").code == 0
    assert (vault.root / "vars/shared/ca/id_ed25519/machines/web-1").is_symlink()


def test_a_check_of_the_fleet_tells_what_is_wrong_between_generators(vault: Vault, clanpy: Clanpy) -> None:
    (vault.root / "vars.toml").write_text(
        '[generators.a]\nscript = "x"\nfiles.f = {}\ndependencies = ["b"]\n'
        '[generators.b]\nscript = "x"\nfiles.f = {}\ndependencies = ["a"]\n'
    )
    said = clanpy("check")
    assert said.code == 65
    assert "generators need each other in a circle" in said.err
    (vault.root / "vars.toml").write_text('[generators.a]\nscript = "x"\nfiles.f = { mode = "999" }\n')
    assert "should be four octal digits" in clanpy("check").err


def test_people_machines_and_groups(vault: Vault, clanpy: Clanpy) -> None:
    clanpy("vars", "generate")
    carol = vault.person("carol").public

    assert clanpy("secrets", "users", "add", "carol", "--age-key", carol).code == 0
    assert clanpy("secrets", "users", "add", "carol", "--age-key", carol).err == "user carol is there already\n"
    assert clanpy("secrets", "users", "add", "carol", "--age-key", vault.person("bob").public).code == 2
    assert clanpy("secrets", "users", "add", "x", "--age-key", "nonsense").code == 65
    assert f"carol: {carol}" in clanpy("secrets", "users", "list").lines
    assert clanpy("secrets", "groups", "add", "admins", "--user", "carol", "--user", "alice").code == 0
    assert clanpy("secrets", "groups", "list", "--json").json() == {"admins": ["user alice", "user carol"]}
    assert clanpy("secrets", "groups", "remove", "admins", "--user", "alice").code == 0
    assert clanpy("secrets", "groups", "list").lines == ["admins: user carol"]
    assert clanpy("secrets", "users", "remove", "carol").code == 0
    assert clanpy("secrets", "groups", "list").lines == []
    assert clanpy("secrets", "users", "remove", "nobody").code == 2


def test_removing_a_machine_leaves_the_one_whose_name_begins_the_same(vault: Vault, clanpy: Clanpy) -> None:
    clanpy("vars", "generate")

    assert clanpy("secrets", "machines", "remove", "web").code == 0

    assert sorted(p.name for p in (vault.root / "sops/secrets").iterdir()) == ["web-1-age.key"]
    assert [line.partition(":")[0] for line in clanpy("secrets", "machines", "list").lines] == ["web-1"]
    assert clanpy("vars", "fix").code == 0
    assert not (vault.root / "vars/shared/ca/id_ed25519/machines/web").is_symlink()
    assert (vault.root / "vars/shared/ca/id_ed25519/machines/web-1").is_symlink()


def test_a_key_is_made_registered_and_exchanged(
    vault: Vault, clanpy: Clanpy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = tmp_path / "mine"
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(keys))
    registered = clanpy("vars", "keygen", "--user", "dave")
    assert registered.code == 0
    assert keys.stat().st_mode & 0o777 == 0o600
    assert clanpy("vars", "keygen", "--user", "dave").err.startswith("user dave has the key age1")
    assert clanpy("vars", "keygen", "--user", "alice").code == 2
    clanpy("vars", "generate")
    before = clanpy("vars", "get", "web", "token").out
    old = clanpy("secrets", "users", "list").lines[-1]

    rotated = clanpy("secrets", "key", "rotate")

    assert rotated.code == 0
    assert clanpy("secrets", "users", "list").lines[-1] != old
    assert clanpy("vars", "check").code == 0
    keys.write_text(keys.read_text().splitlines()[-1])  # only the new one
    assert clanpy("vars", "get", "web", "token").out == before
    assert len(clanpy("secrets", "key", "show").lines) == 1


def test_a_machine_s_key_is_exchanged_with_all_that_it_opens(vault: Vault, clanpy: Clanpy) -> None:
    clanpy("vars", "generate")

    def private() -> str:
        return vault.sops_decrypt("alice", "sops/secrets/web-age.key/secret").decode().strip()

    secret = (vault.root / "vars/per-machine/web/token/token/secret").read_bytes()
    other = (vault.root / "vars/per-machine/web-1/token/token/secret").read_bytes()
    old, value = private(), clanpy("vars", "get", "web", "token").out

    said = clanpy("secrets", "key", "rotate", "--machine", "web", "--json")

    assert said.code == 0
    assert "vars upload web" in said.err
    assert private() != old
    assert clanpy("vars", "check", "--decrypt").code == 0
    assert clanpy("vars", "get", "web", "token").out == value
    assert (vault.root / "vars/per-machine/web-1/token/token/secret").read_bytes() == other
    raw = (vault.root / "vars/per-machine/web/token/token/secret").read_bytes()
    assert opens(private(), raw) == value.encode()
    assert opens(old, raw) is None
    assert opens(old, secret) == value.encode()
    vault.machine("own")
    (vault.root / "inventory.toml").write_text(INVENTORY + '[machines.own]\nclass = "nixos"\nsystem = "x86_64-linux"\n')
    refused = clanpy("secrets", "key", "rotate", "--machine", "own")
    assert "the private key of machine own is not kept with the fleet" in refused.err


def opens(private: str, raw: bytes) -> bytes | None:
    """What a private key makes of a sops file; None when it can't open it."""
    try:
        return sops.decrypt(sops.parse(raw, "x"), age.parse_identities(Secret(private), origin="here")).reveal()
    except NoKeyError:
        return None


def test_checking_the_contexts(vault: Vault, clanpy: Clanpy) -> None:
    clanpy("vars", "generate")
    vault.machine("gone")
    mallory = vault.person("mallory").public
    (vault.root / ".sops.yaml").write_text(f"keys:\n  - &m {mallory}\n  - &a {vault.person('alice').public}\n")
    vault.sops_encrypt("vars/per-machine/web/token/token/secret", b"x", "alice", "web", "mallory")
    (vault.root / "inventory.toml").write_text(INVENTORY + "[users.erin]\n")

    said = clanpy("secrets", "check", "--json")

    document = said.json()
    assert isinstance(document, dict)
    found = {(f["state"], f["subject"]) for f in document["findings"]}
    assert said.code == 1
    assert {
        ("no-key", "user erin"),
        ("orphan", "machine gone"),
        ("orphan", ".sops.yaml"),
        ("wrong-recipients", ".sops.yaml"),
        ("wrong-recipients", "vars/per-machine/web/token/token"),
        ("wrong-recipients", "web/token/token"),
    } <= found


def test_an_audit_tells_who_can_read_what_and_since_when(vault: Vault, clanpy: Clanpy) -> None:
    clanpy("secrets", "groups", "add", "admins", "--user", "bob")
    (vault.root / "vars.toml").write_text('[settings]\ndefault_groups = ["admins"]\n' + VARS)
    clanpy("vars", "generate")
    git = ["git", "-c", "user.name=Alice", "-c", "user.email=a@b", "-C", str(vault.root)]
    subprocess.run([*git, "init", "-q"], check=True)
    for message in ("first", "second"):
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", message], check=True)
        clanpy("secrets", "machines", "remove", "web-1")
        clanpy("vars", "fix")

    table = {line.partition(": ")[0]: line.partition(": ")[2] for line in clanpy("secrets", "audit").lines}
    assert table["vars/shared/ca/id_ed25519"] == "user alice, user bob, machine web"
    document = clanpy("secrets", "audit", "--json").json()
    assert isinstance(document, dict)
    item = next(i for i in document["secrets"] if i["secret"] == "vars/shared/ca/id_ed25519")
    assert (item["users"], item["machines"], item["groups"]) == (["alice", "bob"], ["web"], ["admins"])
    story = [
        line.split(maxsplit=2)[2]
        for line in clanpy("secrets", "audit", "--history").lines
        if line.endswith("shared/ca/id_ed25519")
    ]
    assert "Alice: given to machine web-1: vars/shared/ca/id_ed25519" in story
    assert story[-1] == "Alice: taken from machine web-1: vars/shared/ca/id_ed25519"


def test_pruning_can_be_looked_at_first(vault: Vault, clanpy: Clanpy) -> None:
    clanpy("vars", "generate")
    (vault.root / "vars.toml").write_text(
        '[generators.ca]\nkind = { name = "ssh-key", file = "id_ed25519" }\nshare = true\n'
    )
    before = vault.snapshot()

    shown = clanpy("vars", "prune", "--dry-run")

    assert vault.snapshot() == before
    assert clanpy("vars", "prune").lines == shown.lines
    assert "web/token/token" in shown.lines
    assert not (vault.root / "vars/per-machine").exists() or not any((vault.root / "vars/per-machine").iterdir())


def test_a_value_of_an_older_file_becomes_a_var(vault: Vault, clanpy: Clanpy) -> None:
    plain = '{"web": {"tokens": ["first", "second"]}}'
    given = (
        "encrypt",
        "--age",
        vault.person("alice").public,
        "--input-type",
        "json",
        "--output-type",
        "yaml",
        "/dev/stdin",
    )
    (vault.root / "old.yaml").write_bytes(vault.sops("alice", *given, given=plain.encode()))

    said = clanpy("secrets", "migrate", "old.yaml", "web/tokens/1", "web", "token/token")

    assert said.code == 0
    assert "second" not in said.out + said.err
    assert clanpy("vars", "get", "web", "token").out == "second"
    missing = clanpy("secrets", "migrate", "old.yaml", "web/tokens/2", "web", "token/token")
    assert missing.code == 64
    assert "did you mean 'web/tokens/" in missing.err


def test_older_files_are_seen_among_the_vars(vault: Vault, clanpy: Clanpy) -> None:
    mallory = vault.person("mallory").public
    keys = ("--age", f"{vault.person('alice').public},{mallory}")
    kinds = ("--input-type", "json", "--output-type", "yaml", "/dev/stdin")
    raw = vault.sops("alice", "encrypt", *keys, *kinds, given=b'{"web": {"token": "old"}, "db": "planted"}')
    (vault.root / "secrets").mkdir()
    (vault.root / "secrets/web.yaml").write_bytes(raw)
    (vault.root / "inventory.toml").write_text(
        INVENTORY + '[secrets.legacy.old]\nfile = "secrets/{machine}.yaml"\nmachines = ["web"]\n'
        '[secrets.legacy.gone]\nfile = "secrets/gone.yaml"\nmachines = ["web-1"]\n'
    )

    assert "old/web/token: ******** (secrets/web.yaml)" in clanpy("vars", "list", "web").lines
    (item, *_) = [i for i in clanpy("vars", "list", "web", "--json").json() if "legacy" in i]  # type: ignore[attr-defined]
    assert (item["generator"], item["file"], item["path"]) == ("old", "web/token", "/run/secrets/web/token")
    assert clanpy("vars", "get", "web", "old/web/token").out == "old"
    assert "did you mean 'web/token'" in clanpy("vars", "get", "web", "old/web/tokens").err
    assert f"secrets/web.yaml: user alice, unknown key {mallory}" in clanpy("secrets", "audit").lines
    found = clanpy("secrets", "check").lines
    assert f"wrong-recipients: secrets/web.yaml: it can be read with {mallory}, which belongs to nobody" in found
    assert any(line.startswith("unreadable: secrets/gone.yaml: there is no file") for line in found)
    assert clanpy("secrets", "migrate", "secrets/web.yaml", "web/token", "web", "token/token").code == 0
    assert clanpy("vars", "get", "web", "token").out == "old"


def test_two_processes_at_once_make_each_value_once(vault: Vault, clanpy: Clanpy) -> None:
    command = [sys.executable, "-m", "clanpy", "vars", "generate", "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)]
    said = [json.loads(process.communicate()[0]) for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert sorted(len(made["steps"]) for made in said) == [0, 5]
    assert clanpy("vars", "check", "--decrypt").code == 0


def test_without_a_sandbox_it_is_said_what_is_given_up(vault: Vault, clanpy: Clanpy) -> None:
    (vault.root / "vars.toml").write_text('[generators.s]\nscript = "echo x > $out/f"\nfiles.f = { secret = false }\n')

    said = clanpy("vars", "generate", "web", "--no-sandbox")

    assert "note: scripts run without a sandbox" in said.err
    assert clanpy("vars", "get", "web", "s").out == "x\n"


def test_help_needs_no_fleet_and_imports_nothing_heavy() -> None:
    program = "import sys; from clanpy.cli.program import run; run(['vars', '--help']); print('pyrage' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd="/")
    assert done.stdout.decode().splitlines()[-1] == "False"
