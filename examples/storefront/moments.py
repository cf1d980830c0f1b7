"""What time it is, as the database keeps it."""

from __future__ import annotations

from datetime import UTC, datetime

from seawall.clock import Clock

__all__ = ["now"]


def now(clock: Clock) -> datetime:
    """Return the present moment of *clock*, in UTC."""
    return datetime.fromtimestamp(clock.time(), UTC)
