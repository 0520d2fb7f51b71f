"""What is prepared before anything is computed: the modules that take part, and the options they declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from clanpy.modules.closure import Collected
from clanpy.modules.errors import Place
from clanpy.modules.options import Group, option
from clanpy.modules.priority import push_down
from clanpy.modules.shape import Module
from clanpy.modules.sources import Level, Source


if TYPE_CHECKING:
    from clanpy.modules.evaluation import Evaluation

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
