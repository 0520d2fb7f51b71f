"""What the machines of a run are to become: resolved, staged and evaluated beside the dialling, each known as soon as it can be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from clanpy.activation import Wanted
from clanpy.errors import ClanpyError
from clanpy.inventory import resolve
from clanpy.nix.evaluate import HostError, evaluate_each, recalled, remembered
from clanpy.nix.program import NixProgram
from clanpy.nix.release import Release, Source
from clanpy.nix.remote import STORE_DIR
from clanpy.nix.source import Stager, narrowed


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from clanpy.deployment.options import Surroundings
    from clanpy.inventory.model import HostConfig


_T = TypeVar("_T")


@dataclass(slots=True)
class _Answer(Generic[_T]):
    """A place for a release or its sources, or for the reason why there are none."""

    known: asyncio.Event = field(default_factory=asyncio.Event)
    value: _T | ClanpyError | None = None

    def give(self, value: _T | ClanpyError) -> None:
        if self.value is None:
            self.value = value
            self.known.set()

    async def get(self) -> _T:
        await self.known.wait()
        if isinstance(self.value, ClanpyError):
            raise self.value
        assert self.value is not None
        return self.value


@dataclass(slots=True)
class Releases:
    """The releases of some machines. `run` makes them, `of` waits for one.

    For those that are made `elsewhere` only the sources are made here: `source` waits for them. `problem` says why a machine is
    not to be made at all, before anything is. Of machines in `homes` only the home of that account is made, in the place of the
    system.
    """

    surroundings: Surroundings
    names: Sequence[str]
    elsewhere: Collection[str] = ()
    problem: Callable[[HostConfig], ClanpyError | None] = lambda _: None
    homes: Mapping[str, str] = field(default_factory=dict)
    _configs: dict[str, HostConfig | ClanpyError] = field(default_factory=dict, init=False)
    _answers: dict[str, _Answer[Release]] = field(default_factory=dict, init=False)
    _sources: dict[str, _Answer[Source]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for name in self.names:
            self._answers[name], self._sources[name] = _Answer(), _Answer()
            try:
                self._configs[name] = config = resolve(self.surroundings.fleet, name)
                if (problem := self.problem(config)) is not None:
                    raise problem
            except ClanpyError as error:
                self._configs[name] = error
                self._answers[name].give(error)
                self._sources[name].give(error)

    def config(self, name: str) -> HostConfig:
        """A machine, resolved.

        Raises:
            ClanpyError: what is wrong with it.
        """
        config = self._configs[name]
        if isinstance(config, ClanpyError):
            raise config
        return config

    def is_known(self, name: str) -> bool:
        """Whether `of` would not wait."""
        return self._answers[name].known.is_set()

    async def of(self, name: str) -> Release:
        """The release of a machine.

        Raises:
            ClanpyError: its sources can't be staged or evaluated.
        """
        return await self._answers[name].get()

    def is_staged(self, name: str) -> bool:
        """Whether `source` would not wait."""
        return self._sources[name].known.is_set()

    async def source(self, name: str) -> Source:
        """The sources of a machine, staged.

        Raises:
            ClanpyError: they can't be.
        """
        return await self._sources[name].get()

    async def run(self, nix: NixProgram | ClanpyError) -> None:
        """Make them all. Where there is no Nix here, those that are made elsewhere go on without it."""
        configs = [config for config in self._configs.values() if not isinstance(config, ClanpyError)]
        if isinstance(nix, ClanpyError):
            self._give_up(nix)
            configs = [config for config in configs if config.name in self.elsewhere]
        sources: list[Source] = []
        for name, staged in await asyncio.to_thread(stage_all, self.surroundings, configs):
            found = self._of_home(name, staged, nix)
            self._sources[name].give(found)
            if isinstance(found, ClanpyError):
                self._answers[name].give(found)
            elif name not in self.elsewhere and not self.is_known(name):
                sources.append(found)
        if isinstance(nix, ClanpyError):
            return
        try:
            await evaluate_each(sources, nix, self.surroundings.cache, self._take)
        except ClanpyError as error:
            self._give_up(error)

    def _of_home(self, name: str, source: Source | ClanpyError, nix: NixProgram | ClanpyError) -> Source | ClanpyError:
        """The sources of what is wanted of a machine. The home is known where the whole machine was evaluated before."""
        account = self.homes.get(name)
        if account is None or isinstance(source, ClanpyError):
            return source
        mine = narrowed(source, account)
        if not isinstance(nix, ClanpyError) and name not in self.elsewhere:
            whole = remembered(source, nix, self.surroundings.cache)
            for home in whole.homes if whole else ():
                if home.installable.account == account:
                    self._answers[name].give(Release(source=mine, system=home))
        return mine

    def _take(self, result: Release | HostError) -> None:
        if isinstance(result, HostError):
            self._answers[result.source.host].give(result.error)
        else:
            self._answers[result.host].give(result)

    def _give_up(self, error: ClanpyError) -> None:
        for name, answer in self._answers.items():
            if name not in self.elsewhere:
                answer.give(error)


def stage_all(surroundings: Surroundings, configs: Iterable[HostConfig]) -> list[tuple[str, Source | ClanpyError]]:
    """Write the source tree of every machine, or say why it can't be written."""
    stager = Stager(surroundings.fleet, surroundings.cache, surroundings.overrides)
    found: list[tuple[str, Source | ClanpyError]] = []
    for config in configs:
        try:
            found.append((config.name, stager.stage(config)))
        except ClanpyError as error:
            found.append((config.name, error))
    stager.save()
    return found


def find_nix(surroundings: Surroundings) -> NixProgram | ClanpyError:
    """The Nix of this computer, or the error that there is none: it matters only to those who need it."""
    try:
        return NixProgram.find(config=surroundings.nix_config)
    except ClanpyError as error:
        return error


def wanted(release: Release) -> Wanted:
    """What a release wants its host to run."""
    return Wanted(system=release.system.out, homes={str(home.installable.account): home.out for home in release.homes})


def wanted_without_nix(
    surroundings: Surroundings, configs: Iterable[HostConfig]
) -> tuple[dict[str, Wanted], dict[str, dict[str, str]]]:
    """What machines should run, as far as their sources were evaluated before; and homes by account, of which only they were."""
    nix = find_nix(surroundings)
    store_dir = STORE_DIR if isinstance(nix, ClanpyError) else nix.store_dir
    known: dict[str, Wanted] = {}
    homes: dict[str, dict[str, str]] = {}
    for name, source in stage_all(surroundings, configs):
        if isinstance(source, ClanpyError):
            continue
        release = recalled(source, store_dir, surroundings.cache)
        if release is not None:
            known[name] = wanted(release)
            continue
        for account in [found.account for found in source.installables if found.account is not None]:
            home = recalled(narrowed(source, account), store_dir, surroundings.cache)
            if home is not None:
                homes.setdefault(name, {})[account] = home.system.out
    return known, homes
