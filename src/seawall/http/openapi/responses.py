"""Successes and problems of one operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from seawall.http.binding import Bound, Source
from seawall.http.openapi.docstrings import Docs, Example
from seawall.http.openapi.info import given
from seawall.http.openapi.requests import body_of, parameter_bounds, takes_bytes, with_example
from seawall.http.openapi.schemas import Schemas
from seawall.http.openapi.usage import Mode
from seawall.http.reply import is_reply
from seawall.http.route import Route
from seawall.idempotency.problems import IdempotencyKeyReused, InvalidIdempotencyKey, RequestInProgress
from seawall.operation import bare, union_members
from seawall.problems import (
    ContentTooLarge,
    DeadlineExceeded,
    Forbidden,
    HeadersTooLarge,
    InternalError,
    InvalidInput,
    MalformedBody,
    MalformedQuery,
    NotAcceptable,
    Overloaded,
    Problem,
    RequestTimeout,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    UriTooLong,
)

__all__ = ["HEADERS", "PROBLEM_SCHEMAS", "SharedResponses", "answer_type", "problems_of", "returns_content", "success"]

_WITH_LOCATION = frozenset({201, 202, 301, 302, 303, 307, 308})
_TEXT = {"type": "string"}

HEADERS: dict[str, Any] = {
    "Deprecation": {
        "description": "Since when callers should have moved on: a structured date, `@` and seconds since "
        "1970 (RFC 9745).",
        "schema": {"type": "string", "pattern": "^@-?[0-9]+$"},
    },
    "Link": {"description": "Related resources (RFC 8288).", "schema": _TEXT},
    "Location": {
        "description": "Where the resource is to be found.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "RateLimit": {
        "description": "What is left of each allowance: `r`, whole again in `t` seconds "
        "(draft-ietf-httpapi-ratelimit-headers).",
        "schema": _TEXT,
    },
    "RateLimit-Policy": {
        "description": "The allowances: `q` in `w` seconds (draft-ietf-httpapi-ratelimit-headers).",
        "schema": _TEXT,
    },
    "Retry-After": {
        "description": "When to try again: seconds, or an HTTP date (RFC 9110).",
        "schema": _TEXT,
    },
    "Sunset": {
        "description": "When the operation is expected to go away: an HTTP date (RFC 8594).",
        "schema": _TEXT,
    },
    "WWW-Authenticate": {"description": "How to authenticate (RFC 9110).", "schema": _TEXT},
    "X-Request-ID": {"description": "Names this request in the service's logs.", "schema": _TEXT},
}

PROBLEM_SCHEMAS: dict[str, Any] = {
    "FieldError": {
        "title": "FieldError",
        "description": "One thing that is wrong with the input, and where.",
        "type": "object",
        "properties": {
            "detail": {"type": "string", "description": "What is wrong, for a person."},
            "pointer": {
                "type": "string",
                "format": "json-pointer",
                "description": "Where in the body (RFC 6901); empty for the whole of it.",
            },
            "parameter": {"type": "string", "description": "The parameter, where it is not in the body."},
            "location": {
                "type": "string",
                "description": "Where that parameter stands: path, query, header, cookie or form.",
            },
        },
        "required": ["detail"],
    },
    "Problem": {
        "title": "Problem",
        "description": "What went wrong (RFC 9457). Problems may have further members of their own.",
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "Names the kind of problem; stable, for programs.",
            },
            "title": {"type": "string", "description": "The kind of problem, for a person."},
            "status": {"type": "integer", "minimum": 100, "maximum": 599, "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What happened this time, for a person."},
            "instance": {"type": "string", "format": "uri-reference", "description": "This occurrence."},
            "request_id": {"type": "string", "description": "Names this request in the service's logs."},
            "errors": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/FieldError"},
                "description": "Everything that is wrong with the input.",
            },
        },
        "required": ["type", "title", "status"],
    },
}

ProblemType = type[Problem]


def returns_content(route: Route) -> bool:
    """Whether a success of *route* has a body that a schema describes."""
    return answer_type(route) is not type(None)


def answer_type(route: Route) -> Any:
    """Return what is encoded as the body of a success; ``NoneType`` where nothing is.

    Starlette responses are left out: what they hold is known to the operation alone.
    """
    members = [member for member in union_members(bare(route.result)) if not _is_response(member)]
    if len(members) == len(union_members(bare(route.result))):
        return route.result
    result: Any = members[0] if members else type(None)
    for member in members[1:]:
        result = result | member
    return result


def _is_response(hint: Any) -> bool:
    return isinstance(bare(hint), type) and issubclass(bare(hint), Response)


def success(route: Route, schemas: Schemas, docs: Docs, media_types: Sequence[str]) -> dict[str, Any]:
    """Return the Response Object of a success."""
    headers = _references(_standing_headers(route))
    if is_reply(route.operation.returns) and route.status in _WITH_LOCATION:
        headers["Location"] = _reference("Location")
    example: Example | None = docs.response or (docs.request if body_of(route) is None else None)
    content: dict[str, Any] = {}
    if returns_content(route):
        schema = schemas.schema(answer_type(route), Mode.OUTPUT)
        content = {kind: with_example(schema, example) for kind in media_types}
    description = docs.returns or HTTPStatus(route.status).phrase
    return {"description": description, **given(headers=headers, content=content)}


def problems_of(route: Route, further: Sequence[ProblemType] = ()) -> list[ProblemType]:
    """Return the problems a call of *route* can be answered with, each once, by status."""
    found: list[ProblemType] = [UriTooLong, HeadersTooLarge, InternalError]
    if not all(member is type(None) or _is_response(member) for member in union_members(route.operation.returns)):
        found.append(NotAcceptable)
    sources = {bound.source for bound in route.bounds}
    if Source.QUERY in sources:
        found.append(MalformedQuery)
    if any(map(_can_be_wrong, parameter_bounds(route))):
        found.append(InvalidInput)
    body = body_of(route)
    if body is not None:
        found += [ContentTooLarge, RequestTimeout]
        if not takes_bytes(body):
            found += [MalformedBody, UnsupportedMediaType, InvalidInput]
    if any(bound.source is Source.PRINCIPAL and not _takes_none(bound) for bound in route.bounds):
        found.append(Unauthorized)
    if any(bound.checks for bound in route.bounds):
        found.append(InvalidInput)
    found += _refused_by_policy(route)
    for guard in route.policy.guards:
        found += guard.problems
    if route.policy.closed:
        found += _refusals(route)
    found += (*further, *route.problems)
    return sorted(dict.fromkeys(found), key=lambda problem: problem.status)


def _refused_by_policy(route: Route) -> list[ProblemType]:
    policy = route.policy
    found: list[ProblemType] = [] if policy.timeout is None else [DeadlineExceeded]
    found += [TooManyRequests] if policy.rate else []
    found += [] if policy.concurrency is None else [Overloaded]
    if policy.idempotent is not None:
        found += [InvalidIdempotencyKey, RequestInProgress, IdempotencyKeyReused, Unavailable]
    return found


def _refusals(route: Route) -> list[ProblemType]:
    from seawall.auth.problems import InsufficientScope, InvalidCredentials  # noqa: PLC0415 - services without callers

    policy = route.policy
    found: list[ProblemType] = [InvalidCredentials] if policy.auth else []
    found += [] if any(scheme.name == "anonymous" for scheme in policy.auth) else [Unauthorized]
    found += [Forbidden, Unauthorized] if policy.roles or policy.allow or policy.denies_everybody else []
    found += [InsufficientScope, Unauthorized] if policy.scopes else []
    for scheme in policy.auth:
        found += scheme.problems
    return found


def _takes_none(bound: Bound) -> bool:
    return type(None) in union_members(bare(bound.parameter.type))


def _can_be_wrong(bound: Bound) -> bool:
    parameter = bound.parameter
    if bound.source is Source.QUERY and not bound.many:
        return True  # it can be given twice
    members = [member for member in union_members(parameter.type) if member is not type(None)]
    return members not in ([str], [list[str]]) or (parameter.required and bound.source is not Source.PATH)


class SharedResponses:
    """Responses with problems; those that operations have in common become components."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}
        self._names: dict[tuple[ProblemType, ...], str] = {}

    def responses(self, route: Route, docs: Docs, further: Sequence[ProblemType] = ()) -> dict[str, Any]:
        """Return the Response Objects of the problems of *route*, by status."""
        by_status: dict[int, list[ProblemType]] = {}
        for problem in problems_of(route, further):
            by_status.setdefault(problem.status, []).append(problem)
        standing = _standing_headers(route)[1:]
        result: dict[str, Any] = {}
        for status, problems in by_status.items():
            own = any(problem.__name__ in docs.raises for problem in problems)
            if own or standing:
                result[str(status)] = _response(problems, docs, standing)
            else:
                result[str(status)] = {"$ref": f"#/components/responses/{self._shared(tuple(problems))}"}
        return result

    def _shared(self, problems: tuple[ProblemType, ...]) -> str:
        if problems not in self._names:
            name = free = "Or".join(problem.__name__ for problem in problems)
            number = 2
            while free in self.components:
                free, number = f"{name}_{number}", number + 1
            self._names[problems] = free
            self.components[free] = _response(problems, Docs(), ())
        return self._names[problems]


def _response(problems: Iterable[ProblemType], docs: Docs, standing: Sequence[str]) -> dict[str, Any]:
    problems = list(problems)
    lines = [f"{problem.title}: {_described(problem, docs)} `{problem.type}`" for problem in problems]
    names = ["X-Request-ID", *standing]
    names += {
        401: ["WWW-Authenticate"],
        429: ["RateLimit", "RateLimit-Policy", "Retry-After"],
        503: ["Retry-After"],
    }.get(problems[0].status, [])
    examples: dict[str, Any] = {}
    for problem in problems:
        name = problem.__name__ if problem.__name__ not in examples else f"{problem.__module__}.{problem.__name__}"
        value = {"type": problem.type, "title": problem.title, "status": problem.status}
        examples[name] = {"summary": problem.title, "value": value | _errors_example(problem)}
    return {
        "description": lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines),
        "headers": _references(names),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": examples,
            }
        },
    }


def _described(problem: ProblemType, docs: Docs) -> str:
    text = docs.raises.get(problem.__name__)
    if text is None:
        own = vars(problem).get("__doc__") or ""
        text = " ".join(own.strip().partition("\n\n")[0].split()).removeprefix(f"{problem.status}: ")
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _errors_example(problem: ProblemType) -> dict[str, Any]:
    if not issubclass(problem, InvalidInput):
        return {}
    return {"errors": [{"detail": "This field is required.", "pointer": "/name"}]}


def _standing_headers(route: Route) -> list[str]:
    """Return the header fields on every answer of *route*; ``X-Request-ID`` comes first."""
    policy = route.policy
    return [
        "X-Request-ID",
        *(["Deprecation"] if policy.deprecated and policy.deprecated is not True else []),
        *(["Sunset"] if policy.sunset is not None else []),
        *(["Link"] if policy.successor is not None else []),
    ]


def _references(names: Iterable[str]) -> dict[str, Any]:
    return {name: _reference(name) for name in names}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}
