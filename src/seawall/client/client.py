"""A client of one target: its address, its policies, and what each call to it carries."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from seawall.call import current
from seawall.client.answers import Answer, error_of
from seawall.client.destinations import Destinations
from seawall.client.interface import implement
from seawall.client.outgoing import Outgoing, Pieces, texts
from seawall.client.problems import UnexpectedAnswer
from seawall.client.propagation import Propagator, attempt_number, call_context, remaining_time
from seawall.client.tls import Tls
from seawall.client.trusted import Trusted
from seawall.clock import Clock, SystemClock
from seawall.problems import DeadlineExceeded, DeclarationError, Problem
from seawall.resilience import Environment, Pipeline, Timeout, TimeoutEngine, repeatable
from seawall.settings.client import ClientSettings

if TYPE_CHECKING:
    from seawall.client.aiohttp import Wire, WireStream

__all__ = ["Authorization", "Client", "Stream"]

T = TypeVar("T")
# Methods that may be sent twice: RFC 9110 §9.2.2.
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
_KEY = "Idempotency-Key"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ORIGIN = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?")
_encode = msgspec.json.Encoder().encode
Query = Mapping[str, object] | None


class Authorization(Protocol):
    """By what a client is known to its target."""

    async def authorization(self) -> str:
        """Return the value of ``Authorization``."""
        ...

    def refused(self, value: str) -> bool:
        """Forget *value*, which got 401; return whether a new one is worth one more try."""
        ...


class Client:
    """Calls to one target, under its policies.

    A target of the same house (``client.trusted``) is told the id and trace of the call being served, how long that one
    has left, and which attempt it is where it is a retry; strangers are told nothing. Each call ends at the deadline of
    the call being served, or after ``client.timeout``. Connections are pooled, and belong to the event loop of the
    first call. Close it, or use it as ``async with``. `Service.client` makes one by the service's settings.

    Args:
        name: The target's name, in errors, logs and policies.
        url: Where it is: ``https://host``, with a path that all calls have in common.
        pipeline: The policies around each call; those of `seawall.resilience`.
        settings: Limits: ``service.settings.client``, or the defaults.
        auth: By what the client is known: `ClientCredentials`, `Bearer`.
        tls: Whom it trusts and the certificate it shows.
        destinations: Where connections may lead, for URLs that somebody else gave; None for anywhere.
        propagate: What each call says about the one it is made for, whoever the target is; by default what is written
            above, and nothing to URLs that somebody else gave.
        clock: What time it is.

    Raises:
        DeclarationError: The URL is none of a target.
    """

    def __init__(
        self,
        name: str,
        url: str,
        pipeline: Pipeline | None = None,
        *,
        settings: ClientSettings | None = None,
        auth: Authorization | None = None,
        tls: Tls | None = None,
        destinations: Destinations | None = None,
        propagate: Sequence[Propagator] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not _ORIGIN.fullmatch(url) or "@" in url:
            raise DeclarationError(
                f"client {name!r}: url={url!r} is not possible: write https://host or https://host/path."
            )
        self.name = name
        self.url = url.rstrip("/")
        self.settings = settings or ClientSettings()
        self.pipeline = pipeline
        self._auth = auth
        self._tls = tls
        self._destinations = destinations
        self._made: Wire | None = None
        time = clock or SystemClock()
        if propagate is None:
            told = destinations is None and Trusted(self.settings.trusted).includes(url)
            propagate = (call_context, attempt_number, remaining_time(time)) if told else ()
        self._propagate = tuple(propagate)
        self._monotonic = time.monotonic
        limit = Timeout(self.settings.timeout).engine(name, Environment(time))
        self._send = _under(pipeline, limit, self._attempt)
        self._send_open = _under(pipeline, limit, self._open)

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        idempotent: bool | None = None,
    ) -> Answer:
        """Make one call.

        Args:
            method: Its method.
            path: What comes after the target's URL, encoded; with *destinations*, also a whole URL.
            body: `bytes`, pieces of bytes, or a value that is sent as JSON.
            query: What the query says; None is left out, of a list each.
            headers: Further header fields.
            key: ``Idempotency-Key``, the same in each attempt; makes the call repeatable.
            idempotent: Whether it may be made twice; by default as its method says, or if there is a key.

        Raises:
            RemoteProblem: The target answered with a status of 400 or more.
            ConnectFailed: There was no connection.
            ConnectionLost: No whole answer came.
            TimedOut: It took too long.
            Rejected: A policy did not let it out.
        """
        return await self.send(self.outgoing(method, path, body, query, headers, key, idempotent=idempotent))

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        idempotent: bool | None = None,
    ) -> AsyncGenerator[Stream]:
        """Make one call whose answer comes piece by piece; arguments and errors as those of `request`.

        The policies are around the call up to the head of its answer. The body has no limit of size; where nothing
        comes for ``client.idle_timeout`` it is given up. Leaving the block closes the stream.
        """
        outgoing = self.outgoing(method, path, body, query, headers, key, idempotent=idempotent)
        self._check_deadline()
        try:
            token = repeatable.set(outgoing.repeatable)
            try:
                opened: WireStream = await self._send_open(outgoing)
            finally:
                repeatable.reset(token)
            yield Stream(opened)
        finally:
            # Also those that came too late, or lost a race: the policies know nothing of closing.
            for one in outgoing.opened:
                one.close()

    async def send(self, outgoing: Outgoing) -> Answer:
        """Make a call that has been prepared; errors as those of `request`."""
        self._check_deadline()
        token = repeatable.set(outgoing.repeatable)
        try:
            answer: Answer = await self._send(outgoing)
        finally:
            repeatable.reset(token)
        return answer

    def outgoing(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Query = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        *,
        idempotent: bool | None = None,
    ) -> Outgoing:
        """Prepare a call; arguments as those of `request`."""
        method, sent = method.upper(), dict(headers) if headers else {}
        content: bytes | Pieces | None
        if body is None or isinstance(body, (bytes, AsyncIterable)):
            content = body
        else:
            content = _encode(body)
            sent.setdefault("Content-Type", "application/json")
        if key is not None:
            sent[_KEY] = key
        keyed = bool(sent) and any(name.lower() == "idempotency-key" for name in sent)
        may_repeat = idempotent if idempotent is not None else (method in _IDEMPOTENT or keyed)
        # Pieces that have been sent are gone.
        may_repeat = may_repeat and (content is None or isinstance(content, bytes))
        return Outgoing(method, self._address(path, query), sent, content, may_repeat)

    async def close(self) -> None:
        """Close every connection. A call after that opens new ones."""
        made, self._made = self._made, None
        if made is not None:
            await made.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def guarded(self) -> bool:
        """Whether its connections lead only where its destinations allow."""
        return self._destinations is not None

    def __repr__(self) -> str:
        return f"<Client {self.name!r} {self.url}>"

    def bind(self, kind: Callable[..., T], *, raises: Sequence[type[Problem]] = ()) -> T:
        """Return an implementation of the interface *kind*, whose methods are declared by `get`, `post` and so on.

        Args:
            kind: A `typing.Protocol` class.
            raises: Kinds of problems that are raised as themselves where the target answers with their type.

        Raises:
            DeclarationError: A method cannot be called as it is declared.
        """
        return implement(self, kind, raises)

    def _check_deadline(self) -> None:
        """Make no call for a call that has no time left: neither the target nor its breaker is to hear of it."""
        call = current.get(None)
        if call is not None and call.deadline is not None and call.deadline <= self._monotonic():
            raise DeadlineExceeded("No time was left to ask another service.")

    @property
    def _wire(self) -> Wire:
        if self._made is None:
            from seawall.client.aiohttp import Wire  # noqa: PLC0415 - an extra

            self._made = Wire(self.name, self.settings, self._tls, self._destinations)
        return self._made

    def _address(self, path: str, query: Query) -> str:
        if "://" in path:
            if self._destinations is None:
                raise DeclarationError(
                    f"client {self.name!r}: a whole URL is called only by a client with destinations=Destinations(…)."
                )
            url = self._wire.normal(path)
        elif path and not path.startswith("/"):
            raise DeclarationError(f"client {self.name!r}: path={path!r} must begin with a slash.")
        else:
            url = self.url + path
        if query:
            said = {name: value for name, value in query.items() if value is not None}
            text = urlencode({name: texts(value) for name, value in said.items()}, doseq=True)
            if text:
                url += ("&" if "?" in url else "?") + text
        if not url.isascii() or not url.isprintable() or " " in url:
            raise DeclarationError(
                f"client {self.name!r}: path={path!r} is not encoded; quote what is put into it (urllib.parse.quote)."
            )
        return url

    async def _attempt(self, outgoing: Outgoing) -> Answer:
        wire, largest = self._wire, self.settings.max_response
        headers = self._fields(outgoing)
        if self._auth is None:
            if self._destinations is not None:
                wire.judge(outgoing.url)
            answer = await wire.send(outgoing.method, outgoing.url, headers, outgoing.body, largest)
        else:
            answer = await self._known(self._auth, wire, outgoing, headers)
        if answer.status >= 300:
            if answer.status in _REDIRECTS and outgoing.method in {"GET", "HEAD"}:
                answer = await self._follow(wire, outgoing, headers, answer)
            if answer.status >= 400:
                raise error_of(self.name, answer, outgoing.kinds)
        return answer

    async def _known(self, auth: Authorization, wire: Wire, outgoing: Outgoing, headers: dict[str, str]) -> Answer:
        """Send the call with credentials; once more with new ones, where those were no longer good."""
        if self._destinations is not None:
            wire.judge(outgoing.url)
        value = headers["Authorization"] = await auth.authorization()
        largest = self.settings.max_response
        answer = await wire.send(outgoing.method, outgoing.url, headers, outgoing.body, largest)
        replayable = outgoing.body is None or isinstance(outgoing.body, bytes)
        # 401 is said before anything is done, so this is right for calls that may not be made twice as well.
        if answer.status == 401 and auth.refused(value) and replayable:
            headers["Authorization"] = await auth.authorization()
            answer = await wire.send(outgoing.method, outgoing.url, headers, outgoing.body, largest)
        return answer

    async def _follow(self, wire: Wire, outgoing: Outgoing, headers: dict[str, str], answer: Answer) -> Answer:
        """Follow redirects; each is judged as the first URL was, and credentials stay with their origin."""
        url = outgoing.url
        for _ in range(self.settings.max_redirects):
            place = answer.headers.get("location")
            if place is None or answer.status not in _REDIRECTS:
                return answer
            before, url = url, wire.normal(urljoin(url, place))
            if urlsplit(url)[:2] != urlsplit(before)[:2]:
                if self._destinations is None:
                    raise UnexpectedAnswer(self.name, "it redirects to another origin, which is not followed")
                headers = {"Accept": headers.get("Accept", "*/*")}
            wire.judge(url)
            answer = await wire.send(outgoing.method, url, headers, None, self.settings.max_response)
        if answer.status in _REDIRECTS:
            raise UnexpectedAnswer(self.name, f"more than {self.settings.max_redirects} redirects")
        return answer

    async def _open(self, outgoing: Outgoing) -> WireStream:
        wire, headers = self._wire, self._fields(outgoing)
        if self._destinations is not None:
            wire.judge(outgoing.url)
        if self._auth is not None:
            headers["Authorization"] = await self._auth.authorization()
        opened = await wire.open(outgoing.method, outgoing.url, headers, outgoing.body)
        outgoing.opened.append(opened)
        if opened.status < 300:
            return opened
        try:
            content = await opened.read(self.settings.max_response)
        finally:
            opened.close()
        if self._auth is not None and opened.status == 401:
            self._auth.refused(headers["Authorization"])
        if opened.status < 400:
            raise UnexpectedAnswer(self.name, f"it answered a stream with {opened.status}")
        raise error_of(self.name, Answer(opened.status, opened.headers, content), outgoing.kinds)

    def _fields(self, outgoing: Outgoing) -> dict[str, str]:
        headers = outgoing.headers.copy()
        for propagator in self._propagate:
            said = propagator()
            if said:
                headers.update(said)
        return headers


def _under(pipeline: Pipeline | None, limit: TimeoutEngine, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return *function* under *pipeline*, with a time limit for each attempt where it has none that comes sooner."""
    engines = pipeline.engines if pipeline is not None else ()
    limits = [engine.seconds for engine in engines if isinstance(engine, TimeoutEngine)]
    if not limits or min(limits) > limit.seconds:
        function = limit.wrap(function)
    return pipeline.wrap(function) if pipeline is not None else function


class Stream:
    """An answer whose body comes piece by piece: ``async for piece in stream``."""

    def __init__(self, opened: WireStream) -> None:
        self._opened = opened
        self.status = opened.status
        self.headers = opened.headers

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._opened.pieces()
