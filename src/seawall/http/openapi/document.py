"""The document as a whole: paths, components, security, versions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from seawall.http.openapi.docstrings import read
from seawall.http.openapi.info import Info, given
from seawall.http.openapi.requests import (
    MEDIA_TYPES,
    body_of,
    input_mode,
    parameter_bounds,
    parameters,
    request_body,
    takes_bytes,
)
from seawall.http.openapi.responses import (
    HEADERS,
    PROBLEM_SCHEMAS,
    SharedResponses,
    answer_type,
    returns_content,
    success,
)
from seawall.http.openapi.schemas import SchemaHook, Schemas
from seawall.http.openapi.usage import Mode
from seawall.http.route import Route
from seawall.http.versions import Versions
from seawall.idempotency.keys import LONGEST, PATTERN
from seawall.problems import BadRequest, DeclarationError, NotAcceptable, Problem

__all__ = ["document", "index", "versions_of"]

_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH")
_TAIL = re.compile(r"\{(\w+):path\}")


def document(
    info: Info,
    routes: Sequence[Route],
    *,
    version: str | None = None,
    versions: Versions | None = None,
    problems: Sequence[type[Problem]] = (),
    schema_hook: SchemaHook | None = None,
) -> dict[str, Any]:
    """Return the OpenAPI 3.1.1 document of *routes*, as dictionaries, lists, text and numbers.

    The same routes give the same document, member by member.

    Args:
        info: What to say about the service.
        routes: The routes; those that are not documented are left out.
        version: Describe the routes of this version and those without one; None describes all of them.
        versions: How callers name the version they mean; with it, the document says so.
        problems: What any operation can be answered with beside what follows from its route: `Misdirected`
            where hosts are checked.
        schema_hook: Returns the schema of a type msgspec does not know, or raises NotImplementedError.

    Raises:
        DeclarationError: A type has no schema, an example is not JSON, or two routes share method and path,
            which one document cannot say.
    """
    listed = [route for route in routes if route.documented and (version is None or route.version in (None, version))]
    _check_distinct(listed)
    schemas = Schemas(_uses(listed), schema_hook)
    schemes = _SecuritySchemes()
    shared = SharedResponses()
    identifiers = _operation_ids(listed)
    paths: dict[str, dict[str, Any]] = {}
    for route, identifier in sorted(zip(listed, identifiers, strict=True), key=lambda pair: _order(pair[0])):
        docs = read(route.operation.description, route.operation.where)
        listed_parameters = parameters(route, schemas, docs)
        listed_parameters += _version_parameters(route, versions)
        listed_parameters += _key_parameters(route)
        operation = given(
            tags=list(route.tags),
            summary=route.operation.summary,
            description=_description(route, docs.text),
            operationId=identifier,
            parameters=listed_parameters,
            requestBody=request_body(route, schemas, docs),
            deprecated=bool(route.policy.deprecated) or None,
            security=schemes.requirement(route),
        )
        operation["responses"] = {
            str(route.status): success(route, schemas, docs, _answer_types(route, versions)),
            **shared.responses(route, docs, (*problems, *_version_problems(route, versions))),
        }
        paths.setdefault(_TAIL.sub(r"{\1}", route.path), {})[route.method.lower()] = operation
    first_seen = {_TAIL.sub(r"{\1}", route.path): None for route in listed}
    whole = {
        "openapi": "3.1.1",
        "info": info.document(),
        **given(
            servers=[given(url=server.url, description=server.description) for server in info.servers],
            tags=_tags(info, listed),
        ),
        "paths": {path: paths[path] for path in first_seen},
    }
    whole["components"] = given(
        schemas=_with_problem_schemas(schemas.components),
        responses=dict(sorted(shared.components.items())),
        headers=_used_headers(whole["paths"], shared.components),
        securitySchemes=dict(sorted(schemes.components.items())),
    )
    result: dict[str, Any] = msgspec.to_builtins(whole, str_keys=True)
    return result


def versions_of(routes: Iterable[Route]) -> tuple[str, ...]:
    """Return the versions of *routes*, in the order in which they first appear."""
    return tuple(dict.fromkeys(route.version for route in routes if route.documented and route.version is not None))


def index(info: Info, routes: Iterable[Route], url: Callable[[str], str]) -> dict[str, Any]:
    """Return what leads to the documents of a service that has one for each version.

    Args:
        info: What to say about the service.
        routes: Its routes.
        url: Where the document of a version is to be found.
    """
    return {
        "title": info.title,
        "documents": [{"version": version, "url": url(version)} for version in versions_of(routes)],
    }


def _uses(routes: Iterable[Route]) -> Iterator[tuple[Any, Mode]]:
    for route in routes:
        for bound in parameter_bounds(route):
            yield bound.parameter.type, Mode.TEXT
        body = body_of(route)
        if body is not None and not takes_bytes(body):
            yield body.parameter.type, input_mode(route)
        if returns_content(route):
            yield answer_type(route), Mode.OUTPUT


def _check_distinct(routes: Iterable[Route]) -> None:
    seen: dict[tuple[str, str], Route] = {}
    for route in routes:
        other = seen.setdefault((route.method, _TAIL.sub(r"{\1}", route.path)), route)
        if other is not route:
            raise DeclarationError(
                f"{route.operation.where}: {route.method} {route.path} is {other.operation.name!r} of "
                f"version {other.version!r} as well, and one API document cannot say both; make one document "
                "per version."
            )


def _operation_ids(routes: Sequence[Route]) -> list[str]:
    several = len(versions_of(routes)) > 1
    names = [
        f"{route.operation.name}_{re.sub(r'[^A-Za-z0-9]+', '_', route.version)}"
        if several and route.version is not None
        else route.operation.name
        for route in routes
    ]
    repeated = Counter(names)
    taken = {name for name in names if repeated[name] == 1}
    result = []
    for name, route in zip(names, routes, strict=True):
        free = name
        if repeated[name] > 1:
            base, number = f"{name}_{route.method.lower()}", 2
            free = base
            while free in taken:
                free, number = f"{base}_{number}", number + 1
            taken.add(free)
        result.append(free)
    return result


def _order(route: Route) -> int:
    return _METHODS.index(route.method) if route.method in _METHODS else len(_METHODS)


def _description(route: Route, text: str) -> str:
    policy = route.policy
    notes = []
    if policy.deprecated and policy.deprecated is not True:
        notes.append(f"Deprecated since {policy.deprecated:%Y-%m-%d}.")
    if policy.sunset is not None:
        notes.append(f"Expected to go away on {policy.sunset:%Y-%m-%d}.")
    if policy.successor is not None:
        notes.append(f"Use `{policy.successor}` instead.")
    return "\n\n".join(filter(None, (text, " ".join(notes))))


def _version_parameters(route: Route, versions: Versions | None) -> list[dict[str, Any]]:
    if route.version is None or versions is None or versions.by != "header":
        return []
    return [
        {
            "name": versions.header,
            "in": "header",
            "description": "The version of the API.",
            "required": versions.default != route.version,
            "schema": {"type": "string", "const": route.version},
        }
    ]


def _answer_types(route: Route, versions: Versions | None) -> tuple[str, ...]:
    if route.version is None or versions is None or versions.by != "media":
        return MEDIA_TYPES
    # OpenAPI has no parameter called Accept: it is made of these.
    return tuple(f"{kind}; version={route.version}" for kind in MEDIA_TYPES)


def _key_parameters(route: Route) -> list[dict[str, Any]]:
    """Return the Parameter Object of the idempotency key, where one is taken."""
    chosen = route.policy.idempotent
    if chosen is None:
        return []
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "One of its own for each intent, such as a UUID: what is sent again with the same key is "
            "done once and answered alike (draft-ietf-httpapi-idempotency-key-header).",
            "required": chosen.required,
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": PATTERN},
        }
    ]


def _version_problems(route: Route, versions: Versions | None) -> tuple[type[Problem], ...]:
    if route.version is None or versions is None or versions.by == "path":
        return ()
    return (BadRequest,) if versions.by == "header" else (BadRequest, NotAcceptable)


def _tags(info: Info, routes: Iterable[Route]) -> list[dict[str, str]]:
    used = dict.fromkeys(tag for route in routes for tag in route.tags)
    ordered = [*(tag for tag in info.tags if tag in used), *(tag for tag in used if tag not in info.tags)]
    return [given(name=tag, description=info.tags.get(tag)) for tag in ordered]


def _with_problem_schemas(components: Mapping[str, Any]) -> dict[str, Any]:
    for name in PROBLEM_SCHEMAS:
        if name in components:
            raise DeclarationError(
                f"a type called {name!r} is used in a body, and the API document describes problems by that "
                "name; call the type something else."
            )
    return dict(sorted({**components, **PROBLEM_SCHEMAS}.items()))


def _used_headers(*parts: Any) -> dict[str, Any]:
    text = msgspec.json.encode(parts, enc_hook=str)
    return {name: header for name, header in HEADERS.items() if f'"#/components/headers/{name}"'.encode() in text}


class _SecuritySchemes:
    """The Security Schemes of guards, named after them."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def requirement(self, route: Route) -> list[dict[str, list[str]]]:
        """Return the Security Requirement Objects of *route*: one for each scheme, with every authenticating guard.

        What a scheme lists are the scopes and roles the operation takes (OpenAPI 3.1, Security Requirement Object).
        """
        policy = route.policy
        guards = {
            self._name(guard.name, guard.security): list[str]() for guard in policy.guards if guard.security is not None
        }
        if not (policy.closed and policy.auth):
            return [guards] if guards else []
        granted = sorted(policy.scopes | policy.roles)
        return [
            guards if scheme.name == "anonymous" else {self._name(scheme.name, scheme.document()): granted, **guards}
            for scheme in policy.auth
        ]

    def _name(self, guard: str, scheme: Mapping[str, Any]) -> str:
        base = name = re.sub(r"[^A-Za-z0-9._-]+", "_", guard)
        number = 2
        while self.components.setdefault(name, dict(scheme)) != scheme:
            name, number = f"{base}_{number}", number + 1
        return name
