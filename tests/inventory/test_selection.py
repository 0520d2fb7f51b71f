"""The language in which machines are selected: what is read, what it means, and what is said about mistakes."""

from __future__ import annotations

import io
from collections.abc import Callable
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clanpy.errors import ClanpyError, NothingMatchedError
from clanpy.inventory import load
from clanpy.inventory.errors import SelectionError
from clanpy.inventory.matching import Matcher, role_members
from clanpy.inventory.model import Fleet, Machine
from clanpy.inventory.selection import KINDS, MAX_DEPTH, And, Not, Or, Pattern, Selection, Stdin, Term, leaves, parse
from clanpy.machines import select
from support.fleets import REFERENCE, raised


FLEET = load(REFERENCE)
NAMES = tuple(FLEET.machines)


def chosen(*selections: str) -> list[str]:
    return [machine.name for machine in select(FLEET, selections, stdin=io.StringIO(""))]


# --- what it means ---


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("cinnabar", "cinnabar"),
        ("*e*n*", "argentum galena"),
        ("[a-c]*", "argentum blackphos cinnabar"),
        ("tag:gpu", "scheelite"),
        ("tag:c*", "cinnabar electrum galena scheelite stibnite"),
        ("class:darwin", "argentum blackphos rosegold stibnite"),
        ("system:x86_64-*", "cinnabar electrum galena scheelite"),
        ("type:vm", "galena scheelite"),
        ("user:raquel", "blackphos"),
        ("user:janettesmith or user:tara*", "rosegold"),
        ("instance:user-tara", "galena scheelite"),
        ("instance:zerotier", "cinnabar electrum galena scheelite"),
        ("role:zerotier/controller", "cinnabar"),
        ("role:controller", "cinnabar"),
        ("role:peer", "electrum galena scheelite"),
        ("role:user-t*/default", "galena scheelite"),
        ("role:*/peer", "electrum galena scheelite"),
        ("tag:cloud and not tag:gcp", "cinnabar electrum"),
        ("tag:gpu or type:vps", "cinnabar electrum scheelite"),
        ("tag:gpu, type:vps", "cinnabar electrum scheelite"),
        ("tag:gpu,type:vps", "cinnabar electrum scheelite"),
        ("not tag:cloud", "argentum blackphos rosegold stibnite"),
        ("not not galena", "galena"),
        ("not (tag:cloud or tag:fleet)", "stibnite"),
        ("galena or cinnabar and tag:gpu", "galena"),
        ("(galena or scheelite) and tag:gpu", "scheelite"),
        ("not galena and tag:gcp", "scheelite"),
        ('"galena"', "galena"),
        ("'galena'", "galena"),
        ('tag:"gpu"', "scheelite"),
        ("  galena  ", "galena"),
        ("tag:cloud and not x*", "cinnabar electrum galena scheelite"),
    ],
)
def test_a_selection_means_these_machines(selection: str, expected: str) -> None:
    assert chosen(selection) == expected.split()


def test_a_person_is_meant_by_every_name_they_go_by() -> None:
    assert chosen("user:crs58") == chosen("user:cameron") == sorted(NAMES)


def test_several_selections_are_a_union() -> None:
    assert chosen("galena", "tag:gpu", "type:vm") == ["galena", "scheelite"]


# --- what can't be read ---


@pytest.mark.parametrize(
    ("selection", "message", "marked", "hint"),
    [
        ("", "a selection is empty", None, "`*`"),
        (" ", "a selection is empty", None, "`*`"),
        ("tag:a and", "a selection is missing behind 'and'", 9, None),
        ("tag:a and or b", "a selection is missing behind 'and'", 10, None),
        ("a, , b", "a selection is missing behind ','", 3, None),
        ("or a", "a selection is missing before 'or'", 0, None),
        ("not", "'not' alone selects nothing", None, "in quotes"),
        ("(a or b", "a parenthesis is not closed", 0, None),
        ("a or b)", "a parenthesis is closed that was not opened", 6, None),
        ("()", "a selection is missing behind '('", 1, None),
        ("a b", "there is nothing between 'a' and 'b'", 2, "write `and`, `or` or a comma"),
        ("a && b", "there is nothing between 'a' and '&&'", 2, "write `and`"),
        ("a AND b", "there is nothing between 'a' and 'AND'", 2, "write `and`"),
        ("a | b", "there is nothing between 'a' and '|'", 2, "write `or`"),
        ("(a b)", "there is nothing between 'a' and 'b'", 3, "write `and`"),
        ("a (b)", "there is nothing between 'a' and '('", 2, "write `and`"),
        ('a or "b', "a quotation is not closed", 5, None),
        ("tga:web", "machines can't be selected by 'tga:'", 0, "'tag'"),
        ("a:b:c", "machines can't be selected by 'a:'", 0, "tag:"),
        ("tag:", "'tag:' does not say which", 0, "`tag:*` means any"),
        ("x and tag:", "'tag:' does not say which", 6, None),
    ],
)
def test_what_can_not_be_read_is_told_with_a_mark_at_the_place(
    selection: str, message: str | None, marked: int | None, hint: str | None
) -> None:
    with pytest.raises(SelectionError) as caught:
        parse(selection)

    assert message is None or caught.value.message == message
    assert hint is None or hint in (caught.value.hint or "")
    assert int(caught.value.exit_code) == 2
    if marked is not None:
        text, mark = caught.value.details
        assert text == selection
        assert mark.index("^") == marked


def test_a_long_selection_is_shown_around_the_mark() -> None:
    text = " or ".join(f"machine-{n}" for n in range(100)) + " nope " + "or a" * 100
    with pytest.raises(SelectionError) as caught:
        parse(text)

    shown, mark = caught.value.details
    assert len(shown) < 70
    assert shown[mark.index("^") :].startswith("nope")


@pytest.mark.parametrize("opening", ["(", "not ", "not (", "(not "])
def test_nesting_has_a_limit_that_nobody_meets(opening: str) -> None:
    levels = opening.count("(") + opening.count("not")
    times = MAX_DEPTH // levels
    closing = ")" * opening.count("(")

    assert list(leaves(parse(opening * times + "a" + closing * times))) == [Term(None, Pattern("a"))]
    for many in (times + 1, 100_000):
        with pytest.raises(SelectionError, match=f"nested more than {MAX_DEPTH} levels deep"):
            parse(opening * many + "a" + closing * many)


def test_width_has_no_limit() -> None:
    assert len(list(leaves(parse(" or ".join(["a"] * 50_000))))) == 50_000


# --- what does not exist ---


@pytest.mark.parametrize(
    ("selection", "message", "hint"),
    [
        ("tag:clod", "there is no tag 'clod'", "did you mean 'cloud'?"),
        ("clod*", "no machine has a name like 'clod*'", "known: argentum"),
        ("tag:z*", "no tag has a name like 'z*'", "cloud"),
        ("class:nixso", "there is no class 'nixso'", "did you mean 'nixos'?"),
        ("system:x86-linux", "there is no system 'x86-linux'", "did you mean 'x86_64-linux'?"),
        ("type:vpn", "there is no type 'vpn'", "did you mean 'vps'?"),
        ("user:camron", "there is no user 'camron'", "did you mean 'cameron'?"),
        ("instance:zerotire", "there is no instance 'zerotire'", "did you mean 'zerotier'?"),
        ("role:peeer", "there is no role 'peeer'", "did you mean 'peer'"),
        ("role:zerotier/peeer", "there is no role 'zerotier/peeer'", "'zerotier/peer'"),
        ("cloud", "there is no machine 'cloud'", "'cloud' is a tag: tag:cloud"),
        ("vm", "there is no machine 'vm'", "'vm' is a type: type:vm"),
        ("raquel", "there is no machine 'raquel'", "'raquel' is a user: user:raquel"),
        ("peer", "there is no machine 'peer'", "'peer' is a tag: tag:peer"),
        ("zerotier/peer", "there is no machine 'zerotier/peer'", "'zerotier/peer' is a role: role:zerotier/peer"),
        ("tag:galena", "there is no tag 'galena'", "'galena' is a machine: galena"),
        ("tag:zerotier", "there is no tag 'zerotier'", "'zerotier' is an instance: instance:zerotier"),
        ("@gpu", "there is no machine '@gpu'", "a tag is `tag:gpu`"),
        ("!galena", "there is no machine '!galena'", "all others are `not galena`"),
        ("'[a-c]*'", "there is no machine '[a-c]*'", "known: "),
    ],
)
def test_what_does_not_exist_is_told_with_what_is_near(selection: str, message: str, hint: str) -> None:
    with pytest.raises(NothingMatchedError) as caught:
        chosen(selection)

    assert caught.value.message == message
    assert hint in (caught.value.hint or "")
    assert caught.value.details == ()


def test_every_name_in_a_selection_that_does_not_exist_is_told_and_where_it_stands() -> None:
    with pytest.raises(ClanpyError) as caught:
        chosen("tag:clod or not (galnea and type:vn)")

    assert [(e.message, e.details[1].index("^"), e.details[1].count("^")) for e in raised(caught.value)] == [
        ("there is no machine 'galnea'", 17, 6),
        ("there is no tag 'clod'", 0, 8),
        ("there is no type 'vn'", 28, 7),
    ]


def test_no_settings_of_a_service_are_read_to_know_who_is_in_it() -> None:
    fleet = load(REFERENCE)
    forced: list[str] = []
    for instance in fleet.instances.values():
        for name, role in instance.roles.items():
            object.__setattr__(role, "settings", _Alarm(forced, f"{instance.name}/{name}"))

    select(fleet, ["instance:*", "role:*/*", "role:default"])

    assert forced == []


class _Alarm(dict[str, object]):
    def __init__(self, forced: list[str], name: str) -> None:
        super().__init__()
        self.forced, self.name = forced, name

    def __getitem__(self, key: str) -> object:
        self.forced.append(self.name)
        return None

    def __iter__(self) -> object:  # type: ignore[override]  # only whether it is called counts
        self.forced.append(self.name)
        return iter(())


# --- whatever is written ---

_TEXT = st.text(min_size=1, max_size=8)
_WORDS = st.sampled_from(
    [
        *NAMES,
        "and",
        "or",
        "not",
        "-",
        "tag:x",
        "*",
        "s*",
        "[a-c]?*",
        'a"b',
        "a'b",
        "a\\b",
        "a b",
        "(",
        "a,b",
        ":",
        "é",
        "[",
        "]",
    ]
)


def _pattern(text: str, *, wants_glob: bool) -> Pattern:
    return Pattern(text, is_glob=wants_glob and bool(set(text) & set("*?[")))


_PATTERNS = st.builds(lambda text, glob: _pattern(text, wants_glob=glob), _TEXT | _WORDS, st.booleans())
_LEAVES: st.SearchStrategy[Selection] = st.builds(Term, st.none() | st.sampled_from(KINDS), _PATTERNS) | st.builds(
    Stdin
)


def _nested(inner: st.SearchStrategy[Selection]) -> st.SearchStrategy[Selection]:
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.builds(Not, inner) | st.builds(And, several) | st.builds(Or, several)


SELECTIONS = st.recursive(_LEAVES, _nested, max_leaves=12)


@given(SELECTIONS)
def test_what_is_printed_reads_as_what_it_was(selection: Selection) -> None:
    assert parse(str(selection)) == selection


@given(st.text(alphabet=st.sampled_from("ab:*[]()'\"\\,- andornottag/\n\t\x00é"), max_size=40) | st.text(max_size=40))
@example("tag:'")
@example("[z-a]")
@example("tag:[!")
@example("role:/")
@example('"\\')
@example('""')
@example("\x1c")
def test_no_text_breaks_it_and_what_it_reads_it_prints(text: str) -> None:
    try:
        selection = parse(text)
    except SelectionError:
        return
    assert parse(str(selection)) == selection
    Matcher(FLEET).members(selection)


def by_hand(fleet: Fleet) -> dict[str, Callable[[Machine], set[str]]]:
    """For each kind, the values that a machine has."""
    persons = {name: {user.name, *user.aliases} for user in fleet.users.values() for name in (user.name, *user.aliases)}

    def roles(machine: Machine) -> set[tuple[str, str]]:
        return {
            (instance.name, name)
            for instance in fleet.instances.values()
            for name, role in instance.roles.items()
            if machine.name in role_members(fleet, role)
        }

    return {
        "tag": lambda machine: set(machine.tags),
        "class": lambda machine: {machine.class_},
        "system": lambda machine: {machine.system},
        "type": lambda machine: {machine.type or ""},
        "user": lambda machine: {*persons[machine.primary_user or ""], *persons[machine.admin_user or ""]},
        "instance": lambda machine: {instance for instance, _ in roles(machine)},
        "role": lambda machine: {name for _, name in roles(machine)} | {"/".join(pair) for pair in roles(machine)},
    }


BY_HAND = by_hand(FLEET)
VALUES = [
    (kind, value)
    for kind, of in BY_HAND.items()
    for value in sorted({v for m in FLEET.machines.values() for v in of(m)})
]
_KNOWN = (
    st.sampled_from(VALUES).map(lambda pair: Term(pair[0], Pattern(pair[1])))
    | st.sampled_from(NAMES).map(lambda name: Term(None, Pattern(name)))
    | st.sampled_from(["*", "*e*", "[a-e]*", "?????*", "zz*"]).map(lambda glob: Term(None, Pattern(glob, is_glob=True)))
    | st.tuples(
        st.sampled_from(["tag", "class", "system", "type", "instance"]), st.sampled_from(["*", "*e*", "[a-m]*", "zz*"])
    ).map(lambda pair: Term(pair[0], Pattern(pair[1], is_glob=True)))
)


def naively(selection: Selection, machine: Machine) -> bool:
    match selection:
        case Term(kind=kind, pattern=pattern):
            values = {machine.name} if kind is None else BY_HAND[kind](machine)
            return any(fnmatchcase(v, pattern.text) if pattern.is_glob else v == pattern.text for v in values)
        case Not(operand=operand):
            return not naively(operand, machine)
        case And(operands=operands):
            return all(naively(operand, machine) for operand in operands)
        case Or(operands=operands):
            return any(naively(operand, machine) for operand in operands)
        case _:
            return False


@given(st.recursive(_KNOWN, _nested, max_leaves=10))
def test_it_selects_what_one_would_pick_by_hand(selection: Selection) -> None:
    matcher = Matcher(FLEET, strict=False)
    expected = {machine.name for machine in FLEET.machines.values() if naively(selection, machine)}

    assert matcher.members(selection) == expected
    assert matcher.problems == []
