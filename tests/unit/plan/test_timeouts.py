"""The header field by which callers say how long they will wait: read strictly, written never too long."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.plan import TimeoutField
from seawall.problems import BadRequest

GRPC = TimeoutField("Grpc-Timeout")
ENVOY = TimeoutField("X-Envoy-Expected-Rq-Timeout-Ms")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600),
        (b"2M", 120),
        (b"3S", 3),
        (b"250m", 0.25),
        (b"500u", 0.0005),
        (b"7n", 7e-9),
        (b"0m", 0),
        (b"99999999S", 99_999_999),
        (b"007S", 7),
    ],
)
def test_the_form_of_grpc(value, seconds):
    assert GRPC.seconds(value) == pytest.approx(seconds)


WRONG = [
    b"",
    b"5",
    b"S",
    b"5s",
    b"5 S",
    b"-1S",
    b"+1S",
    b"1.5S",
    b"123456789S",
    b"1S, 2S",
    b"\xd9\xa3S",
    b"1S\n",
    b"5SS",
]


@pytest.mark.parametrize("value", WRONG)
def test_what_has_not_the_form_of_grpc_is_refused(value):
    with pytest.raises(BadRequest, match="grpc-timeout must be at most eight digits and a unit") as raised:
        GRPC.seconds(value)
    assert raised.value.guard == "deadline"


def test_milliseconds_where_the_name_says_so():
    assert (ENVOY.name, ENVOY.seconds(b"250"), ENVOY.text(1.2345)) == ("x-envoy-expected-rq-timeout-ms", 0.25, "1234")
    for value in (b"", b"250m", b"-1", b"1.5", b"1" * 13, b"1, 2", b" 1"):
        with pytest.raises(BadRequest, match="whole milliseconds"):
            ENVOY.seconds(value)


@given(st.floats(min_value=0, max_value=1e8))
@pytest.mark.parametrize("field", [GRPC, ENVOY])
def test_what_is_told_on_can_be_read_and_is_never_more(field, seconds):
    told = field.seconds(field.text(seconds).encode())
    assert told <= seconds + 1e-9
    assert seconds - told < 1.001 or seconds > 99_999_999


@given(st.binary(max_size=12))
def test_any_bytes_are_read_or_refused(value):
    for field in (GRPC, ENVOY):
        with contextlib.suppress(BadRequest):
            assert field.seconds(value) >= 0
