"""One evaluation: modules in, a lazy configuration out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from clanpy.modules.calls import HERE, call
from clanpy.modules.collect import Collected, Collector
from clanpy.modules.context import Context
from clanpy.modules.errors import InfiniteRecursionError, MissingArgumentError, Place, ReadOnlyError
from clanpy.modules.lazy import Lazy
from clanpy.modules.mapping import LazyMapping
from clanpy.modules.merge import MISSING, merge_definitions, shown
from clanpy.modules.options import Constant, Declared, Group, option
from clanpy.modules.priority import UNWRAPPED, mk_option_default, push_down
from clanpy.modules.shape import Module
from clanpy.modules.show import nearest, or_list, show_path
from clanpy.modules.sources import Def, Level, Path, Source
from clanpy.modules.stack import frames, guarded


BUILT_IN: Final = Source("<built in>")


class Program:
    """The modules of an evaluation, collected, and the options they declare.

    Shared by all evaluations of a submodule type whose modules are no functions.

    Attributes:
        deep: the configuration of modules that others import, in merge order; it comes before what is added later.
        top: the configuration of the modules that were given, in merge order; it comes after.
        static_known: all that these modules define is known to have an option.
    """

    __slots__ = ("collected", "deep", "notices", "problems", "static_known", "top", "tree")

    def __init__(self, collected: Collected, tree: Group) -> None:
        self.collected = collected
        self.tree = tree
        roots = {id(root) for root in collected.roots}
        merged = collected.modules[::-1]
        defining = [m for m in merged if m.config.__class__ is not dict or m.config]
        self.deep = [m for m in defining if id(m) not in roots]
        self.top = [m for m in defining if id(m) in roots]
        self.notices = [n for m in merged for n in m.notices]
        self.static_known = False
        self.problems = [p for m in merged for p in m.problems]

    def shareable(self, *, static_known: bool) -> Program:
        """The same for many evaluations: sources belong to none of them."""
        self.static_known = static_known
        for module in self.collected.modules:
            module.source = module.source.bound(None, ())
        return self

    def level(self, modules: Sequence[Module], evaluation: Evaluation) -> Level:
        found: Level = []
        for module in modules:
            source = module.source
            if source.scope is None:
                source = source.bound(evaluation, evaluation.prefix)
            found.extend(push_down(module.config, source, evaluation.prefix))
        return found


class Config(LazyMapping):
    """A level of the configuration: what the options of a group are, and whatever a freeform type lets in."""

    __slots__ = ("_children", "_evaluation", "_group", "_level")

    def __init__(self, evaluation: Evaluation, group: Group, loc: Path, level: Level) -> None:
        super().__init__(evaluation.context, loc)
        self._evaluation = evaluation
        self._group = group
        self._children = group.children
        self._level = level

    def _names(self) -> Iterator[str]:
        free = self._free()
        names = self._group.shown | free.keys() if free else self._group.shown
        return iter(names - {"_module"} if self._is_root() else names)

    def _has(self, name: str) -> bool:
        return name in self._children or name in self._free()

    def _is_root(self) -> bool:
        return len(self._loc) == len(self._evaluation.prefix)

    def _free(self) -> Mapping[str, Any]:
        found: Any = self._evaluation.freeform_value()
        for name in self._loc[len(self._evaluation.prefix) :]:
            found = found[name] if isinstance(found, Mapping) and name in found else {}
        return found if isinstance(found, Mapping) else {}

    def _quick(self, name: str) -> Any:
        child = self._children.get(name)
        if child is None:
            return MISSING
        found: Any = MISSING
        source = BUILT_IN
        for mapping, where in self._level:
            if name in mapping:
                if found is not MISSING:
                    return MISSING
                found, source = mapping[name], where
        if child.__class__ is Group:
            return self._quick_group(child, name, found, source)
        assert isinstance(child, Declared)
        return self._quick_option(child, name, found, source)

    def _quick_option(self, child: Declared, name: str, found: Any, source: Source) -> Any:
        if found is MISSING:
            value = child.instant
            if value is MISSING and child.constant is not MISSING:
                value = child.type.quick(self._context, self._loc, name, child.constant, child.source)
        elif child.plain and found.__class__ in UNWRAPPED:
            value = child.type.quick(self._context, self._loc, name, found, source)
        else:
            return MISSING
        if value is not MISSING:
            self._context.forced += 1
        return value

    def _quick_group(self, group: Group, name: str, found: Any, source: Source) -> Any:
        if found is MISSING and not (name == "_module" and self._is_root()):
            return Config(self._evaluation, group, (*self._loc, name), [])
        if found.__class__ is dict and name != "_module":
            return Config(self._evaluation, group, (*self._loc, name), [(found, source)])
        return MISSING

    def _evaluate(self, name: str) -> Any:
        child = self._children.get(name)
        if child is None:
            return self._free()[name]
        if isinstance(child, Group):
            return Config(self._evaluation, child, (*self._loc, name), self._pushed(name))
        self._context.forced += 1
        return evaluate_option(self._evaluation, child, (*self._loc, name), self.definitions_(name))

    def _pushed(self, name: str) -> Level:
        path = (*self._loc, name)
        level = [part for m, s in self._level if name in m for part in push_down(m[name], s, path)]
        if name == "_module" and self._is_root():
            level.append((self._evaluation.internal_config(), BUILT_IN))
        return level

    @property
    def group_(self) -> Group:
        """The options of this level."""
        return self._group

    @property
    def level_(self) -> Level:
        """What the modules say about this level."""
        return self._level

    @property
    def evaluation_(self) -> Evaluation:
        """The evaluation whose configuration this is."""
        return self._evaluation

    def definitions_(self, name: str) -> list[Def]:
        """What the modules say about this option, as they say it, without the default."""
        return [Def(m[name], s) for m, s in self._level if name in m]

    def described_(self, name: str) -> str:
        path = (*self._loc, name)
        child = self._children.get(name)
        computed = [d for d in self.definitions_(name) if d.value.__class__ not in UNWRAPPED]
        place: Any = computed[0].place(path) if computed else None
        if place is None and isinstance(child, Declared) and child.places:
            place = child.places[0]
        return f"{show_path(path)} ({place})" if place else show_path(path)


def evaluate_option(evaluation: Evaluation, declared: Declared, path: Path, defs: list[Def]) -> Any:
    """The value of an option: default and definitions merged by its type, then `apply`."""
    wanted = declared.option
    found = with_default(evaluation, declared, defs)
    if wanted.read_only and len(found) > 1:
        raise ReadOnlyError(
            f"The option `{show_path(path)}' is read-only, but it's set multiple times",
            path=path,
            place=found[-1].place(path),
            definitions=shown(found, path),
        )
    value = merge_definitions(evaluation.context, declared.type, path, found)
    return value if wanted.apply is None else call(wanted.apply, evaluation, value)


def with_default(evaluation: Evaluation, declared: Declared, defs: list[Def]) -> list[Def]:
    """The definitions, the option's default in front."""
    default = declared.option.default
    if default is MISSING:
        return defs
    if isinstance(default, Constant):
        default = default.value
    elif callable(default) and not isinstance(default, type | Lazy):
        function = default
        default = Lazy(lambda: call(function, evaluation))
    elif isinstance(default, type):
        default = default()  # `default=list`
    return [Def(mk_option_default(default), declared.source), *defs]


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

    def _busy(self, what: str) -> _Doing:
        if self._state:
            raise self._too_early()
        return _Doing(self, what)

    def set_state(self, what: str) -> None:
        self._state = what

    def ready(self, which: str) -> bool:
        """Whether `config` or `options` can be read by now."""
        return self._program is not None if which == "options" else self._level is not None

    def _too_early(self) -> InfiniteRecursionError:
        where = _user_line()
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
            place=source.fixed if source is not None else _user_line(),
            hint=f"Did you mean {or_list(close)}?" if close else None,
        )

    @property
    def options(self) -> Any:
        from clanpy.modules.introspect import OptionGroup  # noqa: PLC0415  # looks at evaluations

        if self._options is None:
            self._options = OptionGroup(self, self.program.tree, self.prefix)
        return self._options


class _Doing:
    """While this is open, reading the configuration is a mistake that can be named."""

    __slots__ = ("evaluation", "what")

    def __init__(self, evaluation: Evaluation, what: str) -> None:
        self.evaluation = evaluation
        self.what = what

    def __enter__(self) -> None:
        self.evaluation.set_state(self.what)

    def __exit__(self, *_: object) -> None:
        self.evaluation.set_state("")


class Pending:
    """`config` as module functions get it: lazy values while modules are collected, the real thing afterwards."""

    __slots__ = ("_evaluation", "_which")

    def __init__(self, evaluation: Evaluation, which: str) -> None:
        self._evaluation = evaluation
        self._which = which

    def _now(self) -> Any:
        return getattr(self._evaluation, self._which)

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        if self._evaluation.ready(self._which):
            return getattr(self._now(), name)
        return Lazy(lambda: getattr(self._now(), name))

    def __getitem__(self, name: str) -> Any:
        if self._evaluation.ready(self._which):
            return self._now()[name]
        return Lazy(lambda: self._now()[name])

    def __contains__(self, name: object) -> bool:
        return name in self._now()

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def keys(self) -> Any:
        return self._now().keys()

    def __repr__(self) -> str:
        return repr(self._now()) if self._evaluation.ready(self._which) else f"<{self._which}, not yet known>"


def is_known(group: Group, mappings: Iterable[Mapping[str, Any]]) -> bool:
    """Whether all definitions have an option, as far as that can be told from plain mappings."""
    pending = [(group, mapping) for mapping in mappings]
    while pending:
        group, mapping = pending.pop()
        known = group.children
        if not mapping.keys() <= known.keys():
            return False
        for name in group.groups:
            if name in mapping:
                inner: Any = mapping[name]
                child: Any = known[name]
                if inner.__class__ is not dict:
                    return False
                pending.append((child, inner))
    return True


def module_group() -> Group:
    """The options of the module system itself."""
    if not _MODULE:
        from clanpy.modules import types  # noqa: PLC0415  # of which submodules evaluate
        from clanpy.modules.declare import declare  # noqa: PLC0415  # as above

        place = Place("<built in>")
        anyone = {
            "args": option(
                types.lazy_attrs_of(types.raw), place=place, description="Further arguments of all modules, by name."
            ),
            "check": option(
                types.bool,
                default=True,
                internal=True,
                place=place,
                description="Whether a definition without an option is an error.",
            ),
            "freeform_type": option(
                types.null_or(types.option_type),
                default=None,
                internal=True,
                place=place,
                description="The type of all definitions that have no option; None when there may be none.",
            ),
            "special_args": option(
                internal=True,
                read_only=True,
                place=place,
                description="The arguments that were given to the evaluation itself.",
            ),
        }
        _MODULE.append(declare([(anyone, BUILT_IN)], ("_module",), {}))
    return _MODULE[0]


_MODULE: list[Group] = []


def _user_line() -> Place | None:
    """The innermost line of code that is not this library's own."""
    frame = sys._getframe(1)  # noqa: SLF001  # the documented way to know one's caller
    while frame.f_back is not None:
        if not frame.f_code.co_filename.startswith(HERE):
            return Place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None
