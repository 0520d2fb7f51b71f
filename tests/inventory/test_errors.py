"""Every kind of mistake: its code, its place, its hint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clanpy.errors import CombinedError
from clanpy.inventory import load
from support.fleets import CONFIGURATIONS, META, TWO, errors, line_of, write


@dataclass(frozen=True)
class Mistake:
    """A mistake in a fleet. `at` is a part of the line that is to be named."""

    name: str
    inventory: str
    code: str
    says: str
    at: str | None = None
    hint: str | None = None
    file: str = "inventory.toml"
    files: dict[str, str | bytes] = field(default_factory=dict)


ALPHA = '[machines.alpha]\nclass = "nixos"\nsystem = "x86_64-linux"\n'
NIX = "{ ... }: { }\n"

MISTAKES = [
    Mistake("syntax", META + "[machines.alpha\n", "CP0110", "is no TOML", "[machines.alpha"),
    Mistake("end of a file inside of a list", META + "tags = [", "CP0110", "is no TOML", "tags = ["),
    Mistake("a key twice", META + ALPHA + 'class = "nixos"\n', "CP0110", "a key is written twice"),
    Mistake("a table twice", META + ALPHA + ALPHA, "CP0110", "table [machines.alpha] is written twice"),
    Mistake("a date", META + ALPHA + "description = 2026-01-01\n", "CP0110", "date or time", "2026", "write it as a string"),
    Mistake("no number", META + ALPHA + "installed_at = nan\n", "CP0110", "'machines.alpha.installed_at' is a number nan", "nan"),
    Mistake("not UTF-8", TWO, "CP0111", "byte 0xff", None, "UTF-8", "inventory/x.toml", {"inventory/x.toml": b"# \xff\n"}),
    Mistake("nesting", TWO + "x = " + "[" * 80 + "]" * 80, "CP0111", "levels deep"),
    Mistake("deep nesting", TWO + "x = " + "[" * 9000 + "]" * 9000, "CP0111", "nested too deeply"),
    Mistake(
        "Python that raises",
        TWO,
        "CP0112",
        "ZeroDivisionError",
        "1 / 0",
        None,
        "modules/x.py",
        {"modules/x.py": "def fleet(ctx):\n    return 1 / 0\n"},
    ),
    Mistake(
        "Python that is none", TWO, "CP0112", "no Python", "def fleet(", None, "modules/x.py", {"modules/x.py": "def fleet(\n"}
    ),
    Mistake(
        "Python without a fleet", TWO, "CP0112", "gives no 'module' and no 'fleet'", None, "fleet(ctx)", "modules/x.py", {"modules/x.py": "x = 1\n"}
    ),
    Mistake(
        "Python with a function in its data",
        TWO,
        "CP0112",
        "'meta.name' is a builtin_function_or_method",
        None,
        None,
        "modules/x.py",
        {"modules/x.py": "fleet = {'meta': {'name': len}}\n"},
    ),
    Mistake("unknown key at the top", META + "[machine.alpha]\n", "CP0113", "unknown key 'machine'", "[machine.alpha]", "'machines'"),
    Mistake("unknown key of a machine", META + ALPHA + "tagz = []\n", "CP0113", "'tagz' in 'machines.alpha'", "tagz", "'tags'"),
    Mistake("unknown key far from any", META + ALPHA + "xyzzy = 1\n", "CP0113", "'xyzzy'", "xyzzy", "known here: name, class"),
    Mistake("two spellings", META + ALPHA + 'machineClass = "nixos"\n', "CP0113", "two spellings", "machineClass"),
    Mistake("wrong type", META + ALPHA + 'tags = "web"\n', "CP0114", "a list of strings and is a string ('web')", "tags"),
    Mistake("wrong element", META + ALPHA + 'tags = ["web", 3]\n', "CP0114", "'machines.alpha.tags.1' should be a string", "3]"),
    Mistake("wrong word", META + '[machines.a]\nclass = "nixso"\nsystem = "x86_64-linux"\n', "CP0114", "'nixos' or 'darwin'", "nixso", "'nixos'"),
    Mistake("a truth that is a number", META + ALPHA + "installed_at = true\n", "CP0114", "a boolean (True)", "installed_at"),
    Mistake("bad system", META + '[machines.a]\nclass = "nixos"\nsystem = "pdp11"\n', "CP0114", "a system such as", "pdp11", "x86_64-linux"),
    Mistake("bad domain", '[meta]\nname = "x"\ndomain = "a b"\n', "CP0114", "a domain name", "domain"),
    Mistake("no name", "[meta]\n", "CP0115", "the fleet has no name", "[meta]", 'name = "…"'),
    Mistake("no class", META + '[machines.alpha]\nsystem = "x86_64-linux"\n', "CP0115", "has no class", "[machines.alpha]", "class ="),
    Mistake("no system", META + '[machines.alpha]\nclass = "nixos"\n', "CP0115", "has no system", "[machines.alpha]", "system ="),
    Mistake(
        "conflict of two files",
        META + ALPHA + 'description = "one"\n',
        "CP0116",
        "'machines.alpha.description' has conflicting values",
        "description",
        "_force",
        "inventory/more.toml",
        {"inventory/more.toml": '[machines.alpha]\ndescription = "two"\n'},
    ),
    Mistake("unknown machine of a tag", TWO + '[tags]\nx = ["alpah"]\n', "CP0117", "tag 'x' names the machine 'alpah'", 'x = ["alpah"]', "'alpha'"),
    Mistake("unknown aspect of a tag", TWO + '[tags.web]\nimports = ["bsae"]\n', "CP0117", "nixos aspect 'bsae'", "bsae", "'base'", files={"modules/nixos/base.nix": NIX}),
    Mistake("unknown aspect of a machine", META + ALPHA + 'imports = ["nope"]\n', "CP0117", "nixos aspect 'nope'", "nope"),
    Mistake("unknown aspect of a user", TWO + '[users.ann]\nimports = ["cor"]\n', "CP0117", "home aspect 'cor'", '["cor"]', "'core'", files={"modules/home/core.nix": NIX}),
    Mistake("unknown primary user", META + ALPHA + 'primary_user = "anne"\n[users.ann]\n', "CP0117", "primary_user of machine 'alpha'", "anne", "'ann'"),
    Mistake("unknown admin user", META + ALPHA + 'admin_user = "bob"\n[users.ann]\n', "CP0117", "admin_user of machine 'alpha'", "bob", "known: ann"),
    Mistake("unknown machine of a role", TWO + '[instances.sshd.roles.server]\nmachines = ["gamma", "bata"]\n', "CP0117", "the machine 'bata'", "bata", "'beta'"),
    Mistake("unknown tag of a role", TWO + '[instances.sshd.roles.server]\ntags = ["wbe"]\n', "CP0117", "the tag 'wbe'", "wbe", "'web'"),
    Mistake("unknown extra module", TWO + '[instances.sshd.roles.server]\ntags = ["web"]\nextra_modules = ["nope"]\n', "CP0117", "nixos aspect 'nope'", "nope"),
    Mistake(
        "unknown user in settings",
        TWO + '[users.tara]\n[instances.users.roles.default]\nmachines = ["alpha"]\nsettings.user = "taar"\n',
        "CP0117",
        "names the user 'taar'",
        "taar",
        "'tara'",
    ),
    Mistake(
        "unknown home aspect in settings",
        TWO + '[users.tara]\n[instances.users.roles.default]\nmachines = ["alpha"]\nsettings = { user = "tara", imports = ["nope"] }\n',
        "CP0117",
        "names the home aspect 'nope'",
        "nope",
    ),
    Mistake("class and system", META + '[machines.a]\nclass = "darwin"\nsystem = "x86_64-linux"\n', "CP0118", "of class darwin, but its system is x86_64-linux", "system", "-darwin"),
    Mistake("another class only", TWO + '[tags]\nall = { imports = ["base"] }\n', "CP0118", "for class darwin, but it exists only for nixos", 'imports = ["base"]', "modules/darwin/base.nix", files={"modules/nixos/base.nix": NIX}),
    Mistake("another name inside", META + ALPHA + 'name = "beta"\n', "CP0118", "calls itself 'beta'", 'name = "beta"'),
    Mistake("bad target", META + ALPHA + 'deploy.target_host = "root@"\n', "CP0119", "target_host of machine 'alpha' is 'root@'", "root@", "[user@]host[:port]"),
    Mistake("bad port", META + ALPHA + 'deploy.target_host = "root@a:99999"\n', "CP0119", "'root@a:99999'", "99999"),
    Mistake("bad build host", META + ALPHA + 'deploy.build_host = "a b"\n', "CP0119", "build_host of machine 'alpha'", "a b"),
    Mistake("one bad target of several", META + ALPHA + 'deploy.target_host = ["a", "b c"]\n', "CP0119", "'b c'", "b c"),
    Mistake("a folder without an entry", TWO, "CP0120", "machines/alpah belongs to no machine", None, "'alpha'", "machines/alpah", {"machines/alpah/configuration.nix": NIX}),
    Mistake("an alias of two", TWO + '[users.ann]\naliases = ["x"]\n[users.bob]\naliases = ["x"]\n', "CP0121", "alias of both 'ann' and 'bob'"),
    Mistake("an alias that is somebody", TWO + '[users.ann]\naliases = ["bob"]\n[users.bob]\n', "CP0121", "is a user of its own", "aliases"),
    Mistake(
        "one account twice",
        TWO + '[users.ann]\n[instances.i.roles.default]\nmachines = ["alpha"]\nsettings.user = "ann"\n[instances.i.module]\nname = "users"\n'
        '[instances.j.module]\nname = "users"\n[instances.j.roles.default]\nmachines = ["alpha"]\nsettings.user = "ann"\n',
        "CP0121",
        "the account 'ann' on 'alpha' comes from two instances",
        "[instances.j.module]",
    ),
    Mistake("a computed tag on a machine", META + ALPHA + 'tags = ["all"]\n', "CP0122", "'all' is computed", 'tags = ["all"]'),
    Mistake("a computed tag with members", TWO + '[tags]\ndarwin = ["beta"]\n', "CP0122", "'darwin' is computed", "darwin ="),
    Mistake("bad name of a machine", META + '[machines."a_b"]\nclass = "nixos"\nsystem = "x86_64-linux"\n', "CP0123", "'a_b' can't be the name of a machine", "a_b", "letters"),
    Mistake("bad name of a user", META + "[users.Ann]\n", "CP0123", "'Ann'", "Ann", "small letters"),
    Mistake("bad alias", META + '[users.ann]\naliases = ["Bob"]\n', "CP0114", "the name of a user", "Bob"),
    Mistake("bad name of an aspect", TWO, "CP0123", "'a b'", None, None, "modules/nixos/a b.nix", {"modules/nixos/a b.nix": NIX}),
    Mistake("a sigil with company", META + ALPHA + 'description = { _force = "x", y = 1 }\n', "CP0124", "'_force' has to be the only key", "_force"),
    Mistake("a sigil without its number", META + ALPHA + 'description = { _override = "x" }\n', "CP0124", "takes a pair", "_override"),
    Mistake("a sigil in an aspect", TWO + "[aspects.nixos.x]\na = { _order = 3 }\n", "CP0124", "takes a pair", "a = {"),
    Mistake("unknown service", TWO + "[instances.shsd.roles.server]\n", "CP0801", "no service 'shsd'", "[instances.shsd.roles.server]", "'sshd'"),
    Mistake("unknown input", TWO + '[instances.sshd]\nmodule.input = "x"\n', "CP0801", "the input 'x'", "module.input", "built-in"),
    Mistake("own service that is built in", TWO + '[instances.sshd]\nmodule.input = "self"\n', "CP0801", "no service 'sshd' here", "module.input", "leave `module.input` out"),
    Mistake("unknown role", TWO + '[instances.sshd.roles.sever]\ntags = ["web"]\n', "CP0802", "the role 'sever'", "sever", "'server'"),
    Mistake("unknown setting", TWO + "[instances.sshd.roles.server]\nsettings.prot = 1\n", "CP0803", "no setting 'prot'", "prot", "'port'"),
    Mistake("unknown inner setting", TWO + '[instances.sshd.roles.server]\ntags = ["web"]\nsettings.certificate.domains = []\n', "CP0803", "no setting 'certificate.domains'", "domains", "search_domains"),
    Mistake("setting of a wrong type", TWO + '[instances.sshd.roles.server]\ntags = ["web"]\nsettings.port = "22"\n', "CP0804", "role 'server' of instance 'sshd': 'port'", 'port = "22"'),
    Mistake("setting out of range", TWO + '[instances.sshd.roles.server]\ntags = ["web"]\nsettings.port = 70000\n', "CP0804", "less than or equal to 65535", "70000"),
    Mistake("required setting", TWO + '[instances.users.roles.default]\nmachines = ["alpha"]\n', "CP0804", "role 'default' of instance 'users' on 'alpha': the setting 'user' is required", "[instances.users.roles.default]"),
    Mistake(
        "settings that conflict",
        TWO + "[instances.sshd.roles.server]\nmachines.alpha.settings.port = 23\nsettings.port = 22\n",
        "CP0805",
        "conflicting values for 'port'",
        "port = 23",
        "_force",
    ),
    Mistake("too many members", TWO + '[instances.zerotier.roles.controller]\ntags = ["all"]\n', "CP0806", "at most 1 machine, 2 are assigned: alpha, beta", "controller"),
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_told_with_its_place_and_a_hint(mistake: Mistake, tmp_path: Path) -> None:
    found = errors(
        tmp_path,
        mistake.inventory,
        {**CONFIGURATIONS, **mistake.files} if "beta" in mistake.inventory else mistake.files,
    )
    error = next((e for e in found if mistake.says in e.message), None)

    assert error is not None, [str(e) for e in found]
    assert error.code == mistake.code
    assert error.place is not None
    assert error.place.file == mistake.file
    if mistake.at is not None:
        content = mistake.files.get(mistake.file, mistake.inventory)
        assert isinstance(content, str)
        assert error.place.line == line_of(content, mistake.at)
        assert error.place.column is not None
    if mistake.hint is not None:
        assert mistake.hint in (error.hint or "")


def test_every_error_of_a_fleet_is_told_at_once_in_the_order_of_its_lines(tmp_path: Path) -> None:
    inventory = META + (
        '[machines.a]\nclass = "nixso"\nsystem = "x86_64-linux"\n'
        'tagz = []\n[machines.b]\nclass = "nixos"\n[instances.shsd.roles.server]\nmachines = ["c"]\n'
    )
    found = errors(tmp_path, inventory)

    assert [e.code for e in found] == ["CP0114", "CP0113", "CP0115", "CP0120", "CP0801", "CP0117"]
    lines = [e.place.line or 0 for e in found if e.place]
    assert lines == sorted(lines)


def test_a_field_of_a_wrong_type_is_not_told_as_missing_too(tmp_path: Path) -> None:
    found = errors(tmp_path, META + '[machines.a]\nclass = 3\nsystem = "x86_64-linux"\n')

    assert [e.code for e in found] == ["CP0114"]


def test_what_stands_in_a_broken_file_is_not_told_as_unknown(tmp_path: Path) -> None:
    found = errors(
        tmp_path, TWO + '[tags]\nx = ["gamma"]\n', {"inventory/gamma.toml": "[machines.gamma\n", **CONFIGURATIONS}
    )

    assert [e.code for e in found] == ["CP0110"]


def test_the_syntax_error_shows_the_line_and_where_in_it(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, '[meta]\nname = "x\n')

    assert error.details == ('2 | name = "x', "             ^")


def test_a_conflict_shows_both_places(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, META + ALPHA + 'type = "vm"\n', {"inventory/b.toml": '[machines.alpha]\ntype = "pc"\n'})

    assert error.details == ("inventory.toml:8:1: 'vm'", "inventory/b.toml:2:1: 'pc'")


def test_load_raises_all_of_them_as_one(tmp_path: Path) -> None:
    write(tmp_path, {"inventory.toml": META + "[machines.a]\n[machines.b]\n"})
    with pytest.raises(CombinedError) as caught:
        load(tmp_path)

    assert len(caught.value.errors) == 4


def test_one_error_of_a_thousand_machines_with_the_same_setting_is_said_once(tmp_path: Path) -> None:
    machines = "".join(f'[machines.m{n}]\nclass = "nixos"\nsystem = "x86_64-linux"\n' for n in range(50))
    found = errors(tmp_path, META + machines + '[instances.sshd.roles.server]\ntags = ["all"]\nsettings.prot = 1\n')

    assert [e.code for e in found if e.code == "CP0803"] == ["CP0803"]
