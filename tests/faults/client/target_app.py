"""A target that can do so much and no more, that fails, turns away, or waits, and counts who came."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from seawall import Call, Service, Unavailable

service = Service("target", timeout=None)
counts: Counter[str] = Counter()
extra: Counter[str] = Counter()
queue: deque[asyncio.Future[None]] = deque()
came = asyncio.Event()
able = {"per_second": 100.0}
tokens = {"left": 0.0, "at": 0.0}
opened, stopping = asyncio.Event(), asyncio.Event()


@service.background
async def serve() -> None:
    """Do so much a second, first come, first served, and not know which callers have given up."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while not stopping.is_set():
        if not queue:
            came.clear()
            await came.wait()
            due = loop.time()
            continue
        due += 1 / able["per_second"]
        await asyncio.sleep(due - loop.time())
        done = queue.popleft()
        if not done.done():
            done.set_result(None)


@service.lifecycle.on_drain
def stop() -> None:
    """Let `serve` end."""
    stopping.set()
    came.set()


# Work for a caller who has left is work all the same.
@service.get("/capacity", on_disconnect="finish")
async def capacity() -> None:
    """Wait for one's turn."""
    counts["capacity"] += 1
    turn = asyncio.get_running_loop().create_future()
    queue.append(turn)
    came.set()
    await turn


@service.put("/capacity/{per_second}")
async def set_capacity(per_second: float) -> None:
    """Be able to do so much."""
    able["per_second"] = per_second


@service.post("/forget")
async def forget() -> None:
    """Begin anew."""
    counts.clear()
    while queue:
        queue.popleft().cancel()
    opened.clear()


@service.get("/down/{milliseconds}")
async def down(milliseconds: int, call: Call) -> None:
    """Fail after a while; keep how many there were at once that were not the first attempt."""
    counts["down"] += 1
    again = int(call.header("seawall-attempt") or 1) > 1
    extra["now"] += again
    counts["most extra"] = max(counts["most extra"], extra["now"])
    try:
        await asyncio.sleep(milliseconds / 1000)
        raise Unavailable
    finally:
        extra["now"] -= again


@service.get("/accept/{per_second}")
async def accept(per_second: int) -> None:
    """Turn away whoever is too much."""
    now = service.clock.monotonic()
    tokens["left"] = min(per_second / 10, tokens["left"] + (now - tokens["at"]) * per_second)
    tokens["at"] = now
    if tokens["left"] < 1:
        raise Unavailable
    tokens["left"] -= 1


@service.get("/gate")
async def gate() -> str:
    """Wait until the gate is opened."""
    counts["gate"] += 1
    await opened.wait()
    return "answer"


@service.post("/gate")
async def open_gate() -> None:
    """Open it."""
    opened.set()


@service.get("/counts")
async def show_counts() -> dict[str, int]:
    """Tell what has come."""
    return dict(counts)
