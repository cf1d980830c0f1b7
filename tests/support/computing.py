"""Functions that tests run in other processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from seawall.call import current_call


class Odd(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, *, number: int) -> None:
        super().__init__(f"odd {number}")


def told() -> tuple[str, str, float | None, bytes | None, bytes | None, str | None]:
    """Return what is known of the call."""
    call = current_call()
    left = None if call.deadline is None else call.deadline - time.monotonic()
    who = call.principal.subject if call.principal else None
    headers = call.metadata.get(b"traceparent"), call.metadata.get(b"authorization")
    return call.request_id, call.operation, left, *headers, who


def sleep(folder: str, seconds: float) -> int:
    """Say who it is, sleep, and say that it has ended."""
    (Path(folder) / f"{os.getpid()}").write_text("")
    time.sleep(seconds)
    (Path(folder) / f"{os.getpid()} ended").write_text("")
    return os.getpid()


def odd(number: int) -> None:
    """Raise what cannot be sent."""
    raise Odd(number=number)


def unsendable() -> object:
    """Return what cannot be sent."""
    return lambda: None


def outer():
    """Return a function that no other process can find."""

    def inner() -> None:
        return None

    return inner


def leave() -> None:
    """Ask for the end of the interpreter."""
    raise SystemExit(3)
