from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from functools import cache

import msgspec
import pytest

from storefront.dataset import Dataset
from storefront.seed import UNTIL, generate
from storefront.types import OrderStatus
from storefront.words import CATEGORIES


@cache
def shop() -> Dataset:
    return generate(random.Random(1))


def test_is_as_large_as_promised():
    assert (len(shop().customers), len(shop().products), len(shop().orders)) == (500, 3_000, 10_000)


def test_the_same_seed_makes_the_same_shop():
    assert generate(random.Random(1)).digest() == shop().digest()
    # It must also be the same tomorrow and on every Python: whoever changes the generator changes this.
    assert shop().digest() == "8ae9a3c8cb5c35743b20c1bee45763517bde00196ed9471d73e8a33b3ce600cc"


def test_another_seed_makes_another_shop():
    assert generate(random.Random(2)).digest() != shop().digest()


def test_leaves_the_chance_of_others_alone():
    state = random.getstate()
    generate(random.Random(1), customers=5, products=5, orders=5)
    assert random.getstate() == state


def test_the_first_rows_do_not_depend_on_how_many_there_are():
    small = generate(random.Random(1), customers=500, products=3_000, orders=10)
    assert small.products == shop().products
    assert [row.reference for row in small.orders] == [row.reference for row in shop().orders[:10]]


def test_every_row_is_one_the_shop_accepts():
    again = msgspec.json.decode(msgspec.json.encode(shop()), type=Dataset)
    assert again == shop()


def test_what_identifies_a_row_is_its_own():
    assert len({row.email for row in shop().customers}) == 500
    assert all(row.email == row.email.lower() and row.email.isascii() for row in shop().customers)
    assert len({row.sku for row in shop().products}) == 3_000
    assert len({row.reference for row in shop().orders}) == 10_000


def test_products_are_of_their_category():
    kinds = {kind.category: kind for kind in CATEGORIES}
    for row in shop().products:
        kind = kinds[row.category]
        assert row.sku.startswith(kind.code)
        assert kind.cheapest <= row.price <= kind.dearest
        assert any(noun in row.name for noun in kind.nouns)
        assert any(row.name.endswith(material) for material in kind.materials)
    assert len({row.category for row in shop().products}) == len(CATEGORIES)


def test_there_are_ties_for_the_pages_to_get_right():
    assert len({row.price for row in shop().products}) < 2_000
    assert len({row.name for row in shop().products}) < 3_000
    assert len({row.created_at for row in shop().products}) < 60


def test_orders_have_lines_at_the_prices_of_their_products():
    prices = {row.sku: row.price for row in shop().products}
    sizes = Counter(len(row.lines) for row in shop().orders)
    assert sorted(sizes) == [1, 2, 3, 4, 5]
    for row in shop().orders:
        assert len({line.sku for line in row.lines}) == len(row.lines)
        assert all(line.unit_price == prices[line.sku] for line in row.lines)
        assert row.total == sum(line.quantity * prices[line.sku] for line in row.lines) > 0


def test_time_goes_forward():
    joined = {row.email: row.created_at for row in shop().customers}
    listed = {row.sku: row.created_at for row in shop().products}
    placed = [row.placed_at for row in shop().orders]
    assert max(placed) <= UNTIL
    assert max(placed) - min(placed) > timedelta(days=700)
    for row in shop().orders:
        assert joined[row.email] <= row.placed_at
        assert all(listed[line.sku] <= row.placed_at for line in row.lines)


def test_orders_are_as_far_as_their_age_lets_them_be():
    status = Counter(row.status for row in shop().orders)
    assert set(status) == set(OrderStatus)
    assert 300 < status[OrderStatus.CANCELLED] < 700
    for row in shop().orders:
        if row.status in (OrderStatus.PLACED, OrderStatus.PAID):
            assert UNTIL - row.placed_at <= timedelta(days=4)


def test_some_products_sell_better_and_some_are_sold_out():
    sold = Counter(line.sku for row in shop().orders for line in row.lines)
    assert max(sold.values()) > 5 * (sum(sold.values()) / 3_000)
    assert 50 < sum(row.stock == 0 for row in shop().products) < 200


def test_can_end_at_any_day():
    until = datetime(2030, 6, 1, tzinfo=UNTIL.tzinfo)
    small = generate(random.Random(1), customers=1, products=5, orders=20, until=until)
    assert until - timedelta(days=60) < max(row.placed_at for row in small.orders) <= until


@pytest.mark.parametrize("sizes", [{"customers": 0}, {"products": 4}, {"orders": -1}])
def test_refuses_a_shop_that_cannot_be(sizes):
    with pytest.raises(ValueError, match="at least 1 customer, 5 products"):
        generate(random.Random(1), **sizes)


def test_a_shop_without_orders_can_be():
    assert generate(random.Random(1), customers=1, products=5, orders=0).orders == ()
