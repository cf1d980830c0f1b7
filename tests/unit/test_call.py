"""Call: header fields, the trace, the current call."""

import pytest

from seawall import Call, TraceContext, current_call
from seawall.call import enter, leave


def test_fields_of_the_request_are_found_in_any_case():
    call = Call(b"id", "op", {b"x-tenant": b"caf\xe9"}, ("192.0.2.1", 5))
    assert (call.header("X-Tenant"), call.header("x-other")) == ("café", None)
    assert (call.request_id, call.client) == ("id", "192.0.2.1")
    assert Call(b"id", "op").client is None


@pytest.mark.parametrize(
    ("field", "trace"),
    [
        ("00-" + "a" * 32 + "-" + "b" * 16 + "-01", TraceContext("a" * 32, "b" * 16, sampled=True)),
        ("00-" + "a" * 32 + "-" + "b" * 16 + "-00", TraceContext("a" * 32, "b" * 16, sampled=False)),
        ("00-" + "0" * 32 + "-" + "b" * 16 + "-01", None),
        ("00-" + "a" * 32 + "-" + "0" * 16 + "-01", None),
        ("00-" + "A" * 32 + "-" + "b" * 16 + "-01", None),
        ("00-" + "a" * 32 + "-" + "b" * 16, None),
        ("", None),
    ],
)
def test_the_trace_is_the_callers_or_none(field, trace):
    assert Call(b"id", "op", {b"traceparent": field.encode()}).trace == trace


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x y", "1"),
        ("", "1"),
        ("x:", "1"),
        ("x", "a\r\nb"),
        ("x", "\x00"),
        ("x", "\x7f"),
        ("x", "€"),
        ("Content-Length", "1"),
        ("content-type", "x"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
    ],
)
def test_a_field_that_cannot_be_sent_is_refused(name, value):
    call = Call(b"id", "op")
    with pytest.raises(ValueError, match="header field"):
        call.add_header(name, value)
    assert call.fields is None


def test_fields_of_the_answer_add_up():
    call = Call(b"id", "op")
    call.add_header("X-A", "caf\xe9\t1")
    call.add_header("x-a", "")
    assert call.fields == [(b"x-a", b"caf\xe9\t1"), (b"x-a", b"")]


def test_the_current_call_is_the_innermost():
    with pytest.raises(LookupError, match="no current call"):
        current_call()
    one, two = Call(b"1", "one"), Call(b"2", "two")
    outer = enter(one)
    inner = enter(two)
    assert current_call() is two
    leave(inner)
    assert current_call() is one
    leave(outer)
