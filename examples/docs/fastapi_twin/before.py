"""A small service in FastAPI."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from pydantic import BaseModel, Field


class Item(BaseModel):
    """Something to sell."""

    name: str = Field(min_length=1)
    price: int = Field(ge=0)


class Store:
    """Keeps items."""

    def __init__(self) -> None:
        self.items = ITEMS


ITEMS = {1: Item(name="tea", price=400)}


async def get_store() -> AsyncIterator[Store]:
    """Open the store for one request."""
    yield Store()


router = APIRouter(prefix="/items", tags=["items"])


@router.get("/{number}")
async def read_item(number: int, store: Annotated[Store, Depends(get_store)]) -> Item:
    """Return one item."""
    if number not in store.items:
        raise HTTPException(404, f"There is no item {number}.")
    return store.items[number]


@router.post("", status_code=201)
async def add_item(item: Item, store: Annotated[Store, Depends(get_store)]) -> Item:
    """Add an item."""
    store.items[len(store.items) + 1] = item
    return item


app = FastAPI()
app.include_router(router)
