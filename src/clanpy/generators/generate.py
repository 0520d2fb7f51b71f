"""`vars generate`: plan, ask, run, and write everything that was made at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from clanpy.generators.errors import MovedError
from clanpy.generators.graph import GeneratorId, Node
from clanpy.generators.plan import Plan, Step, Wanted
from clanpy.generators.plan import plan as make_plan
from clanpy.generators.prompts import NobodyToAsk, Prompter, ask_all
from clanpy.generators.run import Runner, Values, run
from clanpy.generators.sandbox import Sandbox, find_sandbox
from clanpy.generators.session import Session
from clanpy.generators.tools import ToolFinder, tools_on_path
from clanpy.secrets import Reader, ReaderKind, Scope, Secret, Stored, Transaction, VarId, validation_hash
from clanpy.secrets.transaction import DEFAULT_WAIT_SECONDS
from clanpy.services.generator import VarFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """All that a run would do.

    Attributes:
        plan: the generators that run.
        machines_without_key: those that get a key.
        grants: shared secrets that a machine gets access to.
    """

    plan: Plan
    machines_without_key: tuple[str, ...]
    grants: tuple[tuple[VarId, str], ...]

    def __bool__(self) -> bool:
        return bool(self.plan or self.machines_without_key or self.grants)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "steps": [step.to_dict() for step in self.plan.steps],
            "machine_keys": list(self.machines_without_key),
            "grants": [{"secret": str(var), "machine": machine} for var, machine in self.grants],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What a run did: its intent, and the paths that changed."""

    intent: Intent
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a run goes about it.

    Attributes:
        prompter: answers questions.
        sandbox: False runs scripts in the open.
        tools: finds programs for scripts.
        limit: how many generators run at the same time.
        wait_seconds: how long to wait for another writer.
        on_done: told of each generator that has made its values (none of them is written yet).
    """

    prompter: Prompter = field(default_factory=NobodyToAsk)
    sandbox: bool = True
    tools: ToolFinder = field(default_factory=tools_on_path)
    limit: int = field(default_factory=lambda: max(2, os.cpu_count() or 2))
    wait_seconds: float = DEFAULT_WAIT_SECONDS
    on_done: Callable[[Step], None] = lambda _: None

    def runner(self, session: Session) -> Runner:
        """The runner of one run: the sandbox is looked for once, when it is first needed."""
        return Runner(
            sandbox=cache(self._find_sandbox),
            tools=self.tools,
            prompter=self.prompter,
            limit=self.limit,
            now=session.now(),
            on_done=self.on_done,
        )

    def _find_sandbox(self) -> Sandbox:
        return find_sandbox(wanted=self.sandbox)


def intend(session: Session, wanted: Wanted) -> Intent:
    """What a run would do. Reads no secret and needs no key.

    Raises:
        VarNotFoundError: a generator is not declared by any of the machines.
    """
    plan = make_plan(session.graph, session.store, wanted, session.now())
    placed = {step.id.placement.name for step in plan.steps if step.id.placement.name}
    machines = sorted({*(m for m in wanted.machines if session.graph.of_machine(m)), *placed})
    without = [m for m in machines if session.store.secrets.needs_key(m)]
    grants = sorted(set(_grants(session, plan, wanted.machines)))
    return Intent(plan=plan, machines_without_key=tuple(without), grants=tuple(grants))


async def generate(session: Session, wanted: Wanted, how: How) -> Generated:
    """Make what is missing, outdated, expired or asked for. Everything is written at once, or nothing.

    Questions are asked first and without the lock; then nobody else writes until this is done.

    Raises:
        GeneratorFailedError and all else that a run can raise (`run`): nothing was written.
        MovedError: somebody else changed the fleet's values, so that now there are other questions.
        TreeLockedError, WriteFailedError: as for every write.
    """
    intent = intend(session, wanted)
    if not intent:
        return Generated(intent=intent)
    given = ask_all(intent.plan, how.prompter)
    async with session.writing(wait_seconds=how.wait_seconds) as (fresh, transaction):
        intent = intend(fresh, wanted)
        for step in intent.plan.steps:
            if step.node.generator.prompts and step.id not in given:
                raise MovedError(
                    f"{step.id} has to be generated now, and was not when the questions were asked",
                    hint="somebody else changed the fleet's values in between; run this again",
                )
        values = await run(intent.plan, fresh.graph, fresh.store, given, how.runner(fresh))
        _write(fresh, transaction, intent, values)
        return Generated(intent=intent, changed=tuple(map(str, transaction.commit())))


def _write(session: Session, transaction: Transaction, intent: Intent, values: Values) -> None:
    groups = session.policy.groups
    for machine in intent.machines_without_key:
        session.store.secrets.add_machine(transaction, machine, groups)
    for step in intent.plan.steps:
        _write_step(session, transaction, step, values[step.id])
    _write_grants(session, transaction, intent)
    _remove_toggled(session, transaction, intent.plan)


def _write_grants(session: Session, transaction: Transaction, intent: Intent) -> None:
    added: dict[VarId, set[Reader]] = {}
    for var, machine in intent.grants:
        added.setdefault(var, set()).add(Reader(ReaderKind.MACHINE, machine))
    for var, machines in added.items():
        readers = session.store.secrets.access(var.folder).readers | machines
        session.store.secrets.grant(transaction, var.folder, {r for r in readers if session.policy.has_key(r)})


def _write_step(session: Session, transaction: Transaction, step: Step, values: dict[str, Secret]) -> None:
    node, generator = step.node, step.node.generator
    for name, file in generator.outputs().items():
        var = step.id.var(name)
        readers = session.policy.wanted(node, name, _current(session, var, file)) if file.secret else ()
        session.store.write(transaction, var, values[name], secret=file.secret, readers=readers)
    session.store.note(
        transaction,
        step.id.placement,
        step.id.name,
        validation=validation_hash(generator.validation),
        at=session.now() if generator.expires is not None else None,
    )


def _current(session: Session, var: VarId, file: VarFile) -> Iterable[Reader]:
    if not session.store.exists(var, secret=True):
        return ()
    return session.store.secrets.access(var.folder).readers


def _grants(session: Session, plan: Plan, machines: Iterable[str]) -> Iterable[tuple[VarId, str]]:
    """Secrets that are there, and that a machine should be able to read and can't."""
    for machine in machines:
        reader = Reader(ReaderKind.MACHINE, machine)
        for id_ in session.graph.of_machine(machine):
            if id_ in plan.ids:
                continue
            for var in _secrets_of(session.graph.nodes[id_], machine):
                if session.store.exists(var, secret=True):
                    access = session.store.secrets.access(var.folder)
                    if session.policy.needs_grant(access, reader):
                        yield var, machine


def _secrets_of(node: Node, machine: str) -> Iterable[VarId]:
    for name, file in node.generator.outputs().items():
        if file.secret and machine in node.readers(name):
            yield node.id.var(name)


def _remove_toggled(session: Session, transaction: Transaction, plan: Plan) -> None:
    """A generator that is shared now leaves no values of single machines behind, and the other way round."""
    stored_by_name: dict[str, list[Stored]] = {}
    for stored in session.store.scan():
        stored_by_name.setdefault(stored.var.generator, []).append(stored)
    for step in plan.steps:
        for stored in stored_by_name.get(step.id.name, ()):
            placement = stored.var.placement
            other = GeneratorId(placement, stored.var.generator)
            concerned = placement.name in (*step.node.machines, "") and placement.scope is not Scope.EXPORT
            unsure = placement.scope is Scope.SHARED and session.context.broken
            if concerned and not unsure and other not in session.graph.nodes:
                session.store.remove(transaction, stored)
