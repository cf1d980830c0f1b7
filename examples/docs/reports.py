"""Work that computes, in processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from seawall import Service
from seawall.concurrency import Processes

service = Service("reports")


# region: processes
@service.resource
async def processes() -> AsyncIterator[Processes]:
    """Start two processes with the service, and end them with it."""
    async with Processes(2) as made:
        yield made


def render(month: int) -> int:
    """Compute for a while: an ordinary function, in a process of its own."""
    return sum(number * number for number in range(month * 100_000))


@service.get("/reports/{month}", timeout="10s")
async def report(month: int, processes: Processes) -> int:
    """Make a report; at the deadline, or when the client goes away, its process is killed and replaced."""
    return await processes.run(render, month)


# endregion
