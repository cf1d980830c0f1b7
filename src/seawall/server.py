"""Serves a service: uvicorn, set up for production, told when to start and made to end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Generator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from seawall.drain import Drain, Listeners
from seawall.endpoint import Endpoint, bind
from seawall.http.surface import Surface
from seawall.lifecycle import Lifecycle
from seawall.lifespan import Lifespan
from seawall.problems import ConfigurationError, SeawallError
from seawall.protocol import BoundedProtocol, ConnectionLimits, bounded_protocol, sweep
from seawall.telemetry import logs
from seawall.wire import wire_protocol

if TYPE_CHECKING:
    from seawall.service import Service
    from seawall.settings import ServerSettings, Settings

__all__ = ["StartupFailure", "serve"]

SWEEP_TICKS = 10
"""The server ticks ten times a second; connections are looked through once a second."""
OVERTIME = 2.0
"""Seconds after the end of the budget at which stopping is given up as a whole."""

logger = logging.getLogger("seawall")
Hook = Callable[[], None]


class StartupFailure(ConfigurationError):
    """The service could not be started; what its start-up raised is the cause."""


class Server(uvicorn.Server):
    """uvicorn's server, which ends with 0 when it was asked to end, loses no request then, and always ends."""

    lifespan: Any

    def __init__(
        self, config: uvicorn.Config, service: Service, settings: ServerSettings, hooks: tuple[Hook, Hook]
    ) -> None:
        super().__init__(config)
        self._seconds = settings.shutdown_seconds
        self._ready, self._reload = hooks
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain = Drain(
            self.server_state,
            service.lifecycle,
            cast("type[BoundedProtocol]", config.http_protocol_class),
            service.clock,
            settings.drain_grace,
            self.calls,
        )
        self._heartbeat = service.telemetry.heartbeat()
        service.metrics.gauge(
            "seawall_open_connections", "Connections that are open.", lambda: len(self.server_state.connections)
        )
        self.overdue = False

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to end."""
        run_and_end(self.serve(sockets=sockets), self.config.get_loop_factory())

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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as uvicorn calls it
        """Begin to end; a start that is still going on is given up; a second signal ends the waiting."""
        again, self.should_exit = self.should_exit, True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._exit, again)

    def _exit(self, again: bool) -> None:  # noqa: FBT001 - see handle_exit
        if not self.started:
            self.lifespan.abandon()
            return
        budget = self._drain.begin(self._seconds)
        if again and not budget.hurried:
            logger.warning("told to stop again: waiting for nothing more")
            budget.hurry()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the service, then listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._heartbeat.start()
            self._service.telemetry.traces.offer()
            self._ready()

    def calls(self) -> set[asyncio.Task[Any]]:
        """Return the tasks of the calls that are running, whichever way their requests came."""
        tasks: set[Any] = set(self.server_state.tasks)
        for connection in self.server_state.connections:
            for each in (getattr(connection, "cycle", None), getattr(connection, "active", None)):
                tasks.add(getattr(each, "task", None))
        return {task for task in tasks if task is not None and not task.done()}

    async def on_tick(self, counter: int) -> bool:
        """Do uvicorn's round, and look through the connections once a second."""
        if counter % SWEEP_TICKS == 0:
            sweep(self.server_state, SWEEP_TICKS / 10)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running calls end, cancel those that do not, close the resources: all within the time there is."""
        ticking = asyncio.get_running_loop().create_task(self._keep_ticking(), name="seawall ticks")
        listeners = Listeners(sockets or (), self.servers, self._protocol, self.config.backlog)
        try:
            # The budget is kept by every step; this is for what no step has a hold on, such as a mount's end.
            async with asyncio.timeout(self._seconds + OVERTIME):
                await self._drain.run(self._seconds, listeners)
                await self.lifespan.shutdown()
        except TimeoutError:
            self.overdue = True
            logger.error("the service did not stop within %g s and was left as it is", self._seconds)
        finally:
            self._heartbeat.stop()
            self._service.lifecycle.cut.calls += self.lifespan.cancelled
            ticking.cancel()
            await asyncio.wait({ticking})

    def _protocol(self) -> asyncio.Protocol:
        """Return the protocol of one connection, as uvicorn makes it."""
        made: asyncio.Protocol = cast("Any", self.config.http_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def _keep_ticking(self) -> None:
        """Keep the date right and slow clients in check while the server stops."""
        counter = 0
        while True:
            counter += 1
            await self.on_tick(counter)
            await self._service.clock.sleep(0.1)


def run_and_end(main: Coroutine[Any, Any, None], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
    """Run *main* on a new event loop, and end also when a task that is left does not heed its cancellation.

    ``asyncio.run`` would wait for such a task without end.
    """
    loop = (loop_factory or asyncio.new_event_loop)()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main)
    finally:
        try:
            loop.run_until_complete(_end_tasks())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def _end_tasks() -> None:
    loop = asyncio.get_running_loop()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    stuck: set[asyncio.Task[Any]] = set()
    if left:
        _, stuck = await asyncio.wait(left, timeout=OVERTIME / 2)
    if stuck:
        # They have been named; that they are destroyed with the loop needs no line for each.
        loop.set_exception_handler(lambda *_: None)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(loop.shutdown_asyncgens(), OVERTIME / 2)


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
        0 after an orderly end; 1 if anything had to be cut, or the service did not stop in order.

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

    server = Server(config, service, server_settings, (ready, lambda: _reload(service, level)))
    lifecycle = service.lifecycle
    lifespan.running = server.calls
    lifespan.patience = lambda: lifecycle.budget.patience if lifecycle.budget else 1.0
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
    _tell_the_end(lifecycle, server.server_state.total_requests)
    return 1 if server.overdue or lifespan.failure or lifespan.message or lifecycle.cut else 0


def _tell_the_end(lifecycle: Lifecycle, requests: int) -> None:
    cut, budget = lifecycle.cut, lifecycle.budget
    facts = {
        "requests": requests,
        "seconds": round(budget.spent, 3) if budget else 0.0,
        **{f"cut_{name}": value for name, value in dataclasses.asdict(cut).items() if value},
    }
    if cut:
        logger.warning("stopped; cut: %s", cut, extra=facts)
    else:
        logger.info("stopped", extra=facts)


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
