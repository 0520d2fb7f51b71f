"""What lies in store paths, on a host or here, told briefly enough to be compared: closures, files by checksum, what only a boot exchanges."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clanpy.activation.errors import FactsError
from clanpy.activation.scripts import SHELL, Value, assemble
from clanpy.activation.wire import read


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clanpy.activation.wire import Host

CONTENTS_SECONDS = 120.0
ALL = "all"  # what the script says behind the last path of a closure


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is to be told.

    Attributes:
        closure: store paths of which everything is told that they refer to.
        trees: folders of which the files are told.
        boots: systems of which it is told what only a boot exchanges.
        secrets: whether it is told which secrets were delivered; this takes root.
    """

    closure: Sequence[str] = ()
    trees: Sequence[str] = ()
    boots: Sequence[str] = ()
    secrets: bool = False

    def script(self) -> str:
        """What a shell is given."""
        variables: dict[str, Value] = {
            "closure": " ".join(self.closure),
            "trees": " ".join(self.trees),
            "boots": " ".join(self.boots),
            "secrets": self.secrets,
        }
        return assemble("boots", "contents", variables=variables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What was told.

    Attributes:
        closure: store paths.
        trees: of each folder that was asked for its files: what each is, as a word that differs when the file does.
        boots: of each system that was asked for, by `kernel`, `initrd`, `kernel-modules`, `kernel-params` and `systemd`.
        secrets: a digest of each secret that was delivered, by name.
    """

    closure: frozenset[str] = frozenset()
    trees: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    boots: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


async def contents(conn: Host, look: Look) -> Contents:
    """Ask a host. One round trip, nothing changed.

    Raises:
        FactsError: it can't say.
    """
    try:
        async with (
            asyncio.timeout(CONTENTS_SECONDS),
            aclosing(conn.follow(look.script(), elevate=look.secrets)) as told,
        ):
            lines = [line async for line in told]
    except TimeoutError as error:
        raise FactsError(f"{conn.host} took more than {CONTENTS_SECONDS:.0f} s to say what it holds") from error
    return understood(conn.host, look, lines)


async def contents_here(look: Look) -> Contents:
    """Ask this computer.

    Raises:
        FactsError: it can't say.
    """
    process = await asyncio.create_subprocess_exec(
        *SHELL,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(CONTENTS_SECONDS):
            said, _ = await process.communicate(look.script().encode())
    except TimeoutError as error:
        raise FactsError("this computer took too long to say what was built") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return understood("this computer", look, said.decode("utf-8", "replace").splitlines())


def understood(host: str, look: Look, lines: Iterable[str]) -> Contents:
    """What the script's lines say.

    Raises:
        FactsError: they break off, or a store path is not known to the store.
    """
    said = read(lines)
    paths: set[str] = set()
    trees: list[dict[str, str]] = [{} for _ in look.trees]
    boots: list[dict[str, str]] = [{} for _ in look.boots]
    secrets: dict[str, str] = {}
    for line in said.lines:
        kind, _, rest = line.partition(" ")
        match kind:
            case "path":
                paths.add(rest)
            case "file" | "link":
                _add_file(trees, kind, rest)
            case "boot":
                number, part, value = (*rest.split(" ", 2), "")[:3]
                boots[int(number)][part] = value
            case "secret":
                digest, _, name = rest.partition(" ")
                secrets[name] = digest
    if said.fields.get("end") != "contents" or (look.closure and ALL not in paths):
        raise FactsError(f"{host} could not say what it holds", hint="is its store in order? `nix-store --verify`")
    return Contents(
        closure=frozenset(paths - {ALL}),
        trees=dict(zip(look.trees, trees, strict=True)),
        boots=dict(zip(look.boots, boots, strict=True)),
        secrets=secrets,
    )


def _add_file(trees: Sequence[dict[str, str]], kind: str, rest: str) -> None:
    """`file NUMBER CRC SIZE ./NAME`, `link NUMBER TARGET ./NAME`; without a name nothing was there."""
    head, found, name = rest.partition(" ./")
    number, _, what = head.partition(" ")
    if found:
        trees[int(number)][name.replace("//", "/")] = f"{kind} {what}"
