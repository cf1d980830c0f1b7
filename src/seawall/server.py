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
from typing import TYPE_CHECKING, Any, Protocol, cast
from weakref import WeakSet

import msgspec
import uvicorn

from seawall.drain import Drain, Listeners
from seawall.endpoint import Endpoint, bind
from seawall.http.surface import Surface
from seawall.last_resort import LastResort
from seawall.lifecycle import Lifecycle
from seawall.lifespan import Lifespan
from seawall.problems import ConfigurationError, SeawallError
from seawall.protocol import BoundedProtocol, ConnectionLimits, bounded_protocol, sweep
from seawall.telemetry import logs
from seawall.tls import Certificates, tls_files
from seawall.watch import Beat, Ready, Reloading, Stopped, Stopping, Unwatched, Watch
from seawall.wire import wire_protocol

if TYPE_CHECKING:
    from seawall.service import Service
    from seawall.settings import ServerSettings, Settings

__all__ = ["OVERTIME", "StartupFailure", "reload_settings", "run_and_end", "run_to_the_end", "serve", "tell_ready"]

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
        self,
        config: uvicorn.Config,
        service: Service,
        settings: ServerSettings,
        hooks: tuple[Hook, Hook],
        watch: Watch | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        super().__init__(config)
        self._watch = watch or Unwatched()
        self._has_said_stopping = False
        self._certificates = certificates
        self._handshaking: WeakSet[Any] = WeakSet()
        self._seconds = settings.shutdown_seconds
        self._ready, self._reload = hooks
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_resort = LastResort(settings.shutdown_seconds + 2 * OVERTIME)
        self._drain = Drain(
            self.server_state,
            service.lifecycle,
            cast("type[BoundedProtocol]", config.http_protocol_class),
            service.clock,
            settings.drain_grace,
            self.calls,
            self._arriving,
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
        self._watch.attach(self._told)
        handlers = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            call_soon = self._loop.call_soon_threadsafe
            handlers[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: call_soon(self._reload))
        try:
            yield
        finally:
            self._last_resort.disarm()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as uvicorn calls it
        """Begin to end; a start that is still going on is given up; a second signal ends the waiting.

        Not under a supervisor: whoever signals all processes of a unit, which is then told by both, is in no hurry.
        """
        again, self.should_exit = self.should_exit, True
        if not self._watch.supervised:  # a supervisor kills
            self._last_resort.arm()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._exit, again and not self._watch.supervised)

    def _told(self, hurry: bool) -> None:  # noqa: FBT001 - see Watch.attach
        self.should_exit = True
        self._exit(hurry)

    def _exit(self, again: bool) -> None:  # noqa: FBT001 - see handle_exit
        if not self.started:
            self.lifespan.abandon()
            return
        self._say_stopping()
        budget = self._drain.begin(self._seconds)
        if again and not budget.hurried:
            logger.warning("told to stop again: waiting for nothing more")
            budget.hurry()

    def _say_stopping(self) -> None:
        """Tell the watch, once: the server's own round may have seen that it should end before `_exit` is called."""
        if not self._has_said_stopping:
            self._has_said_stopping = True
            self._watch.tell(Stopping())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the service, then listen, then say so.

        As uvicorn does it with given sockets, but that a TLS handshake has no more time than a request's head.
        """
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(3)  # as uvicorn does; `serve` knows why
        loop, backlog = asyncio.get_running_loop(), self.config.backlog
        self.servers = [
            await loop.create_server(self._protocol, sock=each, backlog=backlog, **self._handshake)
            for each in sockets or ()
        ]
        self.started = True
        self._heartbeat.start()
        self._service.telemetry.traces.offer()
        self._ready()

    @property
    def _handshake(self) -> dict[str, Any]:
        """How connections begin, for the event loop's functions that make them."""
        if self._certificates is None:
            return {}
        seconds = cast("Any", self.config.http_protocol_class).limits.head_seconds
        return {"ssl": self._certificates.context, "ssl_handshake_timeout": seconds, "ssl_shutdown_timeout": 5.0}

    def _arriving(self) -> bool:
        """Return whether a connection has been accepted and is about to come out of its handshake."""
        return any(each.transport is None for each in self._handshaking)

    @property
    def requests(self) -> int:
        """How many requests have been answered."""
        return self.server_state.total_requests

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
            self._watch.tell(Beat(self.server_state.total_requests, len(self.server_state.connections)))
            if self._certificates is not None:
                self._certificates.look()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running calls end, cancel those that do not, close the resources: all within the time there is."""
        ticking = asyncio.get_running_loop().create_task(self._keep_ticking(), name="seawall ticks")
        self._say_stopping()
        listeners = Listeners(sockets or (), self.servers, self._protocol, self.config.backlog, self._handshake)
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
        if self._certificates is not None:
            self._handshaking.add(made)
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
    watch: Watch | None = None,
) -> int:
    """Serve *service* until SIGINT or SIGTERM, and return the exit status.

    Args:
        service: What to serve.
        settings: How.
        endpoint: Where, closed in the end; what the settings say by default.
        level: The least severe lines to log, whatever the settings say and come to say.
        watch: Who is told how it goes; a worker's supervisor, which says itself that the service listens.

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
        endpoint = bind(server_settings.host, server_settings.port, uds, int(server_settings.uds_mode, 8))
    certificates = None
    if (files := tls_files(server_settings)) is not None:
        try:
            certificates = Certificates(files, service.clock)
        except BaseException:
            endpoint.close()
            raise
    logs.quieter_server(level or settings.log.level)
    surface = None
    if server_settings.carrier == "wire":
        built.use_wire()
        surface = built.surface
    config = uvicorn_config(service.asgi, settings, surface)
    config.load()
    lifespan = Lifespan(config)
    # uvicorn asks the configuration for the class and calls it; this hands it ours, made already.
    config.lifespan_class = cast("Any", lambda _: lifespan)

    watch = watch or Unwatched()

    def ready() -> None:
        tell_ready(service, endpoint, watch, is_secure=certificates is not None)

    def reload() -> None:
        if watch.supervised:
            return  # its supervisor replaces it by one that has read them
        watch.tell(Reloading())
        reload_settings(service, level)
        if certificates is not None:
            certificates.reload()
        watch.tell(Ready(server_settings.shutdown_seconds, server_settings.worker_timeout))

    server = Server(config, service, server_settings, (ready, reload), watch, certificates)
    lifespan.running = server.calls
    return run_to_the_end(service, lifespan, server, lambda: server.run(sockets=endpoint.sockets), endpoint, watch)


class Ending(Protocol):
    """What is asked of a server that has ended."""

    overdue: bool

    @property
    def requests(self) -> int:
        """How many requests there were."""
        ...


def run_to_the_end(
    service: Service, lifespan: Lifespan, server: Ending, run: Callable[[], None], endpoint: Endpoint, watch: Watch
) -> int:
    """Run, say how it ended, and return the exit status; see `serve`."""
    lifecycle = service.lifecycle
    lifespan.cancel = service.build().cancel
    lifespan.patience = lambda: lifecycle.budget.patience if lifecycle.budget else 1.0
    try:
        run()
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
    _tell_the_end(lifecycle, server.requests, watch)
    return 1 if server.overdue or lifespan.failure or lifespan.message or lifecycle.cut else 0


def tell_ready(service: Service, endpoint: Endpoint, watch: Watch, *, is_secure: bool) -> None:
    """Say where the service listens, to people and to whoever watches the process."""
    address = endpoint.address.replace("http://", "https://", 1) if is_secure else endpoint.address
    facts = {"service": service.name, "version": service.version, "operations": len(service.build().routes)}
    logger.log(logging.DEBUG if watch.supervised else logging.INFO, "listening on %s", address, extra=facts)
    settings = service.settings.server
    watch.tell(Ready(settings.shutdown_seconds, settings.worker_timeout))


def _tell_the_end(lifecycle: Lifecycle, requests: int, watch: Watch) -> None:
    cut, budget = lifecycle.cut, lifecycle.budget
    watch.tell(msgspec.convert({"type": "stopped", "requests": requests, **dataclasses.asdict(cut)}, Stopped))
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
        write_seconds=http.write_timeout,
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


def reload_settings(service: Service, level: str | None) -> None:
    """Read the settings again, and say what has changed, or why not."""
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
