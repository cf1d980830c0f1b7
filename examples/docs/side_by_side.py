"""Several things at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from msgspec import Struct

from seawall.concurrency import (
    Broadcast,
    Channel,
    KeyedLocks,
    Pipeline,
    ReadWriteLock,
    Semaphore,
    SingleFlight,
    Threads,
    WorkerPool,
    batch,
    first_success,
    gather,
    merge,
    optional,
    partial,
    quorum,
    required,
    select,
    should_stop,
)
from seawall.resilience import Retry


async def ask(place: str, seconds: float = 0.0) -> str:
    """Stand for a question to somebody else."""
    await asyncio.sleep(seconds)
    if place == "down":
        raise OSError(place)
    return place


# region: races
async def nearest() -> str:
    """Ask three replicas; the first that answers well counts, the others are cancelled."""
    return await first_success(ask("east", 60), ask("down"), ask("west"))


async def agreed() -> list[str]:
    """Ask three; two answers are enough."""
    return await quorum(2, ask("a"), ask("b", 60), ask("c"))


async def lengths(words: Iterable[str]) -> list[str]:
    """Ask about each of many, eight at once; the answers in order."""
    return await gather(ask, words, limit=8)


# endregion


# region: partial
class Page(Struct):
    """A page that can do without its advertisement."""

    orders: str
    advertisement: str | None


async def page() -> tuple[Page, list[str]]:
    """Put a page together, and say what is missing."""
    made = await partial(
        Page,
        orders=required(ask("orders"), within="2s"),
        advertisement=optional(ask("down"), within="200ms"),
    )
    return made.value, list(made.errors)


# endregion


# region: pool
async def send_all(addresses: Iterable[str]) -> tuple[int, list[str]]:
    """Send to all, four at once; whoever puts waits while a hundred wait already."""
    failed: list[str] = []
    async with WorkerPool(ask, workers=4, queue=100, on_error=lambda item, _: failed.append(item)) as pool:
        for address in addresses:
            await pool.put(address)
    return pool.progress.done, failed


# endregion


# region: results
async def answers(addresses: Iterable[str]) -> list[str]:
    """Ask all, four at once, each up to three times; the answers in order."""
    async with WorkerPool(ask, workers=4, retry=Retry(attempts=3, idempotent=True)) as pool:
        return [answer async for answer in pool.results(addresses)]


# endregion


# region: pipeline
async def parse(line: str) -> int:
    """Read a line."""
    return int(line)


async def price(sku: int) -> float:
    """Ask for a price."""
    await ask(str(sku))
    return sku * 1.5


prices = Pipeline(parse).then(price, width=8, queue=100, retry=Retry(idempotent=True))


async def load(lines: Iterable[str]) -> float:
    """Add up what everything costs, while lines are still being read."""
    total = 0.0
    async with prices.run(lines) as results:
        async for each in results:
            total += each
    return total


# endregion


# region: channels
async def numbers(channel: Channel[int]) -> None:
    """Send some numbers; `send` waits while the channel is full."""
    for number in range(5):
        await channel.send(number)
    channel.close()


async def batches() -> list[list[int]]:
    """Write in lists of three, or what there is after a second."""
    channel: Channel[int] = Channel(capacity=2)
    async with asyncio.TaskGroup() as group:
        group.create_task(numbers(channel))
        return [items async for items in batch(channel, size=3, within="1s")]


async def whichever(orders: Channel[int], returns: Channel[int]) -> str:
    """Take from whichever has something, for at most a second."""
    try:
        channel, number = await select(orders, returns, timeout=1)
    except TimeoutError:
        return "nothing"
    return f"order {number}" if channel is orders else f"return {number}"


async def all_of(orders: Channel[int], returns: Channel[int]) -> AsyncIterator[int]:
    """Take everything from both."""
    async for number in merge(orders, returns):
        yield number


news: Broadcast[str] = Broadcast(when_full="drop")

# endregion


# region: threads
def count_primes(below: int) -> int:
    """Compute for a while; stop where nobody waits any more."""
    found = 0
    for number in range(2, below):
        if should_stop():
            break
        found += all(number % divisor for divisor in range(2, int(number**0.5) + 1))
    return found


async def primes(threads: Threads) -> int:
    """Compute beside the event loop; `threads` is a resource of the service: `async with Threads(4) as threads`."""
    return await threads.run(count_primes, 1000)


# endregion

# region: locks
stock_locks: KeyedLocks[str] = KeyedLocks()
prices_lock = ReadWriteLock()
memory = Semaphore(512)
rates: SingleFlight[str, str] = SingleFlight()


async def sell(sku: str, stock: dict[str, int]) -> None:
    """Change one thing's stock, one sale after the other."""
    async with stock_locks.hold(sku):
        left = stock[sku]
        await asyncio.sleep(0)
        stock[sku] = left - 1


async def resize(megabytes: int) -> int:
    """Use a share of the memory there is; give up where there is not enough for five seconds."""
    async with memory.hold(megabytes, within="5s"):
        return memory.free


async def rate(currency: str) -> str:
    """Ask once, however many want to know at the same time."""
    return await rates.run(currency, lambda: ask(currency))


# endregion
