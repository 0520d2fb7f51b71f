"""Hosts that are made from other systems than this computer's own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from clanpy.lab import HostSpec, LabSpec, limits, up
from clanpy.lab.errors import LabBaseError
from support.lab import wait_for


@pytest.mark.lab
@pytest.mark.slow  # the base is made once, in half a minute
@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap makes the base")
def test_a_host_with_systemd_is_a_host_like_any_other(own_lab_name: Callable[[str], str]) -> None:
    name = own_lab_name("systemd")
    lab = up(LabSpec(name=name, base="sid-systemd", hosts=(HostSpec(name="a", users=("admin",)), HostSpec(name="b"))))
    wait_for(lambda: lab.run_in("a", ["systemctl", "is-system-running"]).stdout == "running\n")
    assert lab.run_in("a", ["systemd-run", "--wait", "--quiet", "sh", "-c", "exit 4"]).returncode == 4
    assert (
        lab.run_in("a", ["runuser", "-u", "admin", "--", "nix", "store", "info", "--store", "daemon"]).returncode == 0
    )
    for kind in ("no-sshd", "sshd", "newkey", "oldkey", "freeze", "thaw"):
        lab.fault(kind, "a")
    lab.run_in("a", ["systemctl", "reboot"])
    wait_for(lambda: next(host for host in lab.status().hosts if host.host.name == "a").boots == 2)
    lab.wait("a")


def test_the_limit_of_watchers_is_put_back_by_the_last_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text("128")
    for name, path in {"_LIMIT": limit, "_BEFORE": tmp_path / "before", "_USERS": tmp_path / "users"}.items():
        monkeypatch.setattr(f"clanpy.lab.limits.{name}", path)
    limits.allow_watchers("one", 8)
    limits.allow_watchers("other", 16)
    assert int(limit.read_text()) == 128 + 16 * 16
    limits.release_watchers("other")
    limits.release_watchers("never")
    assert int(limit.read_text()) > 128
    limits.release_watchers("one")
    assert int(limit.read_text()) == 128


@pytest.mark.lab
def test_an_unknown_base_is_told_with_the_nearest(own_lab_name: Callable[[str], str]) -> None:
    with pytest.raises(LabBaseError, match="no base 'sid-sytemd'") as caught:
        up(LabSpec(name=own_lab_name("base"), base="sid-sytemd", hosts=(HostSpec(name="a"),)))
    assert "'sid-systemd'" in str(caught.value.hint)
