"""Which part of a request each parameter of an operation comes from, decided once at start-up."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NotRequired, Required, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from seawall.call import Call, Principal
from seawall.http.parameters import Body, Check, Cookie, Form, Header, Path, Query
from seawall.operation import MISSING, Operation, Parameter, bare, split_annotated, union_members
from seawall.problems import DeclarationError

__all__ = ["Bound", "CheckCall", "Source", "bind", "has_fields", "is_model"]


class Source(StrEnum):
    """Where a parameter comes from."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    COOKIE = "cookie"
    BODY = "body"
    FORM = "form"
    RESOURCE = "resource"
    CALL = "call"
    PRINCIPAL = "principal"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class CheckCall:
    """A `Check` with the resources it takes: parameter name → resource type."""

    function: Callable[..., Any]
    value: str
    resources: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """One parameter and where it comes from.

    Args:
        parameter: The operation's parameter.
        source: Where it comes from.
        wire: Its name there.
        many: Whether it takes every value of its name (a list) instead of one.
        fields: For a query taken as one value with fields: each of them.
        checks: Validations to run once everything is bound.
    """

    parameter: Parameter
    source: Source
    wire: str
    many: bool = False
    fields: tuple[Bound, ...] = ()
    checks: tuple[CheckCall, ...] = ()


_MARKED: tuple[tuple[type, Source], ...] = (
    (Path, Source.PATH),
    (Query, Source.QUERY),
    (Header, Source.HEADER),
    (Cookie, Source.COOKIE),
    (Body, Source.BODY),
    (Form, Source.FORM),
)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_DECODED = frozenset({Source.PATH, Source.QUERY, Source.HEADER, Source.COOKIE, Source.BODY, Source.FORM})
_SEQUENCES = (list, tuple, set, frozenset, Sequence)


def bind(operation: Operation, method: str, path_names: Sequence[str], resources: frozenset[Any]) -> tuple[Bound, ...]:
    """Decide where every parameter of *operation* comes from.

    Args:
        operation: The operation.
        method: The HTTP method of its route.
        path_names: The parameters in the route's path.
        resources: The types that resources provide.

    Raises:
        DeclarationError: A parameter can come from nowhere, two claim the body, or a name in the path
            has no parameter.
    """
    bounds = tuple(_bind(operation, parameter, method, path_names, resources) for parameter in operation.parameters)
    used = {bound.wire for bound in bounds if bound.source is Source.PATH}
    for name in path_names:
        if name not in used:
            raise DeclarationError(
                f"{operation.where}: the path has {{{name}}} but no parameter takes it; add '{name}: str' or the "
                "type it should have."
            )
    bodies = [bound.parameter.name for bound in bounds if bound.source in (Source.BODY, Source.FORM)]
    if len(bodies) > 1:
        raise DeclarationError(
            f"{operation.where}: {' and '.join(bodies)} would both be the body; make one type with both as its "
            "fields, or mark one as Query()."
        )
    if bodies and method == "GET":
        raise DeclarationError(f"{operation.where}: a GET has no body to bind {bodies[0]!r} to; use POST or Query().")
    return bounds


def _bind(
    operation: Operation,
    parameter: Parameter,
    method: str,
    path_names: Sequence[str],
    resources: frozenset[Any],
) -> Bound:
    source, name = _source(operation, parameter, method, path_names, resources)
    if source is Source.PATH and name not in path_names:
        raise DeclarationError(f"{operation.where}: {parameter.name!r} is marked Path but the path has no {{{name}}}.")
    if source is Source.HEADER and not any(isinstance(marker, Header) and marker.name for marker in parameter.markers):
        name = name.replace("_", "-")
    checks = tuple(
        _check(operation, parameter, marker.function, resources)
        for marker in parameter.markers
        if isinstance(marker, Check)
    )
    many = source in (Source.QUERY, Source.HEADER) and _is_many(parameter.type)
    if source in (Source.PATH, Source.COOKIE) and _is_many(parameter.type):
        raise DeclarationError(
            f"{operation.where}: {parameter.name!r} of type {_show(parameter.type)} cannot come from the {source}: "
            "that has one value; take a str, or several values from Query() or Header()."
        )
    fields: tuple[Bound, ...] = ()
    model = _without_none(bare(parameter.type))
    if source is Source.QUERY and has_fields(model):
        fields = tuple(_field(operation, source, field) for field in model_fields(bare(model)))
    elif source in (Source.PATH, Source.QUERY, Source.HEADER, Source.COOKIE):
        _refuse_model(operation, parameter, source)
    if source is Source.FORM and not has_fields(parameter.type):
        raise DeclarationError(
            f"{operation.where}: {parameter.name!r} is marked Form, so its type must have fields (a Struct, a "
            f"dataclass …), not {_show(parameter.type)}."
        )
    if source in _DECODED:
        _check_type(operation, parameter, source)
    return Bound(parameter, source, name, many, fields, checks)


def _source(
    operation: Operation,
    parameter: Parameter,
    method: str,
    path_names: Sequence[str],
    resources: frozenset[Any],
) -> tuple[Source, str]:
    marked = [
        (source, getattr(marker, "name", None) or parameter.name)
        for marker in parameter.markers
        for kind, source in _MARKED
        if isinstance(marker, kind)
    ]
    if len(marked) > 1:
        raise DeclarationError(f"{operation.where}: {parameter.name!r} is marked to come from two places; keep one.")
    if marked:
        return marked[0]
    name, hint = parameter.name, parameter.type
    members = [member for member in union_members(bare(hint)) if member is not type(None)]
    if name in path_names:
        return Source.PATH, name
    if members == [Call]:
        return Source.CALL, name
    if members == [Principal]:
        return Source.PRINCIPAL, name
    if len(members) == 1 and _is_request(members[0]):
        return Source.REQUEST, name
    if bare(hint) in resources:
        return Source.RESOURCE, name
    if method in _WITH_BODY and any(_is_body(member) for member in members):
        return Source.BODY, name
    if all(_is_scalar(member) or _is_many(member) for member in members):
        return Source.QUERY, name
    raise DeclarationError(
        f"{operation.where}: nothing provides {name!r} of type {_show(hint)}. Register a resource of that type with "
        "@service.resource, or say where it comes from, as in Annotated[…, Query()] or Annotated[…, Body()]."
    )


def _field(operation: Operation, source: Source, field: Parameter) -> Bound:
    _refuse_model(operation, field, source)
    return Bound(field, source, field.name, _is_many(field.type))


def _check(
    operation: Operation, parameter: Parameter, function: Callable[..., Any], resources: frozenset[Any]
) -> CheckCall:
    value, *others = inspect.signature(function).parameters
    hints = get_type_hints(function, include_extras=True)
    taken = []
    for other in others:
        if hints.get(other) not in resources and hints.get(other) is not Call:
            raise DeclarationError(
                f"{operation.where}: the check {function.__qualname__} of {parameter.name!r} takes {other!r} of type "
                f"{_show(hints.get(other))}, which no resource provides."
            )
        taken.append((other, hints[other]))
    return CheckCall(function, value, tuple(taken))


def _check_type(operation: Operation, parameter: Parameter, source: Source) -> None:
    """Refuse a type that no input could ever become."""
    hint = parameter.type
    try:
        msgspec.json.Decoder(hint, dec_hook=_never)
        unknown = next(_foreign(msgspec.inspect.type_info(hint), set()), None)
    except TypeError as error:
        raise DeclarationError(
            f"{operation.where}: {parameter.name!r} of type {_show(hint)} cannot come from the {source}: {error}."
        ) from None
    if unknown is not None:
        raise DeclarationError(
            f"{operation.where}: {parameter.name!r} of type {_show(hint)} cannot come from the {source}: nothing says "
            f"how a {_show(unknown)} is read; make it a Struct, a dataclass or another type with fields."
        )


def _never(kind: Any, value: Any) -> Any:
    raise NotImplementedError(f"{kind} {value}")  # decoders that are made to see whether they can be


def _foreign(info: Any, seen: set[int]) -> Iterator[Any]:
    """Return the types within *info* that are read neither by msgspec nor, being models, by Pydantic."""
    if isinstance(info, msgspec.inspect.CustomType):
        if not is_model(info.cls) and not _is_file(info.cls):
            yield info.cls
        return
    if isinstance(info, tuple):
        for part in info:
            yield from _foreign(part, seen)
    elif isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) and id(info) not in seen:
        seen.add(id(info))
        for name in info.__struct_fields__:
            yield from _foreign(getattr(info, name), seen)


def _is_file(kind: Any) -> bool:
    module = sys.modules.get("starlette.datastructures")
    return module is not None and kind is module.UploadFile


def _refuse_model(operation: Operation, parameter: Parameter, source: Source) -> None:
    for member in union_members(bare(parameter.type)):
        items = get_args(member) if _is_many(member) else (member,)
        if any(has_fields(item) or get_origin(item) is dict or item is dict for item in items):
            raise DeclarationError(
                f"{operation.where}: {parameter.name!r} of type {_show(parameter.type)} cannot come from the {source}: "
                "it has fields, and text there has none."
            )


def is_model(hint: Any) -> bool:
    """Return whether *hint* is a Pydantic model."""
    return isinstance(hint, type) and hasattr(hint, "model_validate") and hasattr(hint, "model_fields")


def has_fields(hint: Any) -> bool:
    """Return whether *hint* is a Struct, dataclass, attrs class, TypedDict or Pydantic model."""
    hint = bare(hint)
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and (
        issubclass(origin, msgspec.Struct)
        or dataclasses.is_dataclass(origin)
        or hasattr(origin, "__attrs_attrs__")
        or is_typeddict(origin)
        or is_model(origin)
    )


def model_fields(model: Any) -> tuple[Parameter, ...]:
    """Return the fields of a type that has them, under the names they have on the wire."""
    if is_model(model):
        return tuple(
            Parameter(field.alias or name, field.annotation, MISSING if field.is_required() else field.get_default())
            for name, field in model.model_fields.items()
        )
    info = msgspec.inspect.type_info(model)
    hints = get_type_hints(get_origin(model) or model, include_extras=True)
    result = []
    for field in getattr(info, "fields", ()):
        hint, markers = split_annotated(_without_requirement(hints[field.name]))
        default = MISSING if field.required else _default(field)
        result.append(Parameter(field.encode_name, hint, default, markers))
    return tuple(result)


def _without_requirement(hint: Any) -> Any:
    """Return the type within a TypedDict's ``Required[…]`` or ``NotRequired[…]``."""
    while get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    return hint


def _default(field: msgspec.inspect.Field) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else None


def _without_none(hint: Any) -> Any:
    members = [member for member in union_members(hint) if member is not type(None)]
    return members[0] if len(members) == 1 else hint


def _is_request(hint: Any) -> bool:
    # Whoever writes the annotation has imported the module; importing it here would cost every service 30 ms.
    module = sys.modules.get("starlette.requests")
    return module is not None and hint is module.Request


def _is_body(hint: Any) -> bool:
    hint = bare(hint)
    origin = get_origin(hint) or hint
    if has_fields(hint) or origin is dict or hint is Any:
        return True
    return origin in _SEQUENCES and any(_is_body(member) for arg in get_args(hint) for member in union_members(arg))


def _is_many(hint: Any) -> bool:
    hint = bare(hint)
    return any((get_origin(member) or member) in _SEQUENCES for member in union_members(hint))


def _is_scalar(hint: Any) -> bool:
    hint = bare(hint)
    if get_origin(hint) is not None and not isinstance(hint, types.GenericAlias):
        return all(isinstance(value, str | int | None) for value in get_args(hint))  # Literal
    try:
        info = msgspec.inspect.type_info(hint)
    except TypeError:
        return False
    return not isinstance(info, msgspec.inspect.CustomType | msgspec.inspect.AnyType) and not has_fields(hint)


def _show(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")
