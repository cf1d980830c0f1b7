"""The life of a service: health, work beside the calls, what to end when it stops."""

from __future__ import annotations

from collections.abc import AsyncIterator

from seawall import Backoff, Service

service = Service("lifecycle")


# region: resource
class Database:
    """Connections to a database."""

    async def ping(self) -> None:
        """Ask it for nothing."""


@service.resource(start_timeout="10s", stop_timeout="5s")
async def database() -> AsyncIterator[Database]:
    """Made when the service starts, and given back when it stops, each within its time."""
    yield Database()


# endregion


# region: check
@service.check(timeout=1, cache=2)
async def store(database: Database) -> None:
    """Pass unless it raises, returns False, or takes longer than a second."""
    await database.ping()


# endregion


# region: background
@service.background(restart="on-failure", backoff=Backoff(first=1, most=60))
async def tidy(database: Database) -> None:
    """Run as long as the service does, and come to an end with it."""
    while await service.tasks.pause(60):
        await database.ping()


# endregion


# region: task
@service.post("/orders/{order_id}/letter", status=202)
async def send_letter(order_id: int, database: Database) -> str:
    """Answer now, and go on afterwards."""

    async def send() -> None:
        await database.ping()

    return service.tasks.start(send, name="letter", restart="on-failure").name


# endregion


# region: drain
@service.lifecycle.on_drain(order=1)
async def say_goodbye() -> None:
    """Tell those who listen to streams that they must connect elsewhere."""


# endregion
