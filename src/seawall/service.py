"""Service: the composition root of operations, resources, transports and lifecycle."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from seawall.call import current
from seawall.clock import Clock, Random, SystemClock, SystemRandom
from seawall.group import Group
from seawall.host import Host
from seawall.http.versions import Versions
from seawall.lifecycle import Lifecycle, Living
from seawall.operation import Operation, PolicyOptions, describe
from seawall.problems import DeadlineExceeded, DeclarationError, Problem
from seawall.resources import START_TIMEOUT, STOP_TIMEOUT, Resources, Scope

if TYPE_CHECKING:
    from seawall.admission import Admission
    from seawall.assembly import Built
    from seawall.cache import Cache
    from seawall.client import Authorization, Client, Destinations, Propagator, Tls
    from seawall.idempotency import Keeper
    from seawall.limit import Limits
    from seawall.profiling import Profiler
    from seawall.resilience import Pipeline, Resilience
    from seawall.settings import Change, ClientSettings, Settings
    from seawall.telemetry import Metrics, Telemetry

__all__ = ["Service"]

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])
R = TypeVar("R", bound=Callable[..., Any])
E = TypeVar("E", bound=Exception)
App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class MountDeclaration:
    """An application to be mounted, as it was declared."""

    prefix: str
    app: App
    name: str
    options: Mapping[str, Any]
    state: dict[str, Any] = field(default_factory=dict)
    """What the application's lifespan leaves for its requests; outlives a recompilation."""


class Service(Group, Living):
    """A service: what it offers, what it works with, how it is served.

    ::

        service = Service("storefront")

        @service.get("/orders/{order_id}", timeout=2)
        async def read_order(order_id: int, orders: Orders) -> Order:
            ...

    It is an ASGI application; ``seawall run module:service`` serves it. Operations and resources may take its
    `Clock` and `Random`, by these types.

    Args:
        name: The service's name.
        title: Its title in the API document; the name by default.
        version: Its release, for the API document.
        description: What it is for, in Markdown, for the API document.
        tags: What the tags of operations mean, for the API document.
        versions: How callers name the version of the API they mean.
        settings: Settings to use instead of the environment's and ``seawall.toml``'s.
        clock: What time it is.
        random: Chance.
        options: Policy options for every operation.

    Raises:
        DeclarationError: An option is unknown or its value impossible.
    """

    def __init__(
        self,
        name: str,
        *,
        title: str | None = None,
        version: str = "0.1.0",
        description: str = "",
        tags: Mapping[str, str] | None = None,
        versions: Versions | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        **options: Unpack[PolicyOptions],
    ) -> None:
        super().__init__(None, "", (), None, dict(options), f"service {name!r}")
        self.name = name
        self.title = title or name
        self.version = version
        self.description = description
        self.tags: Mapping[str, str] = tags or {}
        self.versions = versions
        self.clock: Clock = clock or SystemClock()
        self.random: Random = random or SystemRandom()
        self.resources = Resources()
        self.resources.default(Clock, self.clock)
        self.resources.default(Random, self.random)
        self.lifecycle = Lifecycle(self.clock, self.random)
        self.host = Host()
        """This process's place among those that serve the service; the server sets it before plans are compiled."""
        self.lifecycle.tasks.around = lambda name: self.telemetry.traces.background(name)  # noqa: PLW0108 - not made yet
        self.mounts: list[MountDeclaration] = []
        self.middlewares: list[Callable[[App], App]] = []
        self.translations: dict[type[Exception], Callable[[Any], Problem]] = {}
        self.unrouted: list[tuple[Operation, Mapping[str, Any]]] = []
        self.profiler: Profiler | None = None
        """Looks into this process, where the settings of profiling say so; made when plans are compiled."""
        self._settings = settings
        self._built: Built | None = None
        self.counts_attempts = False
        """Whether something besides rates is counted where the limits are."""
        self._limits: Limits | None = None
        self._cache: Cache | None = None
        self._idempotency: Keeper | None = None
        self._admission: Admission | None = None
        self._resilience: Resilience | None = None
        self._telemetry: Telemetry | None = None

    # -- what it offers

    def operation(self, name: str, **options: Unpack[PolicyOptions]) -> Callable[[F], F]:
        """Offer an operation without a route: for code inside the service (`call`) and other transports.

        Raises:
            DeclarationError: The function or an option is impossible, or the name is taken.
        """

        def register(function: F) -> F:
            operation = describe(function, name=name)
            self.policy.merge(options, operation.where)
            self._claim_name(operation)
            self.unrouted.append((operation, options))
            self._built = None
            return function

        return register

    def mount(self, path: str, app: App, *, name: str | None = None, **options: Unpack[PolicyOptions]) -> None:
        """Serve an ASGI application (FastAPI, Starlette, Django, Litestar, another `Service`) under *path*.

        The service's guards stand in front of it; its own lifespan runs inside the service's. It has no time
        limit unless *options* give it one, because it may stream.

        Raises:
            DeclarationError: *path* is no plain path, or is mounted already.
        """
        prefix = path.rstrip("/")
        if not path.startswith("/") or "{" in prefix:
            raise DeclarationError(f"mount at {path!r}: the path must begin with '/' and have no parameters.")
        if any(prefix == other.prefix for other in self.mounts):
            raise DeclarationError(f"mount at {path!r}: there is one already; mount this one elsewhere.")
        policy = dict[str, Any](options)
        policy.setdefault("timeout", None)
        self.policy.merge(policy, f"mount at {path!r}")
        self.mounts.append(MountDeclaration(prefix, app, name or f"mount {prefix or '/'}", policy))
        self._built = None

    def static(self, path: str, directory: str | Path, *, html: bool = False, **options: Unpack[PolicyOptions]) -> None:
        """Serve the files of *directory* under *path*, with ranges and validators (Starlette's StaticFiles).

        Args:
            path: Where.
            directory: The folder; links out of it are not followed.
            html: Whether a folder is answered by its ``index.html``, and a missing file by ``404.html``.
            options: Policy options.

        Raises:
            DeclarationError: The folder does not exist, or *path* is taken.
        """
        from starlette.staticfiles import StaticFiles  # noqa: PLC0415 - only services with files pay for it

        if not Path(directory).is_dir():
            raise DeclarationError(f"static files at {path!r}: {str(directory)!r} is not a folder.")
        self.mount(path, StaticFiles(directory=directory, html=html), name=f"files {path}", **options)

    # -- what it works with

    @overload
    def resource(self, factory: R, /) -> R: ...

    @overload
    def resource(
        self,
        /,
        *,
        scope: Scope = ...,
        provides: Any = ...,
        start_timeout: float | str = ...,
        stop_timeout: float | str = ...,
    ) -> Callable[[R], R]: ...

    def resource(
        self,
        factory: Any = None,
        /,
        *,
        scope: Scope = "app",
        provides: Any = None,
        start_timeout: float | str = START_TIMEOUT,
        stop_timeout: float | str = STOP_TIMEOUT,
    ) -> Any:
        """Provide a resource: operations and other resources take it by the type it makes.

        A class, a function, an async function, or an async generator whose part after ``yield`` gives it back.

        Args:
            factory: What makes it.
            scope: ``"app"``, made when the service starts; or ``"call"``, made for each call that needs it.
            provides: The type it is asked for by, where that is not what the factory says it makes.
            start_timeout: Seconds (or ``"10s"``) an app-scoped one may take to start; then the service does not.
            stop_timeout: Seconds it may take to close; then it is given up, and the others are closed.

        Raises:
            DeclarationError: The factory says not what it makes, the type is provided already, or a time is impossible.
        """

        def register(made: R) -> R:
            self.resources.add(made, scope, provides, start_timeout=start_timeout, stop_timeout=stop_timeout)
            self._built = None
            return made

        return register if factory is None else register(factory)

    @contextlib.contextmanager
    def override(self, kind: Any, replacement: Any) -> Generator[None]:
        """Put *replacement* in the place of the resource *kind* while the block runs, started or not."""
        with self.resources.override(kind, replacement):
            self.rebuild()
            yield
        self.rebuild()

    @property
    def telemetry(self) -> Telemetry:
        """What is seen of it: metrics, access lines, traces."""
        if self._telemetry is None:
            from seawall.telemetry import Telemetry  # noqa: PLC0415 - not for those who only import Seawall

            self._telemetry = Telemetry(self.name, self.version, self.clock, self.random, lambda: self.host)
        return self._telemetry

    @property
    def metrics(self) -> Metrics:
        """The service's metrics; capabilities and operations add their own."""
        return self.telemetry.metrics

    def client(
        self,
        name: str,
        url: str,
        pipeline: Pipeline | None = None,
        *,
        settings: ClientSettings | None = None,
        auth: Authorization | None = None,
        tls: Tls | None = None,
        destinations: Destinations | None = None,
        propagate: Sequence[Propagator] | None = None,
    ) -> Client:
        """Return a client of another service, to be closed by whoever asked (``async with``, in a resource).

        A target that ``client.trusted`` names is told the id of the call being served, its trace, how long it has left
        and which attempt it is; strangers are told nothing.

        Args:
            name: The target's name, in errors, logs and policies.
            url: Where it is: ``https://host``, with a path that all calls have in common.
            pipeline: The policies around each call.
            settings: Limits of its own in the place of ``service.settings.client``.
            auth: By what the service is known there.
            tls: Whom it trusts and the certificate it shows.
            destinations: Where connections may lead, for URLs that somebody else gave.
            propagate: What each call says about the one it is made for, whoever the target is.

        Raises:
            DeclarationError: The URL is none of a target.
            ConfigurationError: The extra ``client`` is not installed.
        """
        from seawall.outgoing import client_of  # noqa: PLC0415 - for services that call others

        return client_of(
            self,
            name,
            url,
            pipeline=pipeline,
            settings=settings,
            auth=auth,
            tls=tls,
            destinations=destinations,
            propagate=propagate,
        )

    # -- how it is served

    def middleware(self, factory: Callable[..., App], /, *arguments: Any, **options: Any) -> None:
        """Put a standard ASGI middleware around everything; the last one added is the outermost."""
        self.middlewares.append(functools.partial(_wrap, factory, arguments, options))
        self._built = None

    def translate(self, kind: type[E]) -> Callable[[Callable[[E], Problem]], Callable[[E], Problem]]:
        """Answer exceptions of *kind* with the problem the function makes of them."""

        def register(function: Callable[[E], Problem]) -> Callable[[E], Problem]:
            self.translations[kind] = function
            self._built = None
            return function

        return register

    @property
    def settings(self) -> Settings:
        """The service's settings, loaded when they are first asked for.

        Raises:
            ConfigurationError: A setting is wrong; the message names it, its value and the fix.
        """
        if self._settings is None:
            from seawall.settings import load  # noqa: PLC0415 - Pydantic takes longer to import than all of Seawall

            self._settings = load()
        return self._settings

    @property
    def limits(self) -> Limits:
        """How often callers may call, and where that is counted; outlives a recompilation.

        Raises:
            ConfigurationError: The place where it is to be counted cannot be had.
        """
        if self._limits is None:
            from seawall.capabilities import make_limits  # noqa: PLC0415 - for services with limits

            self._limits = make_limits(self)
        return self._limits

    @property
    def cache(self) -> Cache:
        """Values and answers that are kept; made when it is first asked for.

        Raises:
            ConfigurationError: The shared tier cannot be had, or a library is missing.
        """
        if self._cache is None:
            from seawall.capabilities import make_cache  # noqa: PLC0415 - for services that keep something

            self._cache = make_cache(self)
        return self._cache

    @property
    def idempotency(self) -> Keeper:
        """Where answers of idempotent operations are kept; outlives a recompilation.

        Raises:
            ConfigurationError: The place where they are to be kept cannot be had.
        """
        if self._idempotency is None:
            from seawall.idempotency.choosing import keeper_of  # noqa: PLC0415 - for services that need it

            self._idempotency = keeper_of(self)
        return self._idempotency

    @property
    def admission(self) -> Admission:
        """How much is done at once; ``service.admission.state()`` says what is going on."""
        if self._admission is None:
            from seawall.capabilities import make_admission  # noqa: PLC0415 - once it is needed

            self._admission = make_admission(self)
        return self._admission

    @property
    def resilience(self) -> Resilience:
        """Policies around calls to others. What they do is among the metrics; ``/debug/breakers`` switches breakers."""
        if self._resilience is None:
            from seawall.resilience import Resilience  # noqa: PLC0415 - for services that call others

            self._resilience = Resilience(self.clock, self.random)
        return self._resilience

    @property
    def registries(self) -> Sequence[Resilience]:
        """Every registry of policies it is known to have: its own, and those that are resources."""
        own = [] if self._resilience is None else [self._resilience]
        registry = sys.modules.get("seawall.resilience.registry")  # whoever has made one has imported it
        kind = registry.Resilience if registry is not None else ()
        others = [each for each in self.resources.values.values() if isinstance(each, kind) and each not in own]
        return [*own, *others]

    def build(self) -> Built:
        """Compile every plan.

        Raises:
            ConfigurationError: Something declared cannot work.
        """
        if self._built is None:
            from seawall.assembly import assemble  # noqa: PLC0415 - the HTTP parts, once they are needed

            self.lifecycle.verify(self.resources)
            self._built = assemble(self)
            self._built.provide(self.resources.values)
        return self._built

    def rebuild(self) -> None:
        """Compile every plan anew, and let running servers use them from the next call on."""
        before = self._built
        if before is None:
            return
        self._built = None
        try:
            fresh = self.build()
        except BaseException:
            self._built = before
            raise
        before.replace_by(fresh)
        self._built = before

    def reload(self) -> tuple[Sequence[Change], Sequence[Change]]:
        """Read the settings again and use those that may change at run time.

        Returns:
            The settings that changed, and those whose change needs a restart.

        Raises:
            ConfigurationError: A setting is wrong; nothing has changed.
        """
        from seawall.settings import changes, load, reloaded  # noqa: PLC0415 - see settings

        before, fresh = self.settings, load()
        self._settings = reloaded(before, fresh)
        try:
            self.rebuild()
        except BaseException:
            self._settings = before
            raise
        return changes(before, fresh)

    def openapi(self, version: str | None = None) -> dict[str, Any]:
        """Return the OpenAPI 3.1 document, of one *version* where callers name one outside the path."""
        return self.build().document(version)

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Run the operation *name* with typed arguments, under its policy (the ``direct`` carrier).

        An operation that belongs to a version is called by ``"name@version"``.

        Raises:
            KeyError: There is no such operation.
            Problem: A guard refused, or the operation did.
        """
        return await self.build().direct[name].run(arguments)

    def deadline_headers(self) -> dict[str, str]:
        """Return the header field that tells the one who is asked next how long the current call has left.

        Empty where there is no call, no deadline, or no such field (``http.timeout_header``). Rounded down to a
        millisecond, so that who is asked never has more time than whoever asks.

        Raises:
            DeadlineExceeded: Nothing is left, so nobody is to be asked.
        """
        call, field = current.get(None), self.build().deadlines.field
        left = None if call is None else call.remaining(self.clock)
        if left is None or field is None:
            return {}
        if left < 0.001:
            raise DeadlineExceeded("No time was left to ask another service.")
        return {field.name: field.text(left)}

    @property
    def asgi(self) -> App:
        """The ASGI application, as a plain function."""
        app: App = self.build().app
        return app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        await self.build().app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        """Start resources, mounts and background work for the time of the block; end them in reverse after it.

        Raises:
            RuntimeError: The service runs already.
            ConfigurationError: Something did not start; what had is ended again.
        """
        built = self.build()
        seconds = self.settings.server.shutdown_seconds
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.telemetry.running())
            await stack.enter_async_context(self.lifecycle.holding(self.resources, seconds))
            built.provide(self.resources.values)
            stack.callback(built.close)
            if self._limits is not None:
                stack.push_async_callback(self._limits.close)
            if self._cache is not None:
                self._cache.start()
            stack.push_async_callback(self._close_cache)
            if self._idempotency is not None:
                stack.push_async_callback(self._idempotency.close)
                await self._idempotency.start()
            self.admission.start()
            stack.callback(self.admission.stop)
            if self.profiler is not None:
                await stack.enter_async_context(self.profiler.watching())
            for mount in built.mounts:
                await stack.enter_async_context(built.lifespan(mount))
            await stack.enter_async_context(self.lifecycle.running(seconds))
            for name, work in built.identity.background():
                # Nothing is lost when they end: they are not waited for.
                stack.callback(self.tasks.start(work, name=name, restart="always").cancel)
            if self._idempotency is not None:
                attending = self.tasks.start(self._idempotency.attend, name="idempotency", restart="always")
                stack.callback(attending.cancel)
            yield self

    async def _close_cache(self) -> None:
        if self._cache is not None:
            await self._cache.close()


def _wrap(factory: Callable[..., App], arguments: Sequence[Any], options: Mapping[str, Any], app: App) -> App:
    return factory(app, *arguments, **options)
