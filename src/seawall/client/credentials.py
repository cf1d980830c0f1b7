"""By what a client is known: a fixed token, or tokens of an authorization server (OAuth 2.0 client credentials)."""

from __future__ import annotations

import base64
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from seawall.client.client import Client
from seawall.client.problems import UnexpectedAnswer
from seawall.clock import Clock, SystemClock
from seawall.concurrency.single_flight import SingleFlight
from seawall.problems import DeclarationError

__all__ = ["Bearer", "ClientCredentials"]

_DEFAULT_LIFE = 300.0
"""Seconds a token is used whose answer does not say how long it is good (RFC 6749 §5.1 leaves it out)."""


class Bearer:
    """One token that does not change.

    Args:
        token: The token (RFC 6750).
    """

    def __init__(self, token: str) -> None:
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise DeclarationError("Bearer: the token is empty, or holds what cannot be sent.")
        self._value = f"Bearer {token}"

    async def authorization(self) -> str:
        """Return the value of ``Authorization``."""
        return self._value

    def refused(self, value: str) -> bool:  # noqa: ARG002 - there is only one
        """Say that there is no other one."""
        return False

    def __repr__(self) -> str:
        return "<Bearer …>"


class _Token(msgspec.Struct):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a kind of token, not one
    expires_in: float | None = None


class ClientCredentials:
    """Tokens for a service that acts on its own behalf (RFC 6749 §4.4), fetched once and renewed in time.

    One call to the authorization server at a time, for all that wait. A token is renewed when nine tenths of its life,
    or all but 30 seconds of it, are over; and when the target refuses it. Errors are not kept: the next call asks
    again.

    Args:
        url: The token endpoint.
        client_id: Who asks.
        secret: Its secret; sent by HTTP Basic (§2.3.1), never logged.
        scope: What is asked for.
        audience: Whom the token is for, where the server wants to know.
        client: The client that asks, with policies of its own; one with none by default, closed by `close`.
        clock: What time it is.

    Raises:
        DeclarationError: The URL is none, or a secret is empty.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        secret: str,
        *,
        scope: str | None = None,
        audience: str | None = None,
        client: Client | None = None,
        clock: Clock | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc or not client_id or not secret:
            raise DeclarationError("ClientCredentials: name the token endpoint's whole URL, an id and a secret.")
        self._clock = clock or SystemClock()
        self._path = url[len(f"{parts.scheme}://{parts.netloc}") :]
        self._client = client or Client("token endpoint", f"{parts.scheme}://{parts.netloc}", propagate=(), clock=clock)
        identity = f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()
        self._basic = "Basic " + base64.b64encode(identity).decode()
        form = {"grant_type": "client_credentials", "scope": scope, "audience": audience}
        self._form = urlencode({name: value for name, value in form.items() if value is not None}).encode()
        self._flights: SingleFlight[str, str] = SingleFlight()
        self._value: str | None = None
        self._good_until = 0.0

    async def authorization(self) -> str:
        """Return the value of ``Authorization``, with a token that is good.

        Raises:
            RemoteProblem: The server refused.
            UnexpectedAnswer: It answered with something else than a bearer token.
        """
        if self._value is not None and self._clock.monotonic() < self._good_until:
            return self._value
        return await self._flights.run("token", self._fetch)

    def refused(self, value: str) -> bool:
        """Forget *value*, which the target refused, unless a newer one is there already."""
        if self._value == value:
            self._value = None
        return True

    async def close(self) -> None:
        """Close the connections to the authorization server."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<ClientCredentials of {self._client.url}>"

    async def _fetch(self) -> str:
        asked = self._clock.monotonic()
        headers = {
            "Authorization": self._basic,
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        answer = await self._client.request("POST", self._path, self._form, headers=headers, idempotent=True)
        token = answer.decode(_Token)
        text = token.access_token
        if token.token_type.lower() != "bearer" or not text.isascii() or not text.isprintable() or not text:
            raise UnexpectedAnswer(
                self._client.name, f"it gave a token of type {token.token_type!r}, not a bearer token"
            )
        life = max(0.0, token.expires_in if token.expires_in is not None else _DEFAULT_LIFE)
        self._good_until = asked + life - min(30.0, life / 10)
        self._value = f"Bearer {text}"
        return self._value
