"""Serves a service: uvicorn, set up for production, told when to start and made to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from seawall import logs
from seawall.endpoint import Endpoint, bind
from seawall.http.surface import Surface
from seawall.problems import ConfigurationError, SeawallError
from seawall.protocol import ConnectionLimits, bounded_protocol, sweep
from seawall.wire import wire_protocol

if TYPE_CHECKING:
    from seawall.service import Service
    from seawall.settings import Settings

__all__ = ["StartupFailure", "serve"]

SWEEP_TICKS = 10
"""The server ticks ten times a second; connections are looked through once a second."""
CLOSING_SHARE = 0.2
"""How much of the time to stop is kept for closing resources, once calls have ended."""

logger = logging.getLogger("seawall")


class StartupFailure(ConfigurationError):
    """The service could not be started; what its start-up raised is the cause."""


@dataclass(slots=True)
class Lifespan:
    """Starts and stops the service within the server; remembers what went wrong, for one clear message.

    It stands in the place of uvicorn's own, which logs a traceback for every kind of failure.

    Args:
        config: What holds the application.
        state: What the application shares with its requests.
        should_exit: Whether the server must not start.
        failure: What the application raised.
        message: What it reported instead, or before.
        abandoned: Whether its start was given up.
        running: Tells which calls are running.
        patience: Seconds that cancelled calls have to end.
    """

    config: uvicorn.Config
    state: dict[str, Any] = field(default_factory=dict)
    should_exit: bool = False
    failure: BaseException | None = None
    message: str = ""
    abandoned: bool = False
    running: Callable[[], set[asyncio.Task[Any]]] = set
    patience: float = 1.0
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
        """Stop the service, after the calls that have not ended in time have been cancelled."""
        calls = self.running()
        if calls:
            logger.warning("cancelling %d calls that have not ended in time", len(calls))
            for call in calls:
                call.cancel()
            # They give back their resources before those are closed.
            await asyncio.wait(calls, timeout=self.patience)
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

    def __init__(
        self, config: uvicorn.Config, seconds: float, ready: Callable[[], None], reload: Callable[[], None]
    ) -> None:
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

    def calls(self) -> set[asyncio.Task[Any]]:
        """Return the tasks of the calls that are running, whichever way their requests came."""
        cycles = (getattr(connection, "cycle", None) for connection in self.server_state.connections)
        tasks = {getattr(cycle, "task", None) for cycle in cycles}
        return {task for task in tasks | self.server_state.tasks if task is not None and not task.done()}

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


def serve(
    service: Service,
    settings: Settings,
    endpoint: Endpoint | None = None,
    *,
    level: str | None = None,
    wrap: Callable[[Any], Any] | None = None,
) -> int:
    """Serve *service* until SIGINT or SIGTERM, and return the exit status.

    Args:
        service: What to serve.
        settings: How.
        endpoint: Where, closed in the end; what the settings say by default.
        level: The least severe lines to log, whatever the settings say and come to say.
        wrap: Puts an ASGI middleware around the service.

    Returns:
        0 after an orderly end; 1 if the service could not be stopped in time or in order.

    Raises:
        StartupFailure: The service did not start.
        ConfigurationError: It cannot be compiled.
    """
    built = service.build()
    server_settings = settings.server
    if endpoint is None:
        uds = Path(server_settings.uds) if server_settings.uds else None
        endpoint = bind(server_settings.host, server_settings.port, uds)
    address = endpoint.address
    logs.quieter_server(level or settings.log.level)
    # A middleware speaks ASGI and must see every request, so with one no request goes the short way.
    surface = None
    if server_settings.carrier == "wire" and wrap is None:
        built.use_wire()
        surface = built.surface
    config = uvicorn_config(wrap(service.asgi) if wrap else service.asgi, settings, surface)
    config.load()
    lifespan = Lifespan(config)
    # uvicorn asks the configuration for the class and calls it; this hands it ours, made already.
    config.lifespan_class = cast("Any", lambda _: lifespan)

    def ready() -> None:
        logger.info(
            "listening on %s",
            address,
            extra={"service": service.name, "version": service.version, "operations": len(built.routes)},
        )

    server = Server(config, server_settings.shutdown_seconds, ready, lambda: _reload(service, level))
    lifespan.running, lifespan.patience = server.calls, server_settings.shutdown_seconds * CLOSING_SHARE / 2
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


def uvicorn_config(app: Any, settings: Settings, surface: Surface | None) -> uvicorn.Config:
    """Return uvicorn's configuration for *settings*, every limit finite; with *surface*, on the ``wire`` carrier."""
    http, server = settings.http, settings.server
    limits = ConnectionLimits(
        # Twice the number of fields, so that who has a few too many gets the operation's answer, and keeps
        # the connection; each field costs four bytes besides its name and value.
        head_bytes=http.max_header_bytes + http.max_path_bytes + http.max_query_bytes + 4 * http.max_header_count,
        head_fields=2 * http.max_header_count,
        field_bytes=http.max_header_bytes,
        head_seconds=http.head_timeout,
        connections=server.max_connections,
        body_seconds=http.body_timeout,
        idle_seconds=server.keep_alive,
    )
    return uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="on",
        loop="auto",
        http=bounded_protocol(limits) if surface is None else wire_protocol(limits, surface),
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


def _why(lifespan: Lifespan) -> str:
    failure = lifespan.failure
    if isinstance(failure, SeawallError):
        return str(failure)
    if failure is not None:
        return f"the service did not start: {type(failure).__name__}: {failure}"
    return f"the service did not start: {lifespan.message}"


def _reload(service: Service, level: str | None) -> None:
    try:
        changed, kept = service.reload()
    except ConfigurationError as error:
        logger.error("settings not reloaded, those in use stay: %s", error)
        return
    if level is None:
        logs.set_level(service.settings.log.level)
    logger.info("settings reloaded", extra={"changed": _listed(changed), "need_restart": _listed(kept)})


def _listed(changes: Sequence[object]) -> str:
    return "; ".join(map(str, changes)) or "none"
