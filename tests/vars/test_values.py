from __future__ import annotations

from pathlib import Path

import pytest

from clanpy.generators.errors import VarNotFoundError
from clanpy.generators.values import bring_in, export, get, listed, put
from clanpy.secrets import Secret
from clanpy.secrets.errors import PlaintextPlaceError, WriteFailedError
from clanpy.secrets.scratch import is_memory, scratch_folder
from clanpy.services.generator import Generator, SshKey, Token
from support.generators import generated, script, session
from support.vault import Vault


SSH = Generator(name="openssh", kind=SshKey(comment="web"))
TOKEN = Generator(name="token", kind=Token(), validation="v")
FLEET = {"web": [SSH, TOKEN], "db": [Generator(name="wifi", kind=Token(), share=True)]}


async def test_values_are_listed_and_secrets_are_not_shown(vault: Vault) -> None:
    await generated(session(vault, FLEET), "web")
    opened = session(vault, {"web": [*FLEET["web"], script("later", "true")]})

    items = {f"{item.var.generator}/{item.var.file}": item for item in listed(opened, "web")}

    assert list(items) == ["later/value", "openssh/ssh.id_ed25519", "openssh/ssh.id_ed25519.pub", "token/token"]
    assert items["later/value"].shown() == "<not set>"
    assert items["token/token"].shown() == "********"
    assert items["openssh/ssh.id_ed25519.pub"].shown().startswith("ssh-ed25519 ")
    assert items["token/token"].to_dict()["value"] is None
    assert get(opened, "web", "token").text() not in repr(items)


async def test_a_value_is_found_by_name_and_by_the_generator_that_makes_only_one(vault: Vault) -> None:
    opened = session(vault, FLEET)
    await generated(opened)

    assert get(opened, "web", "token") == get(opened, "web", "token/token")
    with pytest.raises(VarNotFoundError) as failure:
        get(opened, "web", "openssh")
    assert "openssh/ssh.id_ed25519" in str(failure.value.hint)
    with pytest.raises(VarNotFoundError, match="declares no value 'tokken'"):
        get(opened, "web", "tokken")


def test_a_value_that_is_not_there_yet_is_told_with_what_to_do(vault: Vault) -> None:
    with pytest.raises(VarNotFoundError, match="web/token/token is not there yet") as failure:
        get(session(vault, FLEET), "web", "token")
    assert "clanpy vars generate web" in str(failure.value.hint)


async def test_a_value_set_by_hand_counts_as_made(vault: Vault) -> None:
    opened = session(vault, FLEET)
    await put(opened, "web", "token", Secret("by hand"))

    done = await generated(session(vault, FLEET), "web")

    assert [step.id.name for step in done.intent.plan.steps] == ["openssh"]
    assert get(session(vault, FLEET), "web", "token") == Secret("by hand")
    assert vault.sops_decrypt("alice", "vars/per-machine/web/token/token/secret") == b"by hand"
    assert (vault.root / "vars/per-machine/web/token/token/machines/web").exists()


async def test_everything_can_be_taken_out_and_brought_back(vault: Vault, tmp_path: Path) -> None:
    await generated(session(vault, FLEET))
    opened = session(vault, FLEET)
    values = [get(opened, m, n) for m, n in (("web", "token"), ("db", "wifi"), ("web", "openssh/ssh.id_ed25519"))]
    (tmp_path / "elsewhere").mkdir()
    other = Vault.make(tmp_path / "elsewhere")

    with scratch_folder() as memory:
        assert export(opened, memory / "out") == 4
        modes = {p.stat().st_mode & 0o777 for p in (memory / "out").rglob("*") if p.is_file()}
        assert modes == {0o600}
        assert await bring_in(session(other, FLEET), memory / "out") == 4
        with pytest.raises(WriteFailedError):
            export(opened, memory / "out")
        with pytest.raises(VarNotFoundError, match="which no generator declares"):
            await bring_in(session(other, {"web": [TOKEN]}), memory / "out")

    there = session(other, FLEET)
    assert [
        get(there, m, n) for m, n in (("web", "token"), ("db", "wifi"), ("web", "openssh/ssh.id_ed25519"))
    ] == values
    assert not (await generated(session(other, FLEET))).intent


async def test_taking_everything_out_to_a_disk_has_to_be_asked_for(vault: Vault, tmp_path: Path) -> None:
    if is_memory(tmp_path):
        pytest.skip("the temporary folder of this computer is memory")
    opened = session(vault, FLEET)
    await generated(opened)

    with pytest.raises(PlaintextPlaceError, match="in plain text"):
        export(opened, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert export(opened, tmp_path / "out", to_disk=True) == 4
