"""References to vars in settings: where a file is on the member's host, and public values of the member or of another machine.

    key_file = { _path = "wifi/password" }                                  the path on the host
    peer     = { _value = "wireguard/publickey", machine = "electrum" }     the value, which has to be public

`vars.wifi.password` is another way of writing `wifi/password`. The value of a secret is an error; one that is not generated yet is
something to wait for: the machine can't be built before, but what it has to have generated can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clanpy.errors import ClanpyError, nearest
from clanpy.inventory.generators import public_value
from clanpy.inventory.model import Fleet, Machine
from clanpy.inventory.vars import fleet_generators
from clanpy.modules.deferred import DeferredModule, NixData
from clanpy.modules.priority import Order, Override
from clanpy.services.errors import PendingValueError, SecretValueError
from clanpy.services.generator import VarFile, path_on_host


PENDING = "(not generated yet)"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference says: of which file of which generator, on which machine (None: the member's), and whether it is the path."""

    generator: str
    file: str
    machine: str | None
    is_path: bool


def reference(value: Any) -> Reference | None:
    """The reference that a table is; None when it is none."""
    if not isinstance(value, Mapping) or not ({"_path", "_value"} & value.keys()):
        return None
    is_path = "_path" in value
    text = value.get("_path" if is_path else "_value")
    if not isinstance(text, str) or value.keys() - {"_path", "_value", "machine"} or (is_path and len(value) > 1):
        return None
    written = text.removeprefix("vars.")
    generator, _, file = written.partition("/" if "/" in written else ".")
    machine = value.get("machine")
    return Reference(generator, file, machine, is_path) if generator and file else None


def has_references(value: Any) -> bool:
    """Whether there is a reference anywhere in settings as they are written."""
    found: list[Reference] = []

    def note(seen: Reference) -> None:
        found.append(seen)

    replaced(value, note)
    return bool(found)


def replaced(value: Any, resolve: Callable[[Reference], Any]) -> Any:
    """Settings with what their references mean. What is resolved to None is left out."""
    if isinstance(value, Override | Order):
        inner = replaced(value.content, resolve)
        return None if inner is None else type(value)(value.priority, inner)
    found = reference(value)
    if found is not None:
        return resolve(found)
    if value.__class__ is dict:
        items = ((key, item, replaced(item, resolve)) for key, item in value.items())
        return {key: new for key, item, new in items if new is not None or item is None}
    if isinstance(value, list):
        return [new for item in value if (new := replaced(item, resolve)) is not None or item is None]
    return value


@dataclass(slots=True)
class Resolving:
    """Resolves the references of one member. `errors` are what is wrong, `pending` what is not generated yet."""

    fleet: Fleet
    machine: Machine
    who: str
    errors: list[ClanpyError]
    pending: list[ClanpyError]

    def __call__(self, wanted: Reference) -> str | None:
        name = wanted.machine or self.machine.name
        if name not in self.fleet.machines:
            message = f"{self.who} reads a value of the machine '{name}', which does not exist"
            self.errors.append(SecretValueError(message, hint=nearest(name, self.fleet.machines)))
            return None
        declared = self._declared(self.fleet.machines[name], wanted)
        if wanted.is_path:
            return path_on_host(wanted.generator, wanted.file, declared or self._as_stored(name, wanted))
        return self._value(name, wanted, declared)

    def _value(self, name: str, wanted: Reference, declared: VarFile | None) -> str | None:
        what, found, is_secret = f"vars.{wanted.generator}.{wanted.file} of {name}", None, declared and declared.secret
        try:
            found = public_value(self.fleet, name, wanted.generator, wanted.file)
        except SecretValueError:
            is_secret = True
        if is_secret:
            message = f"{self.who} reads the value of {what}, which is a secret"
            hint = f'read its path: {{ _path = "{wanted.generator}/{wanted.file}" }}'
            self.errors.append(SecretValueError(message, hint=hint))
            return None
        if found is None:
            message = f"{self.who} reads {what}, which is not generated yet"
            self.pending.append(PendingValueError(message, hint=f"`clanpy vars generate {name}`"))
            return PENDING
        return found.rstrip("\n")

    def _declared(self, machine: Machine, wanted: Reference) -> VarFile | None:
        """The file as the inventory declares it; None where a service does."""
        for generator in fleet_generators(self.fleet, machine, []):
            if generator.name == wanted.generator:
                return generator.outputs().get(wanted.file)
        return None

    def _as_stored(self, name: str, wanted: Reference) -> VarFile:
        try:
            return VarFile(secret=public_value(self.fleet, name, wanted.generator, wanted.file) is None)
        except SecretValueError:
            return VarFile()


def data_with_vars(fleet: Fleet, machine: Machine, errors: list[ClanpyError], module: DeferredModule) -> DeferredModule:
    """A module of plain data with what its references to vars mean on a machine; others as they are."""
    content = module.content
    if not isinstance(content, NixData) or not has_references(content.value):
        return module
    refs = Resolving(fleet=fleet, machine=machine, who=f"{module.key} ({module.origin})", errors=[], pending=[])
    value = replaced(dict(content.value), refs)
    errors += [*refs.errors, *refs.pending]
    return replace(module, content=NixData(value))
