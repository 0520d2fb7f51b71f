"""Tagged unions: attribute sets with exactly one of some names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.modules.calls import call
from clanpy.modules.context import Context
from clanpy.modules.errors import ConflictError, DeclarationError
from clanpy.modules.merge import files, merge_definitions
from clanpy.modules.options import Declared, Option
from clanpy.modules.show import show_name, show_path, type_name
from clanpy.modules.sources import Def, Path, Source
from clanpy.modules.types.base import Type


class AttrTag(Type):
    """One of several alternatives, each an option with a name."""

    __slots__ = ("tags",)

    name = "attrTag"
    phrase = "noun"

    def __init__(self, tags: Mapping[str, Declared]) -> None:
        self.tags = dict(tags)

    @property
    def choices(self) -> str:
        return ", ".join(show_name(name) for name in sorted(self.tags))

    @property
    def description(self) -> str:
        return f"attribute-tagged union with choices: {self.choices}"

    def check(self, value: Any) -> bool:
        return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in self.tags

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        choice = next(iter(defs[0].value))
        for d in defs[1:]:
            other = next(iter(d.value))
            if other != choice:
                raise ConflictError(
                    f"The option `{show_path(path)}` is defined both as `{choice}` and `{other}`, in {files(defs, path)}",
                    path=path,
                    place=d.place(path),
                )
        declared = self.tags[choice]
        inner = [Def(d.value[choice], d.source) for d in defs]
        value = merge_definitions(context, declared.type, (*path, choice), inner)
        return {choice: value if declared.option.apply is None else call(declared.option.apply, None, value)}

    def join(self, other: Type) -> Type | None:
        from clanpy.modules.declare import merge_declarations  # noqa: PLC0415  # which uses types

        if not isinstance(other, AttrTag):
            return None
        both = {
            name: merge_declarations((name,), [(t.tags[name].option, t.tags[name].source) for t in (self, other)])
            for name in self.tags.keys() & other.tags.keys()
        }
        return AttrTag({**self.tags, **other.tags, **both})

    @property
    def nested(self) -> Mapping[str, Type]:
        return {name: tag.type for name, tag in self.tags.items()}

    def sub_options(self, path: Path) -> Mapping[str, Any]:
        from clanpy.modules.introspect import DocumentedOption  # noqa: PLC0415  # looks at types

        return {name: DocumentedOption(tag, (*path, name)) for name, tag in self.tags.items()}


def attr_tag(tags: Mapping[str, Any]) -> Type:
    """An attribute set with exactly one of these names; each tag is an option.

    Raises:
        DeclarationError: a tag is no option.
    """
    from clanpy.modules.declare import merge_declarations  # noqa: PLC0415  # which uses types

    for name, tag in tags.items():
        if not isinstance(tag, Option):
            was = "was a bare type, not wrapped in option(…)" if isinstance(tag, Type) else f"was a {type_name(tag)}"
            raise DeclarationError(f"In attr_tag, each tag value must be an option, but tag {show_name(name)} {was}")
    source = Source("<attr_tag>")
    return AttrTag({name: merge_declarations((name,), [(tag, source)]) for name, tag in tags.items()})
