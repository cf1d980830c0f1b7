"""Watches files, and starts a process anew when they change."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from seawall.cli.report import CommandError

__all__ = ["describe_changes", "supervise"]

WATCHED_SUFFIXES = (".toml", ".env", ".html", ".sql")
"""What a service reads besides Python."""
PATIENCE = 5.0
"""Seconds a process has to end before it is killed: while one writes code, nobody waits for a drain."""
USAGE = 2


def supervise(command: Sequence[str], fds: Sequence[int], folders: Iterable[Path], say: Callable[[str], None]) -> int:
    """Run *command*, again whenever a file in *folders* changes, until SIGINT or SIGTERM.

    Connections that arrive while the process is away wait on the sockets, which are open here.

    Args:
        command: Program and arguments.
        fds: Sockets it inherits.
        folders: What to watch, with everything below.
        say: Tells the user what happens.

    Returns:
        The exit status: that of the process if it ended in order by itself, or was called wrongly; else 0.

    Raises:
        CommandError: watchfiles is not installed.
    """
    try:
        from watchfiles import PythonFilter, watch  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise CommandError(
            "reloading needs the package watchfiles.",
            "Install it with: pip install 'seawall[dev-server]'",
            "Or serve without reloading: seawall dev APP --no-reload",
        ) from None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    child = _start(command, fds)
    first, told = True, False
    changed = watch(
        *folders,
        watch_filter=PythonFilter(extra_extensions=WATCHED_SUFFIXES),
        stop_event=stop,
        rust_timeout=500,
        yield_on_timeout=True,
        raise_interrupt=False,
    )
    for changes in changed:
        if changes:
            say(f"{describe_changes(path for _, path in changes)} changed: starting anew")
            _end(child)
            child, first, told = _start(command, fds), False, False
            continue
        status = child.poll()
        if status is None or stop.is_set():
            continue
        if status == 0 or (first and status == USAGE):
            return status
        if not told:
            say("not running; save a file to try again, Ctrl+C ends")
            told = True
    _end(child)
    return 0


def describe_changes(paths: Iterable[str]) -> str:
    """Return the names of changed files, relative to the current folder, at most three of them."""
    here = os.fspath(Path.cwd())
    names = sorted({os.path.relpath(path, here) if path.startswith(here) else path for path in paths})
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")


def _start(command: Sequence[str], fds: Sequence[int]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, pass_fds=fds)  # noqa: S603 - this very program


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
