"""Work in a thread of its own, one piece at a time, awaited without holding up the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(work: Callable[[threading.Event], T], name: str, gate: threading.Lock, stop: threading.Event) -> T:
    """Run *work* in a new thread and return its result; *gate* is held, and is given back when the thread ends.

    The loop's own pool is left alone: it may be full of what is being looked into. When the caller is cancelled,
    *stop* is set, which *work* is given; it shall end soon then, and nobody waits for it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def body() -> None:
        result, error = None, None
        try:
            result = work(stop)
        except BaseException as raised:  # noqa: BLE001 - handed to whoever waits
            error = raised
        finally:
            gate.release()
        with contextlib.suppress(RuntimeError):  # the loop has been closed, and nobody waits
            loop.call_soon_threadsafe(settle, result, error)

    try:
        threading.Thread(target=body, name=name, daemon=True).start()
    except BaseException:
        gate.release()
        raise
    try:
        return await future
    finally:
        stop.set()
