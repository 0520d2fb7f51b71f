"""How long the module system takes for fleets of 1,000 and 10,000 machines, and how much memory.

    python benchmarks/modules.py [MACHINES …]

A synthetic fleet in TOML: every machine is in 20 instances and imports 20 aspects. Loading is everything from the file to the
configuration; listing reads what `machines list` needs; resolving computes every option of every machine and, for every machine
and instance, the settings of its role from four levels (module, role, tag, machine).
"""

from __future__ import annotations

import gc
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clanpy.modules import evaluate, option, resolve, to_data
from clanpy.modules import types as t


INSTANCES = 20
ASPECTS = 20


def fleet(machines: int) -> str:
    """An inventory as TOML."""
    aspects = ", ".join(f'"aspect-{n}"' for n in range(ASPECTS))
    lines = ["[meta]", 'name = "bench"']
    for n in range(machines):
        lines += [
            f"[machines.m{n:05}]",
            'class = "nixos"',
            'system = "x86_64-linux"',
            f'description = "machine number {n}"',
            f"imports = [{aspects}]",
            f'tags = ["rack-{n % 40}", "all"]',
            f'deploy.target_host = "root@m{n:05}.bench"',
        ]
    for i in range(INSTANCES):
        lines += [
            f"[instances.service-{i}]",
            f'service = "service-{i % 5}"',
            f"[instances.service-{i}.roles.member]",
            f"settings = {{ port = {1000 + i}, verbose = true }}",
            "tags.all.settings = { retries = 5 }",
        ]
        if not i % 4:
            lines += [f'machines.m{m:05}.settings = {{ label = "own" }}' for m in range(0, machines, 10)]
    return "\n".join(lines) + "\n"


SETTINGS = t.submodule(
    {
        "options": {
            "port": option(t.port, default=22),
            "verbose": option(t.bool, default=False),
            "retries": option(t.ints.positive, default=3),
            "label": option(t.null_or(t.str), default=None),
            "paths": option(t.list_of(t.str), default=[]),
        }
    }
)
DEPLOY = t.submodule(
    {"options": {"target_host": option(t.null_or(t.str)), "build_host": option(t.null_or(t.str), default=None)}}
)
MACHINE = t.submodule(
    {
        "options": {
            "name": option(t.str, default=lambda name: name),
            "class": option(t.enum(["nixos", "darwin", "home"]), default="nixos"),
            "system": option(t.str),
            "description": option(t.null_or(t.str), default=None),
            "tags": option(t.list_of(t.str), default=[]),
            "imports": option(t.list_of(t.str), default=[]),
            "installed_at": option(t.null_or(t.int), default=None),
            "deploy": option(DEPLOY, default={}),
        }
    }
)
LEVEL = t.submodule({"options": {"settings": option(t.anything, default={})}})
ROLE = t.submodule(
    {
        "options": {
            "settings": option(t.anything, default={}),
            "machines": option(t.attrs_of(LEVEL), default={}),
            "tags": option(t.attrs_of(LEVEL), default={}),
        }
    }
)
INSTANCE = t.submodule({"options": {"service": option(t.str), "roles": option(t.attrs_of(ROLE), default={})}})
SCHEMA: dict[str, Any] = {
    "options": {
        "meta": {"name": option(t.str)},
        "machines": option(t.attrs_of(MACHINE), default={}),
        "instances": option(t.attrs_of(INSTANCE), default={}),
    }
}


def resolve_settings(config: Any) -> int:
    """The settings of every machine in every instance, from four levels."""
    count = 0
    for instance in config.instances.values():
        for role in instance.roles.values():
            general = [to_data(role.settings), *(to_data(tag.settings) for tag in role.tags.values())]
            for name in config.machines:
                own = [to_data(role.machines[name].settings)] if name in role.machines else []
                path = ("instances", "x", "machines", name, "settings")
                to_data(resolve(SETTINGS, [*own, *general], path=path))
                count += 1
    return count


@contextmanager
def measured(what: str, times: dict[str, float]) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    times[what] = time.perf_counter() - begin


def run(machines: int) -> dict[str, float]:
    """Seconds for each step."""
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "inventory.toml")
        path.write_text(fleet(machines))
        with measured("load", times):
            result = evaluate([SCHEMA, path])
            config = result.config
        with measured("list", times):
            names = [(m.name, m["class"], m.system, tuple(m.tags)) for m in config.machines.values()]
        assert len(names) == machines
        with measured("machines", times):
            to_data(config.machines)
        with measured("settings", times):
            count = resolve_settings(config)
        assert count == machines * INSTANCES
        with measured("check", times):
            result.check()
    return times


def main(sizes: list[int]) -> None:
    for machines in sizes:
        gc.collect()
        times = run(machines)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        total = sum(times.values())
        steps = "  ".join(f"{name} {seconds:.3f} s" for name, seconds in times.items())
        print(f"{machines:>6} machines: {total:.2f} s, {total / machines * 1e6:.0f} µs each, {peak:.0f} MB   {steps}")


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [1_000, 10_000])
