"""The fragments at the inner end of a plan: the call of the operation, and its result becoming bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from starlette.responses import Response

from seawall.call import Call
from seawall.http.arguments import Arguments
from seawall.http.binding import Source, is_model
from seawall.http.bodies import enc_hook
from seawall.http.negotiation import Negotiator
from seawall.http.reply import Reply, is_reply
from seawall.http.route import Route
from seawall.operation import bare, union_members
from seawall.plan import Place, Writer
from seawall.problems import NotAcceptable
from seawall.resources import CallResources

__all__ = ["AllRepresentations", "Encode", "Invoke", "is_response", "returns_response", "whole_response"]

JSON = "application/json"
MSGPACK = "application/msgpack"
MEDIA_TYPES = (JSON, MSGPACK)
_MAX_REMEMBERED = 256
_MAX_REMEMBERED_BYTES = 512


class Invoke:
    """The call of the operation itself."""

    name = "operation"
    place = Place.OPERATION

    def __init__(self, route: Route, arguments: Arguments, resources: CallResources) -> None:
        self._route = route
        self._arguments = arguments
        self._resources = resources

    @property
    def note(self) -> str:
        """Where it is defined."""
        return (
            f"{self._route.operation.function.__module__}.{getattr(self._route.operation.function, '__qualname__', '')}"
        )

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the call."""
        for bound in self._route.bounds:
            if bound.source is Source.RESOURCE:
                reference = self._resources.reference(writer, bound.parameter.type)
                self._arguments.expressions[bound.parameter.name] = reference
        function = writer.bind("operation", self._route.operation.function)
        writer.line(f"result = await {function}({self._arguments.call(self._route)})")
        inner()


class Encode:
    """Chooses the representation before the operation runs, and encodes its result after."""

    name = "encode"
    place = Place.ENCODE
    note = "JSON or MessagePack by Accept"

    def __init__(self, route: Route, remembered: AllRepresentations, version: str | None = None) -> None:
        self._route = route
        self._remembered = remembered
        self._returns = route.operation.returns
        self._version = version
        self._kept = route.policy.cache is not None

    @property
    def empty(self) -> bool:
        """Whether a success may have no body."""
        return self._returns is type(None) or is_reply(self._returns)

    def representations(self) -> Representations | None:
        """Return how results are encoded; None where there is nothing to encode."""
        if self._returns is type(None) or is_response(self._returns):
            return None
        return self._remembered.of(self._returns, self._version)

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the negotiation, what is further in, and the encoding."""
        status = writer.bind("success", self._route.status)
        if self._returns is type(None):
            inner()
            writer.lines(f"status = {status}", "content_type = None", 'body = b""')
            return
        if self._returns is not Any and is_response(self._returns):
            inner()
            if self._kept:
                self._emit_whole(writer)
                return
            writer.lines("response = result", f"status = {status}", "body = None")
            return
        representations = self._remembered.of(self._returns, self._version)
        chosen = writer.bind("representations", representations.chosen)
        choose = writer.bind("choose_representation", representations.choose)
        writer.line('accept = headers.get(b"accept")')
        writer.line(f"encode, content_type = {chosen}.get(accept) or {choose}(accept)")
        inner()
        writer.line(f"status = {status}")
        if returns_response(self._returns):
            response = writer.bind("Response", Response)
            with writer.block(f"if isinstance(result, {response}):"):
                if self._kept:
                    self._emit_whole(writer)
                else:
                    writer.lines("response = result", "body = None")
            with writer.block("else:"):
                self._emit_value(writer)
            return
        self._emit_value(writer)

    def _emit_whole(self, writer: Writer) -> None:
        whole = writer.bind("whole_response", whole_response)
        writer.line(f"status, content_type, body = {whole}(result, call)")

    def _emit_value(self, writer: Writer) -> None:
        if not is_reply(self._returns):
            writer.line("body = encode(result)")
            return
        reply = writer.bind("Reply", Reply)
        unpack = writer.bind("unpack_reply", unpack_reply)
        with writer.block(f"if isinstance(result, {reply}):"):
            writer.line(f"status = {unpack}(result, call, status)")
            writer.line("result = result.value")
        with writer.block("if result is None or status in (204, 205, 304):"):
            writer.lines("content_type = None", 'body = b""')
        with writer.block("else:"):
            writer.line("body = encode(result)")


class AllRepresentations:
    """The representations of a service: one for all operations whose results are encoded alike."""

    def __init__(self) -> None:
        self._known: dict[Any, Representations] = {}

    def of(self, returns: Any, version: str | None) -> Representations:
        """Return the representations of what an operation returns, in a version that media types name."""
        key = (returns if is_model(returns) else None, version)
        if key not in self._known:
            self._known[key] = Representations(returns, version)
        return self._known[key]


class Representations:
    """Which encoder and media type answer an ``Accept`` field.

    Args:
        returns: What the operation returns.
        version: The version that media types name, where that is how callers name versions.
    """

    def __init__(self, returns: Any, version: str | None = None) -> None:
        json, msgpack = (kind if version is None else f"{kind}; version={version}" for kind in MEDIA_TYPES)
        self._encoders = {
            json: (_json_encoder(returns), json.encode()),
            msgpack: (msgspec.msgpack.Encoder(enc_hook=enc_hook).encode, msgpack.encode()),
        }
        self._negotiate = Negotiator((json, msgpack))
        self.chosen: dict[bytes | None, tuple[Callable[[Any], bytes], bytes]] = {
            None: self._encoders[json],
            b"*/*": self._encoders[json],
            JSON.encode(): self._encoders[json],
            MSGPACK.encode(): self._encoders[msgpack],
        }

    def choose(self, accept: bytes | None) -> tuple[Callable[[Any], bytes], bytes]:
        """Return the encoder and media type for a field that is not in `chosen` yet.

        Raises:
            NotAcceptable: Neither JSON nor MessagePack will do.
        """
        offer = self._negotiate(accept)
        if offer is None:
            raise NotAcceptable(f"This operation answers with {' or '.join(MEDIA_TYPES)}.", available=MEDIA_TYPES)
        if accept is not None and len(accept) <= _MAX_REMEMBERED_BYTES and len(self.chosen) < _MAX_REMEMBERED:
            self.chosen[accept] = self._encoders[offer]
        return self._encoders[offer]


def _json_encoder(returns: Any) -> Callable[[Any], bytes]:
    if is_model(returns):
        # By alias, as the document says and as input is read.
        return partial(returns.__pydantic_serializer__.to_json, by_alias=True)
    return msgspec.json.Encoder(enc_hook=enc_hook).encode


def unpack_reply(reply: Reply[Any], call: Call, status: int) -> int:
    """Move what *reply* says beside its value to *call*, and return the status."""
    if reply.location is not None:
        call.add_header("location", reply.location)
    for name, value in reply.headers.items():
        call.add_header(name, value)
    for cookie in reply.cookies:
        call.add_header("set-cookie", cookie.decode("latin-1"))
    return status if reply.status is None else reply.status


def whole_response(response: Response, call: Call) -> tuple[int, bytes | None, bytes]:
    """Move what *response* says to *call*, and return its status, type and body: an answer that can be kept.

    Raises:
        TypeError: It is sent piece by piece, or has work to do afterwards.
    """
    if hasattr(response, "body_iterator") or response.background is not None or not isinstance(response.body, bytes):
        raise TypeError(
            f"{type(response).__name__} cannot be kept: with cache= an operation answers with a Response that is whole "
            "and has no background work"
        )
    content_type = None
    fields = call.fields = call.fields or []
    for name, value in response.raw_headers:
        if name == b"content-type":
            content_type = value
        elif name != b"content-length":
            fields.append((name, value))
    return response.status_code, content_type, response.body


def returns_response(hint: Any) -> bool:
    """Return whether an operation may answer with a Starlette response."""
    return any(is_response(member) for member in union_members(hint))


def is_response(hint: Any) -> bool:
    """Return whether *hint* is a Starlette response, and nothing else."""
    hint = bare(hint)
    return isinstance(hint, type) and issubclass(hint, Response)
