"""Builds module sets from a description and evaluates them here. `interpret.nix` does the same with nixpkgs' lib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.modules import (
    ModuleError,
    evaluate,
    lazy,
    mk_alias_option_module,
    mk_definition,
    mk_if,
    mk_merge,
    mk_order,
    mk_override,
    mk_renamed_option_module,
    option,
    to_data,
)
from clanpy.modules import types as t


Case = Mapping[str, Any]

FUNCTIONS: dict[str, Any] = {
    "toString": lambda x: {True: "1", False: ""}.get(x, str(x)) if isinstance(x, bool) else str(x),
    "listify": lambda x: [x],
    "wrap": lambda x: {"value": x},
    "length": len,
}
PLAIN: dict[str, Any] = {
    "int": t.int,
    "str": t.str,
    "bool": t.bool,
    "float": t.float,
    "number": t.number,
    "path": t.path,
    "port": t.port,
    "positive": t.ints.positive,
    "unsigned": t.ints.unsigned,
    "lines": t.lines,
    "commas": t.commas,
    "nonEmptyStr": t.non_empty_str,
    "boolByOr": t.bool_by_or,
    "anything": t.anything,
    "raw": t.raw,
    "unspecified": t.unspecified,
}
AROUND: dict[str, Any] = {
    "listOf": t.list_of,
    "nonEmptyListOf": t.non_empty_list_of,
    "attrsOf": t.attrs_of,
    "lazyAttrsOf": t.lazy_attrs_of,
    "nullOr": t.null_or,
    "unique": lambda inner: t.unique(inner, message="only once"),
}


WITH: dict[str, Any] = {
    "between": t.ints.between,
    "separated": t.separated_string,
    "strMatching": t.str_matching,
    "enum": t.enum,
    "either": lambda left, right: t.either(mk_type(left), mk_type(right)),
    "coercedTo": lambda source, name, target: t.coerced_to(mk_type(source), FUNCTIONS[name], mk_type(target)),
    "attrTag": lambda tags: t.attr_tag({n: mk_tree(o) for n, o in tags.items()}),
    "submodule": lambda modules: t.submodule([mk_module(m) for m in modules]),
    "submoduleWith": lambda modules: t.submodule_with(modules=[mk_module(m) for m in modules]),
}


def mk_type(described: Any) -> t.Type:
    name, *args = described
    if name in PLAIN:
        made: t.Type = PLAIN[name]
    elif name in AROUND:
        made = AROUND[name](mk_type(args[0]))
    else:
        made = WITH[name](*args)
    return made


def mk_tree(tree: Any) -> Any:
    if "group" in tree:
        return {n: mk_tree(child) for n, child in tree["group"].items()}
    described = tree["option"]
    more: dict[str, Any] = {}
    if "default" in described:
        more["default"] = mk_value(None, described["default"])
    if "apply" in described:
        more["apply"] = FUNCTIONS[described["apply"]]
    return option(mk_type(described["type"]), read_only=described.get("readOnly", False), **more)


def mk_condition(args: Any, condition: Any) -> Any:
    if isinstance(condition, bool):
        return condition
    if "not" in condition:
        inner = condition["not"]
        return lazy(lambda: not value_of(mk_condition(args, inner)))
    if "isDefined" in condition:
        return lazy(lambda: at(args["options"], condition["isDefined"]).is_defined)
    return lazy(lambda: at(args["config"], condition["ref"]))


def value_of(condition: Any) -> Any:
    from clanpy.modules import force  # noqa: PLC0415  # only here

    return force(condition)


def at(value: Any, path: list[str]) -> Any:
    for name in path:
        value = value[name]
    return value


def mk_value(args: Any, value: Any) -> Any:  # noqa: PLR0911  # one for each form
    ((form, content),) = value.items()
    match form:
        case "v":
            return content
        case "set":
            return {n: mk_value(args, v) for n, v in content.items()}
        case "list":
            return [mk_value(args, v) for v in content]
        case "if":
            return mk_if(mk_condition(args, content[0]), mk_value(args, content[1]))
        case "merge":
            return mk_merge([mk_value(args, v) for v in content])
        case "override":
            return mk_override(content[0], mk_value(args, content[1]))
        case "order":
            return mk_order(content[0], mk_value(args, content[1]))
        case "definition":
            return mk_definition(file="elsewhere", value=mk_value(args, content))
        case _:
            # Both ways of writing it: what `config` answers while modules are collected, and a function.
            return lazy(lambda: at(args["config"], content)) if len(content) % 2 else at(args["config"], content)


def mk_module(m: Any) -> Any:
    if "rename" in m:
        return mk_renamed_option_module(*m["rename"])
    if "alias" in m:
        return mk_alias_option_module(*m["alias"])

    def body(args: Any) -> dict[str, Any]:
        made: dict[str, Any] = {"_file": m["file"]}
        if "key" in m:
            made["key"] = m["key"]
        if "imports" in m:
            made["imports"] = [mk_module(i) for i in m["imports"]]
        if "disabled" in m:
            made["disabled_modules"] = [{"key": k} for k in m["disabled"]]
        if "freeform" in m:
            made["freeform_type"] = mk_type(m["freeform"])
        if "options" in m or m["structured"]:
            made["options"] = {n: mk_tree(tree) for n, tree in m.get("options", {}).items()}
            made["config"] = mk_value(args, m["config"])
        else:
            made |= mk_value(args, m["config"])
        return made

    if m["function"]:
        return lambda config, options: body({"config": config, "options": options})
    return body({})


def errors_of(case: Case, name: str | None) -> tuple[ModuleError, ...]:
    """All errors of a module set, or those that are found below one option at the top."""
    result = evaluate([mk_module(m) for m in case["modules"]])
    return result.errors(where=lambda path: name is None or path[0] == name)


def outcome(case: Case) -> dict[str, Any]:
    """For each option at the top its value, or which kind of error it has; or the error of everything."""
    try:
        config = evaluate([mk_module(m) for m in case["modules"]]).config
        names = list(config)
    except ModuleError as error:
        return {"failed": error}
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = {"value": to_data(config[name])}
        except ModuleError as error:
            found[name] = {"failed": error}
    return {"config": found}
