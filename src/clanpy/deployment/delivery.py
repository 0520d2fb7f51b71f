"""The secrets of a run's machines: whether they are all there, what each machine has to have, and bringing it there."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from clanpy.activation.delivery import SecretFile, SecretSet, Store, deliver, take_back
from clanpy.errors import ClanpyError
from clanpy.events import Stage
from clanpy.generators.context import from_fleet
from clanpy.generators.errors import UnhealthyError
from clanpy.generators.session import Session
from clanpy.generators.states import unready
from clanpy.inventory.vars import delivery, vars_settings
from clanpy.secrets import Keyring, Secret, load_keyring
from clanpy.secrets.errors import SecretsError


if TYPE_CHECKING:
    from clanpy.activation import HostFacts
    from clanpy.deployment.options import Surroundings
    from clanpy.deployment.run import HostRun
    from clanpy.generators.graph import Node
    from clanpy.generators.session import Backend
    from clanpy.inventory.model import HostConfig
    from clanpy.services.generator import VarFile
    from clanpy.ssh import Connection

NOTHING = SecretSet(files=(), digest="nothing")
_IN_CLEAR: tuple[Store, ...] = ("activation", "partitioning")  # before there is anything on the host that decrypts


@dataclass(slots=True)
class Deliveries:
    """The secrets of the machines of a run. Each machine's are looked at on their own: what is wrong with one stops no other."""

    surroundings: Surroundings
    run: str
    _sessions: dict[str, Session] = field(default_factory=dict, init=False)
    _sets: dict[str, SecretSet] = field(default_factory=dict, init=False)
    _packing: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock), init=False)
    _keyring: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _keys: Keyring | None = field(default=None, init=False)

    def problem(self, config: HostConfig) -> ClanpyError | None:
        """Why a machine can't be built: some of its vars are missing, or were made for something else. Needs no key."""
        if not config.generators:
            return None
        try:
            session = self._session(config)
        except ClanpyError as error:
            return error
        found = unready(session.graph, session.store, config.name, session.now())
        if not found:
            return None
        what = ", ".join(f"{finding.subject.partition('/')[2]} is {finding.state.value}" for finding in found)
        return UnhealthyError(
            f"the vars of {config.name} are not ready: {what}",
            hint=f"`clanpy vars generate {config.name}`",
            details=[f"{finding.subject}: {finding.state.value}: {finding.detail}" for finding in found],
        )

    async def is_current(self, config: HostConfig, facts: HostFacts) -> bool:
        """Whether a host has what it should have.

        Raises:
            NoKeyError, TamperedError: a secret can't be read.
        """
        wanted = await self._wanted(config)
        return facts.secrets == wanted.digest or (facts.secrets is None and not wanted.files)

    async def expected(self, config: HostConfig) -> tuple[str, dict[str, str]]:
        """The digest of all that a machine should have, and of each file by its name; they say nothing to others.

        Raises:
            NoKeyError, TamperedError: a secret can't be read.
        """
        wanted = await self._wanted(config)
        return wanted.digest, {f"{file.store}/{file.name}": file.digest for file in wanted.files}

    async def put(self, host: HostRun, conn: Connection, config: HostConfig, *, apply: bool) -> None:
        """Bring a host its secrets. Whoever is at work on it holds its lock.

        Args:
            host: who is told.
            conn: the connection.
            config: the machine.
            apply: nothing is activated after this, so units are restarted now.

        Raises:
            DeliveryError: the host still has those that it had.
        """
        wanted = await self._wanted(config)
        with host.stage(Stage.SECRETS) as note:
            done = await deliver(conn, wanted, run=self.run, name=secrets.token_hex(6), apply=apply)
            note.text = f"{len(wanted.files)} there, {done.changed} changed"
            for line in done.lines:
                host.log(Stage.SECRETS, line)

    async def take_back(self, host: HostRun, conn: Connection) -> None:
        """Undo what this run brought, where nothing came of what it was for."""
        for line in await take_back(conn, self.run):
            host.log(Stage.SECRETS, line)

    def makes_its_own(self, config: HostConfig) -> bool:
        """Whether the host decrypts when its system is activated: then new secrets need an activation."""
        return delivery(self.surroundings.fleet, config.name) == "sops-nix"

    async def _wanted(self, config: HostConfig) -> SecretSet:
        if not config.generators:
            return NOTHING
        async with self._packing[config.name]:
            if config.name not in self._sets:
                self._sets[config.name] = await self._packed(config)
            return self._sets[config.name]

    async def _packed(self, config: HostConfig) -> SecretSet:
        async with self._keyring:
            if self._keys is None:
                self._keys = await asyncio.to_thread(load_keyring)
        return await asyncio.to_thread(pack, self._session(config, self._keys), config, self.surroundings)

    def _session(self, config: HostConfig, keyring: Keyring | None = None) -> Session:
        name = config.name
        if name not in self._sessions:
            fleet = self.surroundings.fleet
            settings = vars_settings(fleet)
            context = from_fleet(fleet, {name: config.generators}, default_groups=settings.default_groups)
            self._sessions[name] = Session.of(
                context, backend=cast("Backend", settings.backend), lab=self.surroundings.lab
            )
        return self._sessions[name] if keyring is None else self._sessions[name].with_keys(keyring)


def pack(session: Session, config: HostConfig, surroundings: Surroundings) -> SecretSet:
    """All that a machine has to have, decrypted or, where sops-nix decrypts it there, as it is kept.

    Raises:
        NoKeyError, TamperedError: a secret can't be read.
    """
    direct = delivery(surroundings.fleet, config.name) == "direct"
    key = session.store.secrets.machine_key(config.name)
    sealer = _Sealer(session, config, key, direct=direct)
    files = tuple(sealer.files())
    lines = "".join(f"{file.digest} {file.store}/{file.name}\n" for file in files)
    return (
        SecretSet(files=files, digest=sealer.digest(f"{direct}\n{lines}".encode()), direct=direct) if files else NOTHING
    )


@dataclass(frozen=True)
class _Sealer:
    """Makes the files of one machine. Digests are keyed with its private key, so that they say nothing to anybody else."""

    session: Session
    config: HostConfig
    key: Secret | None
    direct: bool

    def files(self) -> Iterator[SecretFile]:
        if not self.direct and self.key is not None:
            yield self._file("key", "key.txt", self.key, None, mode="0600")
        for id_ in self.session.graph.of_machine(self.config.name):
            node = self.session.graph.nodes[id_]
            for name, file in node.declarations[self.config.name].outputs().items():
                if file.secret and file.deploy:
                    yield self._one(node, name, file)

    def _one(self, node: Node, name: str, file: VarFile) -> SecretFile:
        where, folder = f"{node.id.name}/{name}", node.id.var(name).folder
        store = self.session.store.secrets
        if self.direct or file.needed_for in _IN_CLEAR:
            return self._file(file.needed_for, where, store.read(folder), file, sealed=store.ciphertext(folder))
        if self.session.backend != "sops":
            raise SecretsError(
                "sops-nix decrypts what is kept with the backend `sops` alone", hint='delivery = "direct"'
            )
        return self._file("sops", where, Secret(store.ciphertext(folder)), None)

    def _file(
        self,
        store: Store,
        name: str,
        content: Secret,
        declared: VarFile | None,
        *,
        mode: str = "0400",
        sealed: bytes | None = None,
    ) -> SecretFile:
        group = "wheel" if self.config.machine.class_ == "darwin" else "root"
        owner = declared.owner if declared else "root"
        group = (declared.group if declared else None) or group
        mode = declared.mode if declared else mode
        # Without a private key of the machine at hand what is kept stands for what it is: that is known to all.
        seen = content.reveal() if self.key is not None or sealed is None else sealed
        head = f"{store}\0{name}\0{owner}\0{group}\0{mode}\0".encode()
        return SecretFile(
            store=store,
            name=name,
            owner=owner,
            group=group,
            mode=mode,
            units=declared.restart_units if declared else (),
            digest=self.digest(head + seen)[:32],
            content=content,
        )

    def digest(self, data: bytes) -> str:
        """A digest that only those can compare who have the key."""
        return hmac.new(self._secret, data, sha256).hexdigest()

    @cached_property
    def _secret(self) -> bytes:
        return hmac.new(self.key.reveal() if self.key else b"", b"clanpy delivery 1", sha256).digest()
