"""Requests on the wire, by aiohttp: connections, their limits, and what its errors mean here.

The only file that knows the driver (see the decision *aiohttp carries outgoing calls*).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Mapping
from typing import Any

from seawall.client.answers import Answer
from seawall.client.destinations import Destinations
from seawall.client.problems import AnswerTooLarge, ConnectFailed, ConnectionLost, DestinationRefused, UnexpectedAnswer
from seawall.client.spans import RequestSpan
from seawall.client.tls import Tls
from seawall.problems import ConfigurationError
from seawall.resilience import TimedOut
from seawall.settings.client import ClientSettings
from seawall.spans import Recorder, recorder

try:
    import aiohttp
    from aiohttp.abc import ResolveResult
    from yarl import URL
except ImportError:
    raise ConfigurationError("seawall.client needs aiohttp: pip install 'seawall[client]'.") from None

__all__ = ["Wire", "WireStream"]

Body = bytes | AsyncIterable[bytes] | None
_CHUNK = 64 * 1024


class Wire:
    """Connections of one client. They belong to the event loop of the first call.

    Args:
        target: The client's name, for errors.
        settings: Limits.
        tls: Whom to trust and what to show; None for the system's authorities and no certificate.
        destinations: Where connections may lead; None for anywhere.
    """

    def __init__(
        self, target: str, settings: ClientSettings, tls: Tls | None, destinations: Destinations | None
    ) -> None:
        self._target = target
        self._settings = settings
        self._tls = tls.context() if tls is not None else None
        self._destinations = destinations
        self._session: aiohttp.ClientSession | None = None
        self._streaming = aiohttp.ClientTimeout(
            total=None, connect=settings.connect_timeout, sock_read=settings.idle_timeout
        )

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body, largest: int) -> Awaitable[Answer]:
        """Send one request and return its whole answer.

        Raises:
            ConnectFailed: There was no connection.
            ConnectionLost: No whole answer came.
            AnswerTooLarge: It has more than *largest* bytes, decompressed.
            UnexpectedAnswer: What came is no HTTP.
        """
        spans = recorder()
        if spans is None:
            return self._send(method, url, headers, body, largest)
        return self._recorded(spans, method, url, headers, body, largest)

    async def _recorded(
        self, spans: Recorder, method: str, url: str, headers: Mapping[str, str], body: Body, largest: int
    ) -> Answer:
        with RequestSpan(spans, self._target, method, url) as span:
            answer = await self._send(method, url, span.joined(headers), body, largest)
            span.answered(answer.status)
            return answer

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: Body, largest: int) -> Answer:
        session = self._session or self._start()
        response: aiohttp.ClientResponse | None = None
        try:
            response = await session._request(  # noqa: SLF001 - `request` wraps it for `async with`, which costs
                method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
            )
            content = await self._read(response, largest)
        except BaseException as error:
            if response is not None:
                response.close()
            if isinstance(error, (aiohttp.ClientError, TimeoutError)):
                raise self.meaning(error) from error
            raise
        return Answer(response.status, response.headers, content)

    async def open(self, method: str, url: str, headers: Mapping[str, str], body: Body) -> WireStream:
        """Send one request and return its answer as soon as its head has come; close it.

        Raises:
            ConnectFailed: There was no connection.
            ConnectionLost: No answer came.
            UnexpectedAnswer: What came is no HTTP.
        """
        session = self._session or self._start()
        spans = recorder()
        span = None
        if spans is not None:
            span = RequestSpan(spans, self._target, method, url)
            headers = span.joined(headers)
        try:
            response = await session._request(  # noqa: SLF001 - as above
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                timeout=self._streaming,
            )
        except BaseException as error:
            if span is not None:
                span.end(error)
            if isinstance(error, (aiohttp.ClientError, TimeoutError)):
                raise self.meaning(error) from error
            raise
        if span is not None:
            span.answered(response.status)
        return WireStream(self, response, span)

    def normal(self, url: str) -> str:
        """Return *url*, which somebody else gave, as it is sent: encoded, its host in ASCII, no fragment.

        Raises:
            DestinationRefused: It is no URL.
        """
        try:
            return str(URL(url).with_fragment(None))
        except (ValueError, TypeError) as error:
            raise DestinationRefused(f"{url[:200]!r} is no URL: {error}") from None

    def judge(self, url: str) -> None:
        """Judge *url*, as it would be connected to.

        Raises:
            DestinationRefused: It must not be called.
        """
        try:
            parts = URL(url, encoded=True)
            scheme, host, port = parts.scheme, parts.raw_host, parts.port
        except ValueError as error:
            raise DestinationRefused(f"{url[:200]!r} is no URL: {error}") from None
        if parts.user is not None or parts.password is not None or "\\" in url:
            raise DestinationRefused("the URL holds credentials, or what parsers read in two ways")
        if self._destinations is not None:
            self._destinations.check(scheme, host, port)

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _read(self, response: aiohttp.ClientResponse, largest: int) -> bytes:
        length = response.content_length if response.method != "HEAD" else 0
        if length is not None and length > largest:
            raise AnswerTooLarge(self._target, f"its answer has {length:,} bytes, more than {largest:,}")
        if length is not None and "content-encoding" not in response.headers:
            return await response.read()
        pieces: list[bytes] = []
        total = 0
        async for piece in response.content.iter_any():
            total += len(piece)
            if total > largest:
                raise AnswerTooLarge(self._target, f"its answer has more than {largest:,} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def _start(self) -> aiohttp.ClientSession:
        settings, guarded = self._settings, self._destinations is not None
        connector = aiohttp.TCPConnector(
            limit=settings.max_connections,
            limit_per_host=settings.max_connections_per_host,
            keepalive_timeout=settings.keep_alive,
            use_dns_cache=settings.dns_cache > 0,
            ttl_dns_cache=max(1, round(settings.dns_cache)),
            ssl=self._tls if self._tls is not None else True,
            resolver=_Judging(self._destinations) if self._destinations is not None else aiohttp.ThreadedResolver(),
            socket_factory=self._socket if guarded else None,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),  # one client serves many callers
            headers={"User-Agent": "seawall"},
            # The whole of a call is limited by its policies; here only what they do not see.
            timeout=aiohttp.ClientTimeout(total=None, connect=settings.connect_timeout),
            trust_env=False,
        )
        return self._session

    def _socket(self, info: Any) -> socket.socket:
        """Make a socket for an address that is about to be connected to: the last place to say no."""
        family, kind, protocol, _, address = info
        assert self._destinations is not None  # noqa: S101 - only then it is called
        self._destinations.check_address(str(address[0]))
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)  # noqa: FBT003 - the socket's own signature
        return made

    def meaning(self, error: aiohttp.ClientError | TimeoutError) -> Exception:
        """Return what an error of the driver means here."""
        inner: BaseException | None = error
        while inner is not None:
            if isinstance(inner, DestinationRefused):
                return inner
            inner = inner.__cause__
        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
            return ConnectFailed(self._target, f"no connection: {error!s}")
        if isinstance(error, TimeoutError):
            return TimedOut(self._target, self._settings.idle_timeout)
        if isinstance(error, aiohttp.InvalidURL) and self._destinations is not None:
            return DestinationRefused(f"no URL: {error!s}")
        if isinstance(error, (aiohttp.ClientResponseError, aiohttp.InvalidURL)):
            return UnexpectedAnswer(self._target, f"{type(error).__name__}: {error!s}")
        return ConnectionLost(self._target, f"{type(error).__name__}: {error!s}")


class WireStream:
    """An answer whose body comes piece by piece."""

    def __init__(self, wire: Wire, response: aiohttp.ClientResponse, span: RequestSpan | None) -> None:
        self._wire = wire
        self._response = response
        self._span = span
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self, largest: int) -> bytes:
        """Return the whole body.

        Raises:
            AnswerTooLarge: It has more than *largest* bytes.
            ConnectionLost: It broke off.
        """
        try:
            return await self._wire._read(self._response, largest)  # noqa: SLF001 - its other half
        except (aiohttp.ClientError, TimeoutError) as error:
            self._end(error)
            raise self._wire.meaning(error) from error

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body as it comes, at most 64 KiB at a time.

        Raises:
            ConnectionLost: It broke off.
            TimedOut: Nothing came for ``client.idle_timeout``.
        """
        try:
            async for piece in self._response.content.iter_chunked(_CHUNK):
                yield piece
        except (aiohttp.ClientError, TimeoutError) as error:
            self._end(error)
            raise self._wire.meaning(error) from error

    def close(self) -> None:
        """Give the connection back, or close it where the body has not been read to its end."""
        self._end(None)
        with contextlib.suppress(aiohttp.ClientError):
            self._response.close()

    def _end(self, error: BaseException | None) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.end(error)


class _Judging(aiohttp.ThreadedResolver):
    """Resolves as the system does, and refuses names of which an address must not be called."""

    def __init__(self, destinations: Destinations) -> None:
        super().__init__()
        self._destinations = destinations

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        for one in found:
            self._destinations.check_address(one["host"])
        return found
