"""Webhooks, sent and received."""

from __future__ import annotations

from typing import Annotated

import msgspec

from seawall import Body, Call, Service
from seawall.client import Client, Delivery, Destinations, Webhooks, WebhookSender
from seawall.resilience import Backoff, Resilience, Retry

# region: receive
service = Service("receiver")
hooks = Webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")  # from a secret store, not from code
seen: set[str] = set()


class Event(msgspec.Struct):
    """What happened."""

    type: str
    data: dict[str, int]


@service.post("/hooks", status=204)
async def receive(content: Annotated[bytes, Body()], call: Call) -> None:
    """Take an event in: once, and only from who knows the secret."""
    message = hooks.verify(call.metadata, content)
    event = msgspec.json.decode(content, type=Event)
    if message not in seen:  # in a table with a unique key, in the transaction of what follows
        seen.add(message)
        print(event.type)  # noqa: T201 - an example


# endregion

# region: send
retries = Resilience().pipeline("webhooks", Retry(attempts=5, backoff=Backoff(first="1s", longest="30s"), budget=None))


async def announce(client: Client, url: str, secret: str, order: int) -> Delivery:
    """Tell a receiver that an order was paid."""
    event = {"type": "order.paid", "data": {"order": order}}
    return await WebhookSender(client).deliver(url, event, secret, message=f"order-{order}-paid")


def webhook_client() -> Client:
    """Return a client that goes to public addresses only."""
    return Client("webhooks", "https://webhooks.invalid", retries, destinations=Destinations())


# endregion
