"""Reads forms: URL-encoded and multipart, within limits, into a type with fields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import msgspec
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from seawall.http.asgi import Receive, body_timed_out, read_rest, refuse_length
from seawall.http.binding import model_fields
from seawall.http.bodies import invalid
from seawall.http.errors import from_message
from seawall.http.media import parse
from seawall.http.query import QueryError, TooManyFieldsError, parse_query
from seawall.http.text import holds_floats, refuse_not_finite
from seawall.operation import Policy, bare, union_members
from seawall.problems import ContentTooLarge, FieldError, InvalidInput, MalformedBody, UnsupportedMediaType

__all__ = ["FormLimits", "FormReader", "close_files"]


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

    async def __call__(self, receive: Receive, headers: Mapping[bytes, bytes], files: list[UploadFile]) -> Any:
        """Return the form's value, and leave its files in *files*, to be closed when the call is over.

        Raises:
            Problem: The form is malformed (400), too large (413), of another media type (415) or wrong (422).
        """
        media = parse(headers.get(b"content-type", b""))
        if media is not None and media.essence == "application/x-www-form-urlencoded":
            values = await self._url_encoded(receive, headers)
        elif media is not None and media.essence == "multipart/form-data":
            values = await self._multipart(media.parameter("boundary"), receive, headers)
            files += [value for found in values.values() for value in found if isinstance(value, UploadFile)]
        else:
            raise UnsupportedMediaType(
                "The body must be a form: application/x-www-form-urlencoded or multipart/form-data.",
                headers={"Accept": "application/x-www-form-urlencoded, multipart/form-data"},
            )
        return self._convert(values)

    async def _url_encoded(self, receive: Receive, headers: Mapping[bytes, bytes]) -> dict[str, list[Any]]:
        body = await self._read(receive, headers)
        try:
            singles, repeated = parse_query(body, self._limits.fields)
        except TooManyFieldsError as error:
            raise ContentTooLarge(f"A form may have {error.limit} fields at the most.") from None
        except QueryError as error:
            raise MalformedBody(f"The form cannot be read: {error}.") from None
        return {name: (repeated or {}).get(name, [value]) for name, value in singles.items()}

    async def _multipart(
        self, boundary: str | None, receive: Receive, headers: Mapping[bytes, bytes]
    ) -> dict[str, list[Any]]:
        if not boundary:
            raise MalformedBody("The form cannot be read: its Content-Type names no boundary.")
        # One body, one limit: what is read is bounded before the parser sees it.
        body = await self._read(receive, headers)

        async def stream() -> AsyncGenerator[bytes]:
            yield body

        parser = _Parser(
            # Without its charset: forms are UTF-8 (RFC 7578 §5.1.2), and Python has codecs that are no charsets.
            Headers({"content-type": f'multipart/form-data; boundary="{boundary}"'}),
            stream(),
            max_files=self._limits.files,
            max_fields=self._limits.fields,
            max_part_size=self._policy.max_body,
        )
        try:
            form: FormData = await parser.parse()
        except MultiPartException as error:
            if error.message.startswith("Too many"):
                raise ContentTooLarge(f"The form is too large: {error.message}") from None
            raise MalformedBody(f"The form cannot be read: {error.message}") from None
        values: dict[str, list[Any]] = {}
        for name, value in form.multi_items():
            values.setdefault(name, []).append(value)
        return values

    async def _read(self, receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
        seconds, limit = self._limits.body_timeout, self._policy.max_body
        refuse_length(headers, limit)
        try:
            async with asyncio.timeout(seconds):
                return await read_rest(await receive(), receive, limit)
        except TimeoutError:
            raise body_timed_out(seconds) from None

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


class _Parser(MultiPartParser):
    """Starlette's parser, which reads text that is not UTF-8 as Latin-1; this one refuses it."""

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            try:
                self._current_part.data.decode()
            except UnicodeDecodeError:
                raise MultiPartException("A field is not UTF-8.") from None
        super().on_part_end()


def close_files(files: list[UploadFile]) -> None:
    """Close the files of a form; large ones are temporary files on disk."""
    for file in files:
        file.file.close()


def _field_error(hint: Any, value: Any) -> str | None:
    try:
        field: Any = msgspec.defstruct("Field", [("value", hint)])
        converted = msgspec.convert({"value": value}, field, strict=False, dec_hook=_file)
        if holds_floats(hint):
            refuse_not_finite(converted.value)
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
