"""Assembles a service: from what was declared and configured to compiled plans behind one function."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from seawall.capabilities import Identity, configure_guards
from seawall.direct import DirectPlans
from seawall.gauges import show_admission, show_resilience, show_tasks
from seawall.http.answers import Failures
from seawall.http.compose import Composer
from seawall.http.compression import Compressor
from seawall.http.cors import CorsPolicy
from seawall.http.dispatch import Table
from seawall.http.documents import DocumentSource
from seawall.http.edge import Cors, Hosts, Limits, Proxies
from seawall.http.exchange import Exchange, RequestIds
from seawall.http.forms import FormLimits
from seawall.http.health import health_routes
from seawall.http.hosts import TrustedHosts
from seawall.http.lifespan import lifespan_target
from seawall.http.metrics import metrics_routes
from seawall.http.mounts import Mount, lifespan_of
from seawall.http.proxies import TrustedProxies
from seawall.http.route import Route
from seawall.http.security_headers import hsts, security_headers
from seawall.http.surface import Surface
from seawall.http.watch import ClientWatch
from seawall.http.wire import WirePlan
from seawall.idempotency.keeper import IdempotencyOptions
from seawall.operation import Policy
from seawall.plan import CodeCache, Deadlines, Fragment, Plan, TimeoutField, form_of, own_guards
from seawall.plan.admission import admission_guards
from seawall.plan.idempotency import idempotency_guards
from seawall.plan.limits import rate_limits
from seawall.plan.retry import Retries
from seawall.problems import Misdirected, Overloaded, Problem
from seawall.routing import document_routes, mounts_of, offered, routes_of, tables_of

if TYPE_CHECKING:
    from seawall.http.openapi import Info
    from seawall.service import Service
    from seawall.settings import Settings

__all__ = ["Built", "assemble"]


@dataclass(slots=True)
class Built:
    """A compiled service.

    Args:
        routes: Every route with its effective policy.
        plans: The plan of every route and mount, in the order they were declared.
        direct: The plans of operations for typed arguments, by name.
        surface: What requests are answered by.
        mounts: Mounted applications.
        deadlines: The tables of running calls.
        watch: Sees clients go away.
        app: The ASGI application.
        service: The service.
        composer: What its plans were compiled with.
        routed: The plans of all routes, those of the document and its page included.
        tables: The routes' ASGI targets, by method.
        identity: The schemes in use.
        targets: The plans of those routes that the server's own protocol class can call, each with what it is found as;
            none before `use_wire`.
    """

    routes: tuple[Route, ...]
    plans: tuple[Plan, ...]
    direct: DirectPlans
    surface: Surface
    mounts: tuple[Mount, ...]
    deadlines: Deadlines
    watch: ClientWatch
    app: Any
    service: Service
    composer: Composer
    routed: tuple[Plan, ...]
    tables: Mapping[str, Table]
    identity: Identity
    targets: tuple[tuple[Plan, WirePlan], ...] = ()

    @property
    def wires(self) -> tuple[Plan, ...]:
        """The plans that the server's own protocol class can call."""
        return tuple(plan for plan, _ in self.targets)

    def provide(self, values: Mapping[Any, Any]) -> None:
        """Put started resources where the plans find them."""
        for plan in (*self.plans, *self.wires, *self.direct.compiled()):
            plan.provide(values)
        for plan, target in self.targets:
            target.own = form_of(plan.run).own

    def use_wire(self) -> None:
        """Compile the plans that the server's own protocol class can call; none behind ASGI middleware.

        A middleware of the user's own speaks ASGI and must see every request.
        """
        if self.service.middlewares:
            return
        compiled = {plan.run: self.composer.wire(plan.route) for plan in self.routed}
        made = {
            run: (plan, WirePlan(*form_of(plan.run), plan.policy.max_body, plan.name))
            for run, plan in compiled.items()
            if plan is not None
        }
        self.targets = tuple(made.values())
        targets = {run: target for run, (_, target) in made.items()}
        asgi_only = WirePlan(None, (), 0, "")
        self.surface.wires = {
            method.encode(): table.retargeted(targets, asgi_only).compile(self.composer.codes, f"{method} (wire)")
            for method, table in self.tables.items()
        }
        self.provide(self.service.resources.values)

    def close(self) -> None:
        """Take back timers."""
        self.deadlines.close()
        self.watch.close()

    def cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
        """Cancel the calls that run in *tasks*, for which the service has no time left; return their operations."""
        calls = {task: call for call, task in self.deadlines.running() if call.outer is None}
        for task in tasks:
            call = calls.get(task)
            if call is None or not call.end("shutdown", task):
                task.cancel()
        return [calls[task].operation for task in tasks if task in calls]

    def lifespan(self, mount: Mount) -> AbstractAsyncContextManager[None]:
        """Return the context in which a mounted application's own lifespan runs."""
        return lifespan_of(mount)

    def document(self, version: str | None = None) -> dict[str, Any]:
        """Return the OpenAPI document of one version, or of everything."""
        from seawall.http.openapi import document  # noqa: PLC0415 - needed for documents only

        settings = self.service.settings
        problems: list[type[Problem]] = [Overloaded] if settings.admission.enabled else []
        if settings.http.trusted_hosts:
            problems.append(Misdirected)
        return document(
            self._info(),
            self.routes,
            version=version,
            versions=self.service.versions,
            problems=problems,
        )

    def index(self) -> dict[str, Any]:
        """Return what leads to the documents of every version."""
        from seawall.http.openapi import index  # noqa: PLC0415 - needed for documents only

        return index(self._info(), self.routes, lambda version: f"openapi/{version}")

    def _info(self) -> Info:
        from seawall.http.openapi import Info  # noqa: PLC0415 - needed for documents only

        service = self.service
        return Info(
            title=service.title, version=service.version, description=service.description or None, tags=service.tags
        )

    def replace_by(self, other: Built) -> None:
        """Answer from now on as *other* does; running calls end as they began."""
        self.routes, self.plans, self.direct, self.mounts = other.routes, other.plans, other.direct, other.mounts
        self.deadlines, self.composer, self.routed = other.deadlines, other.composer, other.routed
        self.tables = other.tables
        self.watch = other.watch
        self.identity = other.identity
        surface, fresh = self.surface, other.surface
        surface.matchers, surface.mounts, surface.fallback = fresh.matchers, fresh.mounts, fresh.fallback
        surface.cors, surface.max_path, surface.doors = fresh.cors, fresh.max_path, fresh.doors
        if surface.wires:
            other.use_wire()
            surface.wires, self.targets = fresh.wires, other.targets


def assemble(service: Service) -> Built:
    """Compile *service*.

    Raises:
        ConfigurationError: Something declared or configured cannot work.
    """
    settings = service.settings
    service.resources.order()
    _see(service, settings)
    configure_guards(service)
    base = Policy(
        timeout=settings.http.timeout,
        max_body=settings.http.max_body,
        compress=settings.http.compress,
        deny_by_default=settings.auth.deny_by_default,
    )
    routes = routes_of(service, base, settings.operations.overrides)
    field = settings.http.timeout_header
    deadlines = Deadlines(service.clock, TimeoutField(field) if field else None)
    watch = ClientWatch(service.clock)
    identity = Identity(service)
    composer = _composer(service, settings, deadlines, watch, identity)
    cached = tuple(route.template for route in routes if route.policy.cache is not None)
    if cached:
        from seawall.http.response_cache import Responses  # noqa: PLC0415 - for services that keep answers

        responses = Responses(service.cache, service.clock.monotonic, service.clock.time)
        composer = replace(composer, responses=responses, cached=cached)
    documents = DocumentSource()
    own = document_routes(service, base, routes, documents) if settings.service.docs else ()
    plans = tuple(composer.route(route) for route in routes)
    mounted = tuple((mount, composer.mount(mount)) for mount in mounts_of(service, base))
    prefixes = [mount.prefix for mount in service.mounts]
    probes = health_routes(service.lifecycle, settings.service.health_detail, routes, prefixes)
    own_plans = (
        *(composer.route(route) for route in own),
        *(composer.probe(route) for route in probes if settings.service.health),
        *(composer.probe(route) for route in _metrics(service, settings, routes)),
        *(composer.probe(route) for route in _debug_routes(service, settings, routes, prefixes)),
    )
    fallback = composer.fallback(base)
    tables = tables_of(service, (*plans, *own_plans), fallback)
    surface = _surface(service, settings, composer, tables, mounted, fallback)
    app: Any = surface.app()
    for wrap in service.middlewares:
        app = wrap(app)
    built = Built(
        routes=routes,
        plans=(*plans, *(plan for _, plan in mounted)),
        direct=DirectPlans(offered(service, base, routes), composer, service.resources.values),
        surface=surface,
        mounts=tuple(mount for mount, _ in mounted),
        deadlines=deadlines,
        watch=watch,
        app=app,
        service=service,
        composer=composer,
        routed=(*plans, *own_plans),
        tables=tables,
        identity=identity,
    )
    documents.built = built
    return built


def _see(service: Service, settings: Settings) -> None:
    """Say what is recorded of every call, and what besides calls is measured."""
    telemetry, chosen = service.telemetry, settings.telemetry
    telemetry.traces.configure(
        chosen.otlp_endpoint, chosen.trace_ratio, follow=chosen.trace_callers, queue=chosen.trace_queue
    )
    telemetry.configure(access=settings.log.access, counts=chosen.metrics != "never")
    show_tasks(service.metrics, service.tasks)
    show_admission(service.metrics, service.admission)
    show_resilience(service.metrics, lambda: service.registries)


def _metrics(service: Service, settings: Settings, routes: Sequence[Route]) -> Iterator[Route]:
    prefixes = [mount.prefix for mount in service.mounts]
    path, readers = settings.telemetry.metrics_path, settings.telemetry.metrics
    return metrics_routes(service.telemetry.exposition, path, readers, routes, prefixes)


def _debug_routes(
    service: Service, settings: Settings, routes: Sequence[Route], prefixes: Sequence[str]
) -> Iterator[Route]:
    """Return the routes of profiling, if it is switched on; the profiler outlives a recompilation."""
    wanted = settings.profiling
    if not wanted.enabled:
        return iter(())
    from seawall.http.debug import DebugAccess, debug_routes  # noqa: PLC0415 - only services that are looked into
    from seawall.http.debug_breakers import Breakers  # noqa: PLC0415
    from seawall.profiling import Profiler, Running  # noqa: PLC0415

    def running() -> Iterator[Running]:
        # Not `build`: the watch for stalls asks from its thread, also while the loop compiles anew.
        built = service._built  # noqa: SLF001 - a service and what assembles it
        return (Running(*each) for each in (built.deadlines.ages() if built is not None else ()))

    if service.profiler is None:
        # Made once: a recompilation keeps what is watched and what has been seen.
        service.profiler = Profiler(
            service.clock, running, stall_threshold=wanted.stall, stalls_kept=wanted.stalls_kept
        )
        service.lifecycle.on_drain(service.profiler.end)
    token = wanted.token.get_secret_value() if wanted.access == "token" and wanted.token is not None else None
    breakers = Breakers(lambda: service.registries)
    return debug_routes(service.profiler, breakers, DebugAccess(token), service.name, routes, prefixes)


def _surface(
    service: Service,
    settings: Settings,
    composer: Composer,
    tables: Mapping[str, Table],
    mounted: Sequence[tuple[Mount, Plan]],
    fallback: Plan,
) -> Surface:
    return Surface(
        matchers={method: table.compile(composer.codes, method) for method, table in tables.items()},
        mounts=mounted,
        fallback=fallback.run,
        cors=_cors(settings),
        max_path=settings.http.max_path_bytes,
        request_ids=composer.exchange.request_ids,
        lifespan=lifespan_target(service),
        doors=tuple(fragment.admit for fragment in composer.edge if isinstance(fragment, Hosts | Proxies)),
    )


def _composer(
    service: Service, settings: Settings, deadlines: Deadlines, watch: ClientWatch, identity: Identity
) -> Composer:
    http = settings.http
    base = security_headers().api
    traceback, page = None, None
    if settings.service.environment == "development":
        from seawall.devpages import traceback_lines, traceback_page  # noqa: PLC0415 - never in production

        traceback, page = traceback_lines, traceback_page
    edge: list[Fragment] = [Limits(http.max_path_bytes, http.max_query_bytes, http.max_header_count)]
    if http.trusted_hosts:
        edge.append(Hosts(TrustedHosts(http.trusted_hosts)))
    if http.trusted_proxies:
        edge.append(Proxies(TrustedProxies([str(network) for network in http.trusted_proxies])))
    cors = _cors(settings)
    if cors is not None:
        edge.append(Cors(cors))
    return Composer(
        exchange=Exchange(
            RequestIds(service.random),
            deadlines.table(http.body_timeout),
            service.clock.monotonic,
            Compressor(http.compress_min_bytes) if http.compress else None,
            base if http.security_headers else (),
            watch,
            deadlines.field,
            hsts(int(http.hsts_seconds)) if http.hsts_seconds else None,
        ),
        edge=edge,
        failures=Failures(service.translations, traceback, page),
        resources=service.resources,
        sources=(
            service.telemetry.guards,
            own_guards,
            admission_guards(service.admission, service.clock),
            rate_limits(lambda: service.limits),
            idempotency_guards(
                lambda: service.idempotency,
                IdempotencyOptions(**service.settings.idempotency.model_dump()),
                deadlines.field,
            ),
            deadlines.guards,
            Retries(service.clock, service.random).guards,
            identity.guards,
        ),
        codes=CodeCache(),
        forms=FormLimits(http.max_form_fields, http.max_form_files, http.body_timeout),
        max_query_fields=http.max_query_fields,
        versions=service.versions,
        unlimited=deadlines.unlimited(),
    )


def _cors(settings: Settings) -> CorsPolicy | None:
    http = settings.http
    if not http.cors_origins:
        return None
    return CorsPolicy(
        tuple(http.cors_origins),
        tuple(http.cors_methods),
        tuple(http.cors_headers),
        tuple(http.cors_expose),
        http.cors_credentials,
        int(http.cors_max_age),
    )
