"""The same service in Seawall."""

from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta, Struct

from seawall import NotFound, Service


class Item(Struct):
    """Something to sell."""

    name: Annotated[str, Meta(min_length=1)]
    price: Annotated[int, Meta(ge=0)]


class Store:
    """Keeps items."""

    def __init__(self) -> None:
        self.items = ITEMS


ITEMS = {1: Item(name="tea", price=400)}


service = Service("items")


@service.resource(scope="call")
async def store() -> AsyncIterator[Store]:
    """Open the store for one call."""
    yield Store()


items = service.group("/items", tags=["items"])


@items.get("/{number}")
async def read_item(number: int, store: Store) -> Item:
    """Return one item."""
    if number not in store.items:
        raise NotFound(f"There is no item {number}.")
    return store.items[number]


@items.post("/", status=201)
async def add_item(item: Item, store: Store) -> Item:
    """Add an item."""
    store.items[len(store.items) + 1] = item
    return item
