"""Options as something to look at: for documentation, for conditions, for the curious."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clanpy.modules.errors import MissingAttributeError, Place
from clanpy.modules.merge import MISSING, final
from clanpy.modules.options import Declared, Group
from clanpy.modules.show import nearest, or_list, show_path
from clanpy.modules.sources import Def, Path


if TYPE_CHECKING:
    from clanpy.modules.config import Config
    from clanpy.modules.evaluation import Evaluation
    from clanpy.modules.types.base import Type


class DocumentedOption:
    """An option without an evaluation: what its declarations say."""

    __slots__ = ("_declared", "loc")

    def __init__(self, declared: Declared, loc: Path) -> None:
        self._declared = declared
        self.loc = loc

    def __str__(self) -> str:
        return show_path(self.loc)

    def __repr__(self) -> str:
        return f"<option {self}: {self.type.description}>"

    @property
    def type(self) -> Type:
        return self._declared.type

    @property
    def has_default(self) -> bool:
        return self._declared.option.default is not MISSING

    @property
    def default(self) -> Any:
        """The default as it was declared: a value, a function, or MISSING."""
        return self._declared.option.default

    @property
    def default_text(self) -> str | None:
        return self._declared.option.default_text

    @property
    def example(self) -> Any:
        return self._declared.option.example

    @property
    def description(self) -> str | None:
        return self._declared.option.description

    @property
    def read_only(self) -> bool:
        return self._declared.option.read_only

    @property
    def internal(self) -> bool:
        return self._declared.option.internal

    @property
    def visible(self) -> Any:
        return self._declared.option.visible

    @property
    def declarations(self) -> tuple[str, ...]:
        """The files that declare it."""
        return self._declared.files

    @property
    def declaration_positions(self) -> tuple[Place, ...]:
        return self._declared.places

    @property
    def sub_options(self) -> Mapping[str, Any]:
        """The options inside its type."""
        return self.type.sub_options(self.loc)


class OptionView(DocumentedOption):
    """An option of an evaluation, with its value and definitions."""

    __slots__ = ("_config", "_name")

    def __init__(self, config: Config, name: str, declared: Declared, loc: Path) -> None:
        super().__init__(declared, loc)
        self._config = config
        self._name = name

    @property
    def value(self) -> Any:
        return self._config[self._name]

    @property
    def relative(self) -> Path:
        """The path from the root of its evaluation."""
        return self.loc[len(self._config.evaluation_.prefix) :]

    def _final(self) -> tuple[list[Def], int]:
        from clanpy.modules.config import with_default  # noqa: PLC0415  # evaluations use this module

        defs = with_default(self._config.evaluation_, self._declared, self._config.definitions_(self._name))
        return final(defs, self.loc, self.type)

    @property
    def is_defined(self) -> bool:
        """Whether anything gives it a value: a definition that counts, or a default."""
        return bool(self._final()[0])

    @property
    def highest_prio(self) -> int:
        """The priority of the definitions that count (the lowest number)."""
        return self._final()[1]

    @property
    def definitions(self) -> tuple[Any, ...]:
        """The values that count, in merge order."""
        return tuple(d.value for d in self._final()[0])

    @property
    def definitions_with_locations(self) -> tuple[Def, ...]:
        return tuple(self._final()[0])

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the definitions that count."""
        return tuple(d.source.file for d in self._final()[0])

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(d.place(self.loc) for d in self._final()[0])


class OptionGroup(Mapping[str, Any]):
    """Options by name, as the configuration is: `options.services.nginx.enable`."""

    __slots__ = ("_evaluation", "_group", "_live", "_loc")

    def __init__(self, evaluation: Evaluation, group: Group, loc: Path, *, live: bool = True) -> None:
        self._evaluation = evaluation
        self._group = group
        self._loc = loc
        # Options inside types are for documentation: they have no values.
        self._live = live

    def __getitem__(self, name: str) -> Any:
        child = self._group.children.get(name)
        path = (*self._loc, name)
        if child is None:
            raise self._missing(name)
        if isinstance(child, Group):
            return OptionGroup(self._evaluation, child, path, live=self._live)
        if not self._live:
            return DocumentedOption(child, path)
        return _LazyView(self._evaluation, name, child, path)

    def _missing(self, name: Any) -> MissingAttributeError:
        close = nearest(str(name), self)
        return MissingAttributeError(
            f"There is no option `{show_path((*self._loc, str(name)))}'",
            path=(*self._loc, str(name)),
            hint=f"Did you mean {or_list(close)}?" if close else None,
        )

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._group.children

    def __iter__(self) -> Iterator[str]:
        root = self._group is self._evaluation.program.tree
        return iter(sorted(name for name in self._group.children if name != "_module" or not root))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        return f"<options {show_path(self._loc) or '(root)'}: {', '.join(self)}>"


class _LazyView(OptionView):
    """Finds its configuration only when asked for values: conditions may ask whether an option exists before that."""

    __slots__ = ("_evaluation",)

    def __init__(self, evaluation: Evaluation, name: str, declared: Declared, loc: Path) -> None:
        DocumentedOption.__init__(self, declared, loc)
        self._evaluation = evaluation
        self._name = name

    @property
    def _config(self) -> Config:  # type: ignore[override]  # computed where the base class stores it
        found: Any = self._evaluation.config
        for name in self.loc[len(self._evaluation.prefix) : -1]:
            found = found[name]
        return found  # type: ignore[no-any-return]  # groups on the way to an option are Configs


def walk_options(group: Mapping[str, Any]) -> Iterator[DocumentedOption]:
    """All options of a group and of the groups in it, by name."""
    for name in group:
        child = group[name]
        if isinstance(child, DocumentedOption):
            yield child
        else:
            yield from walk_options(child)


def document(group: Mapping[str, Any]) -> Iterator[DocumentedOption]:
    """All options that documentation shows, those inside types included, parents first."""
    for option in walk_options(group):
        if option.internal:
            continue
        if option.visible is True or option.visible == "shallow":
            yield option
        if option.visible is True or option.visible == "transparent":
            yield from document(option.sub_options)
