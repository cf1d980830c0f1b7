"""The demonstration's book finds every order that is there twice, or not."""

import pytest
from sqlalchemy import insert

pytestmark = pytest.mark.anyio


async def shop_with(tmp_path, *numbers):
    from storefront.database import Database
    from storefront.moments import now
    from storefront.tables import orders, users

    class Now:
        def time(self):
            return 1_770_000_000.0

    url = f"sqlite:///{tmp_path / 'shop.sqlite3'}"
    database = Database(url)
    await database.create_tables()
    moment = now(Now())
    async with database.write() as connection:
        await connection.execute(insert(users).values(id=1, email="a@example.com", name="A", created_at=moment))
        for number in numbers:
            await connection.execute(
                insert(orders).values(
                    id=number, customer_id=1, status="placed", placed_at=moment, currency="USD", total=1
                )
            )
    await database.close()
    return url


def book(**places):
    from storefront.ledger import Ledger

    ledger = Ledger(newest=10)
    for key, place in places.items():
        ledger.sending(key)
        if place is not None:
            ledger.answered(key, 201, place.encode(), place, replayed=False)
    return ledger


async def test_a_shop_that_is_as_the_book_says(tmp_path):
    url = await shop_with(tmp_path, 3, 11, 12)
    verdict = await book(a="/orders/11", b="/orders/12", c=None).close(url)
    assert verdict.wrong == ()
    assert (verdict.keys, verdict.sent, verdict.placed) == (3, 3, 2)


async def test_what_is_wrong(tmp_path):
    url = await shop_with(tmp_path, 11, 12, 13)
    ledger = book(a="/orders/11", b="/orders/11", c="/orders/99")
    ledger.answered("a", 201, b"another", None, replayed=True)
    assert set((await ledger.close(url)).wrong) == {
        "key a: 2 different answers",
        "/orders/11: the order of 2 keys",
        "/orders/99: answered, and not in the shop",
        "/orders/12: in the shop, and answered to nobody",
        "/orders/13: in the shop, and answered to nobody",
    }
