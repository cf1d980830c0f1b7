"""The first process of a container: it passes signals on and buries the dead, while its child serves.

The kernel gives process 1 two duties nobody else has: signals it has no handler for are dropped, and orphans become its
children, whom it must wait for. A service that starts processes of its own cannot do that itself, since waiting for any
child would take the exit status from whoever started it. So the service becomes a child, as under tini or dumb-init.
"""

from __future__ import annotations

import contextlib
import os
import signal

__all__ = ["init"]

_OURS = {signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU, signal.SIGTSTP, signal.SIGCONT, signal.SIGURG}
"""Not passed on: the first is for this process, the others are between the terminal and it."""
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}


def init() -> None:
    """Return in a child process that is to serve; the process that called ends with the child's status.

    Must be called before anything has started a thread or an event loop.
    """
    taken = signal.valid_signals() - _FAULTS - {signal.SIGKILL, signal.SIGSTOP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, taken)
    child = os.fork()
    if child == 0:
        # A group of its own: what a terminal sends to the first process's group comes once, through that process.
        os.setpgid(0, 0)
        _meant_for_this_process()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        number = signal.sigwait(taken)
        if number == signal.SIGCHLD:
            status = _bury(child)
            if status is not None:
                os._exit(status if status >= 0 else 128 - status)
        elif number not in _OURS:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)


def _bury(child: int) -> int | None:
    """Wait for everybody who has died; return the exit status of *child* if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = os.waitstatus_to_exitcode(status)


def _meant_for_this_process() -> None:
    """Take over what a service manager has addressed to the process that has become the parent."""
    for name in ("LISTEN_PID", "WATCHDOG_PID"):
        if os.environ.get(name) == str(os.getppid()):
            os.environ[name] = str(os.getpid())
