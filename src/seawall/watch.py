"""What a server tells whoever watches it: a supervisor of workers, or the system's service manager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

__all__ = ["Beat", "News", "Ready", "Reloading", "Stopped", "Stopping", "Unwatched", "Watch"]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """It serves, or serves again by new settings.

    Args:
        stop_seconds: How long its end may take.
        silence_seconds: How long it may say nothing before it is taken to hang; 0 for any time.
    """

    stop_seconds: float
    silence_seconds: float


class Reloading(msgspec.Struct, frozen=True, tag="reloading"):
    """It reads its settings again."""


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Its event loop runs; said once a second.

    Args:
        requests: Requests answered since it started.
        connections: Connections open now.
    """

    requests: int
    connections: int


class Stopping(msgspec.Struct, frozen=True, tag="stopping"):
    """It has begun to end."""


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """It has ended.

    Args:
        requests: Requests answered since it started.
        calls: Calls that were cut.
        connections: Connections that were cut.
        streams: Drain hooks that were cut, by name.
        tasks: Background tasks that were cut, by name.
        resources: Resources that did not close, by name.
    """

    requests: int
    calls: int = 0
    connections: int = 0
    streams: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


News = Ready | Reloading | Beat | Stopping | Stopped


class Watch(Protocol):
    """Whoever watches a server."""

    @property
    def supervised(self) -> bool:
        """Whether it decides when the server ends and hurries; signals then begin the end and do nothing else."""
        ...

    def attach(self, stop: Callable[[bool], None]) -> None:
        """Take *stop*, which begins the end, and with True hurries it. Called once, on the server's event loop."""
        ...

    def tell(self, news: News) -> None:
        """Take notice; must neither raise nor wait."""
        ...


class Unwatched:
    """Nobody."""

    supervised = False

    def attach(self, stop: Callable[[bool], None]) -> None:
        """Take no notice."""

    def tell(self, news: News) -> None:
        """Take no notice."""
