"""The generators that a machine's services declare, and the public values that are stored with the fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from clanpy.errors import ClanpyError
from clanpy.inventory.model import Fleet
from clanpy.secrets.layout import PUBLIC_LEAF, SECRET_LEAF, Placement, VarId
from clanpy.services.errors import GeneratorClashError, SecretValueError, ServiceDeclarationError
from clanpy.services.generator import Generator


if TYPE_CHECKING:
    from clanpy.inventory.roles import Part, Roles
    from clanpy.services import Share

Declared = Mapping[str, Generator]


def service_generators(
    parts: Sequence[Part],
    shares: Iterable[tuple[str, Callable[[Share], Iterable[Generator]], Share]],
    errors: list[ClanpyError],
) -> Iterator[Generator]:
    """What services declare for a machine: each of its roles, then each service once. `shares` are the latter."""
    for part in parts:
        make = part.service.roles[part.role].generators
        if make is not None and part.member is not None:
            origin = f"service {part.service.name}, instance {part.instance.name}, role {part.role}"
            yield from _asked(part.service.name, origin, partial(make, part.member), errors)
    for name, make_once, share in shares:
        yield from _asked(name, f"service {name}", partial(make_once, share), errors)


def _asked(
    service: str, origin: str, call: Callable[[], Iterable[Generator]], errors: list[ClanpyError]
) -> Iterator[Generator]:
    try:
        found = tuple(call())
    except ClanpyError as error:
        errors.append(error)
        return
    except Exception as error:  # whatever a service's code raises is a fact about that service
        said = f"{type(error).__name__}: {error}"
        errors.append(ServiceDeclarationError(f"the service '{service}' fails in the generators it declares: {said}"))
        return
    for generator in found:
        if isinstance(generator, Generator):
            yield generator if generator.origin else replace(generator, origin=origin)
        else:
            message = f"the service '{service}' declares {generator!r} as a generator, which is none"
            errors.append(ServiceDeclarationError(message))


def merged(machine: str, found: Iterable[Generator], errors: list[ClanpyError]) -> tuple[Generator, ...]:
    """Generators sorted by name, each once. The same name with another declaration is an error."""
    by_name: dict[str, Generator] = {}
    for generator in found:
        other = by_name.setdefault(generator.name, generator)
        if other is not generator and _essence(other) != _essence(generator):
            errors.append(
                GeneratorClashError(
                    f"the generator '{generator.name}' of '{machine}' is declared in two ways",
                    place=generator.place or other.place,
                    details=(f"once by {other.origin}", f"and by {generator.origin}"),
                    hint="let one of them have another name, or declare the same in both",
                )
            )
    return tuple(by_name[name] for name in sorted(by_name))


def _essence(generator: Generator) -> Generator:
    return replace(generator, origin="", place=None)


def declared_on(roles: Roles, machine: str, errors: list[ClanpyError]) -> Declared:
    """The generators of a machine by name; people are told what is wrong with them where the machine is resolved."""
    return {generator.name: generator for generator in roles.generators(machine, errors)}


def public_value(fleet: Fleet, machine: str, generator: str, file: str) -> str | None:
    """A public value as it is stored: the machine's own, else the shared one; None when there is neither.

    Raises:
        SecretValueError: what is stored there is secret.
    """
    for placement in (Placement.machine(machine), Placement.shared()):
        folder = fleet.root / VarId(placement, generator, file).folder
        try:
            return (folder / PUBLIC_LEAF).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, UnicodeDecodeError) as error:
            raise SecretValueError(f"the value '{generator}/{file}' of '{machine}' can't be read: {error}") from error
        if (folder / SECRET_LEAF).exists():
            raise SecretValueError(
                f"the value of '{generator}/{file}' on '{machine}' is secret, and a service asks for it"
            )
    return None
