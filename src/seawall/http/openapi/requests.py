"""Parameters and request bodies of one operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
from starlette.datastructures import UploadFile

from seawall.http.binding import Bound, Source, model_fields
from seawall.http.openapi.docstrings import Docs, Example, class_docs
from seawall.http.openapi.schemas import Schemas, plain_value
from seawall.http.openapi.usage import Mode
from seawall.http.route import Route
from seawall.operation import MISSING, bare, union_members

__all__ = [
    "MEDIA_TYPES",
    "body_of",
    "input_mode",
    "parameter_bounds",
    "parameters",
    "request_body",
    "takes_bytes",
]

MEDIA_TYPES = ("application/json", "application/msgpack")

_IN_PARAMETERS = (Source.PATH, Source.QUERY, Source.HEADER, Source.COOKIE)
# OpenAPI 3.1 §4.8.12.1: header parameters of these names are ignored; other parts of the document say them.
_NOT_LISTED = frozenset({"accept", "content-type", "authorization"})


def input_mode(route: Route) -> Mode:
    """Return the way the body of *route* travels."""
    return Mode.STRICT if route.policy.unknown_fields == "refuse" else Mode.INPUT


def body_of(route: Route) -> Bound | None:
    """Return what takes the body of *route*, if anything does."""
    return next((bound for bound in route.bounds if bound.source in (Source.BODY, Source.FORM)), None)


def takes_bytes(bound: Bound) -> bool:
    """Whether *bound* takes the body as it came."""
    return bound.source is Source.BODY and bare(bound.parameter.type) is bytes


def parameter_bounds(route: Route) -> Iterator[Bound]:
    """Yield everything bound from path, query, headers and cookies; a query with fields as its fields."""
    for bound in route.bounds:
        if bound.source in _IN_PARAMETERS:
            yield from bound.fields or (bound,)


def parameters(route: Route, schemas: Schemas, docs: Docs) -> list[dict[str, Any]]:
    """Return the Parameter Objects of *route*."""
    result = []
    for bound in route.bounds:
        if bound.source not in _IN_PARAMETERS:
            continue
        if bound.fields:
            model = bare(bound.parameter.type)
            described = class_docs(getattr(model, "__origin__", model)).args
            optional = not bound.parameter.required
            result += [_parameter(field, schemas, described, optional=optional) for field in bound.fields]
        elif bound.source is not Source.HEADER or bound.wire.lower() not in _NOT_LISTED:
            result.append(_parameter(bound, schemas, docs.args))
    return result


def _parameter(
    bound: Bound, schemas: Schemas, described: Mapping[str, str], *, optional: bool = False
) -> dict[str, Any]:
    schema = schemas.schema(bound.parameter.type, Mode.TEXT)
    # What is said of the value is said of the parameter: tools show it there.
    description = schema.pop("description", None) or described.get(bound.parameter.name)
    examples = schema.pop("examples", None)
    required = bound.source is Source.PATH or (bound.parameter.required and not optional)
    default = msgspec.NODEFAULT if bound.parameter.default is MISSING else plain_value(bound.parameter.default)
    if default is not msgspec.NODEFAULT and default is not None:
        schema["default"] = default
    result: dict[str, Any] = {"name": bound.wire, "in": bound.source.value}
    if description:
        result["description"] = description
    result["required"] = required
    if schema.pop("deprecated", False):
        result["deprecated"] = True
    if bound.many:
        result |= {"style": "form", "explode": True} if bound.source is Source.QUERY else {"style": "simple"}
    result["schema"] = schema
    if examples:
        result["examples"] = {f"example{number}": {"value": value} for number, value in enumerate(examples, 1)}
    return result


def request_body(route: Route, schemas: Schemas, docs: Docs) -> dict[str, Any] | None:
    """Return the Request Body Object of *route*, or None if it takes none."""
    bound = body_of(route)
    if bound is None:
        return None
    described = docs.args.get(bound.parameter.name)
    result: dict[str, Any] = {"description": described} if described else {}
    if takes_bytes(bound):
        content: dict[str, Any] = {"*/*": {}}
    else:
        schema = schemas.schema(bound.parameter.type, input_mode(route))
        kinds = _form_types(bound) if bound.source is Source.FORM else MEDIA_TYPES
        content = {kind: with_example(schema, docs.request) for kind in kinds}
    return {**result, "required": bound.parameter.required, "content": content}


def with_example(schema: dict[str, Any], example: Example | None) -> dict[str, Any]:
    """Return a Media Type Object."""
    return {"schema": schema} if example is None else {"schema": schema, "example": example.value}


def _form_types(bound: Bound) -> tuple[str, ...]:
    fields = model_fields(bare(bound.parameter.type))
    files = any(
        isinstance(kind, type) and issubclass(kind, UploadFile)
        for field in fields
        for member in union_members(bare(field.type))
        for kind in (member, *get_args(member))
    )
    return ("multipart/form-data",) if files else ("application/x-www-form-urlencoded", "multipart/form-data")
