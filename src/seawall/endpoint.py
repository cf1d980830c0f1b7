"""Where a service listens: bound before anything is started, so that an address in use costs nothing else."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seawall.problems import ConfigurationError

__all__ = ["Endpoint", "bind", "inherit"]


@dataclass(slots=True)
class Endpoint:
    """Where a service listens.

    Args:
        sockets: Bound sockets.
        address: What to tell people: a URL, or ``unix:PATH``.
        path: The Unix socket to remove in the end, if this process made it.
    """

    sockets: list[socket.socket]
    address: str
    path: Path | None = None

    def close(self) -> None:
        """Close the sockets and take the Unix socket away."""
        for each in self.sockets:
            each.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def bind(host: str, port: int, uds: Path | None = None, mode: int = 0o660) -> Endpoint:
    """Bind to an address, or to a Unix socket.

    Args:
        host: An address or a name.
        port: A TCP port; 0 takes a free one.
        uds: A Unix socket instead.
        mode: The permissions of that socket.

    Raises:
        ConfigurationError: The address cannot be had; the message says why and what to do.
    """
    if uds is not None:
        return _bind_unix(uds, mode)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigurationError(f"host {host!r} is not known here ({error.strerror}); try 127.0.0.1.") from None
    endpoint = Endpoint([], "")
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            if endpoint.sockets and port == 0:  # a free port: every address of the name shares the first one
                address = (address[0], endpoint.sockets[0].getsockname()[1], *address[2:])  # noqa: PLW2901
            each = socket.socket(family, socket.SOCK_STREAM)
            endpoint.sockets.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind(address)
    except OSError as error:
        endpoint.close()
        raise ConfigurationError(_refused(host, port, error)) from None
    endpoint.address = _url(host, endpoint.sockets[0])
    return endpoint


def _refused(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use by another process. Stop that one, or choose another port "
            f"with --port {port + 1 if port < 65535 else 0} (0 takes a free one)."
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges this process does not have; choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"this machine has no address {host!r}; try --host 127.0.0.1, or 0.0.0.0 for all of them."
    return f"cannot listen on {host} port {port}: {error.strerror or error}."


def _bind_unix(path: Path, mode: int) -> Endpoint:
    each = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise ConfigurationError(f"{path} is there already and is no socket; remove it or choose another --uds.")
        if path.exists():
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                    probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()  # left behind by a process that is gone
            else:
                raise ConfigurationError(f"{path} is in use by another process; stop that one or choose another --uds.")
        each.bind(str(path))
        path.chmod(mode)  # before it listens: until then nobody can connect
    except ConfigurationError:
        each.close()
        raise
    except OSError as error:
        each.close()
        raise ConfigurationError(f"cannot make the Unix socket {path}: {error.strerror or error}.") from None
    return Endpoint([each], f"unix:{path}", path)


def inherit(fds: Sequence[int]) -> Endpoint:
    """Take over open sockets of the parent process.

    Raises:
        ConfigurationError: One of them is no socket.
    """
    endpoint = Endpoint([], "")
    for fd in fds:
        try:
            endpoint.sockets.append(socket.socket(fileno=fd))
            os.set_inheritable(fd, False)  # noqa: FBT003 - no further: who holds it holds the address
        except OSError as error:
            raise ConfigurationError(f"--fd {fd} is no open socket ({error.strerror or error}).") from None
    first = endpoint.sockets[0]
    name = first.getsockname()
    if isinstance(name, bytes):  # an abstract Unix socket, which is in no folder
        name = name.decode(errors="replace").replace("\0", "@", 1)
    endpoint.address = f"unix:{name}" if first.family == socket.AF_UNIX else _url(name[0], first)
    return endpoint


def _url(host: str, bound: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
