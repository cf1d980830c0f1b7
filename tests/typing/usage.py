"""How Seawall is used, as type checkers see it: what is right passes, what is wrong is marked as the error it is.

Neither checker lets a comment stand that ignores an error which is not there, so every mark proves one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, assert_type

import msgspec
from starlette.middleware.gzip import GZipMiddleware

from seawall import (
    Body,
    Call,
    Check,
    Conflict,
    FieldError,
    Guard,
    Header,
    Place,
    Policy,
    Principal,
    Problem,
    Query,
    Reply,
    Service,
    Versions,
    current_call,
    fan_out,
    pointer,
)
from seawall.cache import Batched, Cache, batched, cached
from seawall.concurrency import Permit, Pipeline, Processes, Semaphore, WorkerPool
from seawall.resilience import Breaker, BreakerEngine, Resilience, Retry, Timeout


class Order(msgspec.Struct):
    """An order."""

    order_id: int


@dataclass
class Dashboard:
    """Several things at once."""

    users: int
    orders: list[Order]


class Orders:
    """Where orders are kept."""

    async def of(self, order_id: int) -> Order:
        """Return an order."""
        return Order(order_id)


class Hours(Guard):
    """Opening hours."""

    name = "hours"
    place = Place.AUTHORISE

    async def check(self, call: Call) -> None:
        """Refuse nobody."""
        assert_type(call.principal, Principal | None)


service = Service("shop", versions=Versions(by="header", default="1"), timeout="2s", guards=[Hours()])
group = service.group("/orders", tags=["orders"], max_body="1 MiB", unknown_fields="ignore")


def known(order: Order, orders: Orders) -> list[FieldError]:
    """Say what is wrong."""
    return [FieldError("It is wrong.", pointer("order_id"))]


@group.get("/{order_id}", timeout=2, deprecated=date(2026, 1, 1), sunset="2027-01-01", status=200, problems=[Conflict])
async def read_order(order_id: int, orders: Orders, x_tenant: Annotated[str, Header()] = "") -> Order:
    """Return an order."""
    return await orders.of(order_id)


@group.post("", status=201, duplicate_keys="refuse", compress=False)
async def create_order(order: Annotated[Order, Body(), Check(known)], principal: Principal) -> Reply[Order]:
    """Place an order."""
    return Reply(order, location=f"/orders/{order.order_id}")


@service.operation("count", timeout=None)
async def count(limit: Annotated[int, Query()] = 10) -> int:
    """Count."""
    return limit


@service.resource
def orders() -> Orders:
    """Make the place where orders are kept."""
    return Orders()


@service.resource(scope="call")
async def transaction(orders: Orders) -> AsyncIterator[bytes]:
    """Open a transaction."""
    yield b""


@service.translate(ValueError)
def wrong(error: ValueError) -> Problem:
    """Answer a value error."""
    return Conflict(str(error))


service.middleware(GZipMiddleware, minimum_size=100)


async def a_declared_function_keeps_its_type() -> None:
    """Call an operation as the function it is."""
    assert_type(await read_order(1, Orders()), Order)
    assert_type((await create_order(Order(1), Principal("ada"))).value, Order)
    assert_type(orders(), Orders)
    await read_order("1", Orders())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await read_order(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def fan_out_makes_what_it_is_given() -> None:
    """Run several things at once."""
    users, found = count(), Orders().of(1)
    dashboard = await fan_out(Dashboard, users=users, orders=found)
    assert_type(dashboard, Dashboard)
    assert_type(await fan_out(dict[str, int], a=count()), dict[str, int])
    await fan_out(Dashboard, users=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    _ = dashboard.user  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]


def a_reply_is_generic() -> None:
    """Make replies."""
    reply = Reply(Order(1), status=201, headers={"x-a": "1"})
    assert_type(reply, Reply[Order])
    wider: Reply[object] = reply  # what is only read may be wider
    narrower: Reply[str] = reply  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    Reply(1, status="201")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    del wider, narrower


def a_wrong_option_is_an_error() -> None:
    """Declare what cannot be."""

    async def operation() -> None: ...

    service.get("/a", timeuot=2)(operation)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    service.get("/b", timeout=[2])(operation)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    service.post("/c", unknown_fields="reject")(operation)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    service.put("/d", duplicate_keys="first")(operation)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    service.patch("/e", status="201")(operation)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    service.delete("/f", guards=[operation])(operation)  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    service.group("/g", status=201)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    service.operation("h", compress="yes")(operation)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Service("i", timeuot=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    service.mount("/j", GZipMiddleware(service), status=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Versions(by="query")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    service.resource(scope="request")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def an_operation_is_asynchronous() -> None:
    """Declare an ordinary function."""

    def operation() -> None: ...

    service.get("/a")(operation)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def values_have_their_types() -> None:
    """Look at what is read most."""
    call = current_call()
    assert_type(call.request_id, str)
    assert_type(call.deadline, float | None)
    assert_type(Policy().timeout, float | None)
    assert_type(Policy().guards, tuple[Guard, ...])
    call.principal = "ada"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


async def guarded_calls_keep_their_types() -> None:
    """Put policies around a call."""
    resilience = Resilience()
    pipeline = resilience.pipeline("x", Retry(), Breaker(), Timeout(2))
    breaker = resilience.engine("x", Breaker())
    assert_type(breaker, BreakerEngine)

    @pipeline
    async def by_pipeline(number: int, *, name: str = "") -> str:
        return name * number

    @breaker
    async def by_breaker(number: int) -> bytes:
        return bytes(number)

    assert_type(await by_pipeline(1, name="a"), str)
    assert_type(await by_breaker(1), bytes)
    assert_type(await pipeline.call(by_breaker, 1), bytes)
    await by_pipeline("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await by_breaker()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await pipeline.call(by_breaker, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Breaker(windw=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def kept_values_keep_their_types(cache: Cache) -> None:
    """Keep values, one and many."""

    async def one() -> Order:
        raise NotImplementedError

    async def many(numbers: list[int]) -> dict[int, Order]:
        raise NotImplementedError

    @batched(cache, "5m", tags=lambda number: [f"order:{number}"])
    async def orders(numbers: list[int]) -> dict[int, Order]:
        raise NotImplementedError

    @cached(cache, "5m", prefix="order:")
    async def order(number: int) -> Order:
        raise NotImplementedError

    assert_type(orders, Batched[int, Order])
    assert_type(await orders.get(1), Order | None)
    assert_type(await orders.get_many([1, 2]), dict[int, Order])
    assert_type(await order(1), Order)
    assert_type(await cache.get_or_load("a", one, 60), Order)
    assert_type(await cache.get_many([1, 2], many, 60), dict[int, Order])
    await orders.get("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await order("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batched(cache, "5m")(one)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def work_side_by_side_keeps_its_types() -> None:
    """Put items through pools, pipelines and processes."""

    async def parse(line: str) -> int:
        return int(line)

    async def show(number: int) -> bytes:
        return bytes(number)

    def compute(number: int, *, times: int = 1) -> float:
        return number / times

    pipeline = Pipeline(parse, width=2).then(show, ordered=False)
    assert_type(pipeline, Pipeline[str, bytes])
    assert_type(await pipeline.collect(["1"]), list[bytes])
    async with pipeline.run(["1"]) as results:
        async for each in results:
            assert_type(each, bytes)
    pipeline.then(parse)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pipeline.run([1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]

    async with WorkerPool(parse, workers=2, retry=Retry()) as pool:
        async for number in pool.results(["1"]):
            assert_type(number, int)
        await pool.put(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async with Processes(2) as processes:
        assert_type(await processes.run(compute, 3, times=2), float)
        await processes.run(compute, "3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    semaphore = Semaphore(3)
    assert_type(semaphore.try_acquire(), Permit | None)
    async with semaphore.hold(2, within="1s") as permit:
        permit.release()
