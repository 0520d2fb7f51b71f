"""How values are: there, up to date, good for long enough, readable by the right ones. No key is needed to tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from clanpy.errors import ClanpyError
from clanpy.generators.graph import GeneratorId, Graph, Node
from clanpy.generators.kinds.certificates import validity
from clanpy.generators.readers import ReaderPolicy
from clanpy.secrets import Stored, VarId, VarStore, validation_hash
from clanpy.secrets.errors import SecretsError


_RENEW_SHARE = 10  # renewed when a tenth of the life is left


class State(StrEnum):
    """What can be the matter. The first four are of a generator and lead to its running again; the others are of one value."""

    MISSING = "missing"
    OUTDATED = "outdated"
    EXPIRED = "expired"
    DUE = "due"
    RECIPIENTS = "wrong-recipients"
    SUPERFLUOUS = "superfluous"
    UNREADABLE = "unreadable"
    NO_KEY = "no-key"
    ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: with what, in which way, and the particulars as a part of a sentence."""

    subject: str
    state: State
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"subject": self.subject, "state": self.state.value, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Health:
    """Why a generator has to run, when it has to; and when its values end, when they do."""

    state: State | None = None
    detail: str = ""
    ends: datetime | None = None


def health(node: Node, store: VarStore, now: datetime) -> Health:
    """The state of a generator's values as a whole."""
    missing = [
        name
        for name, file in node.generator.outputs().items()
        if not store.exists(node.id.var(name), secret=file.secret)
    ]
    if missing:
        return Health(State.MISSING, f"without {', '.join(missing)}")
    wanted = validation_hash(node.generator.validation)
    if store.validation(node.id.placement, node.id.name) != wanted:
        return Health(State.OUTDATED, "made with another validation value")
    life = _life(node, store)
    if life is None:
        return Health()
    end, renew_before = life
    if now >= end:
        return Health(State.EXPIRED, f"since {end:%Y-%m-%d}", end)
    if now >= end - renew_before:
        return Health(State.DUE, f"ends on {end:%Y-%m-%d}", end)
    return Health(ends=end)


def unready(graph: Graph, store: VarStore, machine: str, now: datetime) -> tuple[Finding, ...]:
    """What of a machine's values is not there, or was made for something else: without it the machine can't be built."""
    found = ((id_, health(graph.nodes[id_], store, now)) for id_ in graph.of_machine(machine))
    return tuple(Finding(str(id_), h.state, h.detail) for id_, h in found if h.state in (State.MISSING, State.OUTDATED))


def examine(
    graph: Graph, store: VarStore, policy: ReaderPolicy, machines: Iterable[str], now: datetime
) -> tuple[Finding, ...]:
    """Everything that is the matter with the values of some machines, in the order of the graph."""
    selected = set(machines)
    findings = [
        Finding(machine, State.NO_KEY, "the machine has no key yet")
        for machine in sorted(selected)
        if graph.of_machine(machine) and policy.secrets.needs_key(machine)
    ]
    for id_, node in graph.nodes.items():
        if selected.isdisjoint(node.declarations):
            continue
        found = health(node, store, now)
        if found.state is not None:
            findings.append(Finding(str(id_), found.state, found.detail))
        findings += _recipients(node, store, policy)
    unclaimed = superfluous(graph, store, selected, policy.context.broken)
    return (*findings, *(_superfluous(stored) for stored in unclaimed))


def superfluous(
    graph: Graph, store: VarStore, machines: set[str] | None = None, broken: frozenset[str] = frozenset()
) -> tuple[Stored, ...]:
    """Values that no generator declares: of some machines and shared ones, or of all there are, known or not.

    Values of exports are never meant: generators that are declared there are not known here. Nor are those of machines that are
    `broken`, and shared ones while there are any.
    """
    declared = {
        (id_.var(name), file.secret)
        for id_, node in graph.nodes.items()
        for name, file in node.generator.outputs().items()
    }
    return tuple(
        stored
        for stored in store.scan()
        if (stored.var, stored.secret) not in declared and _is_meant(stored.var, machines, broken)
    )


def unreadable(graph: Graph, store: VarStore, machines: Iterable[str]) -> Iterator[Finding]:
    """Decrypt every secret of some machines and tell which can't be."""
    selected = set(machines)
    for id_, node in graph.nodes.items():
        for name, file in node.generator.outputs().items():
            var = id_.var(name)
            if file.secret and not selected.isdisjoint(node.declarations) and store.exists(var, secret=True):
                try:
                    store.read(var, secret=True)
                except ClanpyError as error:
                    yield Finding(str(var), State.UNREADABLE, error.message)


def _recipients(node: Node, store: VarStore, policy: ReaderPolicy) -> Iterator[Finding]:
    for name, file in node.generator.outputs().items():
        var = node.id.var(name)
        if not file.secret or not store.exists(var, secret=True):
            continue
        try:
            access = store.secrets.access(var.folder)
        except SecretsError as error:
            yield Finding(str(var), State.UNREADABLE, error.message)
            continue
        problem = policy.problem(access, policy.wanted(node, name, access.readers))
        if problem is not None:
            yield Finding(str(var), State.RECIPIENTS, problem)


def _superfluous(stored: Stored) -> Finding:
    return Finding(str(stored.var), State.SUPERFLUOUS, "no generator declares it")


def _is_meant(var: VarId, machines: set[str] | None, broken: frozenset[str]) -> bool:
    scope = var.placement.scope
    if scope.value == "per-export" or var.placement.name in broken or (broken and not var.placement.name):
        return False
    return machines is None or not var.placement.name or var.placement.name in machines


def _life(node: Node, store: VarStore) -> tuple[datetime, timedelta] | None:
    """When the values end, and how long before that they are to be renewed."""
    generator = node.generator
    ends = [
        (found.end, found.end - found.start)
        for name, file in generator.outputs().items()
        if not file.secret and (found := validity(generator, name, store.public(node.id.var(name)))) is not None
    ]
    made = _made_at(node.id, node, store) if generator.expires is not None else None
    if generator.expires is not None and made is not None:
        ends.append((made + generator.expires, generator.expires))
    if not ends:
        return None
    end, whole = min(ends)
    return end, generator.renew_before or whole / _RENEW_SHARE


def _made_at(id_: GeneratorId, node: Node, store: VarStore) -> datetime | None:
    """When the values were made: as it was noted, or else as the oldest ciphertext says."""
    noted = store.generated_at(id_.placement, id_.name)
    if noted is not None:
        return noted
    secrets = [id_.var(name).folder for name, file in node.generator.outputs().items() if file.secret]
    return min((at for folder in secrets if (at := store.secrets.last_modified(folder))), default=None)
