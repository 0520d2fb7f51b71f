"""What is computed, when, how often, how deep, and by which thread."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import clanpy.modules
from clanpy.modules import ComputationError, ModuleError, evaluate, lazy, mk_if, option, to_data
from clanpy.modules import types as t


SETTINGS = t.submodule({"options": {"port": option(t.port), "verbose": option(t.bool, default=False)}})
MACHINE = t.submodule(
    {
        "options": {
            "system": option(t.str),
            "tags": option(t.list_of(t.str), default=[]),
            "settings": option(t.attrs_of(SETTINGS), default={}),
        }
    }
)
FLEET: dict[str, Any] = {"options": {"machines": option(t.attrs_of(MACHINE)), "name": option(t.str, default="fleet")}}


def fleet(count: int) -> Any:
    machine = {"system": "x86_64-linux", "settings": {f"s{n}": {"port": n} for n in range(5)}}
    return evaluate([FLEET, {"machines": {f"m{n}": machine for n in range(count)}}])


# How much is computed


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    result = fleet(10)
    result.config  # noqa: B018  # looking is the test
    assert result.forced == 0


def test_listing_names_computes_one_option() -> None:
    result = fleet(10)
    assert len(list(result.config.machines)) == 10
    assert result.forced == 1


def test_listing_machines_computes_no_settings() -> None:
    result = fleet(10)
    assert [m.system for m in result.config.machines.values()] == ["x86_64-linux"] * 10
    assert result.forced == 1 + 10


def test_showing_one_machine_computes_what_that_machine_needs() -> None:
    result = fleet(10)
    to_data(result.config.machines.m3)
    assert result.forced == 1 + 3 + 5 * 2


def test_everything_is_computed_once() -> None:
    result = fleet(10)
    to_data(result.config)
    forced = result.forced
    to_data(result.config)
    result.check()
    assert result.forced == forced == 2 + 10 * (3 + 5 * 2)


def test_looking_at_options_computes_nothing() -> None:
    result = fleet(3)
    assert str(result.options.machines) == "machines"
    assert result.options.name.declarations
    assert result.forced == 0


def test_a_broken_neighbour_does_not_matter() -> None:
    result = evaluate([FLEET, {"machines": {"good": {"system": "s"}, "bad": {"sytem": 1}}}])
    assert list(result.config.machines) == ["bad", "good"]
    assert result.config.machines.good.system == "s"
    with pytest.raises(ModuleError, match=r"`machines\.bad\.sytem' does not exist"):
        result.config.machines.bad  # noqa: B018  # looking is the test


def test_a_lazy_value_without_arguments_is_computed_once() -> None:
    calls: list[int] = []

    def condition() -> bool:
        calls.append(1)
        return True

    options = {n: option(t.int, default=0) for n in "abc"}
    config = evaluate([{"options": options}, mk_if(lazy(condition), dict.fromkeys("abc", 1))]).config
    assert to_data(config) == {"a": 1, "b": 1, "c": 1}
    assert calls == [1]


def test_a_lazy_value_in_a_shared_mapping_belongs_to_each_evaluation() -> None:
    module = {"a": lazy(lambda config: config.b + 1)}
    options = {"options": {"a": option(t.int), "b": option(t.int)}}
    assert [evaluate([options, module, {"b": n}]).config.a for n in (1, 5)] == [2, 6]


def test_functions_of_modules_are_called_once() -> None:
    calls: list[int] = []

    def module(config: Any) -> Any:
        calls.append(1)
        return {"options": {"a": option(t.int, default=lambda config: 1)}}

    result = evaluate([module])
    to_data(result.config)
    to_data(result.config)
    assert calls == [1]


# How deep


@pytest.mark.parametrize("count", [1_000, 5_000])
def test_chained_defaults_are_no_matter_of_pythons_recursion_limit(count: int) -> None:
    options = {f"o{n}": option(t.int, default=lambda config, n=n: config[f"o{n + 1}"] + 1) for n in range(count)}
    options[f"o{count}"] = option(t.int, default=0)
    before = sys.getrecursionlimit()
    assert evaluate([{"options": options}]).config.o0 == count
    assert sys.getrecursionlimit() == before


def test_chained_definitions_in_a_module_function_resolve() -> None:
    def module(config: Any) -> Any:
        return {f"o{n}": config[f"o{n + 1}"] + 1 for n in range(1_000)} | {"o1000": 0}

    options = {f"o{n}": option(t.int) for n in range(1_001)}
    assert evaluate([{"options": options}, module]).config.o0 == 1_000


def test_a_chain_through_attribute_sets_resolves() -> None:
    entries: dict[str, Any] = {f"e{n}": lazy(lambda config, n=n: config.x[f"e{n + 1}"] + 1) for n in range(1_000)}
    config = evaluate([{"options": {"x": option(t.lazy_attrs_of(t.int))}}, {"x": {**entries, "e1000": 0}}]).config
    assert config.x.e0 == 1_000


def test_submodules_may_be_nested_deeply() -> None:
    kind: t.Type = t.submodule({"options": {"v": option(t.int, default=0)}})
    value: Any = {"v": 7}
    for _ in range(60):
        kind = t.submodule({"options": {"n": option(kind)}})
        value = {"n": value}
    config: Any = evaluate([{"options": {"n": option(kind)}}, {"n": value}]).config
    for _ in range(61):
        config = config.n
    assert config.v == 7


def test_values_may_be_nested_deeply() -> None:
    value: Any = 1
    for _ in range(5_000):
        value = {"n": value}
    result = evaluate([{"options": {"x": option(t.anything)}}, {"x": value}])
    result.check()
    data = to_data(result.config.x)
    for _ in range(5_000):
        data = data["n"]
    assert data == 1


def test_deep_values_can_be_compared() -> None:
    def nested() -> Any:
        value: Any = 1
        for _ in range(5_000):
            value = [value]
        return value

    config = evaluate([{"options": {"x": option(t.raw)}}, {"x": nested()}]).config
    assert config.x[0][0] is not None
    both = evaluate([{"options": {"x": option(t.anything)}}, {"x": nested()}, {"x": nested()}]).config
    assert both.x[0][0] is not None


def test_a_function_that_recurses_endlessly_is_an_error() -> None:
    def forever(n: int) -> int:
        return forever(n + 1)

    config = evaluate([{"options": {"a": option(t.int, default=lambda: forever(0))}}]).config
    with pytest.raises(ComputationError, match="recurses too deeply"):
        config.a  # noqa: B018  # looking is the test


# By which thread


def test_a_configuration_can_be_read_by_many_threads() -> None:
    options = {f"o{n}": option(t.int, default=lambda config, n=n: config[f"o{n + 1}"] + 1) for n in range(300)}
    options["o300"] = option(t.int, default=0)
    config = evaluate([{"options": options}]).config
    found: list[int] = []
    threads = [threading.Thread(target=lambda n=n: found.append(config[f"o{n}"])) for n in range(0, 300, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(300 - n for n in range(0, 300, 10))


def test_an_exception_that_is_no_error_leaves_the_value_to_be_computed() -> None:
    class Stop(BaseException):
        pass

    stops = [Stop()]

    def default() -> int:
        if stops:
            raise stops.pop()
        return 5

    config = evaluate([{"options": {"a": option(t.int, default=default)}}]).config
    with pytest.raises(Stop):
        config.a  # noqa: B018  # looking is the test
    assert config.a == 5


def test_an_interrupt_ends_a_deep_evaluation_and_leaves_others_alone() -> None:
    caught = threading.Event()

    def innermost() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        caught.wait(20)
        return 0

    options = {f"o{n}": option(t.int, default=lambda config, n=n: config[f"o{n + 1}"] + 1) for n in range(200)}
    config = evaluate([{"options": {**options, "o200": option(t.int, default=innermost)}}]).config
    with pytest.raises(KeyboardInterrupt):
        config.o0  # noqa: B018  # looking is the test
    assert evaluate([{"options": options | {"o200": option(t.int, default=0)}}]).config.o0 == 200
    caught.set()


def test_evaluations_can_use_each_other() -> None:
    inner = evaluate(
        [{"options": {"a": option(t.int, default=lambda config: config.b), "b": option(t.int, default=1)}}]
    )
    outer = evaluate([{"options": {"a": option(t.int, default=lambda: inner.config.a + 1)}}])
    assert outer.config.a == 2


def test_importing_the_library_loads_no_parsers(tmp_path: Path) -> None:
    code = "import sys, clanpy.modules; print([m for m in ('pydantic', 'tree_sitter', 'asyncio', 'json') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(Path(clanpy.modules.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", [t.raw, t.unspecified, t.anything], ids=lambda kind: kind.name)
def test_lazy_values_inside_values_that_nobody_looks_into_are_still_computed(kind: t.Type) -> None:
    modules = [
        {"options": {"x": option(kind), "a": option(t.int, default=3)}},
        {"x": [{"deep": lazy(lambda config: config.a)}, lazy(lambda: 1)]},
    ]
    result = evaluate(modules)
    assert to_data(result.config.x) == [{"deep": 3}, 1]
    result.check()
