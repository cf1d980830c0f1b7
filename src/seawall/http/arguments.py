"""The fragment that turns the parts of a request into an operation's typed arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request

from seawall.http.binding import Bound, Source
from seawall.http.bodies import BodyReader
from seawall.http.carrier import HttpCarrier
from seawall.http.cookies import parse_cookies
from seawall.http.forms import FormReader, close_files
from seawall.http.inspector import (
    CONVERSION_ERRORS,
    TEXT_SOURCES,
    GroupReader,
    TextInspector,
    every_value,
    listed_field,
    path_position,
)
from seawall.http.query import QueryError, parse_query
from seawall.http.route import Route
from seawall.http.text import many_reader, reader
from seawall.operation import bare
from seawall.plan import Place, Writer
from seawall.problems import MalformedQuery, Unauthorized, UnsupportedMediaType

__all__ = ["Arguments", "Bind"]

Read = Callable[[Any], Any]


class Arguments:
    """The expressions for an operation's arguments, filled in while the plan is written."""

    __slots__ = ("expressions",)

    def __init__(self) -> None:
        self.expressions: dict[str, str] = {}

    def call(self, route: Route) -> str:
        """Return the argument list of the call."""
        return ", ".join(
            f"{parameter.name}={self.expressions[parameter.name]}"
            if parameter.keyword_only
            else self.expressions[parameter.name]
            for parameter in route.operation.parameters
        )


class Bind:
    """Writes the lines that bind one route's parameters."""

    name = "bind"
    place = Place.BIND

    def __init__(self, route: Route, carrier: HttpCarrier, arguments: Arguments, forms: Any, max_fields: int) -> None:
        self._route = route
        self._carrier = carrier
        self._arguments = arguments
        self._forms = forms
        self._max_fields = max_fields
        self._texts = [bound for bound in route.bounds if bound.source in TEXT_SOURCES]
        self._sources = {bound.source for bound in self._texts}

    @property
    def note(self) -> str:
        """What is bound, for people."""
        shown = [bound for bound in self._route.bounds if bound.source is not Source.RESOURCE]
        return ", ".join(f"{bound.parameter.name} from {bound.source}" for bound in shown)

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the lines that read, decode and check every argument; a form's files are closed in the end."""
        if all(bound.source is not Source.FORM for bound in self._route.bounds):
            self._emit(writer, inner)
            return
        writer.line("files = []")
        with writer.block("try:"):
            self._emit(writer, inner)
        with writer.block("finally:"):
            writer.line(f"{writer.bind('close_files', close_files)}(files)")

    def _emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        self._emit_sources(writer)
        self._emit_texts(writer)
        for bound in self._route.bounds:
            if bound.source is Source.BODY:
                self._emit_body(writer, bound)
            elif bound.source is Source.FORM:
                self._emit_form(writer, bound)
            elif bound.source is Source.CALL:
                self._arguments.expressions[bound.parameter.name] = "call"
            elif bound.source is Source.PRINCIPAL:
                self._emit_principal(writer, bound)
            elif bound.source is Source.REQUEST:
                self._arguments.expressions[bound.parameter.name] = f"{writer.bind('Request', Request)}(scope, receive)"
        inner()

    def _emit_sources(self, writer: Writer) -> None:
        if Source.QUERY in self._sources:
            parse = writer.bind("parse_query", parse_query)
            malformed = writer.bind("malformed_query", malformed_query)
            limit = writer.bind("max_query_fields", self._max_fields)
            error = writer.bind("QueryError", QueryError)
            with writer.block("if raw_query:"):
                with writer.block("try:"):
                    writer.line(f"query, repeated = {parse}(raw_query, {limit})")
                with writer.block(f"except {error} as error:"):
                    writer.line(f"raise {malformed}(error) from None")
            with writer.block("else:"):
                writer.lines("query = {}", "repeated = None")
        if Source.COOKIE in self._sources:
            cookies = writer.bind("parse_cookies", parse_cookies)
            writer.line(f'cookies = {cookies}(headers.get(b"cookie", b""))')

    def _emit_texts(self, writer: Writer) -> None:
        if not self._texts:
            return
        inspector = TextInspector(self._route)
        invalid_text = writer.bind("invalid_parameters", inspector)
        source = ", ".join(
            (
                "parts",
                "query" if Source.QUERY in self._sources else "None",
                "repeated" if Source.QUERY in self._sources else "None",
                "headers",
                "cookies" if Source.COOKIE in self._sources else "None",
            )
        )
        if inspector.singles:
            singles = writer.bind("single_fields", inspector.singles)
            with writer.block(f"if repeated is not None and not {singles}.isdisjoint(repeated):"):
                writer.line(f"raise {invalid_text}({source})")
        with writer.block("try:"):
            for bound in self._texts:
                self._emit_text(writer, bound)
        with writer.block(f"except {writer.bind('conversion_errors', CONVERSION_ERRORS)} as error:"):
            writer.line(f"raise {invalid_text}({source}) from error")

    def _emit_text(self, writer: Writer, bound: Bound) -> None:
        name = local(bound)
        self._arguments.expressions[bound.parameter.name] = name
        if bound.fields:
            grouped = writer.bind(f"read_{bound.parameter.name}", GroupReader(bound))
            writer.line(f"{name} = {grouped}(query, repeated)")
            return
        if bound.source is Source.PATH:
            position = path_position(self._route, bound)
            read = reader(bound.parameter.type)
            text = f"parts[{position}]"
            writer.line(
                f"{name} = {writer.bind(f'read_{bound.parameter.name}', read)}({text})" if read else f"{name} = {text}"
            )
            return
        key = writer.bind(
            f"name_{bound.wire}", bound.wire.lower().encode() if bound.source is Source.HEADER else bound.wire
        )
        if bound.many:
            self._emit_many(writer, bound, name, key)
            return
        place = {Source.QUERY: "query", Source.HEADER: "headers", Source.COOKIE: "cookies"}[bound.source]
        read = reader(bound.parameter.type)
        decode = '.decode("latin-1")' if bound.source is Source.HEADER else ""
        reading = (
            f"{writer.bind(f'read_{bound.parameter.name}', read)}({{text}}{decode})" if read else f"{{text}}{decode}"
        )
        if bound.parameter.required:
            writer.line(f"{name} = {reading.format(text=f'{place}[{key}]')}")
            return
        default = writer.bind(f"default_{bound.parameter.name}", bound.parameter.default)
        writer.line(f"{name} = {place}.get({key})")
        writer.line(f"{name} = {default} if {name} is None else {reading.format(text=name)}")

    def _emit_many(self, writer: Writer, bound: Bound, name: str, key: str) -> None:
        read = writer.bind(f"read_{bound.parameter.name}", many_reader(bound.parameter.type))
        if bound.source is Source.QUERY:
            many = writer.bind("every_value", every_value)
            writer.line(f"{name} = {many}({key}, query, repeated)")
        else:
            listed = writer.bind("listed", listed_field)
            writer.line(f"{name} = {listed}(headers.get({key}))")
        if bound.parameter.required:
            missing = writer.bind("missing", KeyError)
            with writer.block(f"if {name} is None:"):
                writer.line(f"raise {missing}({key})")
            writer.line(f"{name} = {read}({name})")
            return
        default = writer.bind(f"default_{bound.parameter.name}", bound.parameter.default)
        writer.line(f"{name} = {default} if {name} is None else {read}({name})")

    def _emit_body(self, writer: Writer, bound: Bound) -> None:
        name = local(bound)
        self._arguments.expressions[bound.parameter.name] = name
        self._carrier.read_body(writer, self._route.policy.max_body)
        if bare(bound.parameter.type) is bytes:
            writer.line(f"{name} = raw_body")
            return
        body = BodyReader(bound.parameter.type, self._route.policy)
        readers = writer.bind("body_readers", body.readers)
        find = writer.bind("body_reader", body.reader)
        recover = writer.bind("recover_body", body.recover)
        self._emit_coding(writer)

        def emit_decoding() -> None:
            writer.lines(
                'media_type = headers.get(b"content-type")',
                f"decode = {readers}.get(media_type) or {find}(media_type, raw_body)",
            )
            with writer.block("try:"):
                writer.line(f"{name} = decode(raw_body)")
            with writer.block("except Exception as error:"):
                writer.line(f"{name} = {recover}(error, raw_body, decode)")

        if bound.parameter.required:
            emit_decoding()
            return
        writer.line(f"{name} = {writer.bind(f'default_{bound.parameter.name}', bound.parameter.default)}")
        with writer.block("if raw_body:"):
            emit_decoding()

    def _emit_coding(self, writer: Writer) -> None:
        refuse_coding = writer.bind("refuse_coding", refuse_coding_of)
        with writer.block('if b"content-encoding" in headers:'):
            writer.line(f'{refuse_coding}(headers[b"content-encoding"])')

    def _emit_form(self, writer: Writer, bound: Bound) -> None:
        name = local(bound)
        self._arguments.expressions[bound.parameter.name] = name
        self._emit_coding(writer)
        form = writer.bind("read_form", FormReader(bound.parameter.type, self._route.policy, self._forms))
        writer.line(f"{name} = await {form}(receive, headers, files)")

    def _emit_principal(self, writer: Writer, bound: Bound) -> None:
        self._arguments.expressions[bound.parameter.name] = "call.principal"
        if type(None) not in getattr(bound.parameter.type, "__args__", ()):
            missing = writer.bind("unauthorized", unauthorized)
            with writer.block("if call.principal is None:"):
                writer.line(f"raise {missing}()")


def local(bound: Bound) -> str:
    """Return the local name of a parameter; the prefix keeps it from hiding the plan's own."""
    return f"p_{bound.parameter.name}"


def malformed_query(error: Exception) -> MalformedQuery:
    """Return the problem for a query that cannot be decoded."""
    text = str(error)
    return MalformedQuery(f"The query cannot be read: {text}.")


def refuse_coding_of(coding: bytes) -> None:
    """Refuse a body with a content coding (RFC 9110 §15.5.16); identity is none."""
    if coding.strip().lower() != b"identity":
        raise UnsupportedMediaType(
            f"A body in the content coding {coding.decode('latin-1')!r} is not read here; send it as it is.",
            headers={"Accept-Encoding": "identity"},
        )


def unauthorized() -> Unauthorized:
    """Return the problem for a call without a principal."""
    return Unauthorized("This operation needs to know who calls.")
