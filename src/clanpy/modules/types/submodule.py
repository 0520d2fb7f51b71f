"""Submodules: attribute sets with options of their own, evaluated as a nested set of modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from clanpy.modules.context import Context
from clanpy.modules.errors import DeclarationError, ModuleError
from clanpy.modules.evaluation import Evaluation
from clanpy.modules.lazy import Lazy
from clanpy.modules.merge import MISSING
from clanpy.modules.priority import If, Merge, Override, Wrapper, mk_force
from clanpy.modules.program import Program, is_known
from clanpy.modules.shape import Given, Importable, is_function
from clanpy.modules.show import show_value
from clanpy.modules.sources import UNKNOWN, Def, Level, Path, Source
from clanpy.modules.types.base import Type


class Submodule(Type):
    """A nested evaluation: its own modules, and each definition as one more.

    Where none of the modules is a function, they are collected once and shared by all values of the type.
    """

    __slots__ = ("_program", "_tried", "class_", "given", "shorthand", "special", "text")

    name = "submodule"

    def __init__(
        self,
        modules: Sequence[Any],
        *,
        special_args: Mapping[str, Any] | None = None,
        shorthand_only_defines_config: bool | None = False,
        description: str | None = None,
        class_: str | None = None,
    ) -> None:
        self.given = tuple(modules)
        self.special = special_args or {}
        self.shorthand = shorthand_only_defines_config
        self.class_ = class_
        self.text = description
        self._program: Program | None = None
        self._tried = False

    @property
    def description(self) -> str:
        if self.text is not None:
            return self.text
        try:
            freeform = self.documented().freeform
        except ModuleError:
            # Whatever is wrong with it is reported where it is used; this is for other messages.
            return "submodule"
        return (
            f"open submodule of {freeform.within('noun', 'composite')}" if isinstance(freeform, Type) else "submodule"
        )

    def check(self, value: Any) -> bool:
        if value.__class__ is dict or isinstance(value, Mapping) or is_function(value):
            return True
        if isinstance(value, PurePath | Importable | Wrapper):
            return True
        return isinstance(value, str) and value.startswith("/")

    def takes(self, wrapper: Wrapper) -> bool:
        # It is a module then. A list of modules is one as plain configuration only, as in Nix.
        return isinstance(wrapper, If | Override) or (isinstance(wrapper, Merge) and bool(self.shorthand))

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        if value.__class__ is not dict or not self.shorthand:
            return MISSING
        shared = self.shared()
        if shared is None or not shared.static_known or shared.notices or shared.problems:
            return MISSING
        if "_module" in value or not is_known(shared.tree, [value]):
            return MISSING
        return self._instance(context, (*path, name), shared, [(value, source)]).config

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return self.evaluation(context, path, defs).checked_config()

    def evaluation(self, context: Context, path: Path, defs: Sequence[Def]) -> Evaluation:
        """The nested evaluation that gives the value."""
        shared = self.shared()
        if shared is not None and self.shorthand and all(isinstance(d.value, Mapping) for d in defs):
            # Each definition is a module of its own, and later modules come first.
            return self._instance(context, path, shared, [(d.value, d.source) for d in reversed(defs)])
        modules = [*self.given, *(self._as_module(d) for d in defs)]
        return self._evaluate(context, path, modules, None, [])

    def _instance(self, context: Context, path: Path, shared: Program, own: Level) -> Evaluation:
        return self._evaluate(context, path, self.given, shared, own)

    def _evaluate(
        self, context: Context, path: Path, modules: Sequence[Any], shared: Program | None, own: Level
    ) -> Evaluation:
        evaluation = Evaluation(
            modules,
            class_=self.class_,
            special=self.special,
            prefix=path,
            context=context,
            caller=_CALLER,
            program=shared,
            own=own,
            name=path[-1] if path else None,
        )
        if shared is not None and shared.notices:
            context.noticed.append(evaluation)
        return evaluation

    def _as_module(self, d: Def) -> Any:
        return Given(
            d.value, d.source, config_only=bool(self.shorthand) and isinstance(d.value, Mapping | Wrapper), foreign=True
        )

    def shared(self) -> Program | None:
        """The modules, collected once, when none of them has to be called for each value."""
        if not self._tried:
            self._tried = True
            if all_static(self.given):
                try:
                    self._program = self._prepared()
                except ModuleError:
                    # Found again, with the full path, by the evaluation that needs it.
                    self._program = None
        return self._program

    def _prepared(self) -> Program:
        from clanpy.modules.unmatched import unmatched  # noqa: PLC0415  # which looks at evaluations

        alone = self._evaluate(Context(), (), self.given, None, [])
        return alone.program.shareable(static_known=not unmatched(alone))

    def documented(self) -> Evaluation:
        """The evaluation without definitions, for documentation: unknown options don't matter in it."""
        unchecked = {"_file": "<documentation>", "config": {"_module": {"check": mk_force(False)}}}
        return Evaluation(
            [*self.given, unchecked],
            class_=self.class_,
            special=self.special,
            prefix=(),
            context=Context(),
            caller=_CALLER,
            name="<name>",
        )

    def empty(self, context: Context, path: Path) -> Any:
        return self.evaluation(context, path, []).checked_config()

    def join(self, other: Type) -> Type | None:
        if not isinstance(other, Submodule):
            return None
        twice = sorted(self.special.keys() & other.special.keys())
        if twice:
            raise DeclarationError(
                f'A submodule_with option is declared multiple times with the same special_args "{" ".join(twice)}"'
            )
        return Submodule(
            [*self.given, *other.given],
            special_args={**self.special, **other.special},
            shorthand_only_defines_config=_agreed(
                self.shorthand, other.shorthand, "conflicting shorthand_only_defines_config values"
            ),
            description=_agreed(self.text, other.text, "conflicting descriptions"),
            class_=_agreed(self.class_, other.class_, "conflicting class values"),
        )

    @property
    def modules(self) -> Sequence[Any] | None:
        return self.given

    def with_modules(self, modules: Sequence[Any]) -> Type:
        return Submodule(
            modules,
            special_args=self.special,
            shorthand_only_defines_config=self.shorthand,
            description=self.text,
            class_=self.class_,
        )

    @property
    def nested(self) -> Mapping[str, Type]:
        freeform = self.documented().freeform
        return {"freeform_type": freeform} if isinstance(freeform, Type) else {}

    def sub_options(self, path: Path) -> Mapping[str, Any]:
        from clanpy.modules.introspect import OptionGroup  # noqa: PLC0415  # looks at evaluations

        evaluation = self.documented()
        return OptionGroup(evaluation, evaluation.program.tree, path, live=False)


_CALLER = Source(UNKNOWN)


def all_static(modules: Sequence[Any]) -> bool:
    """Whether no module of these, nor any that they import, has to be called or read from a file."""
    pending = list(modules)
    while pending:
        module = pending.pop()
        if isinstance(module, Given) and not module.foreign:
            module = module.value
        if not isinstance(module, Mapping) or isinstance(module, Lazy | Wrapper):
            return False
        imports = module.get("imports", ())
        if not isinstance(imports, list | tuple) or isinstance(module.get("options"), Lazy):
            return False
        pending.extend(imports)
    return True


def _agreed(a: Any, b: Any, what: str) -> Any:
    if a is None or b is None or a == b:
        return b if a is None else a
    raise DeclarationError(
        f"A submodule_with option is declared multiple times with {what} {show_value(a)} and {show_value(b)}"
    )


def submodule(modules: Any) -> Type:
    """Attribute sets with the options of this module (or these modules); definitions are plain configuration."""
    given = modules if isinstance(modules, list | tuple) else [modules]
    return Submodule(given, shorthand_only_defines_config=True)


def submodule_with(
    *,
    modules: Sequence[Any],
    special_args: Mapping[str, Any] | None = None,
    shorthand_only_defines_config: bool = False,
    description: str | None = None,
    class_: str | None = None,
) -> Type:
    """As `submodule`, with arguments for its modules, a class, and definitions that may be any module."""
    return Submodule(
        modules,
        special_args=special_args,
        shorthand_only_defines_config=shorthand_only_defines_config,
        description=description,
        class_=class_,
    )
