"""Reads forms: URL-encoded and multipart, within limits, into a type with fields."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import msgspec
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from seawall.http.asgi import Receive, read_rest
from seawall.http.binding import model_fields
from seawall.http.bodies import invalid
from seawall.http.errors import from_message
from seawall.http.media import parse
from seawall.http.query import QueryError, parse_query
from seawall.operation import Policy, bare, union_members
from seawall.problems import FieldError, InvalidInput, MalformedBody, UnsupportedMediaType

__all__ = ["FormLimits", "FormReader"]


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How much a form may hold.

    Args:
        fields: Fields that are text.
        files: Files.
        body_timeout: Seconds the whole form may take to arrive.
    """

    fields: int = 100
    files: int = 10
    body_timeout: float = 30.0


class FormReader:
    """Reads the form of one operation into its type."""

    def __init__(self, hint: Any, policy: Policy, limits: FormLimits) -> None:
        self._hint = bare(hint)
        self._policy = policy
        self._limits = limits
        self._fields = {field.name: field for field in model_fields(self._hint)}
        self._many = {name for name, field in self._fields.items() if _takes_many(field.type)}

    async def __call__(self, scope: Any, receive: Receive, headers: Mapping[bytes, bytes]) -> Any:
        """Return the form's value.

        Raises:
            Problem: The form is malformed (400), too large (413), of another media type (415) or wrong (422).
        """
        media = parse(headers.get(b"content-type", b""))
        essence = media.essence if media is not None else None
        if essence == "application/x-www-form-urlencoded":
            values = await self._url_encoded(receive, headers)
        elif essence == "multipart/form-data":
            values = await self._multipart(scope, receive, headers)
        else:
            raise UnsupportedMediaType(
                "The body must be a form: application/x-www-form-urlencoded or multipart/form-data.",
                headers={"Accept": "application/x-www-form-urlencoded, multipart/form-data"},
            )
        return self._convert(values)

    async def _url_encoded(self, receive: Receive, headers: Mapping[bytes, bytes]) -> dict[str, list[Any]]:
        message = await receive()
        body = await read_rest(message, receive, headers, self._policy.max_body, self._limits.body_timeout)
        try:
            singles, repeated = parse_query(body, self._limits.fields)
        except QueryError as error:
            raise MalformedBody(f"The form cannot be read: {error}.") from None
        return {name: (repeated or {}).get(name, [value]) for name, value in singles.items()}

    async def _multipart(self, scope: Any, receive: Receive, headers: Mapping[bytes, bytes]) -> dict[str, list[Any]]:
        async def stream() -> AsyncGenerator[bytes]:
            message = await receive()
            # One body, one limit: what is read is bounded before the parser sees it.
            yield await read_rest(message, receive, headers, self._policy.max_body, self._limits.body_timeout)
            yield b""

        parser = MultiPartParser(
            Headers(scope=scope),
            stream(),
            max_files=self._limits.files,
            max_fields=self._limits.fields,
            max_part_size=self._policy.max_body,
        )
        try:
            form: FormData = await parser.parse()
        except MultiPartException as error:
            raise MalformedBody(f"The form cannot be read: {error.message}") from None
        except KeyError:
            raise MalformedBody("The form cannot be read: its Content-Type names no boundary.") from None
        values: dict[str, list[Any]] = {}
        for name, value in form.multi_items():
            values.setdefault(name, []).append(value)
        return values

    def _convert(self, values: dict[str, list[Any]]) -> Any:
        errors: list[FieldError] = []
        result: dict[str, Any] = {}
        for name, found in values.items():
            if name not in self._fields:
                if self._policy.unknown_fields == "refuse":
                    errors.append(_error(name, "This field is not known."))
            elif name in self._many:
                result[name] = found
            elif len(found) > 1:
                errors.append(_error(name, "Give this field once."))
            else:
                result[name] = found[0]
        for name, field in self._fields.items():
            if name not in values and field.required:
                errors.append(_error(name, "This field is required."))
            elif name in result and (problem := _field_error(field.type, result[name])):
                errors.append(_error(name, problem))
        if errors:
            raise invalid(errors)
        try:
            return msgspec.convert(result, self._hint, strict=False, dec_hook=_file)
        except msgspec.ValidationError as error:
            raise _whole(error) from None


def _field_error(hint: Any, value: Any) -> str | None:
    try:
        msgspec.convert({"value": value}, msgspec.defstruct("Field", [("value", hint)]), strict=False, dec_hook=_file)
    except msgspec.ValidationError as error:
        return from_message(str(error), ()).detail
    return None


def _file(kind: Any, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    raise ValueError("Expected a file" if issubclass(kind, UploadFile) else f"Expected {kind.__name__}")


def _error(name: str, detail: str) -> FieldError:
    return FieldError(detail, parameter=name, location="form")


def _whole(error: msgspec.ValidationError) -> InvalidInput:
    return InvalidInput("The form is wrong.", errors=[FieldError(from_message(str(error), ()).detail, location="form")])


def _takes_many(hint: Any) -> bool:
    return any(getattr(member, "__origin__", member) in (list, tuple, set, frozenset) for member in _members(hint))


def _members(hint: Any) -> tuple[Any, ...]:
    inner = bare(hint)
    return tuple(bare(member) for member in union_members(inner)) or get_args(inner)
