"""Assembles a service: from what was declared and configured to compiled plans behind one function."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from seawall.admission import Admission, AdmissionOptions
from seawall.direct import DirectPlans, key_of
from seawall.gauges import show_admission, show_resilience, show_tasks
from seawall.group import Declaration
from seawall.http.answers import Failures
from seawall.http.binding import bind
from seawall.http.compose import Composer
from seawall.http.compression import Compressor
from seawall.http.cors import CorsPolicy
from seawall.http.dispatch import Table
from seawall.http.documents import DocumentSource, document_handlers
from seawall.http.edge import Cors, Hosts, Limits, Proxies
from seawall.http.exchange import Exchange, RequestIds
from seawall.http.forms import FormLimits
from seawall.http.health import health_routes
from seawall.http.hosts import TrustedHosts
from seawall.http.idempotent import idempotent_where_possible
from seawall.http.lifespan import lifespan_target
from seawall.http.metrics import metrics_routes
from seawall.http.mounts import Mount, lifespan_of
from seawall.http.proxies import TrustedProxies
from seawall.http.route import Route, Template, parse_template
from seawall.http.security_headers import hsts, security_headers
from seawall.http.surface import Surface, head_target
from seawall.http.versions import version_switch
from seawall.http.watch import ClientWatch
from seawall.http.wire import WirePlan
from seawall.idempotency.keeper import IdempotencyOptions
from seawall.limit import LimitOptions
from seawall.limit import Limits as RateLimits
from seawall.operation import Operation, Policy, describe
from seawall.plan import CodeCache, Deadlines, Fragment, Plan, TimeoutField, own_guards
from seawall.plan.admission import admission_guards
from seawall.plan.idempotency import idempotency_guards
from seawall.plan.limits import rate_limits
from seawall.plan.retry import Retries
from seawall.problems import ConfigurationError, Misdirected, Overloaded, Problem

if TYPE_CHECKING:
    from seawall.auth.guards import Authentication
    from seawall.cache import Cache
    from seawall.http.openapi import Info
    from seawall.service import Service
    from seawall.settings import Settings

__all__ = ["Built", "assemble"]

UNKEYED: Mapping[str, Any] = MappingProxyType({"idempotent": False})
"""For what takes no idempotency key: mounts, documents, calls within the service."""


@dataclass(slots=True)
class Identity:
    """The source of the guards that know callers, made when a policy first asks for one."""

    service: Service
    made: Authentication | None = None

    def guards(self, policy: Policy) -> Iterable[Fragment]:
        """Return what *policy* asks for."""
        if not policy.closed:
            return ()
        if self.made is None:
            from seawall.auth.guards import Authentication  # noqa: PLC0415 - services without callers do without
            from seawall.auth.scheme import Attached  # noqa: PLC0415 - as above

            service = self.service
            self.made = Authentication(Attached(service.name, service.clock, service.settings.auth))
        return self.made.guards(policy)

    def background(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Return what schemes run beside the calls."""
        for scheme in self.made.schemes.values() if self.made else ():
            yield from scheme.background()


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
        wires: The plans of those routes that the server's own protocol class can call; none before `use_wire`.
        identity: The schemes in use.
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
    wires: tuple[Plan, ...] = ()

    def provide(self, values: Mapping[Any, Any]) -> None:
        """Put started resources where the plans find them."""
        for plan in (*self.plans, *self.wires, *self.direct.compiled()):
            plan.provide(values)

    def use_wire(self) -> None:
        """Compile the plans that the server's own protocol class can call; none behind ASGI middleware.

        A middleware of the user's own speaks ASGI and must see every request.
        """
        if self.service.middlewares:
            return
        compiled = {plan.run: self.composer.wire(plan.route) for plan in self.routed}
        self.wires = tuple(plan for plan in compiled.values() if plan is not None)
        targets = {run: WirePlan(plan.run, plan.policy.max_body) for run, plan in compiled.items() if plan is not None}
        asgi_only = WirePlan(None, 0)
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
            surface.wires, self.wires = fresh.wires, other.wires


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
    routes = _routes(service, base, settings.operations.overrides)
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
    own = _document_routes(service, base, routes, documents) if settings.service.docs else ()
    plans = tuple(composer.route(route) for route in routes)
    mounted = tuple((mount, composer.mount(mount)) for mount in _mounts(service, base))
    prefixes = [mount.prefix for mount in service.mounts]
    probes = health_routes(service.lifecycle, settings.service.health_detail, routes, prefixes)
    own_plans = (
        *(composer.route(route) for route in own),
        *(composer.probe(route) for route in probes if settings.service.health),
        *(composer.probe(route) for route in _metrics(service, settings, routes)),
        *(composer.probe(route) for route in _debug_routes(service, settings, routes, prefixes)),
    )
    fallback = composer.fallback(base)
    tables = _tables(service, (*plans, *own_plans), fallback)
    surface = _surface(service, settings, composer, tables, mounted, fallback)
    app: Any = surface.app()
    for wrap in service.middlewares:
        app = wrap(app)
    built = Built(
        routes=routes,
        plans=(*plans, *(plan for _, plan in mounted)),
        direct=DirectPlans(_offered(service, base, routes), composer, service.resources.values),
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


def make_limits(service: Service) -> RateLimits:
    """Return the limits that the settings of *service* describe.

    Raises:
        ConfigurationError: The store cannot be had.
    """
    timeout = service.settings.limit.timeout
    return RateLimits(
        service.clock, service.host, _limit_options(service.settings), lambda: _redis_within(service, timeout)
    )


def make_cache(service: Service) -> Cache:
    """Return the cache that the settings of *service* describe.

    Raises:
        ConfigurationError: The shared tier cannot be had, or a library is missing.
    """
    from seawall.cache.cache import Cache, CacheOptions  # noqa: PLC0415 - for services that keep something
    from seawall.cache.gauges import show_cache  # noqa: PLC0415 - as above
    from seawall.cache.redis import RedisStore  # noqa: PLC0415 - as above

    settings = service.settings
    options = CacheOptions(**settings.cache.model_dump())
    shared = None
    if options.store == "redis" or (options.store == "auto" and "url" in settings.redis.model_fields_set):
        shared = RedisStore(_redis_within(service, options.timeout), service.name)
    cache = Cache(service.clock, service.random, options, shared)
    show_cache(service.metrics, cache)
    return cache


def _redis_within(service: Service, timeout: float) -> Callable[[], Any]:
    """Return what makes clients of the settings' Redis whose every wait has *timeout* seconds.

    Raises:
        ConfigurationError: The address cannot be used, or the driver is not installed.
    """
    from seawall.data.redis import connect  # noqa: PLC0415 - an extra

    settings = service.settings.redis
    waits = dict.fromkeys(("timeout", "connect_timeout", "pool_wait"), timeout)
    bounded = settings.model_copy(update={**waits, "retries": min(1, settings.retries)})
    connect(bounded)  # what is wrong with the address is said now
    return lambda: connect(bounded, name=service.name)


def make_admission(service: Service) -> Admission:
    """Return the admission that the settings of *service* describe."""
    return Admission(service.clock, service.random, _admission_options(service.settings))


def configure_guards(service: Service) -> None:
    """Let guards that outlive a recompilation work by the present settings."""
    service.admission.configure(_admission_options(service.settings))
    if service.counts_attempts or any(item.get("rate") is not None for item in _options(service)):
        service.limits.configure(_limit_options(service.settings))


def _options(service: Service) -> Iterator[Mapping[str, Any]]:
    """Return all policy options that were written anywhere."""
    yield service.policy_options
    for declaration in service.declarations:
        yield from declaration.chain
    yield from (options for _, options in service.unrouted)
    yield from (mount.options for mount in service.mounts)
    yield from service.settings.operations.overrides.values()


def _limit_options(settings: Settings) -> LimitOptions:
    redis = settings.redis
    # Its default is for those who ask for Redis; nobody who names no address wants his calls counted there.
    url = redis.url if "url" in redis.model_fields_set else None
    return LimitOptions(**settings.limit.model_dump(), redis_url=url)


def _admission_options(settings: Settings) -> AdmissionOptions:
    return AdmissionOptions(**settings.admission.model_dump())


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


def _mounts(service: Service, base: Policy) -> list[Mount]:
    longest_first = sorted(service.mounts, key=lambda item: len(item.prefix), reverse=True)
    return [
        Mount(
            item.prefix,
            item.app,
            _merge(base, (service.policy_options, item.options, UNKEYED), item.name),
            item.name,
            item.state,
        )
        for item in longest_first
    ]


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


def _merge(base: Policy, chain: Sequence[Mapping[str, Any]], where: str) -> Policy:
    for options in chain:
        base = base.merge(options, where)
    return base


def _routes(service: Service, base: Policy, overrides: Mapping[str, Mapping[str, Any]]) -> tuple[Route, ...]:
    _refuse_unknown(service, overrides)
    routes = tuple(_route(service, item, base, overrides) for item in service.declarations)
    _refuse_clashes(service, routes)
    return routes


def _refuse_clashes(service: Service, routes: Sequence[Route]) -> None:
    """Refuse two routes that would answer the same requests once versions are taken into account."""
    by_path = service.versions is None or service.versions.by == "path"
    taken: dict[Any, dict[str | None, Route]] = {}
    for route in routes:
        others = taken.setdefault((route.method, route.template.segments, route.template.tail), {})
        version = None if by_path else route.version
        other = others.get(version) or others.get(None) or (next(iter(others.values()), None) if not version else None)
        if other is not None:
            raise ConfigurationError(
                f"{route.operation.where}: {route.method} {route.path} is answered by {other.operation.where} as well; "
                "give every one of them a version of its own, or another path."
            )
        others[version] = route


def _route(service: Service, item: Declaration, base: Policy, overrides: Mapping[str, Mapping[str, Any]]) -> Route:
    operation, template = item.operation, item.template
    policy = _merge(base, item.chain, operation.where)
    override = overrides.get(operation.name)
    if override:
        policy = policy.merge(override, f"settings [operations.{operation.name}]")
    if operation.version is not None:
        if service.versions is None:
            raise ConfigurationError(
                f"{operation.where}: it belongs to version {operation.version!r}, but the service has no versions; "
                "give it some, as in Service(…, versions=Versions(by='path'))."
            )
        if service.versions.by == "path":
            template = _versioned(template, f"{service.versions.prefix}{operation.version}", operation.where)
    route = Route(
        method=item.method,
        template=template,
        operation=operation,
        policy=policy,
        bounds=bind(operation, item.method, template.names, service.resources.types),
        status=item.status,
        tags=item.tags,
        documented=item.documented,
        problems=item.problems,
        version=operation.version,
    )
    return idempotent_where_possible(route, item.chain[-1])


def _document_routes(
    service: Service, base: Policy, routes: Sequence[Route], source: DocumentSource
) -> Iterator[Route]:
    """Return the routes of the document and its page; a route of the user's own in their place stays."""
    by_path = service.versions is None or service.versions.by == "path"
    named = dict.fromkeys(route.version for route in routes if route.version is not None)
    versions: tuple[str, ...] = () if by_path else tuple(named)
    by_media = service.versions is not None and service.versions.by == "media"
    accept = f"application/json; version={versions[0]}" if by_media and versions else "application/json"
    taken = {route.template.segments for route in routes if route.method == "GET"}
    # A page that explains how to log in must be there before; [service] docs closes it.
    policy = _merge(
        base, (service.policy_options, {"public": True, "cache": None}, UNKEYED), f"service {service.name!r}"
    )
    for path, handler in document_handlers(source, service.title, versions, accept):
        operation = describe(handler)
        template = parse_template(path, operation.where)
        if template.segments not in taken:
            yield Route(
                method="GET",
                template=template,
                operation=operation,
                policy=policy,
                bounds=bind(operation, "GET", template.names, frozenset()),
                status=200,
                documented=False,
            )


def _versioned(template: Template, prefix: str, where: str) -> Template:
    return parse_template(prefix + ("" if template.text == "/" else template.text), where)


def _refuse_unknown(service: Service, overrides: Mapping[str, Any]) -> None:
    names = {item.operation.name for item in service.declarations} | {item.name for item, _ in service.unrouted}
    for name in overrides:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(names)) or 'none'}."
            raise ConfigurationError(f"settings [operations.{name}]: there is no operation {name!r}; {hint}")


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


def _tables(service: Service, plans: Sequence[Plan], fallback: Plan) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    switched: dict[Any, tuple[Template, dict[str, Any]]] = {}
    for plan in plans:
        route: Route = plan.route
        if route.version is not None and service.versions is not None and service.versions.by != "path":
            place = (route.method, route.template.segments, route.template.tail)
            switched.setdefault(place, (route.template, {}))[1][route.version] = plan.run
        else:
            tables.setdefault(route.method, Table()).add(route.template, plan.run)
    for (method, *_), (template, targets) in switched.items():
        assert service.versions is not None  # noqa: S101 - filled above only if there are versions
        tables.setdefault(method, Table()).add(template, version_switch(service.versions, targets, fallback.run))
    if "GET" in tables:
        heads = tables.setdefault("HEAD", Table())
        for path, target in tables["GET"].static.items():
            heads.static.setdefault(path, head_target(target))
        for form, target in tables["GET"].dynamic.items():
            heads.dynamic.setdefault(form, head_target(target))
    return tables


def _offered(service: Service, base: Policy, routes: Sequence[Route]) -> dict[str, tuple[Operation, Policy]]:
    offered = {key_of(route.operation): (route.operation, route.policy) for route in routes}
    for operation, options in service.unrouted:
        policy = _merge(base, (service.policy_options, options, UNKEYED), operation.where)
        override = service.settings.operations.overrides.get(operation.name, {})
        offered[key_of(operation)] = operation, policy.merge(override, f"settings [operations.{operation.name}]")
    return offered
