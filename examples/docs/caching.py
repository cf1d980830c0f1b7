"""Values and answers that are kept."""

from __future__ import annotations

import asyncio

import msgspec

from seawall import NotFound, Principal, Service
from seawall.cache import CachePolicy, Keep, batched, cached

service = Service("shop")


class Product(msgspec.Struct, frozen=True):
    """What is sold."""

    sku: str
    price: int


PRICES = {"lamp": 40, "desk": 250}


# region: answers
@service.get("/products/{sku}", cache=CachePolicy("30s", tags=["product:{sku}"], stale_if_error="1h"))
async def read_product(sku: str) -> Product:
    """Return a product."""
    found = await find(sku)
    if found is None:
        raise NotFound(f"There is no {sku}.")
    return found


@service.put("/products/{sku}/price")
async def set_price(sku: str, price: int) -> None:
    """Change a price."""
    PRICES[sku] = price
    await service.cache.invalidate_tags(f"product:{sku}")


# endregion


# region: values
@cached(
    lambda: service.cache, Keep("5m", stale_while_revalidate="1m", negative="10s"), tags=lambda sku: [f"product:{sku}"]
)
async def find(sku: str) -> Product | None:
    """Find a product, where finding takes long."""
    return Product(sku, PRICES[sku]) if sku in PRICES else None


async def cheapest() -> Product:
    """Return the cheapest product."""

    async def load() -> Product:
        return Product(*min(PRICES.items(), key=lambda item: item[1]))

    return await service.cache.get_or_load("cheapest", load, "1m", tags=["prices"])


# endregion


# region: many
@batched(lambda: service.cache, "5m", tags=lambda sku: [f"product:{sku}"], prefix="product:", most=200)
async def products(skus: list[str]) -> dict[str, Product]:
    """Find many products with one question to whoever knows them."""
    return {sku: Product(sku, PRICES[sku]) for sku in skus if sku in PRICES}


@service.get("/baskets/{skus}")
async def read_basket(skus: str) -> list[Product]:
    """Return the products of a basket, comma-separated."""
    return list((await products.get_many(skus.split(","))).values())


@service.get("/pairs/{one}/{other}")
async def read_pair(one: str, other: str) -> list[Product | None]:
    """Return two products; they are asked for one by one, and found together."""
    return list(await asyncio.gather(products.get(one), products.get(other)))


@service.delete("/products")
async def forget_products() -> None:
    """Forget every product that is kept."""
    await service.cache.invalidate_prefix("product:")


# endregion


# region: principal
def owns(sku: str, principal: Principal) -> bool:
    """Whether the caller may see it."""
    return principal.claims.get("shop") == sku


OWN = CachePolicy("10s", by_principal=True)
"""For operations with allow=: the predicate is not asked again within these ten seconds."""
# endregion
