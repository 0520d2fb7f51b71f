"""How a target is written."""

from __future__ import annotations

import ipaddress
import string
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.errors import ExitCode, Place
from clanpy.ssh import Elevation, HostKeyCheck, Target, TargetError, parse_target


WORD = string.ascii_letters + string.digits
labels = st.text(WORD, min_size=1, max_size=12)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
hosts = st.one_of(names, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
users = st.text(WORD + "_", min_size=1, max_size=12)
ports = st.integers(1, 65535)
targets = st.builds(Target, host=hosts, user=st.none() | users, port=st.none() | ports)


@given(targets, st.booleans())
def test_what_a_target_writes_is_read_back_as_the_same_target(target: Target, scheme: bool) -> None:
    text = f"ssh://{target}" if scheme else str(target)

    assert parse_target(text) == target


@given(st.text(max_size=40))
def test_any_text_is_a_target_or_an_error_with_a_hint(text: str) -> None:
    try:
        target: Target | TargetError = parse_target(text)
    except TargetError as error:
        target = error

    if isinstance(target, Target):
        assert parse_target(str(target)) == target
    else:
        assert target.hint
        assert repr(text) in target.message


@pytest.mark.parametrize(
    ("text", "host", "user", "port"),
    [
        ("cinnabar", "cinnabar", None, None),
        ("root@cinnabar.example.org", "cinnabar.example.org", "root", None),
        ("cinnabar:2222", "cinnabar", None, 2222),
        ("ssh://root@10.0.0.7:2222", "10.0.0.7", "root", 2222),
        ("ssh://cinnabar/", "cinnabar", None, None),
        ("[fd00::7]", "fd00::7", None, None),
        ("root@[fd00::7]:22", "fd00::7", "root", 22),
        ("[fe80::1%eth0]:22", "fe80::1%eth0", None, 22),
        ("first.last@example.org@cinnabar", "cinnabar", "first.last@example.org", None),
        ("build_host-1", "build_host-1", None, None),
    ],
)
def test_user_host_and_port_are_found(text: str, host: str, user: str | None, port: int | None) -> None:
    target = parse_target(text)

    assert (target.host, target.user, target.port) == (host, user, port)


@pytest.mark.parametrize(
    ("text", "complaint", "hint"),
    [
        ("", "there is no host in it", "write [user@]host[:port]"),
        ("root@", "there is no host in it", "write [user@]host[:port]"),
        ("@cinnabar", "'' is no account name", "write [user@]host[:port]"),
        ("ro ot@cinnabar", "'ro ot' is no account name", "write [user@]host[:port]"),
        ("cinnabar:", "'' is no port", "a number from 1 to 65535"),
        ("cinnabar:0", "'0' is no port", "a number from 1 to 65535"),
        ("cinnabar:65536", "'65536' is no port", "a number from 1 to 65535"),
        ("cinnabar:ssh", "'ssh' is no port", "a number from 1 to 65535"),
        ("fd00::7", "can't be told from a port", "put it in brackets: [fd00::7]"),
        ("[fd00::7", "is not closed", "an IPv6 address in brackets"),
        ("[cinnabar]:22", "'cinnabar' in brackets is no IPv6 address", "write [user@]host[:port]"),
        ("[fd00::7]22", "'22' after the address is no port", "write [user@]host[:port]"),
        ("-oProxyCommand=id", "'-oProxyCommand=id' is neither a host name nor an address", "write [user@]host[:port]"),
        ("cinnabar/etc", "'cinnabar/etc' is neither", "write [user@]host[:port]"),
        ("http://cinnabar", "", ""),
    ],
)
def test_a_mistake_is_named_with_its_remedy(text: str, complaint: str, hint: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_target(text)

    assert complaint in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code is ExitCode.USAGE


def test_the_place_of_a_target_stands_before_its_error() -> None:
    with pytest.raises(TargetError) as caught:
        parse_target("cinnabar:", place=Place("inventory.toml", 12, 3))

    assert str(caught.value).startswith("inventory.toml:12:3: target 'cinnabar:'")


def test_what_is_not_written_comes_from_the_target_it_is_like() -> None:
    like = Target(
        host="", name="cinnabar", user="admin", port=2222, host_key_check=HostKeyCheck.NONE, elevation=Elevation.DOAS
    )

    target = parse_target("10.0.0.7:22", like=like)

    assert (target.host, target.port, target.user) == ("10.0.0.7", 22, "admin")
    assert (target.label, target.host_key_check, target.elevation) == ("cinnabar", HostKeyCheck.NONE, Elevation.DOAS)


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_is_written_in_brackets(address: ipaddress.IPv6Address) -> None:
    assert str(Target(host=str(address), port=22)) == f"[{address}]:22"


def test_reading_a_target_does_not_load_asyncssh() -> None:
    code = "import sys, clanpy.ssh as s; s.parse_target('root@a:22'); sys.exit('asyncssh' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
