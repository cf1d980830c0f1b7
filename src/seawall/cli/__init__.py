"""The ``seawall`` command."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the process ends with 0, 1 (failure) or 2 (wrong usage)."""
    from seawall.cli.app import app  # noqa: PLC0415 - nothing at import

    app(prog_name="seawall")
