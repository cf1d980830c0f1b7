"""A declared interface becomes its implementation: method, path and types in, calls out.

Each method becomes a function of its own, generated once (as `dataclasses` generates methods), so that a call does not
look at its declaration again.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import re
import secrets
import types
import typing
import uuid
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast, get_args, get_origin
from urllib.parse import quote, urlencode

import msgspec

from seawall.client.answers import Answer, Kinds, kinds_of
from seawall.client.outgoing import Outgoing, texts
from seawall.client.problems import UnexpectedAnswer
from seawall.problems import DeclarationError, InvalidInput, Problem

if TYPE_CHECKING:
    from seawall.client.client import Client

__all__ = ["Body", "Header", "delete", "get", "implement", "patch", "post", "put"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])
_MARK = "__seawall_request__"
_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATH = re.compile(r"/(?:[!$&'()*+,;=:@A-Za-z0-9._~/-]|%[0-9A-Fa-f]{2}|\{[A-Za-z_][A-Za-z0-9_]*\})*")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_SAFE_TO_REPEAT = frozenset({"GET", "PUT", "DELETE"})
_SCALARS = (
    str, int, float, bool, decimal.Decimal, uuid.UUID,
    dt.date, dt.datetime, dt.time, dt.timedelta, type(None),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """Marks a parameter that is sent as a header field: ``Annotated[str, Header("X-Tenant")]``."""

    name: str


@dataclass(frozen=True, slots=True)
class Body:
    """Marks the parameter that is the body, where its type does not tell: ``Annotated[list[int], Body()]``."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    idempotent: bool | None
    key: bool
    raises: tuple[type[Problem], ...]


def get(path: str, *, raises: Sequence[type[Problem]] = ()) -> Callable[[F], F]:
    """Declare a method that is a GET of *path*; see `post`."""
    return _declare(_Request("GET", path, None, key=False, raises=tuple(raises)))


def delete(path: str, *, raises: Sequence[type[Problem]] = ()) -> Callable[[F], F]:
    """Declare a method that is a DELETE of *path*; see `post`."""
    return _declare(_Request("DELETE", path, None, key=False, raises=tuple(raises)))


def put(path: str, *, raises: Sequence[type[Problem]] = ()) -> Callable[[F], F]:
    """Declare a method that is a PUT to *path*; see `post`."""
    return _declare(_Request("PUT", path, None, key=False, raises=tuple(raises)))


def patch(
    path: str, *, idempotent: bool | None = None, key: bool = False, raises: Sequence[type[Problem]] = ()
) -> Callable[[F], F]:
    """Declare a method that is a PATCH of *path*; see `post`."""
    return _declare(_Request("PATCH", path, idempotent, key, tuple(raises)))


def post(
    path: str, *, idempotent: bool | None = None, key: bool = False, raises: Sequence[type[Problem]] = ()
) -> Callable[[F], F]:
    """Declare a method that is a POST to *path*.

    Parameters named in the path stand there, those marked with `Header` among the header fields, one called
    ``idempotency_key`` is ``Idempotency-Key``. Of the others, the one that is no scalar (nor a list of them) is the
    body, and the rest is the query; None is left out. What is returned is decoded from JSON; `bytes` and `Answer` come
    as they are, None drops the body.

    Args:
        path: What comes after the client's URL; ``{name}`` for parameters.
        idempotent: Whether it may be made twice, whatever its method says.
        key: Whether each call gets an ``Idempotency-Key`` of its own, the same in each attempt; it may be made twice.
        raises: Kinds of problems that are raised as themselves.
    """
    return _declare(_Request("POST", path, idempotent, key, tuple(raises)))


def _declare(request: _Request) -> Callable[[F], F]:
    if not _PATH.fullmatch(request.path):
        raise DeclarationError(
            f"path={request.path!r} is not possible: begin with a slash, and encode what is no letter."
        )

    def mark(function: F) -> F:
        if not inspect.iscoroutinefunction(function):
            raise DeclarationError(f"{function.__qualname__} must be an async function; write 'async def'.")
        setattr(function, _MARK, request)
        return function

    return mark


def implement(client: Client, kind: Callable[..., T], raises: Sequence[type[Problem]]) -> T:
    """Return an implementation of *kind*; see `Client.bind`."""
    if not isinstance(kind, type):
        raise DeclarationError(f"{kind!r} is no class; declare a typing.Protocol with methods under @get, @post ….")
    shown = f"{kind.__name__} of client {client.name!r}"
    declared = {name: member for name, member in inspect.getmembers(kind, inspect.isfunction) if hasattr(member, _MARK)}
    if not declared:
        raise DeclarationError(f"{shown} declares no call; put @get, @post, @put, @patch or @delete on its methods.")
    made = {name: _Method(client, shown, function, raises).compile() for name, function in declared.items()}
    implementation = cast("Callable[[], T]", type(kind.__name__, (kind,), made))
    return implementation()


class _Method:
    """One declared method on its way to a function."""

    def __init__(self, client: Client, owner: str, function: Any, raises: Sequence[type[Problem]]) -> None:
        self.client = client
        self.function = function
        self.request: _Request = getattr(function, _MARK)
        self.where = f"{function.__name__} in {owner}"
        self.kinds: Kinds = kinds_of(
            [*self.request.raises, *(k for k in raises if k not in self.request.raises)], self.where
        )
        try:
            self.hints = typing.get_type_hints(function, include_extras=True)
        except Exception as error:
            raise DeclarationError(f"{self.where}: its types cannot be read: {error}.") from error
        self.body: str | None = None
        self.query: list[str] = []
        self.headers: dict[str, str] = {}
        self.path = _PLACE.findall(self.request.path)
        self.parameters = list(inspect.signature(function).parameters.values())[1:]
        for parameter in self.parameters:
            self._place(parameter)
        missing = set(self.path) - {parameter.name for parameter in self.parameters}
        if missing:
            raise DeclarationError(
                f"{self.where}: {self.request.path} names {sorted(missing)}, which it does not take."
            )

    def compile(self) -> Callable[..., Any]:
        """Return the function that makes the call."""
        names: dict[str, Any] = {
            "_send": self.client.send, "_Outgoing": Outgoing, "_kinds": self.kinds, "_segment": _segment,
            "_texts": texts, "_query": _query, "_encode": msgspec.json.Encoder().encode,
            "_token": secrets.token_urlsafe, "_decode": self._decoder(),
        }  # fmt: skip
        lines = [f"async def {self.function.__name__}({self._signature(names)}):"]
        lines += [f"    {line}" for line in self._lines()]
        exec("\n".join(lines), names)  # noqa: S102 - from declarations in the program, none of it from callers
        made: Callable[..., Any] = names[self.function.__name__]
        made.__doc__, made.__qualname__, made.__module__ = (
            self.function.__doc__, self.function.__qualname__, self.function.__module__,
        )  # fmt: skip
        made.__annotations__ = self.function.__annotations__
        return made

    def _place(self, parameter: inspect.Parameter) -> None:
        name = parameter.name
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise DeclarationError(f"{self.where}: *{name} cannot be sent; name each parameter.")
        if name not in self.hints:
            raise DeclarationError(f"{self.where}: {name} needs a type.")
        kind, marks = _unwrapped(self.hints[name])
        header = next((mark for mark in marks if isinstance(mark, Header)), None)
        if name in self.path:
            if not _is_scalar(kind):
                raise DeclarationError(f"{self.where}: {name} stands in the path, and {kind!r} is no single value.")
        elif header is not None or name == "idempotency_key":
            self.headers[name] = header.name if header is not None else "Idempotency-Key"
        elif any(isinstance(mark, Body) for mark in marks) or not _is_query(kind):
            if self.body is not None or self.request.method not in _WITH_BODY:
                raise DeclarationError(
                    f"{self.where}: {name} would be a body, and {self.body or self.request.method} "
                    f"{'is one already' if self.body else 'has none'}; make it part of the query or of one structure."
                )
            self.body = name
        else:
            self.query.append(name)

    def _signature(self, names: dict[str, Any]) -> str:
        parts, keyword_only = ["self"], False
        for parameter in self.parameters:
            if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
                keyword_only = True
                parts.append("*")
            part = parameter.name
            if parameter.default is not parameter.empty:
                names[f"_default_{parameter.name}"] = parameter.default
                part += f"=_default_{parameter.name}"
            parts.append(part)
        return ", ".join(parts)

    def _lines(self) -> list[str]:
        request = self.request
        pieces = _PLACE.split(self.client.url + request.path)
        url = " + ".join(
            f"_segment({piece!r}, {piece})" if index % 2 else repr(piece) for index, piece in enumerate(pieces) if piece
        )
        fields = {} if self._returns() in {bytes, Answer} else {"Accept": "application/json"}
        body = "None"
        if self.body is not None:
            raw = _is_raw(_unwrapped(self.hints[self.body])[0])
            body = self.body if raw else f"_encode({self.body})"
            fields["Content-Type"] = "application/octet-stream" if raw else "application/json"
        lines = [f"_url = {url}", f"_headers = {fields!r}"]
        if self.query:
            entries = ", ".join(f"({name!r}, {name})" for name in self.query)
            lines.append(f"_url += _query(({entries},))")
        for name, field in self.headers.items():
            lines += [f"if {name} is not None:", f"    _headers[{field!r}] = _texts({name})"]
        if request.key:
            lines += ["if 'Idempotency-Key' not in _headers:", "    _headers['Idempotency-Key'] = _token(18)"]
        call = f"_Outgoing({request.method!r}, _url, _headers, {body}, {self._repeats()}, _kinds)"
        lines.append(f"return _decode(await _send({call}))")
        return lines

    def _repeats(self) -> str:
        request = self.request
        if (
            self.body is not None
            and _unwrapped(self.hints[self.body])[0] is not bytes
            and _is_raw(_unwrapped(self.hints[self.body])[0])
        ):
            return "False"  # pieces that have been sent are gone
        if request.idempotent is not None:
            return repr(request.idempotent)
        if request.method in _SAFE_TO_REPEAT or request.key:
            return "True"
        return "'Idempotency-Key' in _headers"

    def _returns(self) -> Any:
        if "return" not in self.hints:
            raise DeclarationError(f"{self.where}: say what it returns; None where nothing does.")
        return _unwrapped(self.hints["return"])[0]

    def _decoder(self) -> Callable[[Answer], Any]:
        kind, target = self._returns(), self.client.name
        if kind is Answer:
            return lambda answer: answer
        if kind in {None, type(None)}:

            def dropped(answer: Answer) -> None:
                _expected(target, answer)

            return dropped
        if kind is bytes:
            return lambda answer: _expected(target, answer).body
        try:
            decode = msgspec.json.Decoder(kind).decode
        except TypeError as error:
            raise DeclarationError(f"{self.where}: what it returns cannot be decoded: {error}.") from error

        def decoded(answer: Answer) -> Any:
            if answer.status >= 300:
                _expected(target, answer)
            try:
                return decode(answer.body)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise UnexpectedAnswer(target, f"its answer is not what was declared: {error}") from error

        return decoded


def _expected(target: str, answer: Answer) -> Answer:
    if answer.status >= 300:
        raise UnexpectedAnswer(target, f"it answered with {answer.status}")
    return answer


def _segment(name: str, value: object) -> str:
    """Return *value* as one segment of a path, and never as one that means another place (RFC 3986 §5.2.4)."""
    if type(value) is int:
        return str(value)
    text = quote(str(texts(value)), safe="")
    if text in {"", ".", ".."}:
        raise InvalidInput(f"{name} cannot be {text!r}.")
    return text


def _query(entries: tuple[tuple[str, object], ...]) -> str:
    said = [(name, texts(value)) for name, value in entries if value is not None]
    text = urlencode(said, doseq=True) if said else ""
    return f"?{text}" if text else ""


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        return kind, tuple(marks)
    return hint, ()


def _is_scalar(kind: Any) -> bool:
    origin = get_origin(kind)
    if origin is Literal:
        return True
    if origin in {typing.Union, types.UnionType}:
        return all(_is_scalar(_unwrapped(one)[0]) for one in get_args(kind))
    return isinstance(kind, type) and (kind in _SCALARS or issubclass(kind, enum.Enum))


def _is_query(kind: Any) -> bool:
    if _is_scalar(kind):
        return True
    if get_origin(kind) in {typing.Union, types.UnionType}:
        return all(_is_query(_unwrapped(one)[0]) for one in get_args(kind))
    if get_origin(kind) in {list, tuple, set, frozenset, Sequence}:
        return all(one is Ellipsis or _is_scalar(_unwrapped(one)[0]) for one in get_args(kind))
    return False


def _is_raw(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return origin is bytes or (isinstance(origin, type) and issubclass(origin, AsyncIterable))
