"""What the commands that print share."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "duration", "write_json"]

PIPED_WIDTH = 200
"""Columns where there is no terminal: a table that is searched with grep must not be wrapped at 80."""


def console() -> Console:
    """Return a console on standard output, wide where it is no terminal."""
    from rich.console import Console  # noqa: PLC0415 - JSON output needs none of it

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=max(PIPED_WIDTH, shutil.get_terminal_size().columns))


def duration(seconds: float | None) -> str:
    """Return a time limit for people."""
    if seconds is None:
        return "none"
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"


def write_json(value: Any) -> None:
    """Write *value* to standard output as indented JSON."""
    import msgspec  # noqa: PLC0415 - only commands that write JSON

    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
    sys.stdout.write(text.decode() + "\n")
    sys.stdout.flush()
