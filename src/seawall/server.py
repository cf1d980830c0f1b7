"""Serves a service: uvicorn, set up for production, told when to start and made to end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import stat
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from seawall import logs
from seawall.problems import ConfigurationError, SeawallError
from seawall.protocol import ConnectionLimits, bounded_protocol, sweep

if TYPE_CHECKING:
    from seawall.service import Service
    from seawall.settings import Settings

__all__ = ["Endpoint", "StartupFailure", "bind", "serve"]

SWEEP_TICKS = 10
"""The server ticks ten times a second; connections are looked through once a second."""
CLOSING_SHARE = 0.2
"""How much of the time to stop is kept for closing resources, once calls have ended."""

logger = logging.getLogger("seawall")


class StartupFailure(ConfigurationError):
    """The service could not be started; what its start-up raised is the cause."""


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


def bind(host: str, port: int, uds: Path | None = None, fd: int | None = None) -> Endpoint:
    """Bind before anything is started, so that an address in use costs nothing else.

    Args:
        host: An address or a name.
        port: A TCP port; 0 takes a free one.
        uds: A Unix socket instead.
        fd: An open socket of the parent process instead.

    Raises:
        ConfigurationError: The address cannot be had; the message says why and what to do.
    """
    if fd is not None:
        return _inherit(fd)
    if uds is not None:
        return _bind_unix(uds)
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


def _bind_unix(path: Path) -> Endpoint:
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
    except ConfigurationError:
        each.close()
        raise
    except OSError as error:
        each.close()
        raise ConfigurationError(f"cannot make the Unix socket {path}: {error.strerror or error}.") from None
    return Endpoint([each], f"unix:{path}", path)


def _inherit(fd: int) -> Endpoint:
    try:
        each = socket.socket(fileno=fd)
    except OSError as error:
        raise ConfigurationError(f"--fd {fd} is no open socket ({error.strerror}).") from None
    if each.family == socket.AF_UNIX:
        return Endpoint([each], f"unix:{each.getsockname()}")
    return Endpoint([each], _url(each.getsockname()[0], each))


def _url(host: str, bound: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"


@dataclass(slots=True)
class Lifespan:
    """Starts and stops the service within the server; remembers what went wrong, for one clear message.

    It stands in the place of uvicorn's own, which logs a traceback for every kind of failure.
    """

    config: uvicorn.Config
    state: dict[str, Any] = field(default_factory=dict)
    should_exit: bool = False
    failure: BaseException | None = None
    message: str = ""
    abandoned: bool = False
    _inbox: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the service; `should_exit` says whether it failed or was abandoned."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="seawall lifespan")
        await self._ask("lifespan.startup")
        if self.message:
            await self._task  # most applications raise what they have just reported
        self.should_exit = self.abandoned or self._task.done() or bool(self.message)

    async def shutdown(self) -> None:
        """Stop the service."""
        if self._task is not None and not self._task.done():
            await self._ask("lifespan.shutdown")
            await self._task

    def abandon(self) -> None:
        """Give up a start that is still going on."""
        self.abandoned = True
        if self._task is not None:
            self._task.cancel()

    async def _ask(self, kind: str) -> None:
        self._answered.clear()
        await self._inbox.put({"type": kind})
        await self._answered.wait()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        application = cast("Callable[..., Any]", self.config.loaded_app)
        try:
            await application(scope, self._inbox.get, self._send)
        except asyncio.CancelledError:
            if not self.abandoned:
                raise
        except Exception as error:  # noqa: BLE001 - reported by serve()
            self.failure = error
        finally:
            self._answered.set()

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"].endswith(".failed"):
            self.message = str(message.get("message") or "no reason was given")
        self._answered.set()


class Server(uvicorn.Server):
    """uvicorn's server, which ends with 0 when it was asked to end, and always ends."""

    lifespan: Any

    def __init__(self, config: uvicorn.Config, seconds: float, ready: Callable[[], None], reload: Callable[[], None]):
        super().__init__(config)
        self._seconds = seconds
        self._ready = ready
        self._reload = reload
        self._loop: asyncio.AbstractEventLoop | None = None
        self.overdue = False

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take SIGINT and SIGTERM as requests to end, SIGHUP as one to read the settings again.

        uvicorn raises the signals again when it is done, which would make an orderly end look like a failure.
        """
        self._loop = asyncio.get_running_loop()
        handlers = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            call_soon = self._loop.call_soon_threadsafe
            handlers[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: call_soon(self._reload))
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a start that is still going on is given up."""
        super().handle_exit(sig, frame)
        if not self.started and self._loop is not None:
            self._loop.call_soon_threadsafe(self.lifespan.abandon)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the service, then listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Do uvicorn's round, and look through the connections once a second."""
        if counter % SWEEP_TICKS == 0:
            sweep(self.server_state, SWEEP_TICKS / 10)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running calls end, cancel those that do not, close the resources: all within the time there is."""
        logger.info("stopping", extra={"open_connections": len(self.server_state.connections)})
        try:
            async with asyncio.timeout(self._seconds):
                await super().shutdown(sockets)
        except TimeoutError:
            self.overdue = True
            logger.error("the service did not stop within %g s and was left as it is", self._seconds)


def serve(service: Service, settings: Settings, endpoint: Endpoint, *, wrap: Callable[[Any], Any] | None = None) -> int:
    """Serve *service* until SIGINT or SIGTERM, and return the exit status.

    Args:
        service: What to serve.
        settings: How.
        endpoint: Where; it is closed in the end.
        wrap: Puts an ASGI middleware around the service.

    Returns:
        0 after an orderly end; 1 if the service could not be stopped in time or in order.

    Raises:
        StartupFailure: The service did not start.
        ConfigurationError: It cannot be compiled.
    """
    built = service.build()
    logs.quieter_server(settings.log.level)
    config = uvicorn_config(wrap(service.asgi) if wrap else service.asgi, settings)
    config.load()
    lifespan = Lifespan(config)
    # uvicorn asks the configuration for the class and calls it; this hands it ours, made already.
    config.lifespan_class = cast("Any", lambda _: lifespan)

    def ready() -> None:
        logger.info(
            "listening on %s",
            endpoint.address,
            extra={"service": service.name, "version": service.version, "operations": len(built.routes)},
        )

    server = Server(config, settings.server.shutdown_seconds, ready, lambda: _reload(service))
    try:
        server.run(sockets=endpoint.sockets)
    except SystemExit:
        if lifespan.abandoned:
            logger.info("stopped before it had started")
            return 0
        raise StartupFailure(_why(lifespan)) from lifespan.failure
    except KeyboardInterrupt:
        return 130  # before the server had taken over the signal
    finally:
        endpoint.close()
    if lifespan.failure is not None:
        logger.error("the service did not stop in order", exc_info=lifespan.failure)
    in_order = not (server.overdue or server.force_exit or lifespan.failure or lifespan.message)
    logger.info("stopped", extra={"requests": server.server_state.total_requests})
    return 0 if in_order else 1


def uvicorn_config(app: Any, settings: Settings) -> uvicorn.Config:
    """Return uvicorn's configuration for *settings*, every limit finite."""
    http, server = settings.http, settings.server
    limits = ConnectionLimits(
        # Twice the number of fields, so that who has a few too many gets the operation's answer, and keeps
        # the connection; each field costs four bytes besides its name and value.
        head_bytes=http.max_header_bytes + http.max_path_bytes + http.max_query_bytes + 4 * http.max_header_count,
        head_fields=2 * http.max_header_count,
        head_seconds=server.head_timeout,
        connections=server.max_connections,
    )
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="on",
        loop="auto",
        http=bounded_protocol(limits),
        log_config=None,
        access_log=False,
        proxy_headers=False,  # Seawall's own trusted proxies do that
        server_header=False,
        date_header=True,
        backlog=server.backlog,
        timeout_keep_alive=cast("int", server.keep_alive),  # uvicorn hands both numbers to the loop as they are
        timeout_graceful_shutdown=cast("int", server.shutdown_seconds * (1 - CLOSING_SHARE)),
        workers=1,
    )
    return config


def _why(lifespan: Lifespan) -> str:
    failure = lifespan.failure
    if isinstance(failure, SeawallError):
        return str(failure)
    if failure is not None:
        return f"the service did not start: {type(failure).__name__}: {failure}"
    return f"the service did not start: {lifespan.message}"


def _reload(service: Service) -> None:
    try:
        changed, kept = service.reload()
    except ConfigurationError as error:
        logger.error("settings not reloaded; those in use stay: %s", error)
        return
    logger.info("settings reloaded", extra={"changed": _names(changed), "need_restart": _names(kept)})


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
