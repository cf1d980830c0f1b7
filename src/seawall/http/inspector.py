"""Says what is wrong with the text parameters of a request, once something is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from seawall.http.binding import Bound, Source
from seawall.http.bodies import dec_hook, invalid
from seawall.http.errors import from_message
from seawall.http.route import Route
from seawall.http.text import holds_floats, holds_moments, many_reader, reader
from seawall.operation import bare, union_members
from seawall.problems import FieldError, InvalidInput

__all__ = [
    "CONVERSION_ERRORS",
    "TEXT_SOURCES",
    "GroupReader",
    "TextInspector",
    "every_value",
    "listed_field",
    "path_position",
]

CONVERSION_ERRORS = (msgspec.DecodeError, msgspec.ValidationError, KeyError, ValueError)
TEXT_SOURCES = (Source.PATH, Source.QUERY, Source.HEADER, Source.COOKIE)


def path_position(route: Route, bound: Bound) -> int:
    """Return where the segment of a path parameter stands among the parts of the path."""
    index = route.template.names.index(bound.wire)
    return [position for position, segment in enumerate(route.template.segments, 1) if segment is None][index]


class GroupReader:
    """Reads a type with fields from the query, each field by its name."""

    def __init__(self, bound: Bound) -> None:
        self._type = bound.parameter.type
        self._default = bound.parameter
        self._fields = bound.fields
        self._strict = [
            (field.wire, many_reader(field.parameter.type) if field.many else reader(field.parameter.type))
            for field in bound.fields
            if holds_floats(field.parameter.type) or holds_moments(field.parameter.type)
        ]
        self._nullable = [
            (field.wire, read)
            for field in bound.fields
            if type(None) in union_members(bare(field.parameter.type))
            and not field.many
            and (read := reader(field.parameter.type)) is not None
        ]

    def __call__(self, query: Mapping[str, str], repeated: Mapping[str, list[str]] | None) -> Any:
        """Return the value, with defaults for what the query does not name."""
        values: dict[str, Any] = {}
        for field in self._fields:
            if field.many:
                texts = every_value(field.wire, query, repeated)
                if texts is not None:
                    values[field.wire] = texts
            elif field.wire in query:
                values[field.wire] = query[field.wire]
        if not values and not self._default.required:
            return self._default.default
        for wire, read in self._strict:
            if wire in values and read is not None:
                read(values[wire])
        for wire, read in self._nullable:
            # convert() takes the text "null" for None; what is not wanted is left out of a query.
            if values.get(wire, "").lower() == "null":
                read(values[wire])
        return msgspec.convert(values, self._type, strict=False, dec_hook=dec_hook)


class TextInspector:
    """Finds everything that is wrong with the parameters of a request, once something is."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._bounds = [bound for bound in route.bounds if bound.source in TEXT_SOURCES]
        flat = [field for bound in self._bounds for field in (bound.fields or (bound,))]
        self.singles = frozenset(bound.wire for bound in flat if bound.source is Source.QUERY and not bound.many)

    def __call__(
        self,
        parts: list[str],
        query: Mapping[str, str] | None,
        repeated: Mapping[str, list[str]] | None,
        headers: Mapping[bytes, bytes],
        cookies: Mapping[str, str] | None,
    ) -> InvalidInput:
        """Return the problem with every error and the parameter each belongs to."""
        errors: list[FieldError] = []
        for bound in self._bounds:
            before = len(errors)
            for field in bound.fields or (bound,):
                errors.extend(self._errors(field, parts, query or {}, repeated or {}, headers, cookies or {}))
            if bound.fields and len(errors) == before:
                errors.extend(self._whole(bound, query or {}, repeated))
        return invalid(errors)

    def _errors(
        self,
        bound: Bound,
        parts: list[str],
        query: Mapping[str, str],
        repeated: Mapping[str, list[str]],
        headers: Mapping[bytes, bytes],
        cookies: Mapping[str, str],
    ) -> list[FieldError]:
        value: Any
        if bound.source is Source.PATH:
            value = parts[path_position(self._route, bound)]
        elif bound.source is Source.QUERY:
            if not bound.many and bound.wire in repeated:
                return [error_at(bound, "Give this parameter once.")]
            value = every_value(bound.wire, query, repeated) if bound.many else query.get(bound.wire)
        elif bound.source is Source.HEADER:
            field = headers.get(bound.wire.lower().encode())
            value = listed_field(field) if bound.many else None if field is None else field.decode("latin-1")
        else:
            value = cookies.get(bound.wire)
        if value is None:
            return [error_at(bound, "This parameter is required.")] if bound.parameter.required else []
        read = many_reader(bound.parameter.type) if bound.many else reader(bound.parameter.type)
        try:
            if read is not None:
                read(value)
        except CONVERSION_ERRORS as error:
            return [error_at(bound, explain(error, bound, value))]
        return []

    def _whole(
        self, bound: Bound, query: Mapping[str, str], repeated: Mapping[str, list[str]] | None
    ) -> list[FieldError]:
        """Return what only the fields together get wrong."""
        try:
            GroupReader(bound)(query, repeated)
        except CONVERSION_ERRORS as error:
            # Its fields are what the caller sees; the name of the parameter that groups them is not on the wire.
            return [FieldError(from_message(str(error), ()).detail, location=bound.source)]
        return []


def error_at(bound: Bound, detail: str) -> FieldError:
    """Return the error *detail* at the parameter of *bound*."""
    return FieldError(detail, parameter=bound.wire, location=bound.source)


def explain(error: Exception, bound: Bound, value: Any) -> str:
    """Return what is wrong with the text *value*, for a person."""
    if isinstance(error, msgspec.ValidationError):
        return from_message(str(error), ()).detail
    kind = getattr(bare(bound.parameter.type), "__name__", str(bound.parameter.type))
    return f"Expected `{kind}`, got {str(value)[:40]!r}."


def every_value(name: str, query: Mapping[str, str], repeated: Mapping[str, list[str]] | None) -> list[str] | None:
    """Return every value of *name* in a query, or None when it is not there."""
    if repeated is not None and name in repeated:
        return repeated[name]
    value = query.get(name)
    return None if value is None else [value]


def listed_field(field: bytes | None) -> list[str] | None:
    """Return the members of a header field that is a list (RFC 9110 §5.6.1)."""
    if field is None:
        return None
    return [member for part in field.decode("latin-1").split(",") if (member := part.strip(" \t"))]
