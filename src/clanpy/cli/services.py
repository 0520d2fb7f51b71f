"""`clanpy services`: the services there are, what each can be set to, and the beginning of a new one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli.context import Json, fleet_root, new_app, print_json, print_lines, say, settings, uses_colour
from clanpy.errors import ClanpyError, FleetNotFoundError, NothingMatchedError, UsageError, nearest, raise_all


if TYPE_CHECKING:
    from clanpy.services import Role, Service
    from clanpy.services.registry import Available

app = new_app("Show the services there are, and begin new ones.")
_CLASSES = ("nixos", "darwin", "home")


@app.callback()
def _services() -> None:
    """Show the services there are, and begin new ones."""


@app.command("list")
def list_(ctx: typer.Context, *, as_json: Json = False) -> None:
    """List the services that instances can use: built in, the fleet's own, of its inputs, of installed packages."""
    from clanpy.services import find_service  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.services.registry import available  # noqa: PLC0415 - the same

    root = _root(ctx)
    found: list[tuple[Available, Service]] = []
    errors: list[ClanpyError] = []
    for offer in available(root):
        try:
            found.append((offer, find_service(offer.name, offer.input, root)[0]))
        except ClanpyError as error:  # one that is broken hides none of the others
            errors.append(error)
    if as_json:
        rows = [{**_head(offer, service), "roles": list(service.roles)} for offer, service in found]
        print_json({"schema": "clanpy.services/1", "services": rows})
    else:
        _print_list(ctx, found)
    raise_all(errors)


def _print_list(ctx: typer.Context, found: Sequence[tuple[Available, Service]]) -> None:
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - only for people

    cells = [
        (offer.name, offer.input or "built in", ", ".join(service.roles), service.description)
        for offer, service in found
    ]
    head = ("SERVICE", "FROM", "ROLES", "WHAT IT IS FOR")
    print_lines(table_lines(head, cells, colour=uses_colour(settings(ctx).colour, sys.stdout)))


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The service", show_default=False)],
    *,
    input_: Annotated[
        str | None,
        typer.Option("--input", help="Where it comes from, when there are several of the name", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a service: what it is for, its roles, and what members of each can be set to."""
    from clanpy.services import find_service  # noqa: PLC0415 - rooms are imported when a command runs

    root = _root(ctx)
    offer = _offered(root, name, input_)
    service, _ = find_service(offer.name, offer.input, root)
    if as_json:
        roles = {role: _role_data(found) for role, found in service.roles.items()}
        document = {**_head(offer, service), "readme": service.readme, "roles": roles}
        print_json({"schema": "clanpy.service/1", **document})
    else:
        print_lines(_text(offer, service))


@app.command()
def create(
    ctx: typer.Context, name: Annotated[str, typer.Argument(help="The new service", show_default=False)]
) -> None:
    """Begin a service of the fleet's own: services/NAME/ with a service that works, and a test of it."""
    from clanpy.inventory.begin import begin_service  # noqa: PLC0415 - rooms are imported when a command runs

    root = fleet_root(ctx)
    files = begin_service(root, name)
    print_lines(str(file) for file in files)
    say(f"\nnext: pytest services/{name}; then use it:")
    say(f"clanpy inventory add {name} default --input self --tag all")


def _root(ctx: typer.Context) -> Path:
    """The fleet; where there is none, a folder that has no services of its own."""
    try:
        return fleet_root(ctx)
    except FleetNotFoundError:
        if settings(ctx).fleet is not None:
            raise
        return Path("/nonexistent")


def _offered(root: Path, name: str, input_: str | None) -> Available:
    """The service of a name, from wherever there is one.

    Raises:
        NothingMatchedError: there is none.
        UsageError: there are several.
    """
    from clanpy.services.registry import available  # noqa: PLC0415 - rooms are imported when a command runs

    offers = available(root)
    found = [offer for offer in offers if offer.name == name and input_ in {None, offer.input or "clanpy"}]
    if not found:
        where = f" of '{input_}'" if input_ else ""
        hint = nearest(name, {offer.name for offer in offers}) or "`clanpy services list` shows what there is"
        raise NothingMatchedError(f"there is no service '{name}'{where}", hint=hint)
    if len(found) > 1:
        named = " or ".join(f"--input {offer.input or 'clanpy'}" for offer in found)
        raise UsageError(f"there are {len(found)} services '{name}'", hint=f"say which: {named}")
    return found[0]


def _head(offer: Available, service: Service) -> dict[str, Any]:
    return {"name": offer.name, "input": offer.input, "description": service.description}


def _role_data(role: Role) -> dict[str, Any]:
    from clanpy.services.describe import settings_of  # noqa: PLC0415 - rooms are imported when a command runs

    return {
        "description": role.description,
        "halves": [class_ for class_ in _CLASSES if getattr(role, class_)],
        "notes": dict(role.notes),
        "min_members": role.min_members,
        "max_members": role.max_members,
        "classes": None if role.classes is None else list(role.classes),
        "generators": role.generators is not None,
        "exports": role.exports is not None,
        "settings": [setting.to_dict() for setting in settings_of(role.settings)],
    }


def _text(offer: Available, service: Service) -> Iterator[str]:
    yield f"{offer.name} ({offer.input or 'built in'})"
    yield f"  {service.description}"
    if service.max_instances is not None:
        yield f"  at most {service.max_instances} instance{'s' if service.max_instances != 1 else ''}"
    if service.readme:
        yield from ("", *service.readme.strip().splitlines())
    for name, role in service.roles.items():
        yield from ("", f"role {name}: {role.description}")
        yield from (f"  {line}" for line in _about(role))
        yield from (f"  {line}" for line in _settings(role))
    module = {None: "", "self": '\nmodule.input = "self"'}.get(offer.input, f'\nmodule.input = "{offer.input}"')
    yield from ("", "use it:", "", f"[instances.{offer.name}]{module}")
    yield f'roles.{next(iter(service.roles), "default")}.tags = ["…"]'


def _about(role: Role) -> Iterator[str]:
    yield f"for machines of class: {', '.join(class_ for class_ in _CLASSES if getattr(role, class_)) or 'any'}"
    yield from (f"no {class_} half: {reason}" for class_, reason in role.notes.items())
    if role.min_members:
        yield f"at least {role.min_members} machine{'s' if role.min_members != 1 else ''}"
    if role.max_members is not None:
        yield f"at most {role.max_members} machine{'s' if role.max_members != 1 else ''}"


def _settings(role: Role) -> Sequence[str]:
    from clanpy.services.describe import settings_of  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - only for people

    rows = [
        (found.path, found.type, "required" if found.default is None else found.default, found.description)
        for found in settings_of(role.settings)
    ]
    return list(table_lines(("SETTING", "TYPE", "DEFAULT", "MEANING"), rows)) if rows else ["it has no settings"]
