"""Orders whose effect is a line in a file; their keys are kept in Redis."""

from __future__ import annotations

import os

from msgspec import Struct

from seawall import Service
from seawall.idempotency import Idempotency

service = Service("faults")


class Order(Struct):
    number: str
    pause: float = 0.0


async def place(order: Order) -> str:
    """Write one line, at once."""
    ledger = os.open(os.environ["FAULTS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, f"{order.number}\n".encode())
    os.close(ledger)
    if order.pause:
        await service.clock.sleep(order.pause)
    return order.number


async def place_anyway(order: Order) -> str:
    """Do the same, without a record where there is no store."""
    return await place(order)


service.post("/orders", status=201, idempotent=True)(place)
service.post("/anyway", status=201, idempotent=Idempotency(on_outage="open"))(place_anyway)
