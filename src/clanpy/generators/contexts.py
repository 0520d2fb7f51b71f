"""`secrets check`: the places that say who there is, held against each other.

The fleet names machines and users, `sops/` has their keys, links give access, ciphertexts carry it out, and an older
`.sops.yaml` may say something else again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from clanpy.generators.legacy import legacy_findings
from clanpy.generators.session import Session
from clanpy.generators.states import Finding, State, examine
from clanpy.secrets import Reader, ReaderKind
from clanpy.secrets.audit import audit
from clanpy.secrets.layout import SECRETS


_KEY = re.compile(r"\bage1[02-9ac-hj-np-z]{58}\b")
_KEY_SUFFIX = "-age.key"


def check_contexts(session: Session) -> tuple[Finding, ...]:
    """Everything in which the contexts disagree."""
    return (
        *_people(session),
        *_machines(session),
        *_groups(session),
        *_strangers(session),
        *_legacy(session),
        *legacy_findings(session),
        *examine(session.graph, session.store, session.policy, session.context.machines, session.now()),
    )


def _people(session: Session) -> Iterator[Finding]:
    known = session.access.names(ReaderKind.USER)
    for user in sorted(set(session.context.users) - set(known)):
        yield Finding(f"user {user}", State.NO_KEY, "the user has no key in sops/users")
    for user in known:
        if not session.access.keys(Reader(ReaderKind.USER, user)):
            yield Finding(f"user {user}", State.NO_KEY, f"sops/users/{user} has no key")


def _machines(session: Session) -> Iterator[Finding]:
    machines = session.context.machines
    for name in session.access.names(ReaderKind.MACHINE):
        if name not in machines:
            yield Finding(f"machine {name}", State.ORPHAN, "it has a key, and is no machine of the fleet")
    folder = session.context.root / SECRETS
    for path in sorted(folder.glob(f"*{_KEY_SUFFIX}")) if folder.is_dir() else ():
        name = path.name.removesuffix(_KEY_SUFFIX)
        if name not in machines:
            yield Finding(str(SECRETS / path.name), State.ORPHAN, f"{name} is no machine of the fleet")


def _groups(session: Session) -> Iterator[Finding]:
    groups = session.access.names(ReaderKind.GROUP)
    for name in groups:
        for link in session.access.links(Reader(ReaderKind.GROUP, name).folder).dangling:
            yield Finding(f"group {name}", State.ORPHAN, f"its member {link.name} is not there")
    for name in session.context.default_groups:
        if name not in groups:
            yield Finding(f"group {name}", State.NO_KEY, "it is to read every secret, and is not there")


def _strangers(session: Session) -> Iterator[Finding]:
    """Keys that open a secret, and belong to nobody."""
    for found in audit(session.store.secrets, session.access):
        for key in found.unknown:
            yield Finding(str(found.folder), State.RECIPIENTS, f"it can be read with {key}, which belongs to nobody")


def _legacy(session: Session) -> Iterator[Finding]:
    rules = _read(session.context.root / ".sops.yaml")
    if rules is None:
        return
    named = set(_KEY.findall(rules))
    people = {
        key.text: name
        for name in session.access.names(ReaderKind.USER)
        for key in session.access.keys(Reader(ReaderKind.USER, name))
    }
    for key in sorted(named):
        if not session.access.owners(key):
            yield Finding(".sops.yaml", State.ORPHAN, f"it names {key}, which belongs to nobody in sops/")
    for key, name in sorted(people.items(), key=lambda item: item[1]):
        if named and key.startswith("age1") and key not in named:
            yield Finding(".sops.yaml", State.RECIPIENTS, f"it does not name the key of user {name}")


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None
