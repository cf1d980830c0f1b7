from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from seawall.lifecycle import Budget, HeldResources
from seawall.problems import ConfigurationError, DeclarationError
from seawall.resources import Resources

pytestmark = pytest.mark.anyio


class A: ...


class B: ...


class C: ...


def chain(log, *, start=None, body=None, stop=None, **limits):
    """A, B and C, each needing the one before; what B does when is given."""
    resources = Resources()

    async def a() -> AsyncIterator[A]:
        log.append("a starts")
        yield A()
        log.append("a closed")

    async def b(first: A) -> AsyncIterator[B]:
        if start:
            await start()
        yield B()
        if stop:
            await stop()
        log.append("b closed")

    async def c(second: B) -> AsyncIterator[C]:
        log.append("c starts")
        yield C()
        log.append("c closed")

    resources.add(c)
    resources.add(b, **limits)
    resources.add(a)
    return resources


async def test_they_start_in_order_and_close_in_reverse(manual_clock):
    log = []
    resources = chain(log)
    held = HeldResources(resources)
    await held.start()
    assert [type(resources.values[kind]) for kind in (A, B, C)] == [A, B, C]
    assert held.lost() == ()
    await held.stop(Budget(10, manual_clock))
    assert log == ["a starts", "c starts", "c closed", "b closed", "a closed"]
    assert resources.values == {}


async def test_one_that_does_not_start_in_time_is_named_and_the_rest_closed(manual_clock):
    log = []
    held = HeldResources(chain(log, start=asyncio.Event().wait, start_timeout="3s"))
    began = manual_clock.monotonic()
    with pytest.raises(ConfigurationError, match=r"resource B from .*did not start within 3 s.*start_timeout"):
        await held.start()
    assert manual_clock.monotonic() - began == 3
    assert log == ["a starts", "a closed"]


async def test_what_start_up_raises_is_named(manual_clock):
    async def refused():
        raise ConnectionRefusedError("no database")

    log = []
    with pytest.raises(ConfigurationError, match=r"resource B .*did not start: ConnectionRefusedError: no database"):
        await HeldResources(chain(log, start=refused)).start()
    assert log == ["a starts", "a closed"]


async def test_a_start_that_is_given_up_closes_what_was_made(manual_clock):
    log = []
    starting = asyncio.ensure_future(HeldResources(chain(log, start=asyncio.Event().wait)).start())
    await asyncio.sleep(1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert log == ["a starts", "a closed"]


@pytest.mark.parametrize("deaf", [False, True], ids=["cancelled", "given up"])
async def test_one_that_does_not_close_in_time_is_named_and_the_others_close(manual_clock, caplog, deaf):
    gate = asyncio.Event()

    async def stuck():
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                if not deaf:
                    raise

    log = []
    held = HeldResources(chain(log, stop=stuck, stop_timeout=2))
    await held.start()
    began = manual_clock.monotonic()
    await held.stop(Budget(60, manual_clock))
    assert manual_clock.monotonic() - began == (2.25 if deaf else 2)
    assert log[-1] == "a closed"
    assert held.given_up == ["B"]
    assert ("was given up" if deaf else "was cancelled") in caplog.text
    gate.set()
    await asyncio.sleep(0)


async def test_no_resource_has_more_than_half_of_what_is_left(manual_clock):
    held = HeldResources(chain([], stop=asyncio.Event().wait, stop_timeout=30))
    await held.start()
    began = manual_clock.monotonic()
    await held.stop(Budget(8, manual_clock))
    assert manual_clock.monotonic() - began == 4


async def test_one_that_fails_to_close_does_not_keep_the_others(manual_clock):
    async def fails():
        raise OSError("lost")

    log = []
    held = HeldResources(chain(log, stop=fails))
    await held.start()
    with pytest.raises(OSError, match="lost"):
        await held.stop(Budget(8, manual_clock))
    assert log[-2:] == ["c closed", "a closed"]


async def test_one_that_ends_too_early_is_noticed(manual_clock, caplog):
    resources = Resources()
    gate = asyncio.Event()

    async def fragile() -> AsyncIterator[A]:
        async with asyncio.TaskGroup() as group:

            async def breaks():
                await gate.wait()
                raise OSError("the helper broke")

            group.create_task(breaks())
            yield A()

    resources.add(fragile)
    held = HeldResources(resources)
    await held.start()
    assert held.lost() == ()
    gate.set()
    await asyncio.sleep(0.1)
    assert held.lost() == ("A",)
    assert "ended while the service needs it" in caplog.text
    with pytest.raises(ExceptionGroup):
        await held.stop(Budget(8, manual_clock))


@pytest.mark.parametrize("value", [0, -1, "soon", float("inf"), float("nan")])
def test_an_impossible_time_is_refused(value):
    with pytest.raises(DeclarationError, match="start_timeout="):
        Resources().add(A, start_timeout=value)
