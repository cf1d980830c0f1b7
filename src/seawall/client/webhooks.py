"""Webhooks, sent and received, by the Standard Webhooks specification (version 1.0.0, symmetric signatures).

What is signed is ``id.timestamp.body`` with HMAC-SHA256. Several secrets may hold at once, while one replaces another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as chance
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from seawall.client.client import Client
from seawall.client.problems import BadGateway, ConnectFailed, DestinationRefused, RemoteProblem
from seawall.clock import Clock, SystemClock
from seawall.problems import DeclarationError, Unauthorized
from seawall.resilience import Rejected, TimedOut
from seawall.units import seconds

__all__ = ["Delivery", "WebhookRefused", "WebhookSender", "Webhooks", "new_secret"]

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes of a secret: "Signature scheme" in the specification
_MOST_SIGNATURES = 20


class WebhookRefused(Unauthorized):
    """401: a webhook that came in is not signed by a secret that holds, or is too old or too new.

    The caller is not told which; `str` of it, for logs, says so.
    """

    type = "urn:problem-type:seawall:webhook-refused"
    title = "The webhook's signature does not hold"
    guard = "webhook"

    def __init__(self, reason: str) -> None:
        super().__init__(headers={"www-authenticate": "Webhook-Signature"})
        self.args = (reason,)


def new_secret() -> str:
    """Return a new secret of 32 bytes, as the specification writes it."""
    return _PREFIX + base64.b64encode(chance.token_bytes(32)).decode()


class Webhooks:
    """Signs webhooks and verifies them.

    Args:
        secrets: Secrets that hold, ``whsec_`` and base64; what is sent is signed by each of them.
        tolerance: How far the time of a webhook that comes in may be from now.
        clock: What time it is.

    Raises:
        DeclarationError: There is no secret, or one is malformed, too short or too long. The secret is not shown.
    """

    def __init__(self, *secrets: str, tolerance: float | str = "5m", clock: Clock | None = None) -> None:
        if not secrets:
            raise DeclarationError("Webhooks: there is no secret; make one with new_secret().")
        self._keys = [_key(number, secret) for number, secret in enumerate(secrets, 1)]
        try:
            self._tolerance = seconds(tolerance)
        except ValueError as error:
            raise DeclarationError(f"Webhooks: tolerance={tolerance!r}: {error}.") from None
        self._clock = clock or SystemClock()

    def sign(self, message: str, body: bytes, timestamp: int | None = None) -> dict[str, str]:
        """Return the header fields that a webhook is sent with.

        Args:
            message: Its id, the same each time it is sent.
            body: Its body.
            timestamp: When it is sent, in seconds since 1970; now by default.
        """
        sent = int(self._clock.time()) if timestamp is None else timestamp
        signatures = " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in self._macs(message, str(sent), body))
        return {"webhook-id": message, "webhook-timestamp": str(sent), "webhook-signature": signatures}

    def verify(self, headers: Mapping[str, str] | Mapping[bytes, bytes], body: bytes) -> str:
        """Check a webhook that came in, and return its id; whether it came before is for the receiver to know.

        Args:
            headers: Its header fields; ``call.metadata`` as it is. Names in lower case.
            body: Its body, as it came.

        Raises:
            WebhookRefused: No signature holds, a field is missing, or its time is too far from now.
        """
        message, sent, told = (_field(headers, f"webhook-{name}") for name in ("id", "timestamp", "signature"))
        if not message or not sent or not told:
            raise WebhookRefused("a header field is missing: webhook-id, webhook-timestamp or webhook-signature")
        if not (sent.isascii() and sent.isdigit() and len(sent) < 12):
            raise WebhookRefused("webhook-timestamp is no number of seconds")
        age = self._clock.time() - int(sent)
        if abs(age) > self._tolerance:
            raise WebhookRefused(f"it was sent {age:.0f} s ago, and {self._tolerance:g} s are tolerated")
        expected = list(self._macs(message, sent, body))
        holds = False
        for signature in told.split(" ")[:_MOST_SIGNATURES]:
            version, _, text = signature.partition(",")
            if version != "v1":
                continue
            try:
                given = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue
            for mac in expected:  # all of them: how long it takes must not tell which one holds
                holds |= hmac.compare_digest(mac, given)
        if not holds:
            raise WebhookRefused("no signature holds")
        return message

    def __repr__(self) -> str:
        return f"<Webhooks with {len(self._keys)} secret{'s' * (len(self._keys) > 1)}>"

    def _macs(self, message: str, sent: str, body: bytes) -> Sequence[bytes]:
        content = f"{message}.{sent}.".encode() + body
        return [hmac.digest(key, content, hashlib.sha256) for key in self._keys]


class Delivery(msgspec.Struct, frozen=True):
    """How the delivery of one webhook ended.

    Args:
        message: The webhook's id.
        outcome: ``delivered``; ``failed``, and may be tried again later under the same id; ``gone``, the receiver wants
            no more of them (410); ``refused``, the URL leads where this service must not go.
        reason: What went wrong, for logs.
    """

    message: str
    outcome: Literal["delivered", "failed", "gone", "refused"]
    reason: str | None = None


class WebhookSender:
    """Delivers webhooks to URLs that their receivers gave.

    Args:
        client: A client with *destinations*, and with the retries that are wanted: a webhook may be sent twice, and
            carries the same id each time.
        clock: What time it is.

    Raises:
        DeclarationError: The client goes anywhere.
    """

    def __init__(self, client: Client, clock: Clock | None = None) -> None:
        if not client.guarded:
            raise DeclarationError(
                f"client {client.name!r} goes wherever a receiver's URL leads; give it destinations=Destinations()."
            )
        self._client = client
        self._clock = clock or SystemClock()

    async def deliver(self, url: str, event: Any, *secrets: str, message: str | None = None) -> Delivery:
        """Send *event*, as JSON, and say how it ended; nothing that the receiver does is raised.

        Args:
            url: Where to; nothing of it is trusted.
            event: What happened; `bytes` are sent as they are.
            secrets: The receiver's secrets.
            message: Its id; a new one by default. Give the one it had to send it again.

        Raises:
            DeclarationError: A secret is malformed.
        """
        message = message or f"msg_{chance.token_urlsafe(18)}"
        if "://" not in url:
            return Delivery(message, "refused", f"{url[:200]!r} is no URL")
        body = event if isinstance(event, bytes) else msgspec.json.encode(event)
        signed = Webhooks(*secrets, clock=self._clock).sign(message, body)
        headers = {"Content-Type": "application/json", **signed}
        try:
            answer = await self._client.request("POST", url, body, headers=headers, idempotent=True)
        except DestinationRefused as error:
            return Delivery(message, "refused", str(error))
        except RemoteProblem as error:
            return Delivery(message, "gone" if error.answer_status == 410 else "failed", str(error))
        except (BadGateway, ConnectFailed, Rejected, TimedOut) as error:
            return Delivery(message, "failed", str(error))
        if answer.status >= 300:
            return Delivery(message, "failed", f"it answered with {answer.status}")
        return Delivery(message, "delivered")


def _key(number: int, secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise DeclarationError(
            f"Webhooks: secret {number} is not possible: write {_PREFIX} and the base64 of {_SHORTEST} to {_LONGEST} "
            "bytes; new_secret() makes one."
        )
    return key


def _field(headers: Mapping[str, str] | Mapping[bytes, bytes], name: str) -> str | None:
    fields: Mapping[Any, Any] = headers
    value = fields.get(name.encode(), fields.get(name))
    return value.decode("latin-1") if isinstance(value, bytes) else value
