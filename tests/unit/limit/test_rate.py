"""Rates as texts: what they mean, and what is said of those that cannot work."""

import pytest

from seawall import DeclarationError, Service
from seawall.limit import Rate, groups, rates


@pytest.mark.parametrize(
    ("text", "count", "period", "burst", "window"),
    [
        ("100/minute", 100, 60, 100, ""),
        (" 100 / Minute ", 100, 60, 100, ""),
        ("10/second burst 20", 10, 1, 20, ""),
        ("500/15 minutes", 500, 900, 500, ""),
        ("1/2h", 1, 7200, 1, ""),
        ("3/day burst 1", 3, 86400, 1, ""),
        ("10000 each day", 10000, 86400, 10000, "day"),
        ("5 each month", 5, 31 * 86400, 5, "month"),
        ("1000000/s", 1000000, 1, 1000000, ""),
    ],
)
def test_what_a_text_means(text, count, period, burst, window):
    rate = Rate(text)
    assert (rate.count, rate.period, rate.burst, rate.window) == (count, period, burst, window)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("often", 'write "100/minute"'),
        ("", 'write "100/minute"'),
        ("-1/minute", 'write "100/minute"'),
        ("1.5/minute", 'write "100/minute"'),
        ("9" * 5000 + "/minute", 'write "100/minute"'),
        ("0/minute", "lets no call pass"),
        ("0 each day", "lets no call pass"),
        ("5/minute burst 0", "burst of 0"),
        ("5/0 minutes", "more than nothing"),
        ("5/fortnight", "no unit"),
        ("5/month", "5 each month"),
        ("5/999 days", "366 days"),
        ("2000000/second", "is no limit"),
        ("5/second burst 99999999999", "is no limit"),
        (["5/minute", "5 / minute", "5/minute"], "twice"),
        (5, "a rate, or a list"),
        ([5], "neither a text nor a Rate"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_declared(value, says):
    app = Service("test")
    with pytest.raises(DeclarationError) as caught:

        @app.get("/x", rate=value)
        async def read() -> None: ...

    assert says in str(caught.value)
    assert "rate=" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"key": "user"}, "names nobody"),
        ({"key": "claim:"}, "names nobody"),
        ({"key": 7}, "neither a text nor a function"),
        ({"cost": 0}, "1 or more"),
        ({"cost": True}, "1 or more"),
        ({"cost": 1.5}, "1 or more"),
        ({"cost": 11}, "raise the burst to 11"),
        ({"name": "a b"}, "letters, digits"),
    ],
)
def test_what_a_rate_cannot_be(options, says):
    with pytest.raises(ValueError, match=says):
        Rate("10/minute", **options)


def test_rates_of_one_key_and_cost_are_taken_from_together():
    first, second = Rate("1/s", key="address"), Rate("9/h", key="address")
    other, dear = Rate("5/s"), Rate("5/h", key="address", cost=2)
    assert groups([first, other, second, dear]) == [[(0, first), (2, second)], [(1, other)], [(3, dear)]]
    assert rates(None) == ()
    assert rates(first) == (first,)
    assert rates(["1/s", first]) == (Rate("1/s"), first)
