from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from seawall.problems import InvalidInput
from storefront import tables
from storefront.problems import NoSuchOrder, NotCancellable, OutOfStock
from storefront.types import NewOrder, NewOrderLine, OrderSearch, OrderStatus, ProductPatch, Revenue

pytestmark = pytest.mark.anyio


def of(customer, *lines):
    return NewOrder(customer.id, [NewOrderLine(product.id, quantity) for product, quantity in lines])


async def count(database, table):
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(table))


async def test_an_order_takes_stock_and_remembers_prices(orders, products, customer, add, clock):
    lamp, chair = await add("LAMP", price=4_900, stock=5), await add("CHAIR", price=12_000, stock=2)
    order = await orders.create(of(customer, (chair, 1), (lamp, 3)))
    assert order.status is OrderStatus.PLACED
    assert order.placed_at == datetime.fromtimestamp(clock.now, UTC)
    assert order.total == 12_000 + 3 * 4_900
    assert [(line.product_id, line.quantity, line.unit_price) for line in order.lines] == [
        (chair.id, 1, 12_000),
        (lamp.id, 3, 4_900),
    ], "lines stay as they were sent"
    assert ((await products.get(lamp.id)).stock, (await products.get(chair.id)).stock) == (2, 1)
    await products.change(lamp.id, ProductPatch(price=1))
    assert await orders.get(order.id) == order


async def test_an_order_that_lacks_something_takes_nothing(orders, products, customer, add, database):
    plenty, few, none = await add("A", stock=9), await add("B", stock=2), await add("C", stock=0)
    with pytest.raises(OutOfStock) as caught:
        await orders.create(of(customer, (none, 1), (plenty, 1), (few, 3)))
    assert caught.value.status == 409
    assert {error.pointer: error.detail for error in caught.value.errors} == {
        "/lines/0/quantity": "1 ordered, 0 left.",
        "/lines/2/quantity": "3 ordered, 2 left.",
    }
    assert [(await products.get(product.id)).stock for product in (plenty, few, none)] == [9, 2, 0]
    assert (await count(database, tables.orders), await count(database, tables.order_lines)) == (0, 0)


async def test_an_order_names_everything_that_does_not_exist(orders, products, customer, add):
    good, retired, other = await add("A"), await add("B"), await add("C", currency="EUR")
    await products.retire(retired.id)
    lines = [NewOrderLine(product, 1) for product in (good.id, 4_711, retired.id, other.id)]
    with pytest.raises(InvalidInput) as caught:
        await orders.create(NewOrder(customer.id + 1, lines))
    assert {error.pointer: error.detail for error in caught.value.errors} == {
        "/customer_id": f"There is no user {customer.id + 1}.",
        "/lines/1/product_id": "There is no product 4711.",
        "/lines/2/product_id": f"Product {retired.id} is no longer sold.",
        "/lines/3/product_id": f"Product {other.id} is sold in EUR, others here in USD.",
    }
    assert (await products.get(good.id)).stock == 10


async def test_the_last_ten_are_sold_to_ten(orders, products, customer, add):
    product = await add("LAST", stock=10)
    attempts = (orders.create(of(customer, (product, 1))) for _ in range(50))
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 10
    assert [type(result) for result in results if isinstance(result, BaseException)] == [OutOfStock] * 40
    assert (await products.get(product.id)).stock == 0
    assert (await orders.stats()).total == 10


async def test_orders_of_the_same_products_never_wait_for_each_other_for_ever(orders, products, customer, add):
    made = [await add(f"P{number}", stock=100) for number in range(6)]
    there = [(product, 1) for product in made]
    attempts = [orders.create(of(customer, *lines)) for lines in (there, there[::-1]) * 15]
    async with asyncio.timeout(30):
        placed = await asyncio.gather(*attempts)
        await asyncio.gather(*(orders.cancel(order.id) for order in placed[::2]))
    assert [(await products.get(product.id)).stock for product in made] == [85] * 6


async def test_cancelling_gives_stock_back(orders, products, customer, add):
    lamp, chair = await add("LAMP", stock=5), await add("CHAIR", stock=5)
    order = await orders.create(of(customer, (lamp, 5), (chair, 2)))
    cancelled = await orders.cancel(order.id)
    assert cancelled.status is OrderStatus.CANCELLED
    assert cancelled.lines == order.lines
    assert ((await products.get(lamp.id)).stock, (await products.get(chair.id)).stock) == (5, 5)


async def test_of_many_who_cancel_one_gives_stock_back(orders, products, customer, add):
    product = await add("A", stock=5)
    order = await orders.create(of(customer, (product, 3)))
    results = await asyncio.gather(*(orders.cancel(order.id) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, NotCancellable) for result in results) == 9
    assert (await products.get(product.id)).stock == 5


async def test_what_is_shipped_cannot_be_cancelled(orders, products, customer, add, database):
    product = await add("A", stock=5)
    order = await orders.create(of(customer, (product, 1)))
    async with database.write() as connection:
        await connection.execute(update(tables.orders).values(status=OrderStatus.SHIPPED))
    with pytest.raises(NotCancellable, match="is shipped"):
        await orders.cancel(order.id)
    assert (await products.get(product.id)).stock == 4


async def test_an_order_that_does_not_exist(orders):
    for attempt in (orders.get(1), orders.cancel(1)):
        with pytest.raises(NoSuchOrder) as caught:
            await attempt
        assert caught.value.status == 404


@pytest.mark.parametrize("_", range(6))  # when exactly it is cancelled is chance
async def test_a_cancelled_call_leaves_nothing_behind(_, orders, products, customer, add):
    product = await add("A", stock=1_000)
    tasks = [asyncio.create_task(orders.create(of(customer, (product, 1)))) for _ in range(30)]
    while (await products.get(product.id)).stock == 1_000:  # noqa: ASYNC110 - only the database knows
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert any(isinstance(result, asyncio.CancelledError) for result in results)
    stats = await orders.stats()
    assert (await products.get(product.id)).stock == 1_000 - stats.total, "an order and its stock go together"
    assert await orders.create(of(customer, (product, 1))), "the next one is served"


async def test_search_filters(orders, users, customer, add, clock):
    from storefront.types import NewUser

    product = await add("A", stock=100)
    other = await users.create(NewUser(email="alan@example.com", name="Alan Turing"))
    placed = []
    for index, who in enumerate((customer, other, customer)):
        clock.now += 3_600
        placed.append(await orders.create(of(who, (product, index + 1))))
    first, second, third = placed
    await orders.cancel(third.id)

    async def found(**filters):
        return [order.id for order in (await orders.search(OrderSearch(**filters))).items]

    assert await found() == [third.id, second.id, first.id]
    assert await found(sort="oldest") == [first.id, second.id, third.id]
    assert await found(customer_id=customer.id) == [third.id, first.id]
    assert await found(status=OrderStatus.CANCELLED) == [third.id]
    assert await found(customer_id=customer.id, status=OrderStatus.PLACED) == [first.id]
    assert await found(placed_from=second.placed_at) == [third.id, second.id], "from is included"
    assert await found(placed_before=second.placed_at) == [first.id], "before is not"
    assert await found(placed_from=second.placed_at, placed_before=second.placed_at + timedelta(seconds=1)) == [
        second.id
    ]
    assert (await orders.search(OrderSearch(sort="oldest"))).items[:2] == [first, second], "with their lines"


async def test_stats(orders, customer, add):
    empty = await orders.stats()
    assert (empty.total, empty.revenue, set(empty.by_status.values())) == (0, [], {0})
    dollars, euros = await add("A", price=1_000), await add("B", price=333, currency="EUR")
    for product, quantity in ((dollars, 1), (dollars, 2), (euros, 1), (euros, 3)):
        last = await orders.create(of(customer, (product, quantity)))
    await orders.cancel(last.id)
    stats = await orders.stats()
    assert stats.total == 4
    assert stats.by_status[OrderStatus.PLACED] == 3
    assert stats.by_status[OrderStatus.CANCELLED] == 1
    assert stats.revenue == [Revenue("EUR", 1, 333, 333), Revenue("USD", 2, 3_000, 1_500)]


async def test_the_database_itself_refuses_to_oversell(database, add):
    product = await add("A", stock=1)
    with pytest.raises(IntegrityError, match="stock_not_negative"):
        async with database.write() as connection:
            await connection.execute(update(tables.products).where(tables.products.c.id == product.id).values(stock=-1))


async def test_the_database_itself_refuses_orders_of_nobody(database):
    values = {"customer_id": 99, "status": "placed", "placed_at": datetime(2026, 1, 1, tzinfo=UTC)}
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        async with database.write() as connection:
            await connection.execute(tables.orders.insert().values(**values, currency="USD", total=0))
