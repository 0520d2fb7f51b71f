"""mini's module evaluator and library mean what nixpkgs' mean. Every expectation was taken from nixpkgs' own `lib`."""

from __future__ import annotations

from typing import Any

import pytest

from nix.world import World


pytestmark = pytest.mark.nix

THROWS = "<throws>"

# `ev [modules]` is the configuration, `o type` an option, `od type default` one with a default.
MODULES: dict[str, tuple[str, Any]] = {
    "later modules come first": ('(ev [ { options.l = o L; } { l = ["m1"]; } { l = ["m2"]; } ]).l', ["m2", "m1"]),
    "imported modules come before the importer": (
        (
            '(ev [ { options.l = o L; imports = [ { imports = [ { l = ["c"]; } ]; l = ["b"]; } ]; config.l = ["a"]; }'
            ' { l = ["z"]; } ]).l'
        ),
        ["c", "b", "z", "a"],
    ),
    "options beside configuration are refused": (
        '(ev [ { options.l = o L; imports = [ { l = ["a"]; } ]; l = ["root"]; } ]).l',
        THROWS,
    ),
    "order is what mkOrder says": (
        '(ev [ { options.l = o L; config.l = mkMerge [ (mkAfter ["z"]) ["m"] (mkBefore ["b"]) (mkOrder 100 ["a"]) ]; } ]).l',
        ["a", "b", "m", "z"],
    ),
    "lines are joined in order": (
        '(ev [ { options.l = o types.lines; } { l = "a"; } { l = mkBefore "b"; } { l = mkAfter "c"; } ]).l',
        "b\na\nc",
    ),
    "a plain value beats a default": (
        '(ev [ { options.x = od str "d"; } { x = mkDefault "a"; } { x = "b"; } ]).x',
        "b",
    ),
    "force beats a plain value": ('(ev [ { options.x = od str "d"; } { x = mkForce "a"; } { x = "b"; } ]).x', "a"),
    "different values conflict": ('(ev [ { options.x = o str; } { x = "a"; } { x = "b"; } ]).x', THROWS),
    "equal values do not": ('(ev [ { options.x = o str; } { x = "a"; } { x = "a"; } ]).x', "a"),
    "a false condition lets the default show": (
        '(ev [ { options.x = od str "d"; config.x = mkIf false "a"; } ]).x',
        "d",
    ),
    "a false condition removes a name": (
        '(ev [ { options.x = o (types.attrsOf str); config.x = { a = mkIf false "a"; b = "b"; }; } ]).x',
        {"b": "b"},
    ),
    "a lazy set keeps the name": (
        'builtins.attrNames (ev [ { options.x = o (types.lazyAttrsOf str); } { x = { a = mkIf false "a"; b = "b"; }; } ]).x',
        ["a", "b"],
    ),
    "the default of a set gives way as a whole": (
        '(ev [ { options.x = od (types.attrsOf str) { d = "1"; }; } { x.e = "2"; } ]).x',
        {"e": "2"},
    ),
    "force on a set drops its siblings": (
        '(ev [ { options.x = o (types.attrsOf str); } { x = mkForce { a = "1"; }; } { x.b = "2"; } ]).x',
        {"a": "1"},
    ),
    "force on a leaf keeps them": (
        '(ev [ { options.x = o (types.attrsOf str); } { x.a = mkForce "1"; } { x.a = "3"; x.b = "2"; } ]).x',
        {"a": "1", "b": "2"},
    ),
    "force on a tree of options moves inward": (
        (
            '(ev [ { options.x.a = od str "da"; options.x.b = od str "db"; } { x = mkForce { a = "1"; }; }'
            ' { x.a = "2"; x.b = "2"; } ]).x'
        ),
        {"a": "1", "b": "2"},
    ),
    "a condition may read what it stands in": (
        (
            '(ev [ ({config, ...}: { options.x.en = od types.bool true; options.x.v = od str "no";'
            ' config.x = mkIf config.x.en { v = "yes"; }; }) ]).x'
        ),
        {"en": True, "v": "yes"},
    ),
    "submodules know their names and merge by leaf": (
        (
            "(ev [ { options.s = o (types.attrsOf (types.submodule ({name, ...}: { options.n = od str name;"
            ' options.k = od types.int 1; }))); } { s.a = {}; } { s.a.k = mkForce 3; s.b.n = "z"; } { s.a.k = 5; } ]).s'
        ),
        {"a": {"k": 3, "n": "a"}, "b": {"k": 1, "n": "z"}},
    ),
    "submodules refuse what nobody declared": (
        "(ev [ { options.s = o (types.submodule { options.k = od types.int 1; }); } { s.z = 1; } ]).s",
        THROWS,
    ),
    "unless they have a free form": (
        (
            '(ev [ { options.s = o (types.submodule { freeformType = types.attrsOf types.int; options.k = od str "d"; }); }'
            " { s.z = 5; } ]).s"
        ),
        {"k": "d", "z": 5},
    ),
    "lists of submodules have their defaults": (
        (
            "(ev [ { options.x = o (types.listOf (types.submodule { options.a = od types.int 1; })); }"
            " { x = [ {} { a = 2; } ]; } ]).x"
        ),
        [{"a": 1}, {"a": 2}],
    ),
    "an unknown option is an error": ('ev [ { options.a = od str "x"; } { b = 1; } ]', THROWS),
    "null and a value do not go together": (
        '(ev [ { options.x = o (types.nullOr str); } { x = null; } { x = "a"; } ]).x',
        THROWS,
    ),
    "null is what nobody said": ("(ev [ { options.x = o (types.nullOr str); } ]).x", None),
    "two declarations of an enumeration add up": (
        '(ev [ { options.x = o (types.enum ["a"]); } { options.x = o (types.enum ["b"]); } { x = "b"; } ]).x',
        "b",
    ),
    "two declarations of a submodule add up": (
        (
            "(ev [ { options.x = od (types.submodule { options.p = od types.int 1; }) {}; }"
            " { options.x = o (types.submodule { options.z = od types.int 9; }); } ]).x"
        ),
        {"p": 1, "z": 9},
    ),
    "values are coerced": ("(ev [ { options.x = o (types.coercedTo types.int toString str); } { x = 3; } ]).x", "3"),
    "one of two types is enough": ('(ev [ { options.x = o (types.either types.int str); } { x = "s"; } ]).x', "s"),
    "conditions stand in lists too": (
        "(ev [ { options.x = o (types.listOf types.int); } { x = [ 1 (mkIf false 2) 3 ]; } ]).x",
        [1, 3],
    ),
    "anything is merged by what it is": (
        "(ev [ { options.x = o types.anything; } { x.a.b = 1; } { x.a.c = mkDefault 2; } ]).x",
        {"a": {"b": 1, "c": 2}},
    ),
    "arguments come from the configuration": (
        '(ev [ ({foo, ...}: { options.x = o str; config.x = foo; }) { _module.args.foo = "hi"; } ]).x',
        "hi",
    ),
    "a key counts once": (
        '(ev [ { options.l = o L; } { key = "k"; config.l = ["pear"]; } { key = "k"; config.l = ["pear"]; } ]).l',
        ["pear"],
    ),
    "modules can be disabled by key": (
        (
            '(ev [ { options.l = od L []; } { key = "k1"; config.l = ["x"]; } { key = "k2"; config.l = ["kept"]; }'
            ' { disabledModules = [ { key = "k1"; } ]; } ]).l'
        ),
        ["kept"],
    ),
    "read only is read only": (
        '(ev [ { options.x = mkOption { type = str; readOnly = true; default = "a"; }; } { x = "b"; } ]).x',
        THROWS,
    ),
    "apply has the last word": (
        "(ev [ { options.x = mkOption { type = types.int; apply = x: x + 1; }; } { x = 1; } ]).x",
        2,
    ),
    "unique is unique": ('(ev [ { options.x = o (types.uniq str); } { x = "a"; } { x = "a"; } ]).x', THROWS),
    "deferred modules are kept apart": (
        "builtins.length (ev [ { options.x = o types.deferredModule; } { x = {}; } { x = {}; } ]).x.imports",
        2,
    ),
    "deferred modules are evaluated by who imports them": (
        (
            "(ev [ { options.m = o types.deferredModule; options.r = o types.raw; } ({config, ...}: {"
            ' m.options.q = od str "q"; r = (lib.evalModules { modules = [ config.m { q = "w"; } ]; }).config.q; }) ]).r'
        ),
        "w",
    ),
    "options tell about themselves": (
        (
            '{ inherit ((lib.evalModules { modules = [ { options.x = od str "d"; } { x = mkDefault "q"; } ]; }).options.x)'
            " isDefined highestPrio; }"
        ),
        {"isDefined": True, "highestPrio": 1000},
    ),
    "a port has an end": ("(ev [ { options.x = o types.port; } { x = 65536; } ]).x", THROWS),
    "or is or": ("(ev [ { options.x = o types.boolByOr; } { x = true; } { x = false; } ]).x", True),
    "an evaluation can be extended": (
        (
            '((lib.evalModules { modules = [ { options.x = od str "a"; } ]; }).extendModules {'
            ' modules = [ { x = "b"; } ]; }).config.x'
        ),
        "b",
    ),
    "defaults of one strength add up in order": (
        "(ev [ { options.x = od (types.listOf types.int) [1]; } { x = lib.mkOptionDefault [2]; } ]).x",
        [1, 2],
    ),
    "a renamed option leads to the new one": (
        (
            '(ev [ (lib.mkRenamedOptionModule ["a" "old"] ["a" "new"]) { options.a.new = o str;'
            ' options.warnings = od L []; } { a.old = "v"; } ]).a.new'
        ),
        "v",
    ),
}

FUNCTIONS: dict[str, Any] = {
    'lib.hasInfix "b.c" "ab.cd"': True,
    'lib.splitString "." "a.b.c"': ["a", "b", "c"],
    'lib.removeSuffix "c" "abc"': "ab",
    'lib.escapeShellArg "a b\'c"': "'a b'\\''c'",
    'lib.versionAtLeast "2.8" "2.10"': False,
    'lib.trim "  x "': "x",
    'lib.fixedWidthString 5 "0" "12"': "00012",
    "lib.unique [1 2 1]": [1, 2],
    "lib.flatten [1 [2 [3]]]": [1, 2, 3],
    "lib.foldr (a: b: a - b) 0 [1 2 3]": 2,
    "lib.imap1 (i: v: i + v) [1 1]": [2, 3],
    "lib.sortOn (x: -x) [1 3 2]": [3, 2, 1],
    'lib.naturalSort ["a10" "a9"]': ["a9", "a10"],
    "lib.filterAttrs (n: v: v > 1) { a = 1; b = 2; }": {"b": 2},
    "lib.recursiveUpdate { a.b = 1; a.c = 2; } { a.c = 3; }": {"a": {"b": 1, "c": 3}},
    "lib.mapAttrsRecursive (p: v: p) { a.b = 1; }": {"a": {"b": ["a", "b"]}},
    "lib.cartesianProduct { a = [1 2]; b = [3]; }": [{"a": 1, "b": 3}, {"a": 2, "b": 3}],
    'lib.generators.toINI {} { a = { x = 1; y = true; }; b.z = "q"; }': "[a]\nx=1\ny=true\n\n[b]\nz=q\n",
    'lib.generators.toGitINI { user.name = "x"; remote.origin.url = "u"; }': (
        '[remote "origin"]\n\turl = "u"\n\n[user]\n\tname = "x"\n'
    ),
    'lib.getName "hello-2.1"': "hello",
    'lib.escapeXML "<a&b>"': "&lt;a&amp;b&gt;",
    'lib.toShellVar "a" "b c"': "a='b c'",
}

SYSTEM = (
    'let sys = ms: (lib.nixosSystem { modules = ms ++ [ { nixpkgs.hostPlatform = "x86_64-linux"; } ]; }).config; in'
)
SYSTEMS: dict[str, tuple[str, Any]] = {
    "what nobody declares is merged by what it is": (
        "(sys [ { services.x = { list = [1]; a.b = true; }; } { services.x = { list = [2]; a.c = 1; }; } ]).services.x",
        {"list": [2, 1], "a": {"b": True, "c": 1}},
    ),
    "priorities hold there too": (
        "(sys [ { services.x.y = lib.mkDefault 1; } { services.x.y = 2; } ]).services.x.y",
        2,
    ),
    "one service may depend on another": (
        (
            "(sys [ ({ config, ... }: { services.a = lib.mkIf config.services.b.enable { on = true; }; })"
            " { services.b.enable = true; } ]).services.a.on"
        ),
        True,
    ),
    "what is declared is checked": ('(sys [ { users.users.ada.uid = "x"; } ]).users.users.ada.uid', THROWS),
    "every setting reaches what is built": (
        "let f = n: (sys [ { services.x.y = n; } ]).system.build.toplevel.drvPath; in f 1 == f 1 && f 1 != f 2",
        True,
    ),
    "overlays change packages": (
        (
            "map (p: p.name) (sys [ ({ pkgs, ... }: { environment.systemPackages = [ pkgs.git ]; nixpkgs.overlays = [ (final: prev: {"
            ' git = prev.git.overrideAttrs (old: { version = "9"; }); }) ]; }) ]).environment.systemPackages'
        ),
        ["git-9", "bash-5.2.37", "coreutils-9.7"],
    ),
}


async def values(world: World, expressions: dict[str, str], prelude: str = "") -> dict[str, Any]:
    """The values of many expressions from one process."""
    setup = (
        "inherit (lib) mkOption types mkIf mkForce mkDefault mkMerge mkBefore mkAfter mkOrder; inherit (types) str;"
        " ev = ms: (lib.evalModules { modules = ms; }).config; o = type: mkOption { inherit type; };"
        " od = type: default: mkOption { inherit type default; }; L = types.listOf str;"
        f' t = v: let r = builtins.tryEval (builtins.deepSeq v v); in if r.success then r.value else "{THROWS}";'
    )
    cases = " ".join(f'"{n}" = t ({text});' for n, text in enumerate(expressions.values()))
    found = await world.eval(f"{prelude} let {setup} in {{ {cases} }}")
    return {name: found[str(n)] for n, name in enumerate(expressions)}


async def test_modules_mean_what_they_mean_in_nixpkgs(world: World) -> None:
    found = await values(world, {name: text for name, (text, _) in MODULES.items()})

    assert found == {name: expected for name, (_, expected) in MODULES.items()}


async def test_functions_mean_what_they_mean_in_nixpkgs(world: World) -> None:
    assert await values(world, {text: text for text in FUNCTIONS}) == FUNCTIONS


async def test_systems_take_what_nobody_declares(world: World) -> None:
    found = await values(world, {name: text for name, (text, _) in SYSTEMS.items()}, SYSTEM)

    assert found == {name: expected for name, (_, expected) in SYSTEMS.items()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '(lib.evalModules { modules = [ { options.nginx.enable = lib.mkEnableOption "x"; } { nginx.enabel = true; } ]; }).config',
            "The option `nginx.enabel' does not exist.",
        ),
        ('(lib.evalModules { modules = [ { options.x = lib.mkOption { }; } { x = throw "why"; } ]; }).config.x', "why"),
        ("(lib.nixosSystem { modules = [ ]; }).config.system.build.toplevel.drvPath", "nixpkgs.hostPlatform"),
        ('(lib.nixosSystem { system = "riscv"; modules = [ ]; }).pkgs.git.name', "no platform 'riscv'"),
    ],
)
async def test_errors_say_what_is_wrong(world: World, text: str, said: str) -> None:
    done = await world.try_eval(text)

    assert done.status != 0
    assert said in done.stderr
