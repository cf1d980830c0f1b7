"""Serves a service by granian: HTTP/1.1 and HTTP/2 in Rust, the service as an ASGI application, our order of ending.

granian runs embedded, in this process and on this event loop. By itself it stops in one step: it accepts no more, tells
its connections to end, and closes at once those on which nothing is being answered, also those whose request is on its
way. Here that step comes last. See decision 18 for what holds and what does not.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec

from seawall.clock import Clock
from seawall.drain import NEWCOMER_SECONDS
from seawall.endpoint import Endpoint, bind
from seawall.framing import Hosts, fault_of
from seawall.last_resort import LastResort
from seawall.lifecycle import Budget, Lifecycle
from seawall.lifecycle.budget import CALLS_UNTIL, TASKS_UNTIL
from seawall.lifespan import Lifespan
from seawall.problems import BadRequest, ConfigurationError
from seawall.server import OVERTIME, reload_settings, run_and_end, run_to_the_end, tell_ready
from seawall.telemetry import logs
from seawall.tls import Certificates, TlsFiles, tls_files
from seawall.watch import Beat, Ready, Reloading, Stopping, Unwatched, Watch

if TYPE_CHECKING:
    from seawall.service import Service
    from seawall.settings import ServerSettings, Settings

__all__ = ["Calls", "serve"]

SERVICE_RESTART = 1012  # RFC 6455 §7.4.1, IANA registry
_LOOK_AGAIN = 0.02

logger = logging.getLogger("seawall")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Calls:
    """ASGI middleware that knows what is running, and lets answers end their connections once `draining` is set.

    Args:
        app: What answers.
        state: What the application's lifespan has left for its requests.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], state: dict[str, Any]) -> None:
        self._app = app
        self._state = state
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sockets: set[Send] = set()
        self._hosts = Hosts()
        self.draining = False
        self.requests = 0

    def running(self) -> set[asyncio.Task[Any]]:
        """Return the tasks of the calls that are running."""
        return set(self._tasks)

    async def end_websockets(self) -> None:
        """Tell the WebSockets that are open that the service restarts."""
        for send in list(self._sockets):
            await send({"type": "websocket.close", "code": SERVICE_RESTART})

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - granian runs every request in a task
        scope["state"] = self._state.copy()
        self.requests += 1
        self._tasks.add(task)
        try:
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, send)
            elif scope["http_version"] in ("1.0", "1.1"):
                fault = fault_of(scope["http_version"], b"/", scope["headers"], self._hosts)
                if fault is None:
                    await self._app(scope, receive, self._last(send))
                else:
                    await _refuse(fault, send)
            else:  # HTTP/2 ends connections by itself (RFC 9113 §6.8)
                await self._app(scope, receive, send)
        finally:
            self._tasks.discard(task)

    async def _websocket(self, scope: Any, receive: Receive, send: Send) -> None:
        self._sockets.add(send)
        try:
            await self._app(scope, receive, send)
        finally:
            self._sockets.discard(send)

    def _last(self, send: Send) -> Send:
        async def send_last(message: Message) -> None:
            if self.draining and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        return send_last


async def _refuse(fault: str, send: Send) -> None:
    body = msgspec.json.encode(BadRequest(fault).document())
    fields = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 400, "headers": [*fields, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


class Listening:
    """granian on one socket.

    Args:
        listening: The socket; the caller goes on owning it.
        app: What answers.
        settings: All of them.
        files: Certificate and key, if TLS is spoken.
    """

    def __init__(
        self, listening: socket.socket, app: Callable[..., Awaitable[None]], settings: Settings, files: TlsFiles | None
    ) -> None:
        from granian import net  # noqa: PLC0415
        from granian.constants import HTTPModes, Interfaces, SSLProtocols  # noqa: PLC0415 - an extra
        from granian.http import HTTP1Settings, HTTP2Settings  # noqa: PLC0415
        from granian.server.embed import Server  # noqa: PLC0415

        http, server = settings.http, settings.server
        listening.listen(server.backlog)  # who connects from now on waits; granian's thread begins a little later
        # granian closes the descriptor it is given.
        self._descriptor = os.dup(listening.fileno())
        self._family = listening.family
        self._server: Any = Server(
            app,
            interface=Interfaces.ASGINL,  # the lifespan is ours
            http=HTTPModes.auto if server.http2 else HTTPModes.http1,
            backlog=server.backlog,
            backpressure=server.max_connections,
            http1_settings=HTTP1Settings(
                header_read_timeout=int(http.head_timeout * 1000),
                max_buffer_size=max(8192, http.max_header_bytes + http.max_path_bytes + http.max_query_bytes),
            ),
            http2_settings=HTTP2Settings(
                max_headers_size=http.max_header_bytes + http.max_path_bytes + http.max_query_bytes,
                keep_alive_interval=max(1, int(server.keep_alive * 1000)),
            ),
            log_enabled=False,
            ssl_cert=files.certificate if files else None,
            ssl_key=files.key if files else None,
            ssl_key_password=files.password if files else None,
            ssl_protocol_min=SSLProtocols.tls13 if files and files.oldest == "1.3" else SSLProtocols.tls12,
            ssl_ca=files.client_ca if files else None,
            ssl_client_verify=bool(files and files.client_ca and files.client_required),
        )
        held = cast("Any", net).SocketHolder(  # its stub says less than it takes
            self._descriptor, listening.family == socket.AF_UNIX, server.backlog
        )

        def take_over() -> None:
            self._server._ssp, self._server._shd = None, held  # noqa: SLF001 - it has no other way to take a socket

        cast("Any", self._server)._init_shared_socket = take_over  # noqa: SLF001
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Accept connections."""
        self.task = asyncio.get_running_loop().create_task(self._server.serve(), name="seawall granian")

    def accept_no_more(self) -> None:
        """Accept no more; connections that are open live on.

        granian knows no such state. So its descriptor is made to mean a socket that nobody can know: what it accepts
        on from now on stays empty. The queue itself stays with whoever else has the socket.
        """
        nowhere: Mapping[int, Any] = {socket.AF_UNIX: "", socket.AF_INET6: ("::1", 0)}
        with socket.socket(self._family, socket.SOCK_STREAM) as nobodys:
            nobodys.bind(nowhere.get(self._family, ("127.0.0.1", 0)))
            nobodys.listen(1)
            nobodys.settimeout(0)
            os.dup2(nobodys.fileno(), self._descriptor)

    def stop(self) -> None:
        """Let connections end when what they are answering is answered."""
        self._server.stop()


class Server:
    """granian's, from start to end.

    Args:
        service: What is served.
        settings: How.
        endpoint: Where.
        files: Certificate and key, if TLS is spoken.
        hooks: What to call when it is ready, and on SIGHUP.
        watch: Who is told how it goes.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        endpoint: Endpoint,
        files: TlsFiles | None,
        hooks: tuple[Callable[[], None], Callable[[], None]],
        watch: Watch,
    ) -> None:
        self._lifecycle: Lifecycle = service.lifecycle
        self._clock: Clock = service.clock
        self._settings: ServerSettings = settings.server
        self._all = settings
        self._endpoint, self._files = endpoint, files
        self._ready, self._reload = hooks
        self.lifespan = Lifespan(cast("Any", SimpleNamespace(loaded_app=service.asgi)))
        self.calls = Calls(service.asgi, self.lifespan.state)
        self.lifespan.running = self.calls.running
        self._listening: list[Listening] = []
        self._exit = asyncio.Event()
        self._watch = watch
        self._service = service
        self._heartbeat = service.telemetry.heartbeat()
        self._last_resort = LastResort(self._settings.shutdown_seconds + 2 * OVERTIME)
        self.overdue = False
        self.broken = False

    async def serve(self) -> None:
        """Serve until told to end."""
        loop = asyncio.get_running_loop()
        self._watch.attach(self._told)
        # Not the loop's own handlers: those wait for a loop that is blocked.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._signalled(loop))
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(3)
        for each in self._endpoint.sockets:
            self._listening.append(Listening(each, self.calls, self._all, self._files))
        logs.quieter_server(self._all.log.level)  # it sets up its own logging when it is made
        for one in self._listening:
            one.start()
        self._ready()
        told = asyncio.ensure_future(self._exit.wait())
        beating = asyncio.ensure_future(self._beat())
        self._heartbeat.start()
        self._service.telemetry.traces.offer()
        tasks = self._tasks()
        await asyncio.wait({told, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if any(task.done() for task in tasks):
            self.broken = True
            logger.error("granian has ended by itself")
        try:
            # As with uvicorn: the budget is kept by every step; this is for what no step has a hold on.
            async with asyncio.timeout(self._settings.shutdown_seconds + OVERTIME):
                await self._stop()
        except TimeoutError:
            self.overdue = True
            logger.error("the service did not stop within %g s and was left as it is", self._settings.shutdown_seconds)
        finally:
            self._lifecycle.cut.calls += self.lifespan.cancelled
            self._last_resort.disarm()
            self._heartbeat.stop()
            beating.cancel()
            await asyncio.wait({beating})

    async def _beat(self) -> None:
        """Tell once a second that the event loop runs; granian does not say how many connections are open."""
        while True:
            self._watch.tell(Beat(self.calls.requests, len(self.calls.running())))
            await self._clock.sleep(1.0)

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return self.calls.requests

    def _tasks(self) -> set[asyncio.Task[None]]:
        return {each.task for each in self._listening if each.task is not None}

    def _signalled(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to end; a second signal hurries, unless whoever watches decides that."""
        if not self._watch.supervised:
            self._last_resort.arm()
        loop.call_soon_threadsafe(lambda: self._told(self._exit.is_set() and not self._watch.supervised))

    def _told(self, hurried: bool) -> None:  # noqa: FBT001 - as `Watch.attach` has it
        """Begin to end; a start that is still going on is given up; being hurried ends the waiting."""
        if not self._listening:
            self.lifespan.abandon()
            return
        budget = self._lifecycle.budget
        if budget is None:
            budget = self._begin()
        if hurried and not budget.hurried:
            logger.warning("told to stop again: waiting for nothing more")
            budget.hurry()
        self._exit.set()

    def _begin(self) -> Budget:
        if self._lifecycle.budget is None:
            logger.info("stopping")
            self._watch.tell(Stopping())
        self.calls.draining = True
        return self._lifecycle.begin_drain(self._settings.shutdown_seconds)

    async def _stop(self) -> None:
        budget = self._begin()
        await budget.pause(self._settings.drain_grace)
        for each in self._listening:
            each.accept_no_more()
        await self._lifecycle.end_streams()
        await self.calls.end_websockets()
        # Which connections have said nothing yet is not known, so all of them have the time of a newcomer.
        newcomers_until = budget.spent + NEWCOMER_SECONDS
        while budget.left(CALLS_UNTIL) > 0 and (self.calls.running() or budget.spent < newcomers_until):
            await budget.pause(min(_LOOK_AGAIN, budget.left(CALLS_UNTIL)))
        await self.lifespan.cancel_calls()
        for each in self._listening:
            each.stop()
        left = await budget.wait(self._tasks(), min(NEWCOMER_SECONDS, budget.left(TASKS_UNTIL)))
        if left:
            # Half a request, or an answer that nobody reads; how many there are, granian does not tell.
            self._lifecycle.cut.connections += 1
        await self.lifespan.shutdown()


def serve(
    service: Service,
    settings: Settings,
    endpoint: Endpoint | None = None,
    *,
    level: str | None = None,
    watch: Watch | None = None,
) -> int:
    """Serve *service* by granian until SIGINT or SIGTERM, and return the exit status; see `seawall.server.serve`.

    Raises:
        StartupFailure: The service did not start.
        ConfigurationError: It cannot be compiled, the address cannot be had, granian is not installed, or TLS is wrong.
    """
    _check_installed()
    service.build()
    server_settings = settings.server
    files = tls_files(server_settings)
    if endpoint is None:
        uds = Path(server_settings.uds) if server_settings.uds else None
        endpoint = bind(server_settings.host, server_settings.port, uds, int(server_settings.uds_mode, 8))
    where = endpoint
    if files is not None:
        try:
            Certificates(files, service.clock)  # says what is wrong with them, better than a panic of granian's
        except BaseException:
            where.close()
            raise
    watched = watch or Unwatched()
    hooks = (
        lambda: tell_ready(service, where, watched, is_secure=files is not None),
        lambda: _reload(service, level, files, watched),
    )
    server = Server(service, settings, where, files, hooks, watched)
    status = run_to_the_end(
        service, server.lifespan, server, lambda: run_and_end(server.serve(), _loop_factory()), where, watched
    )
    return 1 if server.broken else status


def _check_installed() -> None:
    try:
        import granian  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigurationError(
            "server.server = \"granian\", and granian is not installed. Install it with: pip install 'seawall[granian]'"
        ) from None


def _reload(service: Service, level: str | None, files: TlsFiles | None, watch: Watch) -> None:
    if watch.supervised:
        return  # its supervisor replaces it by one that has read them
    server = service.settings.server
    watch.tell(Reloading())
    reload_settings(service, level)
    if files is not None:
        logger.warning("granian reads certificates when it starts; restart it for new ones")
    watch.tell(Ready(server.shutdown_seconds, server.worker_timeout))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop  # noqa: PLC0415 - not on every platform

    return uvloop.new_event_loop
