from __future__ import annotations

import random

import pytest

from seawall.propagation import (
    BAGGAGE_BYTES,
    BAGGAGE_MEMBERS,
    TraceContext,
    format_baggage,
    read_baggage,
    read_traceparent,
    read_tracestate,
    shorten_tracestate,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (GOOD, TraceContext(TRACE, SPAN, sampled=True)),
        (f" {GOOD}\t", TraceContext(TRACE, SPAN, sampled=True)),
        (f"00-{TRACE}-{SPAN}-00", TraceContext(TRACE, SPAN, sampled=False)),
        (f"00-{TRACE}-{SPAN}-02", TraceContext(TRACE, SPAN, sampled=False, random=True)),
        (f"00-{TRACE}-{SPAN}-ff", TraceContext(TRACE, SPAN, sampled=True, random=True)),
        (f"cc-{TRACE}-{SPAN}-01", TraceContext(TRACE, SPAN, sampled=True)),
        (f"cc-{TRACE}-{SPAN}-03-what-the-future-brings", TraceContext(TRACE, SPAN, sampled=True)),
    ],
)
def test_a_well_formed_traceparent_is_read(field, found):
    assert read_traceparent(field) == found


@pytest.mark.parametrize(
    "field",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01.",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}-{SPAN}",
        f"{GOOD}, {GOOD}",
        f"{GOOD},{GOOD}",
        f"0\u0660-{TRACE}-{SPAN}-01",
        GOOD + "\x00",
        "00" * 10_000,
    ],
)
def test_a_malformed_one_counts_as_none_and_takes_its_tracestate_with_it(field):
    assert read_traceparent(field, "vendor=1") is None


def test_hundreds_of_damaged_ones_are_never_half_read():
    chance = random.Random(4)
    for _ in range(2000):
        place = chance.randrange(len(GOOD))
        damaged = GOOD[:place] + chance.choice("gGzZ-_ .,;\x00\x7fé01") * chance.randrange(3) + GOOD[place + 1 :]
        found = read_traceparent(damaged)
        if found is not None:
            assert len(damaged.strip()) == 55
            assert found.traceparent.startswith(f"00-{found.trace_id}-{found.parent_id}-")
            assert read_traceparent(found.traceparent) == found


def test_what_is_sent_on_is_version_00():
    found = read_traceparent(f"cc-{TRACE}-{SPAN}-01-more")
    assert found is not None
    assert found.traceparent == GOOD


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("a=1", "a=1"),
        (" a=1 ,\tb=2 ", "a=1,b=2"),
        ("a=1,,b=2,", "a=1,b=2"),
        ("tenant@system=x y", "tenant@system=x y"),
        ("0a=1", "0a=1"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a =1", ""),
        ("a=", ""),
        ("a=1=2", ""),
        ("=1", ""),
        ("a", ""),
        ("a=\x01", ""),
        ("k" * 257 + "=1", ""),
        ("a=" + "v" * 257, ""),
        ("a=" + "v" * 256, "a=" + "v" * 256),
        (",".join(f"k{n}=1" for n in range(32)), ",".join(f"k{n}=1" for n in range(32))),
        (",".join(f"k{n}=1" for n in range(33)), ""),
        ("x" * 100_000, ""),
    ],
)
def test_a_tracestate_is_taken_whole_or_not_at_all(field, found):
    assert read_tracestate(field) == found


def test_a_malformed_tracestate_leaves_the_traceparent():
    assert read_traceparent(GOOD, "A=1") == TraceContext(TRACE, SPAN, sampled=True)


def test_large_members_of_a_tracestate_go_first_then_the_last():
    large = "large=" + "v" * 200
    small = ",".join(f"k{n:02}={'v' * 20}" for n in range(18))
    short = shorten_tracestate(f"first=1,{large},{small}")
    assert len(short) <= 512
    assert short == f"first=1,{small}"
    many = ",".join(f"k{n:02}={'v' * 100}" for n in range(8))
    assert shorten_tracestate(many) == ",".join(many.split(",")[:4])


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (None, {}),
        ("a=1", {"a": ("1", "")}),
        ("a = 1 ; p = q ; r , b=2", {"a": ("1", "; p = q ; r"), "b": ("2", "")}),
        ("a=%C3%A9%20b", {"a": ("é b", "")}),
        ("a=%FF", {"a": ("�", "")}),
        ("a=1,no,b=2", {"a": ("1", ""), "b": ("2", "")}),
        ("a b=1", {}),
        ('a="1"', {}),
        ("a=1;;", {}),
        ("a=1,a=2", {"a": ("2", "")}),
        ("a=\x00", {}),
    ],
)
def test_malformed_members_of_baggage_are_left_out(field, found):
    assert read_baggage(field) == found


def test_baggage_that_is_sent_on_keeps_within_its_limits():
    many = read_baggage(",".join(f"k{n}={n}" for n in range(200)))
    assert format_baggage(many.items()).count(",") == BAGGAGE_MEMBERS - 1
    large = format_baggage((f"k{n}", ("v" * 1000, "")) for n in range(20))
    assert 7000 < len(large) <= BAGGAGE_BYTES
    assert format_baggage([("no key", ("1", "")), ("k", ('"x", é%', ";p=1"))]) == "k=%22x%22%2C%20%C3%A9%25;p=1"
    assert len(read_baggage("a=1," * 100_000)) == 1
