"""Check: validation with resources, in every form a function can have, and where its errors point."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import msgspec
import pytest

from seawall import Call, Check, DeclarationError, FieldError, Query
from support.exchange import exchange, running
from support.settings import service

pytestmark = pytest.mark.anyio


class Order(msgspec.Struct):
    sku: str
    quantity: int = 1


class Stock:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def has(self, sku: str) -> bool:
        self.asked.append(sku)
        return sku == "a"


def plain(order: Order) -> list[FieldError]:
    return [] if order.sku == "a" else [FieldError("Not a.", "/sku")]


def one(order: Order) -> FieldError | None:
    return None if order.sku == "a" else FieldError("Not a.", "/sku")


def generator(order: Order) -> Iterator[FieldError]:
    if order.sku != "a":
        yield FieldError("Not a.", "/sku")
    if order.quantity > 5:
        yield FieldError("Too many.", "/quantity")


async def coroutine(order: Order, stock: Stock) -> list[FieldError]:
    return [] if stock.has(order.sku) else [FieldError("There is none.", "/sku")]


async def asynchronous(order: Order, stock: Stock) -> AsyncIterator[FieldError]:
    if not stock.has(order.sku):
        yield FieldError("There is none.", "/sku")


def whole(order: Order) -> FieldError | None:
    return None if order.sku == "a" else FieldError("All of it is wrong.")


def by_call(order: Order, call: Call) -> FieldError | None:
    return None if order.sku == "a" else FieldError(f"Not in {call.operation}.", "/sku")


def ordering(*checks):
    app, seen = service(), []
    app.resource(Stock)

    async def create(order: Order, stock: Stock) -> None:
        seen.append(order)

    create.__annotations__["order"] = Annotated[(Order, *[Check(check) for check in checks])]
    app.post("/orders")(create)
    return app, seen


@pytest.mark.parametrize("check", [plain, one, generator, coroutine, asynchronous, whole, by_call])
async def test_every_form_of_check(check):
    app, seen = ordering(check)
    async with running(app):
        assert (await exchange(app, "POST", "/orders", json={"sku": "a"})).status == 204
        answer = await exchange(app, "POST", "/orders", json={"sku": "b"})
    assert answer.status == 422
    assert list(answer.errors) == ["" if check is whole else "/sku"]
    assert seen == [Order("a")]


async def test_errors_of_several_checks_are_said_at_once():
    def quantity(order: Order) -> FieldError:
        return FieldError("Never.", "/quantity")

    app, seen = ordering(plain, quantity)
    answer = await exchange(app, "POST", "/orders", json={"sku": "b"})
    assert (answer.errors, seen) == ({"/sku": "Not a.", "/quantity": "Never."}, [])


async def test_checks_run_only_once_everything_is_bound():
    app, _ = ordering(coroutine)
    async with running(app):
        await exchange(app, "POST", "/orders", json={"sku": 1})
        assert app.resources.values[Stock].asked == []


async def test_a_check_of_a_parameter_names_the_parameter():
    def even(value: int) -> FieldError | None:
        return FieldError("It must be even.") if value % 2 else None

    app = service()

    @app.get("/n/{n}")
    async def read(n: Annotated[int, Check(even)], m: Annotated[int, Query("page"), Check(even)] = 0) -> None: ...

    answer = await exchange(app, "GET", "/n/1", "page=3")
    assert answer.errors == {"path:n": "It must be even.", "query:page": "It must be even."}
    assert (await exchange(app, "GET", "/n/2")).status == 204


async def test_a_check_that_needs_what_nothing_provides_is_refused_at_start_up():
    class Unknown: ...

    def check(order: Order, unknown: Unknown) -> None: ...

    app, _ = ordering(check)
    with pytest.raises(DeclarationError, match=r"check .*check.* of 'order' takes 'unknown'"):
        app.build()
