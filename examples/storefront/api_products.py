"""Products, over HTTP."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from seawall import Query, Reply
from seawall.data import Session
from seawall.idempotency import Idempotency
from storefront.problems import InvalidCursor, NoSuchProduct, SkuTaken
from storefront.products import Products
from storefront.service import CachingPages, api
from storefront.shelf import Shelf, page_of
from storefront.types import (
    BatchResult,
    Created,
    Id,
    Item,
    NewProduct,
    NewProducts,
    Page,
    Product,
    ProductPatch,
    ProductSearch,
    Refused,
)

__all__ = ["products_api"]

products_api = api.group("/products", tags=["Products"])


@products_api.post("/", status=201, roles={"staff"}, problems=[SkuTaken])
async def create_product(product: NewProduct, products: Products) -> Reply[Product]:
    """Add a product to the range.

    Raises:
        SkuTaken: Another product has this SKU, or had it when it was sold.

    Example:
        {"sku": "LMP-9001", "name": "Harbour Lamp", "category": "Lighting", "price": 12900, "stock": 12}

    Example response:
        {"id": 3001, "sku": "LMP-9001", "name": "Harbour Lamp", "description": "", "category": "Lighting",
         "price": 12900, "currency": "USD", "stock": 12, "created_at": "2026-01-31T12:00:00Z"}
    """
    made = await products.create(product)
    return Reply(made, location=_location(made))


@api.post(
    "/product-batches",
    tags=["Products"],
    roles={"staff"},
    max_body="512 KiB",
    timeout=20,
    idempotent=Idempotency(required=False),
)
async def create_products(batch: NewProducts, products: Products, session: Session) -> BatchResult:
    """Add up to 100 products at once.

    Each one is added or refused by itself, and its result says which, in the place it had in the request. Only
    a batch that is wrong in its form is refused as a whole. Without an `Idempotency-Key`, what is sent again is refused
    one by one, since the SKUs are taken.

    Example:
        {"products": [{"sku": "LMP-9002", "name": "Quay Lamp", "category": "Lighting", "price": 8900},
                      {"sku": "LMP-9003", "name": "Pier Lamp", "category": "Lighting", "price": 10900}]}
    """
    outcomes = await products.create_all(batch.products, await session.connection())
    results = [_result(outcome) for outcome in outcomes]
    created = sum(isinstance(result, Created) for result in results)
    return BatchResult(created, len(results) - created, results)


@products_api.get(
    "/{product_id}", public=True, problems=[NoSuchProduct], cache=page_of("product_id"), guards=[CachingPages()]
)
async def read_product(product_id: Id, products: Products) -> Product:
    """Return a product that is sold now."""
    return await products.get(product_id)


@products_api.patch("/{product_id}", roles={"staff"}, problems=[NoSuchProduct])
async def change_product(
    product_id: Id,
    # Meta says in the document what the type itself checks.
    patch: Annotated[ProductPatch, Meta(extra_json_schema={"minProperties": 1})],
    products: Products,
    shelf: Shelf,
) -> Product:
    """Change what is sent about a product; what is left out stays as it is.

    Example:
        {"price": 11900, "stock": 40}
    """
    shelf.changed([product_id])
    return await products.change(product_id, patch)


@products_api.delete("/{product_id}", roles={"staff"}, problems=[NoSuchProduct])
async def retire_product(product_id: Id, products: Products, shelf: Shelf) -> None:
    """Stop selling a product. Orders that name it stay as they are, and its SKU stays taken."""
    shelf.changed([product_id])
    await products.retire(product_id)


@products_api.get("/", public=True, problems=[InvalidCursor])
async def search_products(search: Annotated[ProductSearch, Query()], products: Products) -> Page[Product]:
    """Return the products that have what is asked for, a page at a time.

    The next page is asked for with `cursor` set to `next` of the page before, and the same filters and sort.
    """
    return await products.search(search)


@api.get(
    "/items/{item_id}",
    public=True,
    tags=["Products"],
    cache=page_of("item_id"),
    guards=[CachingPages()],
    problems=[NoSuchProduct],
    deprecated="2026-03-01",
    sunset="2027-03-01",
    successor="/products",
)
async def read_item(item_id: Id, products: Products) -> Item:
    """Return a product the way the first callers of this API knew it."""
    product = await products.get(item_id)
    return Item(product.id, product.name, f"{product.price // 100}.{product.price % 100:02} {product.currency}")


def _result(outcome: Product | SkuTaken) -> Created | Refused:
    if isinstance(outcome, Product):
        return Created(201, _location(outcome), outcome)
    return Refused(outcome.status, outcome.type, outcome.title, outcome.detail or outcome.title)


def _location(product: Product) -> str:
    return f"/products/{product.id}"
