"""How long a fleet takes to load and to resolve, and how much memory: everything between the files and what Nix is handed.

    python -m benchmarks.inventory [MACHINES …]

A synthetic fleet: every machine is in 20 instances of built-in and own services and imports 20 aspects. Loading checks the whole
inventory; listing is what `machines list` reads; resolving makes every machine complete. Each size runs in a process of its own.
On a busy computer, what it takes of the processor is the number to look at.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


INSTANCES = 20
ASPECTS = 20
SIZES = (1_000, 10_000)
SERVICE = """
from clanpy.services import Role, Service, Static
from clanpy.services.settings import Field, Settings

class Server(Settings):
    port: int = Field(80, description="Where it listens")
    label: str = Field("x", description="What it is called")
    retries: int = Field(1, description="How often it tries")

SERVICE = Service(
    name="web", description="Serves", roles={"server": Role(description="Serves", settings=Server, nixos=(Static("server.nix"),))}
)
"""


def write(root: Path, machines: int) -> None:
    """A fleet in a folder."""
    aspects = ", ".join(f'"aspect-{n}"' for n in range(ASPECTS // 2))
    lines = ["[meta]", 'name = "bench"', "[tags]"]
    shared = ", ".join(f'"{name}"' for name in _names(ASPECTS // 2, ASPECTS))
    lines.append(f"all = {{ imports = [{shared}] }}")
    for n in range(machines):
        lines += [
            f"[machines.m{n:05}]",
            'class = "nixos"',
            'system = "x86_64-linux"',
            f'description = "machine number {n}"',
            f"imports = [{aspects}]",
            f'tags = ["rack-{n % 40}"]',
            f'deploy.target_host = "root@m{n:05}.bench"',
        ]
    for i in range(INSTANCES):
        lines += [
            f"[instances.web-{i}]",
            'module = { name = "web", input = "self" }',
            f"[instances.web-{i}.roles.server]",
            f"settings = {{ port = {1000 + i} }}",
            "tags.all.settings = { retries = 5 }",
        ]
        if not i % 4:
            lines += [f'machines.m{m:05}.settings = {{ label = "own" }}' for m in range(0, machines, 10)]
    (root / "inventory.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for folder in ("modules/nixos", "services/web"):
        (root / folder).mkdir(parents=True)
    for name in _names(0, ASPECTS):
        (root / "modules/nixos" / f"{name}.nix").write_text("{ ... }: { }\n", encoding="utf-8")
    (root / "services/web/service.py").write_text(SERVICE, encoding="utf-8")
    (root / "services/web/server.nix").write_text("{ ... }: { ... }: { }\n", encoding="utf-8")


def _names(first: int, last: int) -> list[str]:
    return [f"aspect-{n}" for n in range(first, last)]


def measure(root: Path) -> None:
    """Load, list and resolve the fleet in a folder, and say how long each took."""
    import clanpy.services.settings  # noqa: F401, PLC0415 - the same
    from clanpy.inventory import load, resolve  # noqa: PLC0415 - importing is not what is measured
    from clanpy.machines import rows  # noqa: PLC0415 - the same

    start, busy = time.perf_counter(), time.process_time()
    fleet = load(root)
    loaded = time.perf_counter()
    listed = len(rows(fleet.machines.values()))
    seen = time.perf_counter()
    modules = sum(len(resolve(fleet, name).modules) for name in fleet.machines)
    done, busy = time.perf_counter(), time.process_time() - busy
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{listed:6} machines: load {loaded - start:.2f} s, list {seen - loaded:.2f} s, resolve {done - seen:.2f} s "
        f"({(done - start) / listed * 1e3:.2f} ms each, {modules // listed} modules), {memory:.0f} MB; {busy:.2f} s of the processor"
    )


def main(sizes: tuple[int, ...]) -> None:
    for machines in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), machines)
            # As a module: this folder has files that are called as modules of Python are.
            words = [sys.executable, "-m", "benchmarks.inventory", "--measure", folder]
            subprocess.run(words, check=True, cwd=Path(__file__).resolve().parent.parent)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        main(tuple(map(int, sys.argv[1:])) or SIZES)
