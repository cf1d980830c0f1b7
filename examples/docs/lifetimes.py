"""Resources: what operations work with, and how long it lives."""

from __future__ import annotations

from collections.abc import AsyncIterator

from seawall import Call, Service

service = Service("lifetimes")
log: list[str] = []


# region: app
class Pool:
    """Connections to a database."""

    def __init__(self, url: str) -> None:
        self.url = url


@service.resource
async def pool() -> AsyncIterator[Pool]:
    """Made when the service starts, given back when it stops."""
    log.append("pool opened")
    yield Pool("sqlite://")
    log.append("pool closed")


# endregion


# region: call
class Transaction:
    """Everything one call does, or nothing of it."""

    def __init__(self, pool: Pool, request: str) -> None:
        self.pool = pool
        self.request = request


@service.resource(scope="call")
async def transaction(pool: Pool, call: Call) -> AsyncIterator[Transaction]:
    """Made for each call that needs it; it needs the pool, and the call itself."""
    log.append("begin")
    try:
        yield Transaction(pool, call.request_id)
    except BaseException:
        log.append("roll back")
        raise
    log.append("commit")


# endregion


# region: plain
@service.resource(scope="call")
class Orders:
    """A class is a resource: its parameters are what it needs."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction

    async def count(self) -> int:
        """Count the orders."""
        return 7


# endregion


# region: use
@service.get("/orders/count")
async def count_orders(orders: Orders) -> int:
    """Take the resource by its type."""
    return await orders.count()


@service.get("/orders/fail")
async def fail(orders: Orders) -> int:
    """Fail: the transaction sees the exception."""
    raise RuntimeError(f"{await orders.count()} orders, and one too many")


# endregion
