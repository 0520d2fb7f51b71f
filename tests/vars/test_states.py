from __future__ import annotations

import json
from dataclasses import replace

from clanpy.generators.maintain import fix, prune, rotate_keys
from clanpy.generators.states import State, examine, unreadable
from clanpy.secrets import Placement, Reader, ReaderKind, Stored, VarId
from clanpy.services.generator import PUBLIC, Generator, Token, VarFile
from clanpy.vars import Finding, Session
from support.generators import generated, script, session
from support.vault import Vault


TOKEN = Generator(name="token", kind=Token())
WIFI = Generator(name="wifi", kind=Token(), share=True)
SECRET = "vars/per-machine/web/token/token"


def findings(opened: Session, *machines: str) -> list[tuple[str, str, str]]:
    found = examine(opened.graph, opened.store, opened.policy, opened.context.select(machines), opened.now())
    return [(f.subject, f.state.value, f.detail) for f in found]


async def test_a_fleet_in_order_has_no_findings(vault: Vault) -> None:
    fleet = {"web": [TOKEN, WIFI], "db": [WIFI]}
    await generated(session(vault, fleet))

    assert findings(session(vault, fleet)) == []


async def test_each_state_is_told_by_name(vault: Vault) -> None:
    old = Generator(name="old", kind=Token())
    await generated(session(vault, {"web": [TOKEN, old, WIFI], "web-1": [TOKEN]}))
    (vault.root / "vars/shared/wifi/token/secret").write_text("nonsense")
    (vault.root / f"{SECRET}/users/bob").symlink_to("../../../../../../sops/users/bob")
    changed = replace(TOKEN, validation="new")
    new = script("new", "true", files={"a": VarFile(), "b": PUBLIC})

    found = findings(session(vault, {"web": [changed, WIFI, new], "web-1": [TOKEN], "db": [TOKEN]}))

    assert found == [
        ("db", "no-key", "the machine has no key yet"),
        ("shared/wifi/token", "unreadable", "vars/shared/wifi/token/secret is not a sops file: it is no JSON"),
        ("db/token", "missing", "without token"),
        ("web/new", "missing", "without a, b"),
        ("web/token", "outdated", "made with another validation value"),
        ("web/token/token", "wrong-recipients", "user bob can't read it yet"),
        ("web/old/token", "superfluous", "no generator declares it"),
    ]


async def test_only_the_named_machines_are_looked_at(vault: Vault) -> None:
    opened = session(vault, {"web": [TOKEN], "db": [TOKEN]})
    await generated(opened, "web")
    assert findings(session(vault, {"web": [TOKEN], "db": [TOKEN]}), "web") == []


async def test_recipients_that_were_added_or_taken_away_in_git_are_told(vault: Vault) -> None:
    fleet = {"web": [TOKEN]}
    await generated(session(vault, fleet))
    carol = vault.person("carol")
    # somebody puts another key into git, without encrypting anything to it
    vault.register(vault.person("alice").user, vault.person("alice").public, carol.public)
    assert findings(session(vault, fleet)) == [("web/token/token", "wrong-recipients", "user alice can't read it yet")]

    # the machine's key is exchanged
    vault.register(vault.person("alice").user, vault.person("alice").public)
    old = session(vault, fleet).access.keys(Reader(ReaderKind.MACHINE, "web"))[0].text
    vault.register(Reader(ReaderKind.MACHINE, "web"), carol.public)
    assert findings(session(vault, fleet)) == [
        (
            "web/token/token",
            "wrong-recipients",
            f"machine web can't read it yet; the unknown key {old} can still read it",
        )
    ]


async def test_decrypting_everything_finds_what_was_tampered_with(vault: Vault) -> None:
    fleet = {"web": [TOKEN]}
    await generated(session(vault, fleet))
    path = vault.root / SECRET / "secret"
    document = json.loads(path.read_text())
    document["sops"]["lastmodified"] = "2031-01-01T00:00:00Z"
    path.write_text(json.dumps(document))
    opened = session(vault, fleet)

    assert findings(opened) == []
    assert [(f.subject, f.state) for f in unreadable(opened.graph, opened.store, ["web"])] == [
        ("web/token/token", State.UNREADABLE)
    ]


async def test_fixing_encrypts_to_the_current_readers_and_touches_nothing_else(vault: Vault) -> None:
    fleet = {"web": [TOKEN, WIFI], "db": [WIFI]}
    await generated(session(vault, fleet))
    vault.register(vault.person("carol").user, vault.person("carol").public)
    (vault.root / f"{SECRET}/users/carol").symlink_to("../../../../../../sops/users/carol")
    before = vault.snapshot()

    done = await fix(session(vault, fleet))

    assert done.failures == ()
    assert [(str(c.folder), c.added, c.removed) for c in done.changes] == [
        (SECRET, (vault.person("carol").public,), ())
    ]
    after = vault.snapshot()
    assert {path for path in after if after[path] != before[path]} == {f"{SECRET}/secret"}
    assert vault.sops_decrypt("carol", f"{SECRET}/secret")
    assert (await fix(session(vault, fleet))).changed == ()
    assert findings(session(vault, fleet)) == []


async def test_fixing_after_a_user_left_tells_what_that_user_could_read(vault: Vault) -> None:
    fleet = {"web": [TOKEN, WIFI]}
    await generated(session(vault, fleet))
    bob = vault.person("bob")
    for folder in (SECRET, "sops/secrets/web-age.key"):
        depth = "../" * (len(folder.split("/")) + 1)
        (vault.root / folder / "users/bob").symlink_to(f"{depth}sops/users/bob")
    await fix(session(vault, fleet))
    assert vault.sops_decrypt("bob", f"{SECRET}/secret")
    with vault.tree().writing() as transaction:
        vault.access().remove(transaction, bob.user)
        transaction.commit()

    done = await fix(session(vault, fleet))

    assert done.lost() == {bob.public: ("sops/secrets/web-age.key", SECRET)}
    vault.sops_decrypt("bob", f"{SECRET}/secret", code=128)
    assert not (vault.root / SECRET / "users/bob").is_symlink()
    assert done.to_dict()["could_read"][bob.public]


async def test_fixing_goes_on_where_one_secret_can_not_be_read_and_passes_over_what_is_not_there(vault: Vault) -> None:
    fleet = {"web": [TOKEN, WIFI, Generator(name="not-yet", kind=Token(), share=True)], "db": [WIFI]}
    await generated(session(vault, {"web": [TOKEN, WIFI], "db": [WIFI]}))
    for folder in (SECRET, "vars/shared/wifi/token"):
        (vault.root / folder / "users/bob").symlink_to(("../" * (len(folder.split("/")) + 1)) + "sops/users/bob")
    (vault.root / "vars/shared/wifi/token/secret").write_bytes((vault.root / SECRET / "secret").read_bytes()[:-40])

    found = session(vault, fleet)
    try:
        done = await fix(found)
    except Exception as error:
        raise AssertionError(error) from error

    assert [str(folder) for folder, _ in done.failures] == ["vars/shared/wifi/token"]
    assert [str(change.folder) for change in done.changes] == [SECRET]


async def test_fixing_somebody_elses_secret_is_told_per_secret(vault: Vault) -> None:
    fleet = {"web": [TOKEN]}
    await generated(session(vault, fleet))
    (vault.root / f"{SECRET}/users/bob").symlink_to("../../../../../../sops/users/bob")
    before = vault.snapshot()

    done = await fix(session(vault, fleet, who="bob"))

    assert [str(folder) for folder, _ in done.failures] == [SECRET]
    assert vault.snapshot() == before


async def test_rotating_changes_every_ciphertext_and_no_value(vault: Vault) -> None:
    fleet = {"web": [TOKEN, WIFI]}
    await generated(session(vault, fleet))
    before, value = vault.snapshot(), vault.sops_decrypt("alice", f"{SECRET}/secret")

    folders = await rotate_keys(session(vault, fleet))

    after = vault.snapshot()
    assert len(folders) == 3
    assert {path for path in after if after[path] != before[path]} == {f"{folder}/secret" for folder in folders}
    assert vault.sops_decrypt("alice", f"{SECRET}/secret") == value


async def test_pruning_removes_what_nobody_declares_and_nothing_whose_name_begins_the_same(vault: Vault) -> None:
    await generated(session(vault, {"web": [replace(TOKEN, validation=1), WIFI], "web-1": [TOKEN]}))
    export = vault.root / "vars/per-export/S:I:R:M/g/f/value"
    export.parent.mkdir(parents=True)
    export.write_text("x")

    gone = await prune(session(vault, {"web-1": [TOKEN]}))

    assert gone == (
        Stored(VarId(Placement.machine("web"), "token", "token"), secret=True),
        Stored(VarId(Placement.shared(), "wifi", "token"), secret=True),
    )
    assert sorted(p.name for p in (vault.root / "vars/per-machine").iterdir()) == ["web-1"]
    assert not (vault.root / "vars/shared").exists()
    assert export.exists()
    assert vault.sops_decrypt("alice", "vars/per-machine/web-1/token/token/secret")
    assert await prune(session(vault, {"web-1": [TOKEN]})) == ()


def test_a_finding_as_json() -> None:
    assert Finding("web/x", State.DUE, "d").to_dict() == {"subject": "web/x", "state": "due", "detail": "d"}
