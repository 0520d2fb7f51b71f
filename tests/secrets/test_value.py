import copy
import json
import logging
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest

from clanpy.secrets import Secret


PLANTED = "tr0ub4dor&3"


@dataclass
class Holder:
    password: Secret


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        "{}".format,
        "{!r:>30}".format,
        "{:>30}".format,
        "%s".__mod__,
        "%r".__mod__,
        lambda s: repr([s]),
        lambda s: repr({"password": s}),
        lambda s: repr(Holder(s)),
        lambda s: repr(asdict(Holder(s))),
        lambda s: repr(copy.copy(s)),
        lambda s: repr(copy.deepcopy(s)),
        lambda s: repr(ValueError("wrong", s)),
        ascii,
    ],
)
def test_a_secret_does_not_show(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(PLANTED))

    assert PLANTED not in shown
    assert "<secret>" in shown


@pytest.mark.parametrize("spill", [pickle.dumps, json.dumps, hash, bytes, list, iter])
def test_a_secret_can_not_be_serialised_hashed_or_taken_apart(spill: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as failure:
        spill(Secret(PLANTED))

    assert PLANTED not in str(failure.value)


def test_a_secret_does_not_show_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("x").warning("the password is %s", Secret(PLANTED))

    assert PLANTED not in caplog.text


def test_a_secret_is_revealed_only_by_name() -> None:
    secret = Secret("häl")

    assert secret.reveal() == b"h\xc3\xa4l"
    assert secret.text() == "häl"
    assert len(secret) == 4
    assert secret == Secret(b"h\xc3\xa4l")
    assert secret != Secret("x")
    assert secret != "häl"
    assert not Secret("")


def test_text_that_is_none_does_not_spill_in_the_error() -> None:
    assert Secret(b"\xff\xfe").text() == "��"


def test_a_secret_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        Secret("x").plain = b"y"
    with pytest.raises(AttributeError):
        Secret("x")._plain = b"y"
