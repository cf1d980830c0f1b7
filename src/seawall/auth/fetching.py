"""Outgoing requests for keys and to identity providers: small, bounded, and only to addresses the service was given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from seawall.problems import ConfigurationError

__all__ = ["Fetch", "FetchFailed", "Fetched", "HttpxFetch", "secure_url"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class FetchFailed(Exception):
    """A request did not bring an answer that can be used."""


class Fetched(msgspec.Struct, frozen=True):
    """An answer."""

    status: int
    body: bytes


class Fetch(Protocol):
    """Makes requests; redirects are not followed, and no answer is longer or later than it may be."""

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Fetched:
        """Get *url*. Raises FetchFailed."""
        ...

    async def post(self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None) -> Fetched:
        """Send *form* to *url*. Raises FetchFailed."""
        ...


class HttpxFetch:
    """The same over httpx.

    Args:
        timeout: Seconds for a whole request.
        max_bytes: The longest answer.
        transport: Where requests go; the network by default.
    """

    def __init__(self, *, timeout: float = 5.0, max_bytes: int = 256 * 1024, transport: Any = None) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._transport = transport

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Fetched:
        """Get *url*.

        Raises:
            FetchFailed: It cannot be reached in time, or answers too much.
        """
        return await self._send("GET", url, None, headers)

    async def post(self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None) -> Fetched:
        """Send *form* to *url*.

        Raises:
            FetchFailed: It cannot be reached in time, or answers too much.
        """
        return await self._send("POST", url, form, headers)

    async def _send(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str] | None
    ) -> Fetched:
        try:
            import httpx  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigurationError(
                "keys and sign-in over the network need httpx: pip install 'seawall[auth]'."
            ) from None
        try:
            secure_url(url)
            # One connection a request: there are a few an hour, and none is left to be closed.
            client = httpx.AsyncClient(
                follow_redirects=False, trust_env=False, timeout=self._timeout, transport=self._transport
            )
            async with asyncio.timeout(self._timeout), client:
                sent = {"accept": "application/json", "accept-encoding": "identity", **(headers or {})}
                async with client.stream(method, url, data=form, headers=sent) as answer:
                    body = bytearray()
                    async for chunk in answer.aiter_raw():
                        body += chunk
                        if len(body) > self._max_bytes:
                            raise FetchFailed(f"the answer is longer than {self._max_bytes} bytes")
                    return Fetched(answer.status_code, bytes(body))
        except TimeoutError:
            raise FetchFailed(f"there was no answer within {self._timeout:g} s") from None
        except ValueError as error:
            raise FetchFailed(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise FetchFailed(f"{type(error).__name__}: {error}"[:200]) from None


def secure_url(url: str) -> str:
    """Return *url* if it is https, or http on this machine.

    Raises:
        ValueError: It is neither.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return url
    raise ValueError(f"{url[:200]!r} is not https (http is possible to this machine only)")
