"""How a service is: checks of what it works with, run side by side, each within its time, remembered for a moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seawall.clock import Clock

__all__ = ["CheckResult", "Health", "check_document"]

logger = logging.getLogger("seawall.health")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check has found.

    Args:
        name: The check.
        passed: Whether all is well.
        seconds: How long it took.
        observed: When it ended, in seconds since 1970 (UTC).
        reason: Why it did not pass, in our words: never an exception's.
    """

    name: str
    passed: bool
    seconds: float
    observed: float
    reason: str | None = None


class _Check:
    """One check; however many ask, it runs once at a time."""

    def __init__(
        self, name: str, run: Callable[[], Awaitable[Any]], timeout: float, cache: float, clock: Clock
    ) -> None:
        self.name = name
        self._run = run
        self._timeout = timeout
        self._cache = cache
        self._clock = clock
        self._last: CheckResult | None = None
        self._fresh_until = 0.0
        self._flight: asyncio.Task[CheckResult] | None = None
        self._run_task: asyncio.Task[Any] | None = None

    async def result(self) -> CheckResult:
        """Return what was found a moment ago, or look."""
        if self._last is not None and self._clock.monotonic() < self._fresh_until:
            return self._last
        if self._flight is None or self._flight.done():
            self._flight = asyncio.get_running_loop().create_task(self._look(), name=f"check {self.name}")
        # Shielded: when one of those who wait goes away, the others still want to know.
        return await asyncio.shield(self._flight)

    async def _look(self) -> CheckResult:
        began = self._clock.monotonic()
        reason, error = await self._try()
        now = self._clock.monotonic()
        result = CheckResult(self.name, reason is None, now - began, self._clock.time(), reason)
        # Said once when it changes, not by every probe.
        if reason is not None and (self._last is None or self._last.passed):
            logger.warning("check %s fails: %s", self.name, reason, exc_info=error)
        elif reason is None and self._last is not None and not self._last.passed:
            logger.info("check %s passes again", self.name)
        self._last, self._fresh_until = result, now + self._cache
        return result

    async def _try(self) -> tuple[str | None, BaseException | None]:
        """Run the check; return why it failed, and with what."""
        if self._run_task is not None and not self._run_task.done():
            return "the check before this one still has not ended", None
        # In a task of its own: one that does not heed its cancellation must not hold up the answer.
        task = self._run_task = asyncio.ensure_future(_awaited(self._run))
        await asyncio.wait({task}, timeout=self._timeout)
        if not task.done():
            task.cancel()
            return f"no answer within {self._timeout:g} s", None
        if task.cancelled():
            return "it was cancelled", None
        error = task.exception()
        if error is not None:
            return "it raised an exception", error
        return ("it returned False", None) if task.result() is False else (None, None)

    def running(self) -> set[asyncio.Task[Any]]:
        """Return the tasks that are looking."""
        return {task for task in (self._flight, self._run_task) if task is not None and not task.done()}

    def forget(self) -> None:
        """Know nothing, as in the beginning."""
        self._last = self._flight = self._run_task = None


async def _awaited(run: Callable[[], Awaitable[Any]]) -> Any:
    return await run()


class Health:
    """The checks of one service.

    Args:
        clock: Measures them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._checks: dict[str, _Check] = {}

    def add(self, name: str, run: Callable[[], Awaitable[Any]], timeout: float, cache: float) -> None:
        """Add a check.

        Raises:
            KeyError: There is one of this name.
        """
        if name in self._checks:
            raise KeyError(name)
        self._checks[name] = _Check(name, run, timeout, cache, self._clock)

    async def results(self) -> tuple[CheckResult, ...]:
        """Return what every check finds, run side by side; each passes unless it raises, is late or returns False."""
        return tuple(await asyncio.gather(*(check.result() for check in self._checks.values())))

    async def close(self, seconds: float) -> None:
        """End the checks that are running, before what they look at is closed; wait for *seconds* at the most."""
        tasks: set[asyncio.Task[Any]] = set()
        for check in self._checks.values():
            tasks |= check.running()
            check.forget()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)


def check_document(results: Iterable[CheckResult]) -> dict[str, Any]:
    """Return the ``checks`` of a health document, as in draft-inadarei-api-health-check-06 §4."""
    return {
        f"{result.name}:responseTime": [
            {
                "status": "pass" if result.passed else "fail",
                "observedValue": round(result.seconds * 1000, 3),
                "observedUnit": "ms",
                "time": datetime.fromtimestamp(result.observed, UTC).isoformat(timespec="milliseconds"),
                **({"output": result.reason} if result.reason else {}),
            }
        ]
        for result in results
    }
