"""Fleets of generators for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from clanpy.errors import ClanpyError
from clanpy.generators.generate import Generated
from clanpy.modules.deferred import NixClass
from clanpy.secrets import Secret
from clanpy.secrets.disk import Disk
from clanpy.services.generator import PUBLIC, Generator, Prompt, VarFile
from clanpy.vars import How, Question, Session, Step, VarsContext, VarsMachine, Wanted, generate
from support.vault import Vault, noon


def context(vault: Vault, machines: Mapping[str, Sequence[Generator]], *, class_: NixClass = "nixos") -> VarsContext:
    return VarsContext(
        root=vault.root,
        machines={
            name: VarsMachine(name=name, class_=class_, generators={g.name: g for g in generators})
            for name, generators in machines.items()
        },
    )


def session(
    vault: Vault,
    machines: Mapping[str, Sequence[Generator]],
    *,
    who: str = "alice",
    now: Callable[[], datetime] = noon,
    disk: Disk | None = None,
) -> Session:
    return Session.open(context(vault, machines), environment=vault.person(who).environment, now=now, disk=disk)


async def generated(opened: Session, *machines: str, how: How | None = None, regenerate: bool = False) -> Generated:
    wanted = Wanted(machines=opened.context.select(machines), regenerate=regenerate)
    return await generate(opened, wanted, how or How())


def script(name: str, body: str, *, files: Mapping[str, VarFile] | None = None, **more: object) -> Generator:
    return Generator(name=name, script=body, files=files or {"value": VarFile()}, **more)  # type: ignore[arg-type]  # any field


def public(name: str, body: str, **more: object) -> Generator:
    return script(name, body, files={"value": PUBLIC}, **more)


def asking(name: str, *prompts: str, **more: object) -> Generator:
    asked = {p: Prompt(type="hidden", persist=True) for p in prompts}
    return Generator(name=name, prompts=asked, **more)  # type: ignore[arg-type]  # any field


@dataclass
class Scripted:
    """Somebody who answers from a function and remembers what was asked."""

    answer: Callable[[Question], str]
    retries: int = 0
    asked: list[str] = field(default_factory=list)
    failures: list[ClanpyError] = field(default_factory=list)

    def ask(self, question: Question) -> Secret:
        self.asked.append(str(question))
        return Secret(self.answer(question))

    def retry(self, step: Step, error: ClanpyError) -> bool:
        self.failures.append(error)
        self.retries -= 1
        return self.retries >= 0
