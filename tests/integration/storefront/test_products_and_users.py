from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from storefront.problems import EmailTaken, NoSuchProduct, NoSuchUser, SkuTaken
from storefront.types import NewOrder, NewOrderLine, NewProduct, NewUser, ProductPatch, ProductSearch

pytestmark = pytest.mark.anyio


async def test_a_product_comes_back_as_it_was_made(products, add, clock):
    made = await add("LMP-1", name="Ölkännchen “groß”", description="One.\nTwo.", price=0, stock=0, currency="EUR")
    assert made.created_at == datetime.fromtimestamp(clock.now, UTC)
    assert made.stock == 0
    assert await products.get(made.id) == made


async def test_a_sku_is_taken_once(products, add):
    results = await asyncio.gather(*(add("LMP-1") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, SkuTaken) for result in results) == 4
    assert (await products.stats()).total == 1


async def test_a_patch_changes_what_it_names(products, add):
    made = await add("LMP-1", price=100, stock=3, description="Old.")
    changed = await products.change(made.id, ProductPatch(price=200, description=""))
    assert (changed.price, changed.description, changed.stock, changed.name) == (200, "", 3, made.name)
    assert await products.get(made.id) == changed


async def test_a_renamed_product_is_found_by_its_new_name(products, add):
    made = await add("LMP-1", name="Desk Lamp")
    await products.change(made.id, ProductPatch(name="Zebra Light"))
    assert (await products.search(ProductSearch(q="desk"))).items == []
    assert [item.id for item in (await products.search(ProductSearch(q="zebra"))).items] == [made.id]
    other = await add("LMP-2", name="Middle")
    assert [item.id for item in (await products.search(ProductSearch(sort="name"))).items] == [
        other.id,
        made.id,
    ]


async def test_a_retired_product_is_gone_and_its_sku_taken(products, add):
    made = await add("LMP-1")
    await products.retire(made.id)
    assert (await products.search(ProductSearch())).items == []
    for attempt in (products.get(made.id), products.change(made.id, ProductPatch(stock=1)), products.retire(made.id)):
        with pytest.raises(NoSuchProduct):
            await attempt
    with pytest.raises(SkuTaken):
        await add("LMP-1")
    assert ((await products.stats()).total, (await products.stats()).active) == (1, 0)


async def test_of_several_products_those_are_added_that_can_be(products, add):
    taken = await add("B-1")
    news = [
        NewProduct(sku=sku, name=f"No. {index}", category="C", price=1)
        for index, sku in enumerate(["C-1", "B-1", "A-1", "C-1"])
    ]
    first, second, third, fourth = await products.create_all(news)
    assert (first.sku, first.name, third.sku) == ("C-1", "No. 0", "A-1")
    assert isinstance(second, SkuTaken)
    assert isinstance(fourth, SkuTaken), "the first of two with one SKU is added"
    assert {item.id for item in (await products.search(ProductSearch())).items} == {taken.id, first.id, third.id}


async def test_batches_side_by_side_each_end(products):
    """Both name the same SKUs, in opposite orders: whoever locked them as they came would wait for ever."""
    news = [NewProduct(sku=f"S-{number}", name="N", category="C", price=1) for number in range(20)]
    results = await asyncio.gather(products.create_all(news), products.create_all(news[::-1]))
    assert sum(isinstance(result, SkuTaken) for batch in results for result in batch) == 20
    assert (await products.stats()).total == 20


async def test_a_product_that_does_not_exist(products):
    for attempt in (products.get(1), products.retire(1), products.change(1, ProductPatch(price=1))):
        with pytest.raises(NoSuchProduct) as caught:
            await attempt
        assert caught.value.status == 404


async def test_search_finds_what_was_asked_for(products, add):
    lamp = await add("LMP-1", name="Desk Lamp", description="Of 100% brass.", category="Lighting", price=500, stock=0)
    stone = await add("STR-2", name="GROSSE Straße", description="A_b", category="Maps", price=1_500)
    chair = await add("CHR-3", name="Chair", description="For a desk.", category="Seating", price=2_500)

    async def found(**filters):
        return {item.id for item in (await products.search(ProductSearch(**filters))).items}

    assert await found() == {lamp.id, stone.id, chair.id}
    assert await found(q="DESK") == {lamp.id, chair.id}
    assert await found(q="lamp desk") == {lamp.id}, "every word, in any order"
    assert await found(q="chr-3") == {chair.id}
    assert await found(q="STRASSE") == {stone.id}, "case does not count in any language"
    assert await found(q="%") == {lamp.id}, "no wildcard"
    assert await found(q="_") == {stone.id}, "no wildcard"
    assert await found(q="  ") == {lamp.id, stone.id, chair.id}
    assert await found(q="'; drop table products; --") == set()
    assert await found(q="\\") == set()
    assert await found(category="Maps") == {stone.id}
    assert await found(category="maps") == set()
    assert await found(min_price=1_500) == {stone.id, chair.id}
    assert await found(max_price=1_500) == {lamp.id, stone.id}
    assert await found(min_price=1_500, max_price=1_500) == {stone.id}
    assert await found(in_stock=True) == {stone.id, chair.id}
    assert await found(in_stock=False) == {lamp.id}
    assert await found(q="desk", in_stock=True, min_price=501) == {chair.id}


async def test_product_stats(products, add):
    assert (await products.stats()).by_category == {}
    await add("A", category="Lighting", stock=0)
    await add("B", category="Lighting")
    retired = await add("C", category="Maps", stock=0)
    await products.retire(retired.id)
    stats = await products.stats()
    assert (stats.total, stats.active, stats.out_of_stock, stats.by_category) == (3, 2, 1, {"Lighting": 2})


async def test_a_user_comes_back(users, customer):
    assert await users.get(customer.id) == customer
    with pytest.raises(NoSuchUser):
        await users.get(customer.id + 1)


async def test_an_address_is_taken_once_in_any_case(users):
    addresses = ("Ada@Example.com", "ada@example.com", "ADA@EXAMPLE.COM")
    attempts = (users.create(NewUser(email=email, name="Ada")) for email in addresses)
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, EmailTaken) for result in results) == 2
    assert (await users.stats()).total == 1


async def test_user_stats(users, orders, customer, add):
    await users.create(NewUser(email="alan@example.com", name="Alan"))
    product = await add("A")
    for _ in range(2):
        await orders.create(NewOrder(customer.id, [NewOrderLine(product.id, 1)]))
    stats = await users.stats()
    assert (stats.total, stats.with_orders) == (2, 1)


async def test_three_services_work_side_by_side(users, orders, products, add):
    await add("A")
    stats = await asyncio.gather(*(service.stats() for service in (users, orders, products) for _ in range(10)))
    assert len(stats) == 30
