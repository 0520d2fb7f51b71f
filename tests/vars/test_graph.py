from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.errors import CombinedError
from clanpy.generators.errors import GeneratorCycleError, GeneratorInvalidError
from clanpy.secrets import Placement
from clanpy.services.generator import Generator, Prompt, SshCertificate, SshKey, Token, VarFile
from clanpy.vars import GeneratorId, Graph, VarsContext, VarsMachine, build


def graph(**machines: list[Generator]) -> Graph:
    return build(
        VarsContext(
            root=Path("/nowhere"),
            machines={
                name: VarsMachine(name=name, generators={g.name: g for g in generators})
                for name, generators in machines.items()
            },
        )
    )


def token(name: str, *needs: str, share: bool = False) -> Generator:
    return Generator(name=name, kind=Token(), dependencies=needs, share=share)


def names(ids: object) -> list[str]:
    return [str(id_) for id_ in ids]  # type: ignore[attr-defined]  # any iterable of ids


def test_what_is_needed_comes_first_and_otherwise_machine_then_name() -> None:
    made = graph(
        b=[token("z"), token("a", "z"), token("ca", share=True)],
        a=[token("m", "k"), token("k"), token("ca", share=True), token("leaf", "ca")],
    )

    assert names(made.order(made.nodes)) == ["shared/ca", "a/k", "a/leaf", "a/m", "b/z", "b/a"]


@given(st.permutations([("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b", "c")), ("e", ()), ("f", ("e", "d"))]))
def test_the_order_does_not_depend_on_the_order_of_declaration(declared: list[tuple[str, tuple[str, ...]]]) -> None:
    made = graph(m=[token(name, *needs) for name, needs in declared])

    assert names(made.order(made.nodes)) == [f"m/{n}" for n in ("a", "b", "c", "d", "e", "f")]


def test_the_order_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "from pathlib import Path; from clanpy.vars import *; from clanpy.services.generator import *;"
        "g = {n: Generator(name=n, kind=Token(), dependencies=tuple(d)) for n, d in"
        " dict(a='bcdef', b='', c='', d='', e='', f='').items()};"
        "made = build(VarsContext(root=Path('/'), machines={'m': VarsMachine(name='m', generators=g)}));"
        "print([i.name for i in made.order(made.nodes)], [i.name for i in made.dependents(made.order(made.nodes)[:2])])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": str(seed)}, capture_output=True, check=True
        ).stdout
        for seed in range(3)
    }

    assert said == {b"['b', 'c', 'd', 'e', 'f', 'a'] ['a']\n"}


def test_a_circle_is_told_by_name() -> None:
    with pytest.raises(GeneratorCycleError, match=r"m/a → m/c → m/b → m/a$"):
        graph(m=[token("a", "c"), token("b", "a"), token("c", "b"), token("d", "a"), token("e")])


def test_a_generator_that_is_not_there_is_told_with_the_nearest_name() -> None:
    with pytest.raises(GeneratorInvalidError, match="of machine 'm' needs generator 'openshh'") as failure:
        graph(m=[token("a", "openshh"), token("openssh")])
    assert failure.value.hint == "did you mean 'openssh'?"


def test_a_shared_generator_can_not_need_one_that_each_machine_has() -> None:
    with pytest.raises(
        GeneratorInvalidError, match="shared generator 'ca' needs 'key', which each machine has its own of"
    ):
        graph(m=[token("ca", "key", share=True), token("key")])


def test_the_needs_of_a_kind_need_not_be_declared() -> None:
    made = graph(
        m=[
            Generator(name="ca", kind=SshKey(), share=True),
            Generator(name="key", kind=SshKey()),
            Generator(name="cert", kind=SshCertificate(authority="ca", key="key", principals=("m",))),
        ]
    )

    cert = GeneratorId(Placement.machine("m"), "cert")
    assert names(made.nodes[cert].needs) == ["shared/ca", "m/key"]
    assert sorted(names(made.requirements([cert]))) == ["m/key", "shared/ca"]
    assert names(made.dependents([GeneratorId(Placement.shared(), "ca")])) == ["m/cert"]


SHARED = Generator(name="s", share=True, script="x", files={"f": VarFile()})


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (replace(SHARED, script="y"), "script"),
        (replace(SHARED, validation=1), "validation"),
        (replace(SHARED, files={"g": VarFile()}), "files"),
        (replace(SHARED, files={"f": VarFile(secret=False)}), "files"),
        (replace(SHARED, prompts={"p": Prompt()}), "prompts"),
    ],
)
def test_a_shared_generator_is_the_same_on_every_machine(other: Generator, what: str) -> None:
    with pytest.raises(GeneratorInvalidError, match=rf"machines a and b declare .* differently \({what}"):
        graph(a=[SHARED], b=[other])


def test_owners_and_modes_of_a_shared_generator_may_differ_and_so_may_who_gets_it() -> None:
    other = replace(SHARED, files={"f": VarFile(owner="nginx", group="web", mode="0440", deploy=False)})

    (node,) = graph(a=[SHARED], b=[other]).nodes.values()

    assert node.machines == ("a", "b")
    assert node.readers("f") == ("a",)


def test_all_errors_are_told_at_once_and_each_once() -> None:
    wrong = Generator(name="w", script="x", files={"f": VarFile(mode="9")}, share=True)
    with pytest.raises(CombinedError) as failure:
        graph(a=[wrong, token("t", "nope")], b=[wrong])
    assert len(failure.value.errors) == 2


def test_large_graphs_are_ordered_in_no_time() -> None:
    chain = [token(f"g{n}", *([f"g{n - 1}"] if n else [])) for n in range(60)]
    made = graph(**{f"m{n}": chain for n in range(50)})

    assert len(made.order(made.nodes)) == 3000
