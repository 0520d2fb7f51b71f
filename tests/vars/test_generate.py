from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from clanpy.errors import CombinedError
from clanpy.generators.errors import GeneratorFailedError, MovedError, OutputsError, PromptNeededError, VarNotFoundError
from clanpy.generators.maintain import fix
from clanpy.generators.states import State, examine
from clanpy.generators.values import get
from clanpy.secrets import Placement, Reader, ReaderKind, Secret, VarId
from clanpy.secrets.errors import NoKeyError, TreeLockedError
from clanpy.services.generator import (
    PUBLIC,
    Generator,
    Prompt,
    SshCertificate,
    SshKey,
    Token,
    VarFile,
    X509Authority,
    X509Certificate,
)
from clanpy.vars import Answers, Backend, How, Question, Session, Wanted, intend
from support.generators import Scripted, asking, context, generated, public, script, session
from support.vault import NOON, Vault, noon


TOKEN = Generator(name="token", kind=Token())
CA = Generator(name="ca", kind=SshKey(file="id_ed25519"), share=True)
SSH = Generator(name="openssh", kind=SshKey())
CERT = Generator(name="cert", kind=SshCertificate(authority="ca", key="openssh", principals=("m",)))


def plan_of(
    opened: Session, *machines: str, regenerate: bool = False, generators: tuple[str, ...] = ()
) -> dict[str, str]:
    wanted = Wanted(machines=opened.context.select(machines), regenerate=regenerate, generators=generators)
    return {str(step.id): step.reason for step in intend(opened, wanted).plan.steps}


def value(opened: Session, machine: str, name: str) -> str:
    return get(opened, machine, name).text()


async def test_what_is_missing_is_made_and_the_second_run_does_nothing(vault: Vault) -> None:
    fleet = {"web": [SSH, CA, CERT], "db": [SSH, CA, CERT, TOKEN]}
    opened = session(vault, fleet)

    await generated(opened)
    after = vault.snapshot()
    again = await generated(session(vault, fleet))

    assert again.changed == ()
    assert not again.intent
    assert vault.snapshot() == after
    assert vault.sops_decrypt("alice", "vars/per-machine/web/openssh/ssh.id_ed25519/secret").startswith(
        b"-----BEGIN OPENSSH"
    )
    assert examine(opened.graph, opened.store, session(vault, fleet).policy, ("web", "db"), NOON) == ()


async def test_a_machine_gets_a_key_whose_private_half_only_people_can_read(vault: Vault) -> None:
    opened = session(vault, {"web": [TOKEN]})
    await generated(opened)

    private = vault.sops_decrypt("alice", "sops/secrets/web-age.key/secret")
    (vault.keys / "of-web").write_bytes(private)
    machine = Session.open(opened.context, environment={"SOPS_AGE_KEY_FILE": str(vault.keys / "of-web"), "HOME": "/"})

    assert value(machine, "web", "token/token") == value(opened, "web", "token/token")
    assert json.loads((vault.root / "sops/machines/web/key.json").read_text()) == [
        {"publickey": machine.keyring.recipients[0], "type": "age"}
    ]
    assert not (vault.root / "sops/secrets/web-age.key/machines").exists()


async def test_only_what_the_named_machines_need_is_made(vault: Vault) -> None:
    fleet = {
        "web": [CA, SSH, CERT],
        "db": [CA, TOKEN, Generator(name="broken", script="exit 1", files={"x": VarFile()})],
    }

    done = await generated(session(vault, fleet), "web")

    assert [str(step.id) for step in done.intent.plan.steps] == ["shared/ca", "web/openssh", "web/cert"]
    assert not (vault.root / "vars/per-machine/db").exists()
    assert not (vault.root / "sops/machines/db").exists()


async def test_a_machine_that_comes_later_gets_access_to_what_is_shared(vault: Vault) -> None:
    shared = Generator(name="wifi", kind=Token(), share=True)
    fleet = {"a": [shared], "b": [shared]}
    await generated(session(vault, fleet), "a")
    folder = vault.root / "vars/shared/wifi/token"
    before = value(session(vault, fleet), "a", "wifi")
    assert [p.name for p in (folder / "machines").iterdir()] == ["a"]

    opened = session(vault, fleet)
    assert intend(opened, Wanted(machines=("b",))).to_dict() == {
        "steps": [],
        "machine_keys": ["b"],
        "grants": [{"secret": "shared/wifi/token", "machine": "b"}],
    }
    await generated(opened, "b")

    assert sorted(p.name for p in (folder / "machines").iterdir()) == ["a", "b"]
    assert value(session(vault, fleet), "b", "wifi") == before
    assert not intend(session(vault, fleet), Wanted(machines=("a", "b")))
    assert (
        len(session(vault, fleet).store.secrets.access(VarId(Placement.shared(), "wifi", "token").folder).recipients)
        == 3
    )


async def test_several_machines_at_once_get_access_to_what_is_shared(vault: Vault) -> None:
    shared = Generator(name="wifi", kind=Token(), share=True)
    fleet = {name: [shared] for name in "abc"}
    await generated(session(vault, fleet), "a")
    await generated(session(vault, fleet), "b", "c")

    assert sorted(p.name for p in (vault.root / "vars/shared/wifi/token/machines").iterdir()) == ["a", "b", "c"]


async def test_a_file_that_is_not_deployed_is_for_people_only(vault: Vault) -> None:
    files = {"people": VarFile(deploy=False), "machine": VarFile()}
    opened = session(vault, {"web": [script("g", "echo x | tee $out/people > $out/machine", files=files)]})
    await generated(opened)

    assert not (vault.root / "vars/per-machine/web/g/people/machines").exists()
    assert (vault.root / "vars/per-machine/web/g/machine/machines/web").is_symlink()


async def test_default_groups_read_everything(vault: Vault) -> None:
    with vault.tree().writing() as transaction:
        vault.access().put_members(transaction, "admins", [vault.person("alice").user, vault.person("bob").user])
        transaction.commit()
    opened = Session.open(
        replace(context(vault, {"web": [TOKEN]}), default_groups=("admins", "no-such-group")),
        environment=vault.person("alice").environment,
    )

    await generated(opened)

    assert (
        vault.snapshot()["vars/per-machine/web/token/token/groups/admins"] == "-> ../../../../../../sops/groups/admins"
    )
    assert not (vault.root / "vars/per-machine/web/token/token/users").exists()
    assert vault.sops_decrypt("bob", "vars/per-machine/web/token/token/secret")
    assert vault.sops_decrypt("bob", "sops/secrets/web-age.key/secret")


# --- what has to be made again ---


async def test_a_validation_value_that_changes_makes_everything_again_that_is_made_from_it(vault: Vault) -> None:
    root, leaf = (
        public("root", "echo $RANDOM$RANDOM > $out/value"),
        public("leaf", "cat $in/root/value > $out/value", dependencies=("root",)),
    )
    other = public("other", "echo x > $out/value")
    fleet = {"web": [replace(root, validation={"v": 1}), leaf, other]}
    await generated(session(vault, fleet))
    first = value(session(vault, fleet), "web", "leaf")

    changed = {"web": [replace(root, validation={"v": 2}), leaf, other]}
    opened = session(vault, changed)
    assert plan_of(opened) == {
        "web/root": "outdated: made with another validation value",
        "web/leaf": "made from web/root, which is made again",
    }
    await generated(opened)

    assert value(opened, "web", "leaf") == value(opened, "web", "root") != first
    noted = (vault.root / "vars/per-machine/web/root/.validation-hash").read_text()
    assert noted == sha256(b'{"v":2}').hexdigest()


async def test_a_validation_value_that_is_taken_away_makes_it_again_once(vault: Vault) -> None:
    made = public("g", "echo x > $out/value", validation="v")
    await generated(session(vault, {"web": [made]}))
    fleet = {"web": [replace(made, validation=None)]}

    assert list(plan_of(session(vault, fleet))) == ["web/g"]
    await generated(session(vault, fleet))
    assert plan_of(session(vault, fleet)) == {}


async def test_an_authority_that_is_made_again_makes_its_certificates_again_everywhere(vault: Vault) -> None:
    fleet = {"a": [CA, SSH, CERT], "b": [CA, SSH, CERT], "c": [CA, SSH, CERT]}
    await generated(session(vault, fleet), "a", "b")

    opened = session(vault, fleet)

    assert plan_of(opened, "a", generators=("ca",), regenerate=True) == {
        "shared/ca": "asked for",
        "a/cert": "made from shared/ca, which is made again",
        "b/cert": "made from shared/ca, which is made again",
    }


async def test_one_generator_can_be_asked_for_and_made_again(vault: Vault) -> None:
    fleet = {"web": [TOKEN, SSH]}
    opened = session(vault, fleet)
    await generated(opened)
    before = value(opened, "web", "token")

    assert plan_of(opened, generators=("token",)) == {}
    await generated(opened, "web", regenerate=True)

    assert value(opened, "web", "token") != before
    with pytest.raises(VarNotFoundError, match="'tokn'") as failure:
        plan_of(opened, generators=("tokn",))
    assert failure.value.hint == "did you mean 'token'?"


async def test_values_that_expire_are_made_again_in_time(vault: Vault) -> None:
    fleet = {"web": [replace(TOKEN, expires=timedelta(days=90), renew_before=timedelta(days=10))]}

    def on_day(days: int) -> Session:
        return session(vault, fleet, now=lambda: NOON + timedelta(days=days))

    await generated(on_day(0))

    assert (vault.root / "vars/per-machine/web/token/.generated-at").read_text() == "2026-05-04T12:00:00Z"
    assert plan_of(on_day(79)) == {}
    assert plan_of(on_day(80)) == {"web/token": "due: ends on 2026-08-02"}
    assert plan_of(on_day(90)) == {"web/token": "expired: since 2026-08-02"}
    await generated(on_day(90))
    assert plan_of(on_day(91)) == {}


async def test_values_of_clan_that_expire_are_dated_by_their_ciphertext(vault: Vault) -> None:
    await generated(session(vault, {"web": [TOKEN]}))
    fleet = {"web": [replace(TOKEN, expires=timedelta(days=90))]}

    def on_day(days: int) -> datetime:
        return NOON + timedelta(days=days)

    assert plan_of(session(vault, fleet, now=lambda: on_day(80))) == {}
    assert plan_of(session(vault, fleet, now=lambda: on_day(82))) == {"web/token": "due: ends on 2026-08-02"}


async def test_certificates_are_renewed_before_they_end(vault: Vault) -> None:
    fleet = {
        "web": [
            Generator(name="ca", share=True, kind=X509Authority(common_name="ca")),
            Generator(name="tls", kind=X509Certificate(authority="ca", names=("web",), days=100)),
        ]
    }

    def on_day(days: int) -> Session:
        return session(vault, fleet, now=lambda: NOON + timedelta(days=days))

    await generated(on_day(0))

    assert plan_of(on_day(89)) == {}
    assert list(plan_of(on_day(91))) == ["web/tls"]
    assert [
        f.state
        for f in examine(on_day(101).graph, on_day(101).store, on_day(101).policy, ["web"], NOON + timedelta(101))
    ] == [State.EXPIRED]


async def test_a_generator_that_becomes_shared_leaves_nothing_behind_and_the_other_way_round(vault: Vault) -> None:
    single = {"a": [TOKEN], "a-1": [TOKEN]}
    shared = {"a": [replace(TOKEN, share=True)], "a-1": [TOKEN]}
    await generated(session(vault, single))

    await generated(session(vault, shared), "a")
    assert not (vault.root / "vars/per-machine/a").exists()
    assert (vault.root / "vars/per-machine/a-1/token/token/secret").exists()
    assert (vault.root / "vars/shared/token/token/secret").exists()

    await generated(session(vault, single), "a")
    assert (vault.root / "vars/per-machine/a/token/token/secret").exists()
    assert not (vault.root / "vars/shared").exists()


async def test_somebody_who_was_given_access_by_hand_keeps_it_when_a_value_is_made_again(vault: Vault) -> None:
    fleet = {"web": [TOKEN]}
    await generated(session(vault, fleet))
    folder = VarId(Placement.machine("web"), "token", "token").folder
    opened = session(vault, fleet)
    with opened.tree.writing() as transaction:
        readers = opened.store.secrets.access(folder).readers | {vault.person("bob").user}
        opened.store.secrets.grant(transaction, folder, readers)
        transaction.commit()

    await generated(session(vault, fleet), regenerate=True)

    assert Reader(ReaderKind.USER, "bob") in session(vault, fleet).store.secrets.access(folder).readers


# --- questions ---


async def test_questions_are_asked_first_and_each_machine_has_its_own_answers(vault: Vault) -> None:
    order: list[str] = []

    def answer(question: Question) -> str:
        order.append("asked")
        return f"answer for {question}"

    prompter = Scripted(answer)
    fleet = {
        "a": [public("early", "echo x > $out/value"), asking("password", "p")],
        "b": [asking("password", "p")],
        "c": [asking("wifi", "p", share=True)],
        "d": [asking("wifi", "p", share=True)],
    }
    opened = session(vault, fleet)

    await generated(opened, how=How(prompter=prompter, on_done=lambda step: order.append(str(step.id))))

    assert prompter.asked == ["shared/wifi/p", "a/password/p", "b/password/p"]
    assert order[:3] == ["asked"] * 3
    assert value(opened, "a", "password/p") == "answer for a/password/p"
    assert value(opened, "b", "password/p") == "answer for b/password/p"


async def test_answers_are_given_to_scripts_and_kept_only_when_they_should_be(vault: Vault) -> None:
    generator = script(
        "g",
        'printf %s "$(cat $prompts/user):$(cat $prompts/password)" > $out/line',
        files={"line": VarFile()},
        prompts={"user": Prompt(persist=True), "password": Prompt(type="hidden")},
    )
    opened = session(vault, {"web": [generator]})
    await generated(opened, how=How(prompter=Scripted(lambda q: q.name.upper())))

    assert value(opened, "web", "g/line") == "USER:PASSWORD"
    assert value(opened, "web", "g/user") == "USER"
    assert not (vault.root / "vars/per-machine/web/g/password").exists()


async def test_without_anybody_to_ask_nothing_happens(vault: Vault) -> None:
    before = vault.snapshot()
    with pytest.raises(PromptNeededError, match="web/g/p has to be answered"):
        await generated(session(vault, {"web": [TOKEN, asking("g", "p")]}))
    assert vault.snapshot() == before


async def test_answers_can_be_known_beforehand(vault: Vault) -> None:
    opened = session(vault, {"web": [asking("g", "p")]})
    await generated(opened, how=How(prompter=Answers({"web/g/p": Secret("x")})))
    assert value(opened, "web", "g") == "x"


# --- failures ---


async def test_nothing_is_written_when_any_generator_fails(vault: Vault) -> None:
    before = vault.snapshot()
    fleet = {"a": [TOKEN, SSH], "b": [TOKEN, script("bad", "echo no >&2; exit 3")]}

    with pytest.raises(GeneratorFailedError, match="the script of b/bad ended with exit code 3") as failure:
        await generated(session(vault, fleet))

    assert failure.value.details == ("no",)
    assert vault.snapshot() == before


async def test_all_failures_are_told_and_what_needs_them_is_left_out(vault: Vault) -> None:
    fleet = {"a": [script("x", "exit 1"), script("y", "exit 2"), script("z", "touch $out/value", dependencies=("x",))]}

    with pytest.raises(CombinedError) as failure:
        await generated(session(vault, fleet))

    assert [error.message for error in failure.value.errors] == [
        "the script of a/x ended with exit code 1",
        "the script of a/y ended with exit code 2",
    ]


async def test_a_generator_that_fails_can_be_tried_again_with_other_answers(vault: Vault) -> None:
    attempts = iter(["wrong", "wrong", "right"])
    prompter = Scripted(lambda q: next(attempts), retries=2)
    generator = script(
        "g", 'test "$(cat $prompts/p)" = right; cp $prompts/p $out/value', prompts={"p": Prompt(type="hidden")}
    )
    opened = session(vault, {"web": [generator]})

    await generated(opened, how=How(prompter=prompter))

    assert value(opened, "web", "g") == "right"
    assert len(prompter.failures) == 2


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("touch $out/a", "missing: b"),
        ("touch $out/a $out/b $out/c", "not declared: c"),
        ("touch $out/a; ln -s a $out/b", "made 'b', which is no file"),
        ("touch $out/a; mkdir $out/b", "made 'b', which is no file"),
    ],
)
async def test_exactly_the_declared_files_have_to_be_made(vault: Vault, body: str, told: str) -> None:
    files = {"a": VarFile(), "b": VarFile()}
    with pytest.raises(OutputsError) as failure:
        await generated(session(vault, {"web": [script("g", body, files=files)]}))
    assert told in f"{failure.value} {failure.value.details}"


async def test_somebody_who_is_no_user_can_not_generate(vault: Vault) -> None:
    before = vault.snapshot()
    with pytest.raises(NoKeyError, match="belongs to a user"):
        await generated(session(vault, {"web": [TOKEN]}, who="stranger"))
    assert vault.snapshot() == before


async def test_a_dependency_that_can_not_be_read_is_told(vault: Vault) -> None:
    fleet = {"web": [TOKEN]}
    await generated(session(vault, fleet))
    more = {"web": [TOKEN, public("g", "cat $in/token/token > $out/value", dependencies=("token",))]}

    with pytest.raises(NoKeyError, match="no private key at hand opens vars/per-machine/web/token/token/secret"):
        await generated(session(vault, more, who="bob"))


# --- two at once ---


async def test_two_runs_at_once_make_each_value_once(vault: Vault) -> None:
    fleet = {"web": [script("g", "echo $RANDOM$RANDOM > $out/value", share=True), TOKEN], "db": [TOKEN]}
    first, second = session(vault, fleet), session(vault, fleet)

    results = await asyncio.gather(generated(first), generated(second))

    assert sorted(len(r.intent.plan.steps) for r in results) == [0, 3]
    assert value(first, "web", "g") == value(second, "web", "g")


async def test_a_run_that_waits_in_vain_is_told(vault: Vault) -> None:
    with vault.tree().writing(), pytest.raises(TreeLockedError):
        await generated(session(vault, {"web": [TOKEN]}), how=How(wait_seconds=0))


async def test_a_fleet_that_moves_while_questions_are_answered_is_told(vault: Vault) -> None:
    root, leaf = TOKEN, asking("leaf", "p", dependencies=("token",))
    fleet = {"web": [root, leaf]}
    await generated(session(vault, fleet), how=How(prompter=Scripted(lambda q: "x")))
    opened = session(vault, {"web": [root, leaf, asking("new", "p")]})

    def meddle(_: object) -> str:
        (vault.root / "vars/per-machine/web/token/token/secret").unlink()
        return "x"

    with pytest.raises(MovedError, match="web/leaf has to be generated now"):
        await generated(opened, how=How(prompter=Scripted(meddle)))


# --- python ---


PAIR = {"a": PUBLIC, "b": PUBLIC}


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "made_here.py").write_text(
        "def pair(inputs):\n    return {'a': inputs.machine + ' ' + inputs.need('token', 'token').text(), 'b': b'x'}\n"
        "def trouble(inputs):\n    raise ValueError('PLANTED ' + inputs.need('token', 'token').text())\n"
        "def nothing(inputs):\n    return None\n"
        "value = 5\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("importable")
async def test_a_function_makes_values(vault: Vault) -> None:
    generator = Generator(name="g", python="made_here:pair", files=PAIR, dependencies=("token",))
    opened = session(vault, {"web": [TOKEN, generator]})
    await generated(opened)

    assert value(opened, "web", "g/a") == f"web {value(opened, 'web', 'token')}"


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("trouble", "the function of web/g raised ValueError"),
        ("nothing", "returned no texts by file name"),
        ("missing", "which can't be imported"),
        ("value", "which is no function"),
    ],
)
async def test_a_function_that_fails_is_told_without_its_values(vault: Vault, function: str, told: str) -> None:
    generator = Generator(name="g", python=f"made_here:{function}", files=PAIR, dependencies=("token",))
    with pytest.raises(GeneratorFailedError) as failure:
        await generated(session(vault, {"web": [TOKEN, generator]}))

    assert told in str(failure.value)
    assert "PLANTED" not in f"{failure.value} {failure.value.details} {failure.value.__cause__}"
    if function == "trouble":
        assert any("made_here.py:4 in trouble" in line for line in failure.value.details)


# --- other backends ---


def age_program(key: Path, file: Path) -> bytes:
    return subprocess.run(["age", "-d", "-i", key, file], capture_output=True, check=True).stdout


@pytest.mark.parametrize("backend", ["age", "plain"])
async def test_every_backend_keeps_what_is_made(vault: Vault, backend: Backend) -> None:
    fleet = {"web": [SSH, CA, CERT, TOKEN], "db": [CA]}

    def opened() -> Session:
        return Session.open(
            context(vault, fleet), backend=backend, environment=vault.person("alice").environment, now=noon, lab="lab"
        )

    await generated(opened())

    there = opened()
    assert not (await generated(there)).intent
    assert examine(there.graph, there.store, there.policy, ["web", "db"], NOON) == ()
    assert (await fix(there)).changed == ()
    assert len(value(there, "web", "token")) == 64
    if backend == "age":
        folder = vault.root / "secrets/age-keys/machines/web"
        assert sorted(p.name for p in folder.iterdir()) == ["key.age", "key.age.recipients", "pub"]
        (vault.keys / "web").write_bytes(age_program(vault.person("alice").file, folder / "key.age"))
        secret = vault.root / "secrets/clan-vars/per-machine/web/token/token/token.age"
        assert age_program(vault.keys / "web", secret).decode() == value(there, "web", "token")
        assert not (vault.root / "sops/machines").exists()


async def test_a_machine_that_comes_later_gets_access_with_the_age_backend_too(vault: Vault) -> None:
    shared = Generator(name="wifi", kind=Token(), share=True)
    env = vault.person("alice").environment

    def opened() -> Session:
        return Session.open(context(vault, {"a": [shared], "b": [shared]}), backend="age", environment=env, now=noon)

    await generated(opened(), "a")
    assert intend(opened(), Wanted(machines=("b",))).grants
    await generated(opened(), "b")

    assert not intend(opened(), Wanted(machines=("a", "b")))
    vault.register(vault.person("alice").user, vault.person("alice").public, vault.person("carol").public)
    assert [str(c.folder) for c in (await fix(opened())).changes] == ["vars/shared/wifi/token"]
