"""Orders that are placed once, and the same without protection; it dies where a request says."""

from __future__ import annotations

import os
import signal

from msgspec import Struct
from sqlalchemy import text

from seawall import Call, Guard, Place, Service
from seawall.data import Session, sql
from seawall.idempotency import Idempotency

service = Service("faults")
sql(service)


def die(call: Call, point: str) -> None:
    """End the process as a power cut would, if the request asks for it at this point."""
    if call.header("x-die") == point:
        os.kill(os.getpid(), signal.SIGKILL)


class After(Guard):
    """Stands outside of everything that commits."""

    name = "after"
    place = Place.PRINCIPAL_LIMIT

    async def release(self, call: Call, error: BaseException | None) -> None:
        die(call, "after" if error is None else "never")


class Order(Struct):
    number: str
    fail: bool = False


async def place(order: Order, session: Session, call: Call) -> str:
    """Write one row; the row is the effect."""
    die(call, "before")
    await session.execute(text("INSERT INTO placed (number) VALUES (:number)"), {"number": order.number})
    die(call, "during")
    if order.fail:
        await session.commit()
        raise RuntimeError("as asked for")
    return order.number


ONCE = Idempotency(lease="1s", wait="15s")
service.post("/orders", status=201, timeout="20s", idempotent=ONCE, guards=[After()])(place)


@service.post("/unprotected", status=201, timeout="20s", guards=[After()])
async def place_unprotected(order: Order, session: Session, call: Call) -> str:
    """Do the same without a key."""
    return await place(order, session, call)
