"""A distant store, and what happens while it cannot be reached."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

from seawall.clock import Clock
from seawall.limit.memory import MemoryStore
from seawall.limit.outage import Outage
from seawall.limit.rule import Rule
from seawall.limit.store import RemoteStore
from seawall.problems import Unavailable

__all__ = ["OnOutage", "Remote"]

OnOutage = Literal["open", "closed", "local"]

logger = logging.getLogger("seawall")


class Remote:
    """Asks the store, and does without it when it does not answer.

    Args:
        store: The store.
        local: Counts in this process meanwhile, for ``local``.
        clock: What time it is.
        on_outage: ``open`` lets calls pass, ``closed`` answers them with 503, ``local`` counts here.
        pause: Seconds for which a store that did not answer is left alone.
    """

    def __init__(self, store: RemoteStore, local: MemoryStore, clock: Clock, on_outage: OnOutage, pause: float) -> None:
        self.store = store
        self.local = local
        self.on_outage: OnOutage = on_outage
        self.outage = Outage(clock, pause)
        self._pause = pause

    async def take(self, rules: Sequence[Rule], key: str, cost: int) -> tuple[float, ...] | None:
        """Take as `RemoteStore.take` does; return None where the call passes uncounted.

        Raises:
            Unavailable: The store is out of order, and no call passes without it.
        """
        if self.outage.may_ask():
            try:
                lefts = await self.store.take(rules, key, cost)
            except OSError as error:
                if self.outage.failed():
                    logger.error("limits: the store cannot be reached, %s: %s", _MEANWHILE[self.on_outage], error)
            else:
                if self.outage.answered():
                    logger.info("limits: the store answers again")
                return lefts
        if self.on_outage == "local":
            return self.local.take(rules, key, cost)
        if self.on_outage == "open":
            return None
        problem = Unavailable(
            "Whether you may call now cannot be found out.", headers={"retry-after": str(max(1, round(self._pause)))}
        )
        problem.guard = "limit"
        raise problem

    async def forgive(self, rules: Sequence[Rule], key: str) -> None:
        """Make an allowance whole again, as far as the store can be reached."""
        self.local.forgive(rules, key)
        if self.outage.may_ask():
            try:
                await self.store.forgive(rules, key)
            except OSError as error:
                if self.outage.failed():
                    logger.error("limits: the store cannot be reached, %s: %s", _MEANWHILE[self.on_outage], error)
            else:
                if self.outage.answered():
                    logger.info("limits: the store answers again")


_MEANWHILE = {
    "open": "calls pass uncounted",
    "closed": "calls are answered with 503",
    "local": "each process counts by itself",
}
