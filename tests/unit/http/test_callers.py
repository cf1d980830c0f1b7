"""Callers in keys: who is the same, who is not, and that remembering makes no difference."""

import pytest

from seawall import Principal
from seawall.http.callers import Callers, caller

ANN = Principal("ann", frozenset({"a", "b"}), frozenset({"s"}), {"shop": 1, "exp": 1})


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Principal("ann", frozenset({"b", "a"}), frozenset({"s"}), {"exp": 2, "shop": 1, "jti": "x"}), True),
        (Principal("bob", frozenset({"a", "b"}), frozenset({"s"}), {"shop": 1}), False),
        (Principal("ann", frozenset({"a"}), frozenset({"s"}), {"shop": 1}), False),
        (Principal("ann", frozenset({"a", "b"}), frozenset({"s", "t"}), {"shop": 1}), False),
        (Principal("ann", frozenset({"a", "b"}), frozenset({"s"}), {"shop": 2}), False),
        (Principal("ann", frozenset({"a", "b"}), frozenset({"s"}), {"shop": "1"}), False),
        (Principal("ann", frozenset({"a", "b"}), frozenset({"s"}), {"shop": object()}), False),
    ],
)
def test_who_is_the_same(other, same):
    assert (caller(ANN) == caller(other)) is same
    callers = Callers()
    for principal in (ANN, other, ANN):
        assert callers(principal) == caller(principal)


def test_an_address_that_is_used_again_is_not_taken_for_the_one_before():
    callers = Callers(most=3)
    for number in range(1000):
        principal = Principal(f"user {number}")
        assert callers(principal) == caller(principal)
        assert callers(principal) is callers(principal)
