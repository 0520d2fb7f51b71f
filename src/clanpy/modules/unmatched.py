"""Definitions without an option: unknown, or let in by a freeform type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from clanpy.modules.calls import protected
from clanpy.modules.config import Config
from clanpy.modules.errors import EvaluationError, ModuleError, UnknownOptionError
from clanpy.modules.merge import shown
from clanpy.modules.options import Option
from clanpy.modules.priority import If, Merge, Override
from clanpy.modules.show import nearest, or_list, show_path
from clanpy.modules.sources import Def, Path, Source
from clanpy.modules.stack import guarded


if TYPE_CHECKING:
    from clanpy.modules.evaluation import Evaluation


class Unmatched(NamedTuple):
    """A definition at `path` (from the root of its evaluation), where no option is; `siblings` are the ones beside it."""

    path: Path
    value: Any
    source: Source
    siblings: tuple[str, ...]


def unmatched(evaluation: Evaluation) -> list[Unmatched]:
    """All definitions without an option, in the order of their paths."""
    found = list(_walk(evaluation.config, ()))
    found.sort(key=lambda u: u.path)
    return found


def _walk(root: Config, start: Path) -> Iterator[Unmatched]:
    pending: list[tuple[Config, Path]] = [(root, start)]
    while pending:
        config, path = pending.pop()
        known = config.group_.children
        siblings = tuple(name for name in known if path or name != "_module")
        for mapping, source in config.level_:
            for name in mapping.keys() - known.keys():
                yield Unmatched((*path, str(name)), mapping[name], source, siblings)
        pending.extend((config[name], (*path, name)) for name in _defined_groups(config))


def verify(evaluation: Evaluation) -> None:
    """Raise UnknownOptionError for everything that is defined and is no option, and whatever the notices find."""
    errors: list[ModuleError] = []
    if evaluation.freeform is None:
        found = unmatched(evaluation)
        if found and evaluation.config["_module"]["check"]:
            errors = list(_errors(evaluation, found))
    errors.extend(_problems(evaluation))
    if errors:
        report = errors[0] if len(errors) == 1 else EvaluationError(errors)
        report.resume = evaluation.config
        raise report


def _problems(evaluation: Evaluation) -> Iterator[ModuleError]:
    for problem in evaluation.program.problems:
        said = protected(problem, evaluation.config, evaluation.options)
        if isinstance(said, ModuleError):
            yield said


def _errors(evaluation: Evaluation, found: list[Unmatched]) -> Iterator[UnknownOptionError]:
    by_path: dict[Path, list[Unmatched]] = {}
    for one in found:
        by_path.setdefault(one.path, []).append(one)
    declares_nothing = evaluation.program.tree.children.keys() == {"_module"}
    for path, several in by_path.items():
        yield _unknown(evaluation.prefix, path, several, declares_nothing=declares_nothing)


def _unknown(prefix: Path, path: Path, several: list[Unmatched], *, declares_nothing: bool) -> UnknownOptionError:
    full = (*prefix, *path)
    defs = [Def(_unwrapped(u.value), u.source) for u in several]
    close = nearest(path[-1], several[0].siblings)
    names = [show_path((*full[:-1], name)) for name in close]
    return UnknownOptionError(
        f"The option `{show_path(full)}' does not exist",
        path=full,
        place=defs[0].place(full),
        definitions=shown(defs, full),
        suggestions=names,
        hint=_hint(prefix, path, defs, names, declares_nothing=declares_nothing),
    )


def _hint(prefix: Path, path: Path, defs: list[Def], names: list[str], *, declares_nothing: bool) -> str | None:
    if any(isinstance(d.value, Option) for d in defs) or (declares_nothing and not prefix):
        return "It seems as if you're trying to declare an option by placing it into `config' rather than `options'!"
    if declares_nothing:
        return (
            f"There are no options defined in `{show_path(prefix)}'. Are you sure you've declared your options properly? "
            "This can happen if you e.g. declared your options in `types.submodule' under `config' rather than `options'."
        )
    if names:
        return f"Did you mean {or_list(names)}?"
    if len(path) == 1 and path[0] in {"class", "file", "config", "options"}:
        return (
            f"In a module without `config' and `options', `{path[0]}' is an option like any other; write `_{path[0]}'."
        )
    return None


def _unwrapped(value: Any) -> Any:
    while isinstance(value, If | Override):
        value = value.content
    return value.contents[0] if isinstance(value, Merge) and value.contents else value


def free_value(evaluation: Evaluation) -> Mapping[str, Any]:
    """What the freeform type makes of the definitions without an option, computed once."""
    if evaluation.free is None:
        evaluation.free = guarded(_compute_free, evaluation)
    return evaluation.free


def _compute_free(evaluation: Evaluation) -> Mapping[str, Any]:
    defs = [Def(value, source) for value, source in _unmatched_mappings(evaluation.config)]
    if not defs:
        return {}
    value = evaluation.freeform.merge(evaluation.context, evaluation.prefix, defs)
    return value if isinstance(value, Mapping) else {}


def _unmatched_mappings(config: Config) -> Iterator[tuple[dict[str, Any], Source]]:
    """For each module's mapping what has no option in it, nested as it was."""
    known = config.group_.children
    for mapping, source in config.level_:
        rest = {name: mapping[name] for name in mapping.keys() - known.keys()}
        if rest:
            yield rest, source
    for name in _defined_groups(config):
        inner: Config = config[name]
        for rest, source in _unmatched_mappings(inner):
            yield {name: rest}, source


def _defined_groups(config: Config) -> list[str]:
    return [name for name in config.group_.groups if any(name in mapping for mapping, _ in config.level_)]
