"""What runs in a process of `Processes`: one function at a time, named by its path, told until when it may last."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from seawall.call import Call, Principal, current, enter, leave
from seawall.clock import SystemClock

__all__ = ["Mark", "Told", "begin", "ready", "resolve", "told_of", "work"]

_CLOCK = SystemClock()
_TRACE = (b"traceparent", b"tracestate")


class Mark(Protocol):
    """A number in memory that this process shares with its parent."""

    value: int


_marks: list[Mark] = []
"""Where this process says what it has begun; empty in any process that is not one of `Processes`."""


class Told(msgspec.Struct, frozen=True):
    """What a process is told of the call that it works for: no credentials, and no more of the request."""

    id: bytes
    operation: str
    trace: Mapping[bytes, bytes]
    peer: tuple[str, int] | None
    remaining: float | None
    principal: Principal | None


def told_of(call: Call, remaining: float | None) -> Told:
    """Return what is told of *call*, which has *remaining* seconds left."""
    trace = {name: call.metadata[name] for name in _TRACE if name in call.metadata}
    return Told(call.id, call.operation, trace, call.peer, remaining, call.principal)


def begin(mark: Mark) -> None:
    """Make this process one that ends when its parent says so, or is no more; not when a whole group is told to.

    In *mark* it says which work it has begun: that can still be read when it has died.

    Ctrl-C, and service managers that signal every process of a service, reach the parent too, which lets running work
    end first.
    """
    _marks[:] = [mark]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_outlive_nobody, name="seawall parent watch", daemon=True).start()


def _outlive_nobody() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def ready() -> int:
    """Return the number of this process, once it has begun."""
    return os.getpid()


def resolve(path: str) -> Any:
    """Return what *path*, ``module:qualified.name``, names.

    Raises:
        ImportError: There is no such module.
        AttributeError: It has no such name.
    """
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def work(number: int, path: str, arguments: bytes, told: Told | None) -> tuple[bool, bytes]:
    """Call the function *path* and return whether it went well, with the result or what it raised, pickled.

    *number* is marked as begun before anything that could have an effect.
    """
    for mark in _marks:
        mark.value = number
    token = None
    if told is not None:
        deadline = None if told.remaining is None else _CLOCK.monotonic() + told.remaining
        call = Call(told.id, told.operation, told.trace, told.peer, deadline, told.principal)
        token = enter(call)
    try:
        args, kwargs = pickle.loads(arguments)  # noqa: S301 - the parent's own
        return True, pickle.dumps(resolve(path)(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the call was made
        return False, _pickled(error)
    finally:
        if token is not None:
            leave(token)
            assert current.get(None) is None  # noqa: S101 - one at a time


def _pickled(error: BaseException) -> bytes:
    """Return *error*, or what can be said of it, where it cannot be sent."""
    lines = "".join(traceback.format_exception(error)).rstrip()
    note = f"\nin process {os.getpid()}:\n{lines}"
    try:
        if not isinstance(error, Exception):
            raise TypeError("the end of a process is not for its parent to repeat")
        error.add_note(note)
        data = pickle.dumps(error)
        pickle.loads(data)  # noqa: S301 - our own; many exceptions cannot be made again from what they kept
    except Exception:  # noqa: BLE001 - whatever it is, something can be told
        told = RuntimeError(f"{type(error).__qualname__}: {error}")
        told.add_note(note)
        return pickle.dumps(told)
    return data
