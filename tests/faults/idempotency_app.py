"""Orders that are placed once, and the same without protection; it dies where a request says."""

from __future__ import annotations

import os
import signal

from msgspec import Struct
from sqlalchemy import event, text
from sqlalchemy.orm import Session as SyncSession

from seawall import Call, Forbidden, Guard, Place, Principal, Reply, Service, current_call
from seawall.data import Session, sql
from seawall.idempotency import Idempotency

service = Service("faults")
sql(service)


def die(call: Call, point: str) -> None:
    """End the process as a power cut would, if the request asks for it at this point."""
    if call.header("x-die") == point:
        os.kill(os.getpid(), signal.SIGKILL)


class Who(Guard):
    """Believes what a header field says."""

    name = "who"
    place = Place.AUTHENTICATE

    async def check(self, call: Call) -> None:
        call.principal = Principal(call.header("x-subject") or "ada")


class Outside(Guard):
    """Stands around the claim and everything that commits."""

    name = "outside"
    place = Place.PRINCIPAL_LIMIT

    async def check(self, call: Call) -> None:
        die(call, "before the claim")

    async def release(self, call: Call, error: BaseException | None) -> None:
        die(call, "after the commit" if error is None else "never")


class Inside(Guard):
    """Stands between the claim and the operation, and refuses where a request says."""

    name = "inside"
    place = Place.BULKHEAD

    async def check(self, call: Call) -> None:
        die(call, "after the claim")
        if call.header("x-refuse"):
            raise Forbidden("Not you.")


@event.listens_for(SyncSession, "before_commit")
def before_commit(session: SyncSession) -> None:
    """The effect and the record of its answer are written, and not committed."""
    die(current_call(), "before the commit")


class Order(Struct):
    number: str
    fail: bool = False
    before: float = 0.0
    """Seconds to wait before the effect."""
    pause: float = 0.0
    """Seconds to wait after it."""


async def place(order: Order, session: Session, call: Call) -> Reply[str]:
    """Write one row; the row is the effect."""
    die(call, "before the effect")
    if order.before:
        await service.clock.sleep(order.before)
    await session.execute(text("INSERT INTO placed (number) VALUES (:number)"), {"number": order.number})
    die(call, "after the effect")
    if order.pause:
        await service.clock.sleep(order.pause)
    if order.fail:
        await session.commit()
        raise RuntimeError("as asked for")
    return Reply(order.number, headers={"X-Number": order.number})


GUARDS = [Who(), Outside(), Inside()]


async def place_impatient(order: Order, session: Session, call: Call) -> Reply[str]:
    """Place an order; who comes while it is placed is told so at once."""
    return await place(order, session, call)


async def place_long(order: Order, session: Session, call: Call) -> Reply[str]:
    """Place an order that takes longer than its lease."""
    return await place(order, session, call)


QUICK, NONE, LONG = [Idempotency(lease=lease, wait=wait) for lease, wait in (("1s", 15), ("1s", 0), ("2s", 15))]
service.post("/orders", status=201, timeout="20s", idempotent=QUICK, guards=GUARDS)(place)
service.post("/impatient", status=201, timeout="20s", idempotent=NONE, guards=GUARDS)(place_impatient)
service.post("/long", status=201, timeout="20s", idempotent=LONG, guards=GUARDS)(place_long)


@service.post("/unprotected", status=201, timeout="20s", guards=GUARDS)
async def place_unprotected(order: Order, session: Session, call: Call) -> Reply[str]:
    """Do the same without a key."""
    return await place(order, session, call)
