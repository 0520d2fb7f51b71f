"""Which modules take part: imports followed, each key once, disabled ones left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from clanpy.modules.calls import parameters, place_of, protected
from clanpy.modules.closure import Collected, closure, disabled_key, resolve, walk
from clanpy.modules.errors import ClassMismatchError, InfiniteRecursionError, ModuleError, Place, ShapeError, raise_all
from clanpy.modules.lazy import Lazy, force
from clanpy.modules.shape import Given, Importable, Module, is_function, not_a_module, unify
from clanpy.modules.show import show_value
from clanpy.modules.sources import UNKNOWN, Source


if TYPE_CHECKING:
    from clanpy.modules.evaluation import Evaluation


LONGEST_KEY: Final = 16_000
"""A key this long is one of some 2,000 nameless modules inside each other: taken for an endless chain."""


class Collector:
    """Loads the modules of one evaluation."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.by_file: dict[str, Module] = {}
        self.errors: list[ModuleError] = []

    def collect(self, values: Sequence[Any], caller: Source) -> Collected:
        """All modules that take part, in order.

        Raises:
            ModuleError: some can't be loaded; one report for all of them.
        """
        roots = self._load_tree(values, caller)
        self.errors.extend(_circles(roots))
        raise_all(self.errors)
        disabled = self._disabled(roots)
        return Collected(list(closure(roots, disabled.keys())), roots, disabled)

    def _load_tree(self, values: Sequence[Any], caller: Source) -> list[Module]:
        root = Module(caller, "")
        root.imports = values
        pending = deque([root])
        while pending:
            parent = pending.popleft()
            for n, value in enumerate(parent.imports, 1):
                module = self._load_one(value, parent, n)
                if module is None:
                    continue
                parent.children.append(module)
                if module.parent is None:
                    module.parent = parent
                    if len(module.key) > LONGEST_KEY:
                        raise _endless(module)
                    pending.append(module)
        return root.children

    def _load_one(self, value: Any, parent: Module, n: int) -> Module | None:
        try:
            module = self._load(value, parent, f"{parent.key}:anon-{n}")
            module.made_from = value if module.made_from is None else module.made_from
            if module.parent is None:
                self._check_class(module)
        except ModuleError as error:
            self.errors.append(error)
            return None
        return module

    def _load(self, value: Any, parent: Module, key: str) -> Module:
        value = force(value, parent.source.scope)
        if isinstance(value, Importable):
            module = value.as_module(key)
            if isinstance(value, Given) and value.key is not None:
                return self.by_file.setdefault(value.key, module)
            return module
        if isinstance(value, str | PurePath):
            return self._load_file(value, parent)
        if is_function(value):
            _check_self_import(value, parent)
            return self._load_function(value, parent.source, key)
        if isinstance(value, list | tuple):
            raise ShapeError(
                "Module imports can't be nested lists. Perhaps you meant to remove one level of lists?",
                place=parent.source.place(("imports",)),
                definitions=[f"In `{parent.file}': {show_value(value)}"],
            )
        if isinstance(value, Mapping):
            _check_self_import(value, parent)
        else:
            _refuse_others(value, parent.source)
        return unify(value, self._source_in(parent), key)

    def _source_in(self, parent: Module) -> Source:
        """The source of a mapping that stands in another module."""
        return parent.source if parent.foreign else parent.source.bound(self.evaluation, self.evaluation.prefix)

    def _load_function(self, function: Any, parent: Source, key: str) -> Module:
        place = place_of(function)
        known = parent.file if parent.file != UNKNOWN or place is None else place.file
        source = Source(
            known,
            scope=self.evaluation,
            base=self.evaluation.prefix,
            origin=("python", place.file, place.line or 1) if place else parent.origin,
            fixed=place or parent.fixed,
            via=parent.via,
        )
        return unify(self._called(function, source), source, key)

    def _called(self, function: Any, source: Source) -> Any:
        found = parameters(function)
        explicit = self.evaluation.module_arguments()
        if found is None:
            return protected(function, **explicit)
        given: dict[str, Any] = dict(explicit) if found.keywords else {}
        for name in (*found.required, *found.optional):
            given[name] = explicit[name] if name in explicit else self._later(function, source, name, found.optional)
        return protected(function, **given)

    def _later(self, function: Any, source: Source, name: str, optional: tuple[str, ...]) -> Any:
        """An argument that some module gives by `_module.args`: not known yet, so it is computed when it is used."""
        evaluation = self.evaluation

        def value() -> Any:
            if name in optional and not evaluation.has_argument(name):
                return _python_default(function, name)
            return evaluation.argument(name, source)

        return Lazy(value)

    def _load_file(self, value: str | PurePath, parent: Module) -> Module:
        from clanpy.modules.loading import load_file  # noqa: PLC0415  # parsers are loaded when there is a file

        path = resolve(value, parent.source)
        known = self.by_file.get(path)
        if known is not None:
            return known
        loaded = load_file(Path(path), needed_by=parent.source)
        source = Source(
            path,
            scope=self.evaluation,
            base=self.evaluation.prefix,
            origin=(loaded.language, path, 1),
            fixed=Place(path),
        )
        content = force(loaded.value, self.evaluation)
        if is_function(content):
            content = self._called(content, source)
        module = unify(content, source, path)
        self.by_file[path] = module
        return module

    def _check_class(self, module: Module) -> None:
        wanted = self.evaluation.class_
        if wanted is None or module.class_ in {None, wanted}:
            return
        raise ClassMismatchError(
            f'The module `{module.file if module.file != UNKNOWN else module.key}` (class: "{module.class_}") cannot be '
            f'imported into a module evaluation that expects class "{wanted}"',
            place=module.source.fixed,
            hint=f"Import a module of class {wanted}, or one without a class.",
        )

    def _disabled(self, roots: list[Module]) -> dict[str, Place]:
        base = self.evaluation.special.get("modules_path", self.evaluation.special.get("modulesPath"))
        return {
            disabled_key(item, module, base): module.source.place(("disabled_modules",))
            for module in walk(roots)
            for item in module.disabled
        }


def _circles(roots: Sequence[Module]) -> Iterator[InfiniteRecursionError]:
    """Files that import each other. One that is imported again is fine, unless it is one of those on the way to it."""
    done: set[int] = set()
    for root in roots:
        way: list[Module] = []
        open_: dict[int, int] = {}  # the modules on the way, and how many there are before each
        pending: list[tuple[Module, bool]] = [(root, False)]
        while pending:
            module, is_left = pending.pop()
            if is_left:
                done.add(id(module))
                del open_[id(way.pop())]
            elif id(module) in open_:
                yield _circle([*way[open_[id(module)] :], module])
            elif id(module) not in done:
                open_[id(module)] = len(way)
                way.append(module)
                pending.append((module, True))
                pending.extend((child, False) for child in reversed(module.children))


def _circle(modules: Sequence[Module]) -> InfiniteRecursionError:
    files = [module.file for module in modules]
    names = [file for n, file in enumerate(files) if n == 0 or file != files[n - 1]]  # a file may be of several parts
    names = names if len(names) > 1 else [*names, *names]
    return InfiniteRecursionError(
        f"modules import each other in a circle: {' → '.join(names)}",
        place=modules[-2].source.place(("imports",)),
        cycle=names,
    )


def _check_self_import(value: Any, parent: Module) -> None:
    above: Module | None = parent
    while above is not None:
        if above.made_from is value:
            place = parent.source.place(("imports",))
            raise InfiniteRecursionError(f"a module imports itself, in `{parent.file}'", place=place)
        above = above.parent


def _endless(module: Module) -> InfiniteRecursionError:
    return InfiniteRecursionError(
        f"imports go on endlessly: nameless modules import each other one inside the other, the last in `{module.file}'",
        place=module.source.fixed,
    )


def _refuse_others(value: Any, source: Source) -> None:
    kind = getattr(type(value), "_not_a_module_", None)
    if isinstance(kind, tuple):
        raise not_a_module(value, source, what=kind[0], hint=kind[1])


def _python_default(function: Any, name: str) -> Any:
    import inspect  # noqa: PLC0415  # rarely needed

    return inspect.signature(function).parameters[name].default
