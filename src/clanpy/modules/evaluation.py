"""One evaluation: modules in, a lazy configuration out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from clanpy.modules.calls import user_line
from clanpy.modules.collect import Collector
from clanpy.modules.config import Config
from clanpy.modules.context import Context
from clanpy.modules.errors import InfiniteRecursionError, MissingArgumentError
from clanpy.modules.lazy import Lazy
from clanpy.modules.merge import MISSING
from clanpy.modules.pending import Doing, Pending
from clanpy.modules.priority import mk_option_default
from clanpy.modules.program import Program, is_known, module_group
from clanpy.modules.show import nearest, or_list
from clanpy.modules.sources import Level, Path, Source
from clanpy.modules.stack import frames, guarded


class Evaluation:
    """Modules, and what they come to. Everything is computed when it is asked for."""

    __slots__ = (
        "_arguments",
        "_config",
        "_explicit",
        "_freeform",
        "_level",
        "_options",
        "_program",
        "_state",
        "_unmatched",
        "caller",
        "class_",
        "context",
        "free",
        "given",
        "name",
        "own",
        "prefix",
        "special",
    )

    def __init__(
        self,
        given: Sequence[Any],
        *,
        class_: str | None,
        special: Mapping[str, Any],
        prefix: Path,
        context: Context,
        caller: Source,
        program: Program | None = None,
        own: Level | None = None,
        name: str | None = None,
    ) -> None:
        self.given = given
        self.class_ = class_
        self.special = special
        self.prefix = prefix
        self.context = context
        self.caller = caller
        self.name = name
        self.own = own or []
        self._program = program
        self._level = own if program is not None and not program.deep and not program.top else None
        self._config: Config | None = None
        self._options: Any = None
        self._explicit: dict[str, Any] | None = None
        self._arguments: dict[str, Any] | None = None
        self._freeform: Any = MISSING
        self._unmatched: Any = None
        self.free: Mapping[str, Any] | None = None
        self._state = ""

    # Modules

    @property
    def program(self) -> Program:
        """The modules and options, collected on first use."""
        if self._program is None:
            guarded(self._collect)
        assert self._program is not None
        return self._program

    def _collect(self) -> None:
        from clanpy.modules.declare import declare  # noqa: PLC0415  # uses types, of which submodules evaluate

        if self._program is not None:
            return
        with self._busy("the modules are being collected"):
            collected = Collector(self).collect(self.given, self.caller)
        with self._busy("the options are being declared"):
            written = [(m.options, m.source) for m in reversed(collected.modules) if m.options]
            tree = declare(written, self.prefix, {"_module": module_group()})
        self._program = Program(collected, tree)
        if self._program.notices:
            self.context.noticed.append(self)

    def _busy(self, what: str) -> Doing:
        if self._state:
            raise self._too_early()
        return Doing(self, what)

    def set_state(self, what: str) -> None:
        self._state = what

    def ready(self, which: str) -> bool:
        """Whether `config` or `options` can be read by now."""
        return self._program is not None if which == "options" else self._level is not None

    def _too_early(self) -> InfiniteRecursionError:
        where = user_line()
        via = " → ".join(owner.described_(name) for owner, name in frames())
        return InfiniteRecursionError(
            f"infinite recursion: the configuration is read while {self._state}" + (f" ({via})" if via else ""),
            place=where,
            path=self.prefix,
            hint="`imports` and the names of options can't depend on `config`. Import unconditionally and make what "
            "the module does conditional: `mk_if(config.….enable, {…})`; compute values with `lazy(lambda: …)`.",
        )

    # Configuration

    @property
    def level(self) -> Level:
        """The definitions of all modules at the root, in merge order."""
        if self._level is None:
            guarded(self._read_definitions)
        assert self._level is not None
        return self._level

    def _read_definitions(self) -> None:
        program = self.program
        if self._level is None:
            with self._busy("the definitions are being read"):
                deep, top = program.level(program.deep, self), program.level(program.top, self)
            self._level = [*deep, *self.own, *top]

    @property
    def config(self) -> Config:
        """The configuration, without a look at whether all definitions have an option."""
        if self._config is None:
            self._config = Config(self, self.program.tree, self.prefix, self.level)
        return self._config

    def checked_config(self) -> Config:
        """The configuration.

        Raises:
            UnknownOptionError: something is defined that is no option (EvaluationError when several are).
        """
        self.verify()
        return self.config

    def verify(self) -> None:
        from clanpy.modules.unmatched import verify  # noqa: PLC0415  # messages about what is not there

        if self._unmatched is None:
            self._unmatched = self._is_simple() or MISSING
        if self._unmatched is MISSING:
            guarded(verify, self)
            self._unmatched = True

    def _is_simple(self) -> bool:
        """True when it can be told at once that every definition has an option."""
        program = self.program
        if program.problems:
            return False
        level = self.own if program.static_known else self.level
        return is_known(program.tree, [mapping for mapping, _ in level])

    @property
    def freeform(self) -> Any:
        """The freeform type, or None."""
        if self._freeform is MISSING:
            self._freeform = None
            if any("_module" in mapping for mapping, _ in self.level):
                self._freeform = MISSING
                self._freeform = self.config["_module"]["freeform_type"]
        return self._freeform

    def freeform_value(self) -> Mapping[str, Any]:
        """What the freeform type makes of the definitions without an option."""
        if self._freeform is None or self.freeform is None:
            return {}
        from clanpy.modules.unmatched import free_value  # noqa: PLC0415  # as above

        return free_value(self)

    def internal_config(self) -> dict[str, Any]:
        args: dict[str, Any] = {"extend_modules": self.extended, "module_type": Lazy(self.as_type)}
        if self.name is not None:
            args["name"] = mk_option_default(self.name)
        return {"args": args, "special_args": dict(self.special)}

    def extended(self, modules: Sequence[Any] = (), special_args: Mapping[str, Any] | None = None) -> Any:
        from clanpy.modules.evaluate import Result  # noqa: PLC0415  # which is made of this

        return Result(self).extend(modules, special_args=special_args or {})

    def as_type(self) -> Any:
        from clanpy.modules.types.submodule import Submodule  # noqa: PLC0415  # which evaluates

        return Submodule(self.given, special_args=self.special, class_=self.class_)

    # Arguments (a calls.Scope)

    def explicit(self) -> Mapping[str, Any]:
        if self._level is None:
            return self.module_arguments()
        if self._explicit is None:
            self._explicit = self._known(self.config, self.options)
        return self._explicit

    def module_arguments(self) -> Mapping[str, Any]:
        """What module functions are given: `config` and `options` that can't be read yet."""
        if self._arguments is None:
            self._arguments = self._known(Pending(self, "config"), Pending(self, "options"))
        return self._arguments

    def _known(self, config: Any, options: Any) -> dict[str, Any]:
        known: dict[str, Any] = {
            "config": config,
            "options": options,
            "lib": sys.modules["clanpy.modules"],
            "special_args": self.special,
            "class_": self.class_,
            "_class": self.class_,
            "prefix": self.prefix,
            "_prefix": self.prefix,
        }
        if self.name is not None:
            known["name"] = self.name
        known.update(self.special)
        return known

    def has_argument(self, name: str) -> bool:
        return name in self.config["_module"]["args"]

    def argument(self, name: str, source: Source | None = None) -> Any:
        args = self.config["_module"]["args"]
        if name in args:
            return args[name]
        close = nearest(name, [*self._known(None, None), *args])
        where = f" in `{source.file}'" if source is not None else ""
        raise MissingArgumentError(
            f"while evaluating the module argument `{name}'{where}: attribute `{name}' missing in `_module.args'",
            place=source.fixed if source is not None else user_line(),
            hint=f"Did you mean {or_list(close)}?" if close else None,
        )

    @property
    def options(self) -> Any:
        from clanpy.modules.introspect import OptionGroup  # noqa: PLC0415  # looks at evaluations

        if self._options is None:
            self._options = OptionGroup(self, self.program.tree, self.prefix)
        return self._options
