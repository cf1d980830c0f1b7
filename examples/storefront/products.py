"""What the shop sells."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated

from msgspec import Meta
from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from seawall.clock import Clock
from storefront.cursor import AnyRow, AnySelect, Ordering, fetch_page
from storefront.database import Database
from storefront.moments import now
from storefront.problems import NoSuchProduct, SkuTaken
from storefront.tables import derived, products
from storefront.types import (
    Cents,
    Moment,
    NewProduct,
    Page,
    Product,
    ProductPatch,
    ProductSearch,
    ProductStats,
)

__all__ = ["Products"]

_NameKey = Annotated[str, Meta(pattern=r"^[^\x00]+$")]
_ORDERINGS = {
    "name": Ordering(products.c.name_key, products.c.id, _NameKey),
    "-name": Ordering(products.c.name_key, products.c.id, _NameKey, descending=True),
    "price": Ordering(products.c.price, products.c.id, Cents),
    "-price": Ordering(products.c.price, products.c.id, Cents, descending=True),
    "newest": Ordering(products.c.created_at, products.c.id, Moment, descending=True),
    "oldest": Ordering(products.c.created_at, products.c.id, Moment),
}


class Products:
    """Creates, reads, changes, finds and counts products."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, new: NewProduct) -> Product:
        """Add a product to the range.

        Raises:
            SkuTaken: Another product has this SKU.
        """
        try:
            async with self._database.write() as connection:
                return await self._insert(connection, new)
        except IntegrityError:
            raise _taken(new) from None

    async def create_all(
        self, news: Sequence[NewProduct], within: AsyncConnection | None = None
    ) -> list[Product | SkuTaken]:
        """Add those products to the range that can be added; return each, or why it was not, in their order.

        Args:
            news: The products.
            within: The transaction it is a part of; one of its own by default.
        """
        results: dict[int, Product | SkuTaken] = {}
        # Sorted, because two batches that add the same SKUs in different orders would wait for each other for
        # ever; a SKU that comes twice goes to the first of them, because sorting is stable.
        order = sorted(range(len(news)), key=lambda index: news[index].sku)
        async with self._database.write() if within is None else nullcontext(within) as connection:
            for index in order:
                try:
                    async with connection.begin_nested():
                        results[index] = await self._insert(connection, news[index])
                except IntegrityError:
                    results[index] = _taken(news[index])
        return [results[index] for index in range(len(news))]

    async def get(self, product_id: int) -> Product:
        """Return the product with that id.

        Raises:
            NoSuchProduct: There is none.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(select(products).where(_sold(product_id)))).one_or_none()
        if row is None:
            raise _missing(product_id)
        return _product(row)

    async def change(self, product_id: int, patch: ProductPatch) -> Product:
        """Change what *patch* names about a product, and return it as it is now.

        Raises:
            NoSuchProduct: There is none with that id.
        """
        change = update(products).where(_sold(product_id))
        async with self._database.write() as connection:
            row = (await connection.execute(change.values(patch.changes()).returning(products))).one_or_none()
            if row is None:
                raise _missing(product_id)
            await connection.execute(change.values(derived(row.name, row.description, row.sku)))
        return _product(row)

    async def retire(self, product_id: int) -> None:
        """Stop selling a product; orders that name it keep it.

        Raises:
            NoSuchProduct: There is none with that id.
        """
        retire = update(products).where(_sold(product_id)).values(active=False).returning(products.c.id)
        async with self._database.write() as connection:
            if (await connection.execute(retire)).one_or_none() is None:
                raise _missing(product_id)

    async def search(self, search: ProductSearch) -> Page[Product]:
        """Return a page of the products that *search* finds.

        Raises:
            InvalidCursor: The cursor was not given out for this search.
        """
        async with self._database.read() as connection:
            rows, following = await fetch_page(connection, _found(search), _ORDERINGS[search.sort], search)
        return Page([_product(row) for row in rows], following)

    async def stats(self) -> ProductStats:
        """Count the products."""
        active = func.count().filter(products.c.active)
        sold_out = func.count().filter(products.c.active, products.c.stock == 0)
        statement = select(products.c.category, func.count(), active, sold_out).group_by(products.c.category)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement.order_by(products.c.category))).all()
        return ProductStats(
            total=sum(row[1] for row in rows),
            active=sum(row[2] for row in rows),
            out_of_stock=sum(row[3] for row in rows),
            by_category={row[0]: row[2] for row in rows if row[2]},
        )

    async def _insert(self, connection: AsyncConnection, new: NewProduct) -> Product:
        values = {name: getattr(new, name) for name in new.__struct_fields__}
        values |= {"active": True, "created_at": now(self._clock)}
        values |= derived(new.name, new.description, new.sku)
        return _product((await connection.execute(insert(products).values(values).returning(products))).one())


def _sold(product_id: int) -> ColumnElement[bool]:
    return (products.c.id == product_id) & products.c.active


def _missing(product_id: int) -> NoSuchProduct:
    return NoSuchProduct(f"There is no product {product_id}, or it is no longer sold.")


def _taken(new: NewProduct) -> SkuTaken:
    # Everything else about a product was checked with its type, so only the SKU can clash.
    return SkuTaken(f"There is a product with the SKU {new.sku} already.")


def _found(search: ProductSearch) -> AnySelect:
    statement: AnySelect = select(products).where(products.c.active)
    for word in (search.q or "").casefold().split():
        # autoescape: "%" and "_" in what callers look for are letters like any other.
        statement = statement.where(products.c.search_text.contains(word, autoescape=True))
    if search.category is not None:
        statement = statement.where(products.c.category == search.category)
    if search.min_price is not None:
        statement = statement.where(products.c.price >= search.min_price)
    if search.max_price is not None:
        statement = statement.where(products.c.price <= search.max_price)
    if search.in_stock is not None:
        statement = statement.where(products.c.stock > 0 if search.in_stock else products.c.stock == 0)
    return statement


def _product(row: AnyRow) -> Product:
    return Product(
        id=row.id,
        sku=row.sku,
        name=row.name,
        description=row.description,
        category=row.category,
        price=row.price,
        currency=row.currency,
        stock=row.stock,
        created_at=row.created_at,
    )
