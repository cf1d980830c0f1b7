"""Operations that are run again when their database asks for it.

A transaction that cannot be put in an order with others is undone by the database, which says that doing it again
helps (PostgreSQL 15, §13.5; SQLSTATE 40001, 40P01; deadlocks of MariaDB, a busy SQLite). "It" is the whole
transaction, and so everything from the opening of the call's resources on: the fragment stands around them, within
the deadline, behind the guards, which are not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from seawall.clock import Clock, Random
from seawall.data.problems import SerializationFailed
from seawall.operation import Policy
from seawall.plan.places import Place
from seawall.plan.writer import Writer

__all__ = ["Retries", "Retry"]

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.25


class Retries:
    """The source of this capability: nothing for operations that do not ask for it."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random

    def guards(self, policy: Policy) -> Iterable[Retry]:
        """Return the loop that *policy* asks for."""
        if policy.retry_serialization:
            yield Retry(policy.retry_serialization, self.pause)

    async def pause(self, attempt: int) -> None:
        """Wait for up to twice as long as before the last attempt, by chance: so that rivals part."""
        await self._clock.sleep(self._random.random() * min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))


class Retry:
    """The fragment that runs what is further in again."""

    name = "retry"
    place = Place.RETRY

    def __init__(self, retries: int, pause: Callable[[int], object]) -> None:
        self._retries = retries
        self._pause = pause
        self.note = f"serialisation failures, {retries} at the most"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the loop; header fields that a failed attempt added are forgotten."""
        failed = writer.bind("SerializationFailed", SerializationFailed)
        most = writer.bind("retries", self._retries)
        pause = writer.bind("pause_before_retry", self._pause)
        writer.lines("retry_count = 0", "retry_fields = call.fields and [*call.fields]")
        with writer.block("while True:"):
            with writer.block("try:"):
                inner()
                writer.line("break")
            with writer.block(f"except {failed}:"), writer.block(f"if retry_count == {most}:"):
                writer.line("raise")
            writer.lines(
                "retry_count += 1",
                "call.fields = retry_fields and [*retry_fields]",
                f"await {pause}(retry_count)",
            )
