"""How long it takes to find out what every machine has of the services it is in, and that this grows with the memberships alone.

    python -m benchmarks.services [--write] [MACHINES …]

A synthetic fleet of 50 instances of one service: settings at role, tag and machine, generators, exports that all peers of an
instance read, and what it contributes once to a machine. Every machine is in every instance. Resolving makes every machine
complete. Each size runs in a process of its own; counted are seconds of the processor, of three runs the quickest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks._measure import circumstances, publish, table


INSTANCES = 50
SIZES = (2_500, 5_000, 10_000)
RUNS = 3  # the quickest one counts: what else the computer does only adds
ROOT = Path(__file__).resolve().parent.parent
SERVICE = """
from clanpy.services import Role, Service, Static
from clanpy.services.exports import Address, Network
from clanpy.services.generator import Generator, Token
from clanpy.services.settings import Field, Settings

class Peer(Settings):
    port: int = Field(80, description="Where it listens")
    label: str = Field("x", description="What it is called")
    retries: int = Field(1, description="How often it tries")

def generators(member):
    yield Generator(name=f"token-{member.instance}", kind=Token())

def exports(member):
    yield Network(priority=member.settings.port)
    if member.settings.label == "own":
        yield Address(host=member.machine.name)

def once(share):
    return {"count": len(share.members), "reached": len(share.exported(Address, instance="mesh-0"))}

SERVICE = Service(
    name="mesh",
    description="Meshes",
    per_machine=once,
    roles={"peer": Role(description="Peers", settings=Peer, nixos=(Static("peer.nix"),), generators=generators, exports=exports)},
)
"""


def write(root: Path, machines: int) -> None:
    """A fleet in a folder."""
    lines = ["[meta]", 'name = "bench"']
    for n in range(machines):
        lines += [f"[machines.m{n:05}]", 'class = "nixos"', 'system = "x86_64-linux"', f'tags = ["rack-{n % 40}"]']
    for i in range(INSTANCES):
        lines += [f"[instances.mesh-{i}]", 'module = { name = "mesh", input = "self" }']
        lines += [f"[instances.mesh-{i}.roles.peer]", f"settings = {{ port = {1000 + i} }}"]
        lines += ["tags.all = {}", "tags.rack-0.settings = { retries = 5 }"]
        if not i % 10:
            lines += [f'machines.m{m:05}.settings = {{ label = "own" }}' for m in range(0, machines, 10)]
    (root / "inventory.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    folder = root / "services/mesh"
    folder.mkdir(parents=True)
    (folder / "service.py").write_text(SERVICE, encoding="utf-8")
    (folder / "peer.nix").write_text("{ ... }: { ... }: { }\n", encoding="utf-8")


def measure(root: Path) -> None:
    """Resolve the fleet in a folder, and say how long that took and how much was looked at."""
    from clanpy.inventory import load, resolve  # noqa: PLC0415 - importing is not what is measured
    from clanpy.inventory.networks import networks  # noqa: PLC0415 - the same

    fleet = load(root)
    loaded = time.process_time()
    memberships = sum(len(resolve(fleet, name).memberships) for name in fleet.machines)
    resolved = time.process_time()
    found = len(networks(fleet))
    done = time.process_time()
    print(
        json.dumps(
            {
                "machines": len(fleet.machines),
                "memberships": memberships,
                "resolve": resolved - loaded,
                "networks": done - resolved,
                "found": found,
            }
        )
    )


def run(machines: int) -> dict[str, Any]:
    """Measure a size in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), machines)
        command = [sys.executable, "-m", "benchmarks.services", "--measure", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(results: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The results as a table has them."""
    found: list[tuple[str, ...]] = []
    before: dict[str, Any] | None = None
    for result in results:
        each = result["resolve"] / result["memberships"] * 1e6
        factor = "" if before is None else f"{result['resolve'] / before['resolve']:.2f}"
        cells = (
            f"{result['machines']:,}",
            f"{result['memberships']:,}",
            f"{result['resolve']:.1f} s",
            f"{each:.0f} µs",
        )
        found.append((*cells, factor))
        before = result
    return found


def section(results: list[dict[str, Any]]) -> str:
    """What is said of the results."""
    head = ("machines", "memberships", "to resolve all of them", "each membership", "times the one above")
    return f"{table(head, rows(results))}\n{circumstances()}"


def main(words: list[str]) -> None:
    if words[:1] == ["--measure"]:
        measure(Path(words[1]))
        return
    sizes = tuple(int(word) for word in words if word.isdecimal()) or SIZES
    best = [min((run(machines) for _ in range(RUNS)), key=itemgetter("resolve")) for machines in sizes]
    publish("services", section(best), write="--write" in words)


if __name__ == "__main__":
    main(sys.argv[1:])
