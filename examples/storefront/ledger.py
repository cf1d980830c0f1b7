"""The demonstration's own book of orders: what was sent under which key, and what came of it.

It knows what the shop must hold in the end, and looks whether it does: in the shop's database, beside the shop.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import func, select

from storefront.database import Database
from storefront.tables import orders

__all__ = ["Ledger", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the book and the shop say in the end.

    Args:
        keys: Orders that were sent, each under a key of its own.
        sent: How often they were sent.
        cut: How often the connection was cut before there was an answer.
        replayed: How often the answer was one that had been given before.
        placed: Orders that were answered as placed.
        wrong: Keys with several answers, orders of several keys, and orders that only the book or only the shop has.
    """

    keys: int
    sent: int
    cut: int
    replayed: int
    placed: int
    wrong: tuple[str, ...]


@dataclass(slots=True)
class Ledger:
    """The book."""

    newest: int = 0
    """The newest order there was before."""
    sent: int = 0
    cut: int = 0
    replayed: int = 0
    answers: dict[str, set[tuple[int, bytes]]] = field(default_factory=dict)
    """By key; empty where no answer has come yet."""
    places: dict[str, str] = field(default_factory=dict)
    """Where the order of a key is."""

    async def begin(self, url: str) -> None:
        """Note the newest order of the shop whose database is at *url*."""
        database = Database(url)
        try:
            async with database.read() as connection:
                self.newest = await connection.scalar(select(func.max(orders.c.id))) or 0
        finally:
            await database.close()

    def sending(self, key: str) -> None:
        """Note that an order is sent under *key*, for the first time or again."""
        self.sent += 1
        self.answers.setdefault(key, set())

    def answered(self, key: str, status: int, body: bytes, place: str | None, *, replayed: bool) -> None:
        """Note an answer that is the last word on an order."""
        self.replayed += replayed
        self.answers[key].add((status, body))
        if place is not None:
            self.places[key] = place

    async def close(self, url: str) -> Verdict:
        """Compare the book with the shop whose database is at *url*, which nobody else has ordered from."""
        database = Database(url)
        try:
            async with database.read() as connection:
                later = await connection.execute(select(orders.c.id).where(orders.c.id > self.newest))
                found = {f"/orders/{number}" for number in later.scalars()}
        finally:
            await database.close()
        known = Counter(self.places.values())
        wrong = [f"key {key}: {len(given)} different answers" for key, given in self.answers.items() if len(given) > 1]
        wrong += [f"{place}: the order of {times} keys" for place, times in known.items() if times > 1]
        wrong += [f"{place}: answered, and not in the shop" for place in sorted(known.keys() - found)]
        # An order whose answer has never come may be there, once, or not.
        unanswered = sum(not given for given in self.answers.values())
        unknown = sorted(found - known.keys())
        wrong += [f"{place}: in the shop, and answered to nobody" for place in unknown[unanswered:]]
        return Verdict(len(self.answers), self.sent, self.cut, self.replayed, len(known), tuple(wrong))
