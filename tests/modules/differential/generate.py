"""Random module sets: options, types, priorities, conditions, order, submodules, lists, freeform, imports, keys."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st


WORDS = ["a", "b", "c", "d"]
STRINGS = ["x", "y", "z", "", "one two", "3", "/etc", "yy"]
ATOM_TYPES = [
    *("int", "str", "bool", "enum", "lines", "float", "number", "between", "port", "positive", "unsigned"),
    *("commas", "separated", "nonEmptyStr", "strMatching", "boolByOr", "path", "str", "int", "bool"),
]
OTHER_TYPES = [
    *("listOf", "attrsOf", "nullOr", "lazyAttrsOf", "submodule", "either", "unique", "anything", "raw"),
    *("nonEmptyListOf", "coercedTo", "unspecified", "attrTag", "submodule", "listOf", "attrsOf", "submoduleWith"),
]
Kind = list[Any]
COERCIONS: list[Kind] = [
    ["coercedTo", ["int"], "toString", ["str"]],
    ["coercedTo", ["str"], "length", ["int"]],
    ["coercedTo", ["str"], "listify", ["listOf", ["str"]]],
    ["coercedTo", ["int"], "wrap", ["attrsOf", ["int"]]],
    ["coercedTo", ["bool"], "toString", ["lines"]],
]
FUNCTIONS_BY_TYPE = {"int": "toString", "str": "length"}


class Maker:
    """Draws one module set. `config` paths that may be referred to come before those that refer to them: no cycles."""

    def __init__(self, some: Callable[[int, int], int]) -> None:
        self.some = some
        self.files = 0

    def one(self, items: list[Any]) -> Any:
        return items[self.some(0, len(items) - 1)]

    def chance(self, percent: int) -> bool:
        # Hypothesis shrinks towards 0, which is "no".
        return self.some(0, 99) >= 100 - percent

    # Types

    def atom_type(self) -> Kind:
        name = self.one(ATOM_TYPES)
        low = self.some(-3, 3)
        parameters: dict[str, list[Any]] = {
            "enum": [[self.one(["x", "y", "z", 1, 2]) for _ in range(self.some(1, 3))]],
            "between": [low, low + self.some(0, 5)],
            "separated": [self.one([" ", ";", ""])],
            "strMatching": [self.one(["[a-z]+", "x?y*", "[0-9]"])],
        }
        return [name, *parameters.get(name, [])]

    def type_(self, depth: int) -> Kind:
        if depth <= 0 or self.chance(45):
            return self.atom_type()
        name = self.one(OTHER_TYPES)
        if name in {"anything", "raw", "unspecified"}:
            return [name]
        if name == "either":
            return ["either", self.type_(depth - 1), self.type_(depth - 1)]
        if name == "coercedTo":
            found: Kind = self.one(COERCIONS)
            return found
        return [name, self.inner_of(name, depth - 1)]

    def inner_of(self, name: str, depth: int) -> Any:
        if name == "attrTag":
            return {n: {"option": {"type": self.type_(depth)}} for n in self.names(1, 3)}
        if name in {"submodule", "submoduleWith"}:
            return [self.module(depth, top=False) for _ in range(self.some(1, 2))]
        return self.type_(depth)

    def names(self, low: int, high: int) -> list[str]:
        count = self.some(low, high)
        start = self.some(0, len(WORDS) - 1)
        return [WORDS[(start + n) % len(WORDS)] for n in range(count)]

    # Values

    def junk(self, depth: int) -> Any:
        which = self.some(0, 9 if depth > 0 else 6)
        flat: list[Any] = [self.some(-2, 6), self.one(STRINGS), self.chance(50), None, self.some(-2, 6) + 0.5]
        if which < len(flat):
            return {"v": flat[which]}
        if which <= 6:
            return {"list": []} if which == 5 else {"set": {}}
        if which <= 8:
            return {"set": {n: self.junk(depth - 1) for n in self.names(1, 2)}}
        return {"list": [self.junk(depth - 1) for _ in range(self.some(1, 2))]}

    def plain(self, kind: Kind, depth: int) -> Any:
        """A value that mostly fits the type."""
        if self.chance(8):
            return self.junk(1)
        if self.may_refer and self.chance(10):
            return {"ref": self.one([path for path, _ in self.refs])}
        atom = self.atom(kind)
        return self.composite(kind, depth) if atom is None else {"v": atom[0]}

    def atom(self, kind: Kind) -> list[Any] | None:
        match kind[0]:
            case "int" | "unsigned" | "positive" | "port" | "between":
                return [self.some(-1, 4)]
            case "float" | "number":
                return [self.some(0, 3) + (0.5 if kind[0] == "float" else self.one([0, 0.5]))]
            case "bool" | "boolByOr":
                return [self.chance(50)]
            case "enum":
                return [self.one([*kind[1], "z"])]
            case "str" | "lines" | "commas" | "separated" | "nonEmptyStr" | "strMatching" | "path":
                return [self.one(STRINGS)]
        return None

    def composite(self, kind: Kind, depth: int) -> Any:
        match kind[0]:
            case "listOf" | "nonEmptyListOf":
                return {"list": [self.value(kind[1], depth - 1) for _ in range(self.some(0, 3))]}
            case "attrsOf" | "lazyAttrsOf":
                return {"set": {n: self.value(kind[1], depth - 1) for n in self.names(0, 3)}}
            case "attrTag":
                tag = self.one(list(kind[1]))
                return {"set": {tag: self.value(kind[1][tag]["option"]["type"], depth - 1)}}
            case "submodule" | "submoduleWith":
                return self.config_for(self.declared(kind[1]), depth - 1)
            case "nullOr" if self.chance(25):
                return {"v": None}
        parts = [kind[1], kind[3]] if kind[0] == "coercedTo" else kind[1:]
        return self.junk(2) if kind[0] in {"anything", "raw", "unspecified"} else self.plain(self.one(parts), depth)

    def value(self, kind: Kind, depth: int) -> Any:
        """A value in wrappers, mostly nested as they may be."""
        made = self.plain(kind, depth)
        if self.chance(15) and not is_module(kind):
            made = {"order": [self.one([500, 1500, 1000, 200]), made]}
        if self.chance(25):
            made = {"override": [self.one([50, 1000, 1500, 100, 10, 900]), made]}
        if self.chance(4) and not is_module(kind):
            made = {"definition": made}
        if self.chance(15):
            made = {"if": [self.condition(), made]}
        if self.chance(8):
            others = [self.value(kind, depth - 1) for _ in range(self.some(0, 1))]
            made = {"merge": [made, *others]}
        if self.chance(2) and not is_module(kind):
            made = {"order": [500, made]}
        if self.chance(2):
            made = {"override": [50, made]}
        return made

    refs: list[tuple[list[str], Kind]] = []  # noqa: RUF012  # replaced for each case
    may_refer = False

    def condition(self) -> Any:
        bools = [path for path, kind in self.refs if kind[0] == "bool"] if self.may_refer else []
        if bools and self.chance(40):
            made: Any = {"ref": self.one(bools)}
            return {"not": made} if self.chance(30) else made
        if self.may_refer and self.refs and self.chance(15):
            return {"isDefined": self.one([path for path, _ in self.refs])}
        return self.chance(60)

    # Modules

    def tree(self, depth: int, *, groups: bool = True) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name in self.names(1, 3):
            if groups and self.chance(15):
                made[name] = {"group": self.tree(depth - 1, groups=False)}
            else:
                made[name] = {"option": self.option(depth)}
        return made

    def option(self, depth: int) -> dict[str, Any]:
        kind = self.type_(depth)
        made: dict[str, Any] = {"type": kind}
        if self.chance(40):
            made["default"] = self.plain(kind, depth)
        if self.chance(5):
            made["readOnly"] = True
        if kind[0] in FUNCTIONS_BY_TYPE and self.chance(8):
            made["apply"] = FUNCTIONS_BY_TYPE[kind[0]]
        return made

    def declared(self, modules: list[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for module in modules:
            for name, tree in module.get("options", {}).items():
                if name in found and "group" in found[name] and "group" in tree:
                    found[name] = {"group": {**found[name]["group"], **tree["group"]}}
                else:
                    found[name] = tree
            found.update(self.declared(module.get("imports", [])))
        return found

    def config_for(self, tree: dict[str, Any], depth: int) -> Any:
        """Definitions of some of these options, now and then of one that does not exist."""
        made: dict[str, Any] = {}
        for name, child in tree.items():
            if not self.chance(70):
                continue
            if "group" in child:
                made[name] = self.config_for(child["group"], depth)
            else:
                made[name] = self.value(child["option"]["type"], depth)
        if self.chance(2):
            made["e"] = self.junk(1)
        return self.around({"set": made})

    def around(self, made: Any) -> Any:
        """Now and then a wrapper around a whole set."""
        if self.chance(7):
            made = {"override": [self.one([50, 1000]), made]}
        if self.chance(8):
            made = {"if": [self.condition(), made]}
        if self.chance(6):
            made = {"merge": [made]}
        return made

    def module(self, depth: int, *, top: bool) -> dict[str, Any]:
        self.files += 1
        made: dict[str, Any] = {"file": f"m{self.files}", "structured": True, "function": False}
        made["options"] = self.tree(depth)
        made["config"] = self.config_for(made["options"], depth) if self.chance(25) else {"set": {}}
        if not top and self.chance(12):
            made["freeform"] = self.one(
                [["attrsOf", ["int"]], ["lazyAttrsOf", ["str"]], ["anything"], ["attrsOf", ["anything"]]]
            )
        if self.chance(10):
            made["imports"] = [self.module(depth - 1, top=False)]
        return made

    def defining(self, tree: dict[str, Any], depth: int, *, deep: int = 1) -> dict[str, Any]:
        self.files += 1
        made: dict[str, Any] = {"file": f"m{self.files}", "structured": self.chance(50), "function": self.chance(50)}
        self.may_refer = made["function"]
        made["config"] = self.config_for(tree, depth)
        if set(made["config"]) != {"set"}:
            made["structured"] = True
        self.may_refer = False
        if self.chance(20):
            made["key"] = self.one(["k1", "k2"])
        if deep and self.chance(30):
            made["imports"] = [self.defining(tree, depth, deep=deep - 1) for _ in range(self.some(1, 2))]
        if self.chance(6):
            made["disabled"] = [self.one(["k1", "k2"])]
        return made

    def case(self) -> dict[str, Any]:
        declaring = [self.module(2, top=True)]
        if self.chance(30):
            declaring.append(self.module(1, top=True))
        if self.chance(15) and not refined(declaring[0]):
            declaring.append(
                {**declaring[0], "config": {"set": {}}, "file": "again"} if self.chance(50) else declaring[0]
            )
        # Conditions may read these: nothing in their own definitions is conditional on anything else.
        base: dict[str, Any] = {
            "file": "base",
            "structured": True,
            "function": False,
            "options": {"on": self._bool(), "off": self._bool()},
        }
        base["options"]["n"] = {"group": {"n": {"option": {"type": ["int"], "default": {"v": 3}}}}}
        base["config"] = {"set": {"on": {"v": True}, "off": {"override": [1000, {"v": False}]}}}
        self.refs = [(["on"], ["bool"]), (["off"], ["bool"]), (["n", "n"], ["int"])]
        tree = self.declared(declaring)
        if self.chance(25):
            base["freeform"] = self.one([["attrsOf", ["anything"]], ["lazyAttrsOf", ["int"]], ["anything"]])
        declaring += self.renames(tree)
        modules = [base, *declaring, *(self.defining(tree, 2) for _ in range(self.some(0, 4)))]
        return {"modules": modules}

    def renames(self, tree: dict[str, Any]) -> list[dict[str, Any]]:
        """Modules for former names of options; definitions use both."""
        made = []
        for name in [n for n, child in tree.items() if "option" in child and self.chance(6)]:
            old = [f"old-{name}"] if self.chance(50) else ["former", name]
            made.append({self.one(["rename", "alias"]): [old, [name]]})
            place = tree
            for part in old[:-1]:
                place = place.setdefault(part, {"group": {}})["group"]
            place[old[-1]] = tree[name]
        return made

    def _bool(self) -> dict[str, Any]:
        return {"option": {"type": ["bool"], "default": {"v": False}}}


def refined(described: Any) -> bool:
    """Whether a type is in it whose check Nix forgets when it is declared twice, which is not done here."""
    if isinstance(described, dict):
        return any(map(refined, described.values()))
    if isinstance(described, list):
        return described[:1] in REFINED or any(map(refined, described))
    return False


def is_module(kind: Kind) -> bool:
    """Whether a definition is a module: an order or a file around one breaks in Nix, by an accident that is not copied."""
    if kind[0] in {"nullOr", "unique", "either", "coercedTo"}:
        return any(is_module(inner) for inner in kind[1:] if isinstance(inner, list))
    return kind[0] in {"submodule", "submoduleWith"}


REFINED = [["port"], ["positive"], ["unsigned"], ["between"], ["nonEmptyListOf"]]


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    """A module set as data."""
    return Maker(lambda low, high: draw(st.integers(low, high))).case()


def case_of(seed: int) -> dict[str, Any]:
    """The module set of a number: as random as can be, where hypothesis likes small and repeated ones."""
    return Maker(random.Random(seed).randint).case()
