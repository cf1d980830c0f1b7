"""Reads bodies: by media type, into the operation's type, with every error found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from seawall.http.binding import is_model
from seawall.http.errors import MAX_ERRORS, collect, from_message, from_pydantic, unknown_fields
from seawall.http.media import is_json, parse, utf8_only
from seawall.operation import Policy, bare
from seawall.problems import FieldError, InvalidInput, MalformedBody, Problem, UnsupportedMediaType, pointer

__all__ = ["BodyReader", "dec_hook", "enc_hook"]

_MAX_MEDIA_TYPES = 64
_MAX_EXACT = 2**53  # above it, neighbouring integers are the same float
Decode = Callable[[bytes], Any]


class BodyReader:
    """Decodes the body of one operation.

    Args:
        hint: The type of the body.
        policy: What to do about unknown fields and duplicate keys.
    """

    def __init__(self, hint: Any, policy: Policy) -> None:
        self._hint = hint
        self._refuse_duplicates = policy.duplicate_keys == "refuse"
        self._unknown = unknown_fields(hint) if policy.unknown_fields == "refuse" else None
        # convert() looks a Struct up in a cache; see text.py.
        self._json = self._guarded(_json_decoder(hint), msgspec.json.decode)
        self._msgpack = self._guarded(_msgpack_decoder(hint), msgspec.msgpack.decode)
        self.readers: dict[bytes | None, Decode] = {
            b"application/json": self._json,
            b"application/json; charset=utf-8": self._json,
            b"application/json;charset=UTF-8": self._json,
            b"application/msgpack": self._msgpack,
            b"application/vnd.msgpack": self._msgpack,
        }

    def reader(self, content_type: bytes | None, body: bytes) -> Decode:
        """Return what decodes a body of *content_type* that is not in `readers` yet.

        Raises:
            MalformedBody: There is no body.
            UnsupportedMediaType: The media type is missing or none that is read here.
        """
        if not body:
            raise no_body()
        media = None if content_type is None else parse(content_type)
        if media is not None and is_json(media) and utf8_only(media):
            decode = self._json
        elif media is not None and (media.type, media.subtype) in (
            ("application", "msgpack"),
            ("application", "vnd.msgpack"),
            ("application", "x-msgpack"),
        ):
            decode = self._msgpack
        else:
            given = "none was given" if content_type is None else f"not {content_type.decode('latin-1')!r}"
            raise UnsupportedMediaType(
                f"The body must be application/json (UTF-8) or application/msgpack; {given}.",
                headers={"Accept": "application/json, application/msgpack"},
            )
        if len(self.readers) < _MAX_MEDIA_TYPES:
            self.readers[content_type] = decode
        return decode

    def recover(self, error: Exception, body: bytes, decode: Decode) -> Any:
        """Return the value of *body*, which *decode* refused with *error*, if only the form of its integers is unusual.

        In JSON Schema, as the API document is written, 1.0 is an integer; to msgspec it is none. Nobody pays
        for the difference but who sends it.

        Raises:
            Problem: What is wrong with the body.
        """
        if isinstance(error, msgspec.ValidationError) and "got `float`" in str(error):
            try:
                # What was refused may stand before what is no JSON at all.
                raw = (msgspec.msgpack if decode is self._msgpack else msgspec.json).decode(body)
                value = msgspec.convert(whole_numbers(raw), self._hint, str_keys=True, dec_hook=dec_hook)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass  # there is more to it, and problem() says what
            else:
                unknown = [] if self._unknown is None else self._unknown(raw, ())
                if unknown:
                    raise invalid(unknown) from None
                if self._refuse_duplicates and decode is self._json:
                    _refuse_duplicates(body)
                return value
        raise self.problem(error, body, decode) from None

    def problem(self, error: Exception, body: bytes, decode: Decode) -> Problem:
        """Return the problem that says what is wrong with *body*, which *decode* refused with *error*."""
        if isinstance(error, Problem):
            return error
        if not body:
            return no_body()
        if not isinstance(error, msgspec.ValidationError) and not hasattr(error, "errors"):
            if isinstance(error, RecursionError):
                return MalformedBody("The body is nested too deep.")
            if isinstance(error, UnicodeDecodeError):
                return MalformedBody(f"The body is not UTF-8: {error.reason} at byte {error.start}.")
            if isinstance(error, msgspec.DecodeError | ValueError | OverflowError):
                return MalformedBody(f"The body cannot be decoded: {error}.")
            raise error
        try:
            raw = (msgspec.msgpack if decode is self._msgpack else msgspec.json).decode(body)
            errors = collect(whole_numbers(raw), self._hint, _convert)
        except (msgspec.DecodeError, RecursionError, ValueError) as failure:
            return MalformedBody(f"The body cannot be decoded: {failure}.")
        if self._unknown is not None:
            known = {(item.pointer, item.detail) for item in errors}
            errors += [item for item in self._unknown(raw, ()) if (item.pointer, item.detail) not in known]
        return invalid(errors or [from_message(str(error), ())])

    def _guarded(self, decode: Decode, untyped: Decode) -> Decode:
        unknown = self._unknown
        if unknown is not None:
            inner = decode

            def decode_known(body: bytes) -> Any:
                errors = unknown(untyped(body), ())
                try:
                    value = inner(body)
                except InvalidInput as problem:
                    raise invalid([*problem.errors, *errors]) from None
                if errors:
                    raise invalid(errors)
                return value

            decode = decode_known
        if self._refuse_duplicates and untyped is msgspec.json.decode:
            typed = decode

            def decode_unique(body: bytes) -> Any:
                value = typed(body)
                _refuse_duplicates(body)
                return value

            decode = decode_unique
        return decode


def no_body() -> MalformedBody:
    """Return the problem for a request without the body it must have."""
    return MalformedBody("The request has no body.", errors=[FieldError("A body is required.", "")])


def invalid(errors: list[FieldError]) -> InvalidInput:
    """Return the problem that carries *errors*, as many of them as a person reads."""
    errors = errors[:MAX_ERRORS]
    count = len(errors)
    return InvalidInput("One value is wrong." if count == 1 else f"{count} values are wrong.", errors=errors)


def _json_decoder(hint: Any) -> Decode:
    if bare(hint) is bytes:
        return bytes
    if is_model(hint):
        return _pydantic(hint)
    return msgspec.json.Decoder(hint, dec_hook=dec_hook).decode


def _msgpack_decoder(hint: Any) -> Decode:
    return msgspec.msgpack.Decoder(hint, dec_hook=dec_hook).decode


def _pydantic(model: Any) -> Decode:
    import pydantic  # noqa: PLC0415 - optional; whoever has a model has it

    def decode(body: bytes) -> Any:
        try:
            return model.model_validate_json(body)
        except pydantic.ValidationError as error:
            if any(item["type"] == "json_invalid" for item in error.errors(include_url=False, include_context=False)):
                msgspec.json.decode(body)  # says what is malformed in the words of every other type
                raise MalformedBody("The body is not JSON.") from None
            raise invalid(from_pydantic(error)) from None

    return decode


def dec_hook(kind: Any, value: Any) -> Any:
    """Convert what msgspec does not know: Pydantic models inside other types."""
    if is_model(kind):
        import pydantic  # noqa: PLC0415 - optional; whoever has a model has it

        try:
            return kind.model_validate(value)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{first['msg']}{f' ({place})' if place else ''}") from None
    if isinstance(value, kind):
        return value
    raise NotImplementedError(f"a value of type {kind} cannot be decoded")


def enc_hook(value: Any) -> Any:
    """Encode what msgspec does not know: Pydantic models."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json", by_alias=True)
    raise NotImplementedError(
        f"a value of type {type(value).__qualname__} cannot be encoded; return a Struct, dataclass, attrs class, "
        "TypedDict, Pydantic model or built-in type, and declare '-> Reply[…]' when you return a Reply"
    )


def whole_numbers(value: Any) -> Any:
    """Return *value*, decoded from JSON, with integers for the floats that are whole and hold every digit."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _MAX_EXACT else value
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: whole_numbers(item) for key, item in value.items()}
    return value


def _convert(value: Any, hint: Any) -> Any:
    return msgspec.convert(value, hint, dec_hook=dec_hook)


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys stood there twice."""

    duplicates: tuple[str, ...] = ()


def _refuse_duplicates(body: bytes) -> None:
    clean = True

    def pairs(items: list[tuple[str, Any]]) -> _Object:
        nonlocal clean
        result = _Object(items)
        if len(result) != len(items):
            names = [name for name, _ in items]
            result.duplicates = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
            clean = False
        return result

    value = json.loads(body, object_pairs_hook=pairs)
    if not clean:
        errors = [FieldError("This key stands twice in its object.", place) for place in _duplicates(value, ())]
        raise MalformedBody("The body names a key twice in one object.", errors=errors)


def _duplicates(value: Any, parts: tuple[str | int, ...]) -> Iterator[str]:
    if isinstance(value, _Object):
        for name in value.duplicates:
            yield pointer(*parts, name)
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _duplicates(child, (*parts, key))
