"""The tier in the process: its bounds, and what it lets go."""

import itertools
import random
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.cache.local import Local


class Item:
    def __init__(self, size=1):
        self.size = size
        self.asked = 0


def filled(local, keys):
    for key in keys:
        if local.get(key) is None:
            local.put(key, Item())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 30), st.integers(0, 120)),
        st.tuples(st.just("get"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("drop"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("clear"), st.just(0), st.just(0)),
    ),
    max_size=200,
)


@given(STEPS, st.integers(1, 20))
def test_bounds_and_sums_hold_after_every_step(steps, most):
    local = Local(most, 100)
    last = {}
    for step, key, size in steps:
        if step == "put":
            item = Item(size)
            assert local.put(key, item) == (size <= 100)
            last[key] = item
            assert local.get(key) is (item if size <= 100 else None)
        elif step == "get":
            found = local.get(key)
            assert found is None or found is last[key]
        elif step == "drop":
            local.drop(key)
            assert local.get(key) is None
        else:
            local.clear()
            assert len(local) == 0
        kept = [item for key in range(31) if (item := local._items.get(key)) is not None]
        assert len(local) == len(kept) == len(local._new) + len(local._main) <= most
        assert local.size == sum(item.size for item in kept) <= 100
        assert local._new_size == sum(local._items[key].size for key in local._new)
        assert len(local._left) <= most


def test_what_is_asked_for_once_pushes_out_nothing_that_is_asked_for_often():
    local = Local(100, 100)
    often = [f"often {number}" for number in range(80)]
    for _ in range(3):
        filled(local, often)
    filled(local, [f"once {number}" for number in range(10_000)])
    assert all(local.get(key) for key in often)


def test_what_is_asked_for_no_more_goes():
    local = Local(100, 100)
    for _ in range(10):
        filled(local, [f"old {number}" for number in range(100)])
    new = [f"new {number}" for number in range(80)]
    for _ in range(10):
        filled(local, new)
    assert all(local.get(key) for key in new)


def test_who_left_and_comes_again_goes_straight_to_the_main_queue():
    local = Local(10, 10)
    filled(local, "abcdefghij")
    filled(local, "k")
    assert local.get("a") is None
    filled(local, "a")
    filled(local, [f"once {number}" for number in range(100)])
    assert local.get("a") is not None
    assert local.get("k") is None


def test_a_large_item_finds_room_among_small_ones():
    local = Local(1_000, 1_000)
    for _ in range(5):
        filled(local, range(1_000))
    assert local.put("large", Item(500))
    assert local.get("large") is not None
    assert local.size <= 1_000


def test_an_item_put_again_counts_once_and_keeps_its_looks():
    local = Local(10, 100)
    local.put("a", Item(60))
    local.get("a")
    local.put("a", again := Item(70))
    assert (local.size, len(local), again.asked) == (70, 1, 1)
    assert not local.put("a", Item(101))
    assert (local.size, len(local), local.get("a")) == (0, 0, None)


def longest_unused_goes(keys, room):
    kept = OrderedDict()
    found = 0
    for key in keys:
        if key in kept:
            found += 1
            kept.move_to_end(key)
        else:
            kept[key] = None
            if len(kept) > room:
                kept.popitem(last=False)
    return found


@pytest.mark.parametrize("once", [0.0, 0.5])
def test_more_is_found_than_if_the_longest_unused_went(once):
    rng = random.Random(5)
    weights = list(itertools.accumulate(1 / (number + 1) ** 0.9 for number in range(5_000)))
    never = itertools.count(5_000)
    keys = [
        next(never) if rng.random() < once else key for key in rng.choices(range(5_000), cum_weights=weights, k=20_000)
    ]
    local = Local(100, 100)
    found = 0
    for key in keys:
        if local.get(key) is not None:
            found += 1
        else:
            local.put(key, Item())
    assert found > 1.2 * longest_unused_goes(keys, 100)
