"""What is sent again is done once."""

from __future__ import annotations

from msgspec import Struct

from seawall import Service
from seawall.idempotency import Idempotency

service = Service("idempotent")
payments: list[int] = []


class Payment(Struct):
    """What to pay."""

    amount: int


# region: simple
@service.post("/payments", status=201, idempotent=True)
async def pay(payment: Payment) -> dict[str, int]:
    """Pay once, however often it is sent with the same key."""
    payments.append(payment.amount)
    return {"payment": len(payments)}


# endregion


# region: rule
@service.post("/notes", idempotent=Idempotency(required=False, wait="2s", retention="7d"))
async def take_note(note: Payment) -> int:
    """Take a note; without a key it is taken as often as it is sent."""
    payments.append(note.amount)
    return len(payments)


# endregion
