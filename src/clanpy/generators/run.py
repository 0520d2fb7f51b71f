"""Running a plan: generators side by side where they don't need each other, values kept in memory until all are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from clanpy.errors import ClanpyError, raise_all
from clanpy.generators import kinds
from clanpy.generators.graph import GeneratorId, Graph
from clanpy.generators.inputs import Inputs, Outputs
from clanpy.generators.plan import Plan, Step
from clanpy.generators.prompts import Given, Prompter, ask
from clanpy.generators.sandbox import Sandbox
from clanpy.generators.scripts import check_files, run_python, run_script
from clanpy.generators.tools import ToolFinder
from clanpy.secrets import Secret, VarStore
from clanpy.services.generator import Generator


Values = dict[GeneratorId, dict[str, Secret]]
Done = Callable[[Step], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """How generators are run.

    Attributes:
        sandbox: gives the sandbox, looked for only when a script is there to run.
        tools: finds the programs that scripts need.
        prompter: is asked whether a generator that failed is to be tried again.
        limit: how many run at the same time.
        now: the time of the run.
        on_done: told of each generator that has made its values.
    """

    sandbox: Callable[[], Sandbox]
    tools: ToolFinder
    prompter: Prompter
    limit: int
    now: datetime
    on_done: Done = lambda _: None


async def run(plan: Plan, graph: Graph, store: VarStore, given: Given, runner: Runner) -> Values:
    """Run every step and return all values. Nothing is written.

    When generators fail, those that do not need them still run, so that all failures are told at once.

    Raises:
        GeneratorFailedError, ToolMissingError, SandboxMissingError, NoKeyError, …: what went wrong, or a `CombinedError`.
    """
    state = _Run(plan, graph, store, given, runner)
    async with asyncio.TaskGroup() as group:
        for step in plan.steps:
            state.tasks[step.id] = group.create_task(state.step(step))
    raise_all(state.errors)
    return state.values


@dataclass(slots=True)
class _Run:
    plan: Plan
    graph: Graph
    store: VarStore
    given: Given
    runner: Runner
    values: Values = field(default_factory=dict)
    errors: list[ClanpyError] = field(default_factory=list)
    tasks: dict[GeneratorId, asyncio.Task[None]] = field(default_factory=dict)
    limit: asyncio.Semaphore = field(init=False)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.limit = asyncio.Semaphore(self.runner.limit)

    async def step(self, step: Step) -> None:
        """Wait for what a step needs, then run it; leave it out when something that it needs has failed."""
        needed = [self.tasks[need] for need in step.node.needs if need in self.tasks]
        if needed:
            await asyncio.wait(needed)
        if any(need in self.plan.ids and need not in self.values for need in step.node.needs):
            return
        try:
            self.values[step.id] = await self._with_retries(step)
            self.runner.on_done(step)
        except ClanpyError as error:
            self.errors.append(error)

    async def _with_retries(self, step: Step) -> dict[str, Secret]:
        answers = self.given.get(step.id, {})
        while True:
            try:
                async with self.limit:
                    return await self._made(step, answers)
            except ClanpyError as error:
                async with self.asking:  # one question at a time, whoever has it
                    if not await asyncio.to_thread(self.runner.prompter.retry, step, error):
                        raise
                    answers = await asyncio.to_thread(ask, step, self.runner.prompter)

    async def _made(self, step: Step, answers: Mapping[str, Secret]) -> dict[str, Secret]:
        generator = step.node.generator
        machine = step.id.placement.name or None
        needs = {need.name: await asyncio.to_thread(self._values_of, need) for need in step.node.needs}
        inputs = Inputs(name=str(step.id), machine=machine, now=self.runner.now, dependencies=needs, prompts=answers)
        made = dict(await self._way(generator)(generator, inputs))
        kept = {n: answers[n] for n, p in generator.prompts.items() if p.persist and n in answers}
        values = {**kept, **made}
        check_files(generator, inputs, values)
        return values

    def _way(self, generator: Generator) -> Callable[[Generator, Inputs], Awaitable[Outputs]]:
        if generator.kind is not None:
            return _run_kind
        if generator.script is not None:
            return self._run_script
        return run_python if generator.python is not None else _run_nothing

    async def _run_script(self, generator: Generator, inputs: Inputs) -> Outputs:
        return await run_script(generator, inputs, self.runner.sandbox(), self.runner.tools)

    def _values_of(self, need: GeneratorId) -> Mapping[str, Secret]:
        """What a generator made: in this run, or earlier."""
        if need in self.values:
            return self.values[need]
        files = self.graph.nodes[need].generator.outputs()
        return {name: self.store.read(need.var(name), secret=file.secret) for name, file in files.items()}


async def _run_kind(generator: Generator, inputs: Inputs) -> Outputs:
    assert generator.kind is not None
    return await asyncio.to_thread(kinds.make, generator.kind, inputs)


async def _run_nothing(generator: Generator, inputs: Inputs) -> Outputs:
    """The prompts are all there is."""
    return {}
