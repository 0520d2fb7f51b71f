"""Questions: what is asked, of whom, and what is there when nobody can be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from clanpy.errors import ClanpyError
from clanpy.generators.errors import PromptNeededError
from clanpy.generators.graph import GeneratorId
from clanpy.generators.plan import Plan, Step
from clanpy.secrets import Secret
from clanpy.services.generator import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One prompt of one generator at one place."""

    id: GeneratorId
    name: str
    prompt: Prompt

    def __str__(self) -> str:
        return f"{self.id}/{self.name}"


class Prompter(Protocol):
    """Somebody who can be asked."""

    def ask(self, question: Question) -> Secret:
        """The answer. Raises `PromptNeededError` when there is none."""
        ...

    def retry(self, step: Step, error: ClanpyError) -> bool:
        """Whether a generator that failed is to be tried again (its questions are asked again first)."""
        ...


@dataclass(frozen=True, slots=True)
class NobodyToAsk:
    """No terminal: every question is an error, and nothing is tried again."""

    def ask(self, question: Question) -> Secret:
        raise PromptNeededError(
            f"{question} has to be answered, and there is no terminal to ask on",
            hint="run this on a terminal, or set the value with `clanpy vars set`",
        )

    def retry(self, step: Step, error: ClanpyError) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers that are known beforehand, by `<machine>/<generator>/<prompt>` (`shared/…`)."""

    answers: Mapping[str, Secret] = field(repr=False)

    def ask(self, question: Question) -> Secret:
        answer = self.answers.get(str(question))
        return NobodyToAsk().ask(question) if answer is None else answer

    def retry(self, step: Step, error: ClanpyError) -> bool:
        return False


Given = Mapping[GeneratorId, Mapping[str, Secret]]
"""Answers by generator and prompt: of the same generator, each machine has its own."""


def ask_all(plan: Plan, prompter: Prompter) -> dict[GeneratorId, dict[str, Secret]]:
    """Ask everything that a plan asks, before anything of it runs.

    Raises:
        PromptNeededError: there is nobody to ask.
    """
    return {step.id: ask(step, prompter) for step in plan.steps if step.node.generator.prompts}


def ask(step: Step, prompter: Prompter) -> dict[str, Secret]:
    """Ask what one generator asks, in the order of its declaration."""
    return {question.name: prompter.ask(question) for question in questions(step)}


def questions(step: Step) -> Iterable[Question]:
    """What a generator asks."""
    for name, prompt in step.node.generator.prompts.items():
        yield Question(id=step.id, name=name, prompt=prompt)
