"""Seawall with everything a service in production has; and the same operations with nothing, to compare with.

Request ids, the access line, metrics, deadline and admission are Seawall's defaults; identity, role and rate are asked
for in one line.
"""

from typing import Annotated

from msgspec import Meta

from benchmarks.contenders.identity import AUDIENCE, ISSUER, RATE, ROLE, SECRET, TIMEOUT
from benchmarks.contenders.orders import NewOrder, OrderView, PlacedOrder, place_order, view_order
from seawall import Service
from seawall.auth import BearerTokens, KeyRing, secret_key

tokens = BearerTokens(KeyRing([secret_key(SECRET)]), issuer=ISSUER, audience=AUDIENCE)
service = Service("stack", auth=tokens, roles={ROLE}, rate=f"{RATE}/second", timeout=TIMEOUT)
unguarded = Service("unguarded", timeout=None)


async def read_order(order_id: int, limit: Annotated[int, Meta(ge=1, le=100)] = 10, q: str | None = None) -> OrderView:
    """Return one order."""
    return view_order(order_id, limit, q)


async def create_order(order: NewOrder) -> PlacedOrder:
    """Place an order."""
    return place_order(order)


for each in (service, unguarded):
    each.get("/orders/{order_id}")(read_order)
    each.post("/orders", status=201)(create_order)
