"""Everything that working with the vars of one fleet needs, put together once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from clanpy.events import utc_now
from clanpy.generators.context import VarsContext
from clanpy.generators.graph import Graph, build
from clanpy.generators.readers import ReaderPolicy
from clanpy.secrets import (
    AccessFolder,
    AgeStore,
    Keyring,
    SecretStore,
    SopsStore,
    Transaction,
    Tree,
    VarStore,
    load_keyring,
    plain_store,
)
from clanpy.secrets.disk import Disk
from clanpy.secrets.transaction import DEFAULT_WAIT_SECONDS


Backend = Literal["sops", "age", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A fleet's generators and values, and the keys at hand.

    What is known of the disk is what was there when the session was opened; `writing` gives a fresh one.
    """

    context: VarsContext
    graph: Graph
    tree: Tree
    keyring: Keyring
    backend: Backend
    now: Callable[[], datetime]
    lab: str | None
    access: AccessFolder = field(init=False)
    store: VarStore = field(init=False)
    policy: ReaderPolicy = field(init=False)

    def __post_init__(self) -> None:
        access = AccessFolder(self.context.root)
        secrets = self._secrets(access)
        object.__setattr__(self, "access", access)
        object.__setattr__(self, "store", VarStore(self.context.root, secrets))
        object.__setattr__(self, "policy", ReaderPolicy(self.context, access, secrets))

    @classmethod
    def open(
        cls,
        context: VarsContext,
        *,
        backend: Backend = "sops",
        environment: Mapping[str, str] | None = None,
        home: Path | None = None,
        now: Callable[[], datetime] = utc_now,
        lab: str | None = None,
        disk: Disk | None = None,
    ) -> Self:
        """Open the vars of a fleet; a write that was interrupted is completed first.

        Raises:
            GeneratorInvalidError, GeneratorCycleError: the declarations make no sense.
            PlainStoreError: the plain store, outside a lab.
        """
        tree = Tree(context.root, disk or Disk())
        tree.settle()
        return cls(
            context=context,
            graph=build(context),
            tree=tree,
            keyring=load_keyring(environment, home),
            backend=backend,
            now=now,
            lab=lab,
        )

    @classmethod
    def of(cls, context: VarsContext, *, backend: Backend, lab: str | None = None) -> Self:
        """As `open`, without looking for private keys: enough to see what is there; `with_keys` reads it.

        Raises:
            GeneratorInvalidError, GeneratorCycleError: the declarations make no sense.
            PlainStoreError: the plain store, outside a lab.
        """
        tree = Tree(context.root, Disk())
        tree.settle()
        graph = build(context)
        return cls(context=context, graph=graph, tree=tree, keyring=Keyring(()), backend=backend, now=utc_now, lab=lab)

    def with_keys(self, keyring: Keyring) -> Self:
        """The same with these private keys."""
        return replace(self, keyring=keyring)

    def fresh(self) -> Self:
        """The same fleet as its disk is now."""
        return replace(self)

    @asynccontextmanager
    async def writing(
        self, *, wait_seconds: float = DEFAULT_WAIT_SECONDS
    ) -> AsyncIterator[tuple[Session, Transaction]]:
        """Be the only writer: a fresh session, and a transaction that the caller commits.

        Raises:
            TreeLockedError: another process writes for longer than `wait_seconds`.
        """
        lock = self.tree.writing(wait_seconds=wait_seconds)
        transaction = await asyncio.to_thread(lock.__enter__)
        try:
            yield self.fresh(), transaction
        finally:
            lock.__exit__(None, None, None)

    def _secrets(self, access: AccessFolder) -> SecretStore:
        root = self.context.root
        if self.backend == "plain":
            return plain_store(root, self.now, lab=self.lab)
        return (AgeStore if self.backend == "age" else SopsStore)(root, access, self.keyring, self.now)
