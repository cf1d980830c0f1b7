"""From what was declared to routes: policies merged, clashes refused, targets sorted into tables."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from seawall.direct import key_of
from seawall.group import Declaration
from seawall.http.binding import bind
from seawall.http.dispatch import Table
from seawall.http.documents import DocumentSource, document_handlers
from seawall.http.idempotent import idempotent_where_possible
from seawall.http.mounts import Mount
from seawall.http.route import Route, Template, parse_template
from seawall.http.surface import head_target
from seawall.http.versions import version_switch
from seawall.operation import Operation, Policy, describe
from seawall.plan import Plan
from seawall.problems import ConfigurationError

if TYPE_CHECKING:
    from seawall.service import Service

__all__ = ["UNKEYED", "document_routes", "merge", "mounts_of", "offered", "routes_of", "tables_of"]

UNKEYED: Mapping[str, Any] = MappingProxyType({"idempotent": False})
"""For what takes no idempotency key: mounts, documents, calls within the service."""


def mounts_of(service: Service, base: Policy) -> list[Mount]:
    """Return the mounted applications of *service*, the longest prefix first."""
    longest_first = sorted(service.mounts, key=lambda item: len(item.prefix), reverse=True)
    return [
        Mount(
            item.prefix,
            item.app,
            merge(base, (service.policy_options, item.options, UNKEYED), item.name),
            item.name,
            item.state,
        )
        for item in longest_first
    ]


def merge(base: Policy, chain: Sequence[Mapping[str, Any]], where: str) -> Policy:
    """Return *base* under the options of *chain*, of which a later one wins; *where* is named in errors."""
    for options in chain:
        base = base.merge(options, where)
    return base


def routes_of(service: Service, base: Policy, overrides: Mapping[str, Mapping[str, Any]]) -> tuple[Route, ...]:
    """Return every route that was declared, with its effective policy.

    Raises:
        ConfigurationError: Two routes answer the same requests, a setting names no operation, or a version is missing.
    """
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
    policy = merge(base, item.chain, operation.where)
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


def document_routes(service: Service, base: Policy, routes: Sequence[Route], source: DocumentSource) -> Iterator[Route]:
    """Return the routes of the document and its page; a route of the user's own in their place stays."""
    by_path = service.versions is None or service.versions.by == "path"
    named = dict.fromkeys(route.version for route in routes if route.version is not None)
    versions: tuple[str, ...] = () if by_path else tuple(named)
    by_media = service.versions is not None and service.versions.by == "media"
    accept = f"application/json; version={versions[0]}" if by_media and versions else "application/json"
    taken = {route.template.segments for route in routes if route.method == "GET"}
    # A page that explains how to log in must be there before; [service] docs closes it.
    policy = merge(
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


def tables_of(service: Service, plans: Sequence[Plan], fallback: Plan) -> dict[str, Table]:
    """Return the targets of each method by their paths; where versions are not in the path, one target chooses."""
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


def offered(service: Service, base: Policy, routes: Sequence[Route]) -> dict[str, tuple[Operation, Policy]]:
    """Return what can be called with typed arguments, by key, with its policy."""
    found = {key_of(route.operation): (route.operation, route.policy) for route in routes}
    for operation, options in service.unrouted:
        policy = merge(base, (service.policy_options, options, UNKEYED), operation.where)
        override = service.settings.operations.overrides.get(operation.name, {})
        found[key_of(operation)] = operation, policy.merge(override, f"settings [operations.{operation.name}]")
    return found
