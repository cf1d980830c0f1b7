"""How commands fail: one message to standard error, a traceback only for those who ask."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from seawall.problems import SeawallError

__all__ = ["CommandError", "complain", "reporting"]

ASK = "Run it again with --traceback to see where."


class CommandError(SeawallError):
    """A command cannot do what it was asked to; the message says why and what to do.

    Args:
        message: For the person who typed the command.
        hints: What may help, each on a line of its own.
        usage: Whether the command line itself was wrong (exit status 2 instead of 1).
    """

    def __init__(self, message: str, *hints: str, usage: bool = False) -> None:
        super().__init__(message)
        self.hints = hints
        self.usage = usage


@contextmanager
def reporting(*, with_traceback: bool) -> Iterator[None]:
    """Turn what is raised inside into a message and an exit status.

    Raises:
        typer.Exit: With 1 for a failure, 2 for wrong usage.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` does. The interpreter would complain once more at exit.
        sys.stderr.close()
        raise typer.Exit(0) from None
    except SeawallError as error:
        if with_traceback:
            traceback.print_exception(error)
        hints = error.hints if isinstance(error, CommandError) else ()
        # A failure with a cause comes from the user's code; one without says all there is.
        complain(str(error), *hints, *([ASK] if error.__cause__ is not None and not with_traceback else []))
        raise typer.Exit(2 if isinstance(error, CommandError) and error.usage else 1) from None
    except Exception as error:  # noqa: BLE001 - the last resort of a command
        if with_traceback:
            traceback.print_exception(error)
        complain(f"unexpected {type(error).__name__}: {error}", *([] if with_traceback else [ASK]))
        raise typer.Exit(1) from None


def complain(message: str, *hints: str) -> None:
    """Write *message* and *hints* to standard error, in colour on a terminal."""
    head = typer.style("error:", fg=typer.colors.RED, bold=True)
    typer.echo(f"{head} {message}", err=True)
    for hint in hints:
        typer.echo(f"  {hint}", err=True)
