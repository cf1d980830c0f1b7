"""Calls that go out over HTTP: one client per target, typed interfaces, webhooks.

::

    class Payments(Protocol):
        @post("/charges", key=True)
        async def charge(self, charge: NewCharge) -> Charge: ...

    client = Client("payments", "https://payments.example", resilience.pipeline("payments", Retry(), Breaker()))
    payments = client.bind(Payments)
"""

from seawall.client.answers import Answer
from seawall.client.client import Authorization, Client, Stream
from seawall.client.credentials import Bearer, ClientCredentials
from seawall.client.destinations import Destinations
from seawall.client.interface import Body, Header, delete, get, patch, post, put
from seawall.client.problems import (
    AnswerTooLarge,
    BadGateway,
    ConnectFailed,
    ConnectionLost,
    DestinationRefused,
    RemoteProblem,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from seawall.client.propagation import Propagator, attempt_number, call_context, remaining_time
from seawall.client.tls import Tls
from seawall.client.trusted import Trusted
from seawall.client.webhooks import Delivery, WebhookRefused, Webhooks, WebhookSender, new_secret

__all__ = [
    "Answer",
    "AnswerTooLarge",
    "Authorization",
    "BadGateway",
    "Bearer",
    "Body",
    "Client",
    "ClientCredentials",
    "ConnectFailed",
    "ConnectionLost",
    "Delivery",
    "DestinationRefused",
    "Destinations",
    "Header",
    "Propagator",
    "RemoteProblem",
    "RemoteUnavailable",
    "Stream",
    "Tls",
    "Trusted",
    "UnexpectedAnswer",
    "WebhookRefused",
    "WebhookSender",
    "Webhooks",
    "attempt_number",
    "call_context",
    "delete",
    "get",
    "new_secret",
    "patch",
    "post",
    "put",
    "remaining_time",
]
