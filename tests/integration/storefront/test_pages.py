from __future__ import annotations

import random

import pytest
from sqlalchemy import select, text

from storefront import tables
from storefront.database import Database
from storefront.load import load
from storefront.orders import _ORDERINGS as ORDER_ORDERINGS
from storefront.problems import InvalidCursor
from storefront.products import _ORDERINGS as PRODUCT_ORDERINGS
from storefront.products import _found
from storefront.seed import generate
from storefront.types import NewProduct, OrderSearch, ProductSearch, UserSearch

pytestmark = pytest.mark.anyio

KEYS = {"name": lambda item: item.name.casefold(), "price": lambda item: item.price}


async def walk(service, kind, **search):
    """Return every item, page by page."""
    items, cursor = [], None
    for _ in range(1_000):
        page = await service.search(kind(**search, cursor=cursor))
        assert len(page.items) == search["limit"] or page.next is None, "only the last page is short"
        items += page.items
        cursor = page.next
        if cursor is None:
            return items
    raise AssertionError("the pages have no end")


@pytest.fixture
async def shop(database):
    dataset = generate(random.Random(3), customers=40, products=150, orders=120)
    await load(database, dataset)
    return dataset


@pytest.mark.parametrize("limit", [2, 7, 75])
@pytest.mark.parametrize("sort", ["name", "-name", "price", "-price", "newest", "oldest"])
async def test_every_product_comes_once_and_in_order(products, shop, sort, limit):
    items = await walk(products, ProductSearch, sort=sort, limit=limit)
    assert len(items) == 150
    assert len({item.id for item in items}) == 150
    key = KEYS.get(sort.lstrip("-"), lambda item: item.created_at)
    keys = [(key(item), item.id) for item in items]
    assert keys == sorted(keys, reverse=sort in ("-name", "-price", "newest"))
    assert len({value for value, _ in keys}) < 150, "there are ties"


async def test_a_page_that_ends_with_the_list_is_the_last(products, shop):
    first = await products.search(ProductSearch(limit=75))
    last = await products.search(ProductSearch(limit=75, cursor=first.next))
    assert (len(first.items), len(last.items), last.next) == (75, 75, None)


async def test_filters_hold_on_every_page(products, shop):
    items = await walk(products, ProductSearch, category="Lighting", min_price=5_000, sort="price", limit=2)
    expected = [row.sku for row in shop.products if row.category == "Lighting" and row.price >= 5_000]
    assert len(expected) > 4
    assert sorted(item.sku for item in items) == sorted(expected)


@pytest.mark.parametrize("sort", ["newest", "oldest"])
async def test_every_order_and_user_comes_once(orders, users, shop, sort):
    found = await walk(orders, OrderSearch, sort=sort, limit=7)
    assert sorted(order.reference for order in found) == [row.reference for row in shop.orders]
    totals = {row.reference: row.total for row in shop.orders}
    assert all(order.total == totals[order.reference] for order in found)
    assert all(order.total == sum(line.quantity * line.unit_price for line in order.lines) for order in found)
    people = await walk(users, UserSearch, sort=sort, limit=7)
    assert sorted(user.email for user in people) == sorted(row.email for row in shop.customers)


async def test_products_that_come_and_go_meanwhile_hide_no_other(products, shop):
    before = {item.id for item in await walk(products, ProductSearch, sort="name", limit=100)}
    page = await products.search(ProductSearch(sort="name", limit=50))
    seen = [item.id for item in page.items]
    gone = page.items[-1].id  # the very row the cursor tells
    await products.retire(gone)
    await products.create(NewProduct(sku="NEW-1", name="AAAA", category="New", price=1))
    while page.next:
        page = await products.search(ProductSearch(sort="name", limit=50, cursor=page.next))
        seen += [item.id for item in page.items]
    assert len(seen) == len(set(seen))
    assert set(seen) == before


async def test_a_cursor_of_another_sort_is_refused(products, shop):
    page = await products.search(ProductSearch(sort="name", limit=5))
    with pytest.raises(InvalidCursor):
        await products.search(ProductSearch(sort="price", limit=5, cursor=page.next))


@pytest.mark.parametrize("sort", list(PRODUCT_ORDERINGS))
async def test_sqlite_reads_a_page_from_the_index_without_sorting(sqlite_url, sort):
    database = Database(sqlite_url)
    await database.create_tables()
    await load(database, generate(random.Random(3), customers=40, products=150, orders=120))
    async with database.write() as connection:
        await connection.execute(text("ANALYZE"))
    ordering = PRODUCT_ORDERINGS[sort]
    async with database.read() as connection:
        row = (await connection.execute(_found(ProductSearch()).limit(1).offset(70))).one()
        after = (row._mapping[ordering.keys[0].column], row.id)
        page = await plan(connection, ordering.apply(_found(ProductSearch()), after).limit(20))
        of_customer = select(tables.orders).where(tables.orders.c.customer_id == 1)
        theirs = await plan(connection, ORDER_ORDERINGS["newest"].apply(of_customer, None))
    await database.close()
    assert "SEARCH products USING INDEX" in page
    assert "TEMP B-TREE" not in page
    assert "ix_orders_customer_id" in theirs
    assert "TEMP B-TREE" not in theirs


async def plan(connection, statement):
    # The literal form is only for looking at; nothing a caller sent is in it.
    compiled = statement.compile(connection.sync_connection, compile_kwargs={"render_postcompile": True})
    rows = await connection.exec_driver_sql(
        f"EXPLAIN QUERY PLAN {compiled}", tuple(compiled.params[name] for name in compiled.positiontup)
    )
    return "\n".join(row[-1] for row in rows)
