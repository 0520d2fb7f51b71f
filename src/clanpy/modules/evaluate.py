"""The door: modules in, result out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clanpy.modules.closure import GraphNode, graph
from clanpy.modules.config import Config
from clanpy.modules.context import Context
from clanpy.modules.errors import ModuleError, Place, raise_all
from clanpy.modules.evaluation import Evaluation
from clanpy.modules.introspect import DocumentedOption, OptionGroup, document
from clanpy.modules.show import parse_path
from clanpy.modules.sources import UNKNOWN, Path, Source


if TYPE_CHECKING:
    from clanpy.modules.explain import Explanation
    from clanpy.modules.types.base import Type


class Result:
    """An evaluated set of modules. Nothing is computed before it is asked for."""

    __slots__ = ("_evaluation",)

    _not_a_module_ = (
        "configuration",
        (
            "If you really mean to import this configuration, instead please only import the modules that make up the "
            "configuration."
        ),
    )

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    @property
    def config(self) -> Config:
        """The values of all options: `result.config.services.nginx.enable`, or with items.

        Raises:
            UnknownOptionError: something is defined that is no option (EvaluationError when there are several).
            ModuleError: modules can't be loaded.
        """
        return self._evaluation.checked_config()

    @property
    def unchecked(self) -> Config:
        """The configuration without a look at whether everything that is defined is an option."""
        return self._evaluation.config

    @property
    def options(self) -> OptionGroup:
        """The options: type, default, declarations, definitions, value of each."""
        found: OptionGroup = self._evaluation.options
        return found

    @property
    def type(self) -> Type:
        """A submodule type with the same modules."""
        found: Type = self._evaluation.as_type()
        return found

    @property
    def class_(self) -> str | None:
        return self._evaluation.class_

    @property
    def graph(self) -> tuple[GraphNode, ...]:
        """Who imports whom: key, file, disabled, imports of each module."""
        return graph(self._evaluation.program.collected)

    @property
    def forced(self) -> int:
        """How many options were computed so far, those in submodules included."""
        return self._evaluation.context.forced

    def extend(
        self,
        modules: Sequence[Any] = (),
        *,
        special_args: Mapping[str, Any] | None = None,
        prefix: Path | None = None,
    ) -> Result:
        """The same with further modules, evaluated anew."""
        old = self._evaluation
        return Result(
            Evaluation(
                [*old.given, *modules],
                class_=old.class_,
                special={**old.special, **(special_args or {})},
                prefix=old.prefix if prefix is None else tuple(prefix),
                context=Context(),
                caller=old.caller,
                name=old.name,
            )
        )

    def errors(self, *, where: Callable[[Path], bool] | None = None) -> tuple[ModuleError, ...]:
        """Everything that is wrong: all options are computed. `where` leaves out what is below paths it refuses."""
        from clanpy.modules.check import find_errors  # noqa: PLC0415  # only for a full check

        return find_errors(self._evaluation, where)

    def check(self) -> None:
        """Compute everything.

        Raises:
            ModuleError: something is wrong; an EvaluationError with all of it when there is more than one thing.
        """
        raise_all(self.errors())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the modules have to say: options that were renamed, entries of disabled_modules without a module."""
        from clanpy.modules.check import find_warnings  # noqa: PLC0415  # as above

        return find_warnings(self._evaluation)

    def explain(self, path: str | Sequence[str]) -> Explanation:
        """Why an option, or a value inside one, is what it is.

        Raises:
            MissingAttributeError: there is no such option.
        """
        from clanpy.modules.explain import explain  # noqa: PLC0415  # only for people

        return explain(self._evaluation, parse_path(path))

    def documented(self) -> Iterator[DocumentedOption]:
        """All options for documentation, those of submodules under `<name>` and `*`."""
        return document(self.options)


def evaluate(
    modules: Sequence[Any],
    *,
    class_: str | None = None,
    special_args: Mapping[str, Any] | None = None,
    prefix: Sequence[str] = (),
) -> Result:
    """Evaluate modules together.

    Args:
        modules: mappings, functions that give one (arguments by name), or paths of .py, .toml and .json files.
        class_: modules that say they are of another class are refused.
        special_args: arguments of all modules that are known from the start, so that `imports` may depend on them.
        prefix: where the configuration stands in something larger, for messages.
    """
    frame = sys._getframe(1)  # noqa: SLF001  # the documented way to know one's caller
    file = frame.f_code.co_filename
    caller = Source(UNKNOWN, origin=("python", file, frame.f_lineno), fixed=Place(UNKNOWN))
    return Result(
        Evaluation(
            list(modules),
            class_=class_,
            special=special_args or {},
            prefix=tuple(prefix),
            context=Context(),
            caller=caller,
        )
    )
