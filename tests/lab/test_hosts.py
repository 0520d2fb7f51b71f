"""The lab's hosts, seen from outside: over ssh, as a deployment would."""

import pytest

from support.lab import LentLab


pytestmark = pytest.mark.lab


def test_root_logs_in_by_the_labs_key(lab: LentLab) -> None:
    host = lab.host()
    done = lab.ssh(host, "id -un; hostname; nix-store --version")
    assert done.stdout.splitlines()[:2] == ["root", host.name]
    assert done.stdout.splitlines()[2].startswith("nix-store (Nix)")
