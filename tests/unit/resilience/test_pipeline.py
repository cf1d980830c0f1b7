"""Pipelines and the registry: order, names, hooks, and what is pointed out."""

from __future__ import annotations

import inspect
import logging

import pytest

from seawall.problems import DeclarationError
from seawall.resilience import (
    Backoff,
    Breaker,
    BreakerOpen,
    Bulkhead,
    Event,
    Fallback,
    NestedRetryWarning,
    RateLimit,
    Resilience,
    Retry,
    StateChanged,
    Throttle,
    TimedOut,
    Timeout,
)
from seawall.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


def test_it_prints_its_order() -> None:
    pipeline = Resilience().pipeline("x", Fallback(value=0), Retry(), Breaker(), Timeout(2), Bulkhead(limit=1))
    assert str(pipeline) == "fallback(retry(breaker(timeout(bulkhead(call)))))"
    assert repr(pipeline) == "<Pipeline 'x' fallback(retry(breaker(timeout(bulkhead(call)))))>"


async def test_policies_act_in_that_order(manual_clock: ManualClock) -> None:
    resilience = Resilience(manual_clock, hooks=())
    pipeline = resilience.pipeline(
        "x",
        Fallback(value="instead"),
        Timeout(10),
        Retry(attempts=3, idempotent=True, backoff=Backoff(first=0.1)),
        Breaker(window=2),
        Timeout(1),
        Bulkhead(limit=1),
    )
    calls = []

    @pipeline
    async def call(number: int) -> str:
        """Doc."""
        calls.append(number)
        await manual_clock.sleep(60)
        return "never"

    start = manual_clock.monotonic()
    assert await call(1) == "instead"
    assert calls == [1, 1], "the breaker opened before the third attempt"
    assert manual_clock.monotonic() - start >= 2
    assert resilience.breakers["x"].state == "open"
    assert await pipeline.call(call.__wrapped__, 2) == "instead"
    assert calls == [1, 1]


def test_a_decorated_function_keeps_its_signature() -> None:
    async def call(number: int, *, name: str = "x") -> str:
        """Doc."""
        return name

    for guard in (Resilience().pipeline("x", Timeout(1)), Resilience().engine("x", Breaker())):
        guarded = guard(call)
        assert inspect.signature(guarded) == inspect.signature(call)
        assert inspect.iscoroutinefunction(guarded)
        assert (guarded.__name__, guarded.__doc__) == ("call", "Doc.")


async def test_methods_can_be_decorated(manual_clock: ManualClock) -> None:
    breaker = Resilience(manual_clock).engine("x", Breaker())

    class Client:
        @breaker
        async def ask(self, number: int) -> tuple[Client, int]:
            return self, number

    client = Client()
    assert await client.ask(3) == (client, 3)


def test_only_async_functions() -> None:
    with pytest.raises(DeclarationError, match="async def"):
        Resilience().engine("x", Breaker())(len)


async def test_a_block_under_every_policy(manual_clock: ManualClock) -> None:
    resilience = Resilience(manual_clock)
    pipeline = resilience.pipeline(
        "x", Breaker(window=1), Throttle(), RateLimit(rate="100/second"), Timeout(1), Bulkhead(limit=1)
    )
    with pytest.raises(TimedOut):
        async with pipeline.guard():
            await manual_clock.sleep(2)
    assert resilience.engine("x", Bulkhead(limit=1)).free == 1
    with pytest.raises(BreakerOpen):
        async with pipeline.guard():
            pass
    with pytest.raises(DeclarationError, match="retry"):
        async with resilience.pipeline("y", Retry()).guard():
            pass


def test_two_retries_around_one_call_are_reported() -> None:
    resilience = Resilience()
    inner, outer = resilience.pipeline("inner", Retry()), resilience.pipeline("outer", Timeout(9), Retry())

    @inner
    async def call() -> None: ...

    with pytest.warns(NestedRetryWarning, match="multiply"):
        outer(call)
    with pytest.warns(NestedRetryWarning, match="two retries"):
        resilience.pipeline("both", Retry(), resilience.engine("again", Retry()))


def test_what_cannot_stand_together() -> None:
    resilience = Resilience()
    with pytest.raises(DeclarationError, match="no policies"):
        resilience.pipeline("a")
    with pytest.raises(DeclarationError, match="breaker stands in it twice"):
        resilience.pipeline("b", Breaker(), resilience.engine("other", Breaker()))
    with pytest.raises(DeclarationError, match=r"Timeout\(3\) is never reached"):
        resilience.pipeline("c", Timeout(2), Retry(), Timeout(3))
    with pytest.raises(DeclarationError, match="is no policy"):
        resilience.pipeline("d", len)


def test_one_engine_for_each_name() -> None:
    resilience = Resilience()
    breaker = resilience.engine("x", Breaker())
    assert resilience.engine("x", Breaker()) is breaker
    assert resilience.engine("y", Breaker()) is not breaker
    assert breaker in resilience.pipeline("x", Retry(), Breaker()).engines
    with pytest.raises(DeclarationError, match="other settings"):
        resilience.engine("x", Breaker(window=7))
    with pytest.raises(DeclarationError, match="exists already"):
        resilience.pipeline("x", Retry())
    with pytest.raises(DeclarationError, match="needs a name"):
        resilience.engine("", Breaker())
    assert set(resilience.breakers) == {"x", "y"}
    assert [snapshot.state for snapshot in resilience.snapshots()] == ["closed", "closed"]
    assert set(resilience.pipelines) == {"x"}


def test_every_breaker_can_be_switched_at_run_time() -> None:
    resilience = Resilience(hooks=())
    resilience.pipeline("payments", Breaker())
    resilience.breakers["payments"].force_open()
    assert resilience.snapshots()[0].state == "forced-open"


def test_hooks_are_told_and_cannot_hurt(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Event] = []
    resilience = Resilience(hooks=())

    @resilience.on_event
    def broken(event: Event) -> None:
        raise RuntimeError("a hook of ours")

    resilience.on_event(seen.append)
    resilience.engine("x", Breaker(consecutive=1)).acquire().failure()
    assert isinstance(seen[0], StateChanged)
    assert (seen[0].before, seen[0].after, seen[0].reason) == ("closed", "open", "1 failures in a row")
    assert "a hook failed on StateChanged" in caplog.text
    with pytest.raises(AttributeError):
        seen[0].reason = "other"


def test_changes_of_state_are_logged_by_default(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        breaker = Resilience().engine("x", Breaker(consecutive=1))
        breaker.acquire().failure()
        with pytest.raises(BreakerOpen):
            breaker.acquire()
    assert caplog.messages == ["StateChanged x: before=closed, after=open, reason=1 failures in a row"]
