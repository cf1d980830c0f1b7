"""The keeper beside the calls: leases are renewed, the store is told again, what has expired is deleted."""

import asyncio
import contextlib
from collections import Counter

import pytest

from seawall import Call, Unavailable
from seawall.clock import SystemRandom
from seawall.idempotency import Keeper, RequestInProgress
from seawall.idempotency.claims import MOST_OWED, MOST_OWED_BYTES, Claim, Owed, Rule
from seawall.idempotency.memory import MemoryStore
from seawall.testing.clock import ManualClock

pytestmark = pytest.mark.anyio

RULE = Rule(method="POST", retention=86_400, lease=10, wait=0)
OPEN = Rule(method="POST", retention=86_400, lease=10, wait=0, on_outage="open")


class Store(MemoryStore):
    """One that can be out of order."""

    def __init__(self, clock, most=100_000):
        super().__init__(clock, most)
        self.out = False
        self.calls = Counter()

    async def _here(self, verb):
        self.calls[verb] += 1
        await asyncio.sleep(0)
        if self.out:
            raise ConnectionRefusedError("nobody listens")

    async def claim(self, *arguments):
        await self._here("claim")
        return await super().claim(*arguments)

    async def hold(self, *arguments):
        await self._here("hold")
        return await super().hold(*arguments)

    async def complete(self, *arguments):
        await self._here("complete")
        return await super().complete(*arguments)


class Shop:
    """Two processes with one store."""

    def __init__(self, clock):
        self.clock = clock
        self.store = Store(clock)
        self.counts = Counter()
        self.chance = SystemRandom(7)
        self.here, self.there = self.keeper(), self.keeper()

    def keeper(self, rule=RULE):
        made = Keeper(
            "shop",
            self.clock,
            self.chance,
            "memory",
            lambda: self.store,
            count=lambda _, outcome: self.counts.update([outcome]),
        )
        made.expect(rule)
        return made

    @contextlib.asynccontextmanager
    async def attended(self):
        """Let the first process look after its claims meanwhile."""
        attending = asyncio.create_task(self.here.attend())
        try:
            yield
        finally:
            attending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await attending


def call():
    return Call(b"r-1", "pay", {b"authorization": b"me"})


async def claimed(keeper, rule=RULE, key=b"k"):
    return await keeper.claim(call(), rule, key, "/pay", b"", b"{}")


async def completed(keeper, claim):
    claim.began = True
    await keeper.complete(claim, call(), 201, b"application/json", b"1")


@pytest.fixture
def shop(manual_clock):
    return Shop(manual_clock)


async def test_a_claim_is_renewed_while_its_call_runs(shop):
    async with shop.attended():
        claim = await claimed(shop.here)
        for _ in range(10):
            await shop.clock.sleep(9)
            with pytest.raises(RequestInProgress):
                await claimed(shop.there)
        await completed(shop.here, claim)
    assert (await claimed(shop.there)).answer.body == b"1"
    assert shop.counts == {"conflict": 10, "stored": 1}


async def test_a_claim_that_nobody_renews_is_taken_over_and_fenced_off(shop, caplog):
    late = await claimed(shop.here)
    await shop.clock.sleep(11)
    second = await claimed(shop.there)
    await completed(shop.here, late)
    await completed(shop.there, second)
    assert shop.counts == {"lost": 1, "stored": 1}
    assert "its answer was not kept" in caplog.text
    assert (await claimed(shop.here)).answer is not None


async def test_a_renewal_that_comes_too_late_is_noticed(shop, caplog):
    claim = await claimed(shop.here)
    await shop.clock.sleep(11)
    await claimed(shop.there)
    async with shop.attended():
        await shop.clock.sleep(3)
    assert caplog.text.count("was not renewed in time") == 1
    assert claim.renew_at == float("inf")


async def test_calls_of_one_process_do_not_ask_the_store_for_each_other(shop):
    claim = await claimed(shop.here)
    patient = Rule(method="POST", retention=86_400, lease=10, wait=30)
    waiting = [asyncio.create_task(claimed(shop.here, patient)) for _ in range(100)]
    await shop.clock.sleep(5)
    assert shop.store.calls["claim"] == 1
    await completed(shop.here, claim)
    assert {(await each).answer.body for each in waiting} == {b"1"}
    assert shop.store.calls["claim"] == 1


async def test_many_at_once_ask_the_store_once(shop):
    patient = Rule(method="POST", retention=86_400, lease=10, wait=30)
    asking = [asyncio.create_task(claimed(shop.here, patient)) for _ in range(100)]
    await shop.clock.sleep(1)
    (first,) = [each.result() for each in asking if each.done()]
    await completed(shop.here, first)
    answers = [each.answer for each in await asyncio.gather(*asking)]
    assert answers.count(None) == 1
    assert {each.body for each in answers if each is not None} == {b"1"}
    assert shop.store.calls["claim"] == 1
    again = await asyncio.gather(*(claimed(shop.here) for _ in range(100)))
    assert {each.answer.body for each in again} == {b"1"}
    assert shop.store.calls["claim"] == 2


async def test_when_the_one_who_asks_is_cancelled_another_asks(shop):
    gate = asyncio.Event()
    claim = shop.store.claim

    async def slow(*arguments):
        await gate.wait()
        return await claim(*arguments)

    shop.store.claim = slow
    patient = Rule(method="POST", retention=86_400, lease=10, wait=30)
    asking = [asyncio.create_task(claimed(shop.here, patient)) for _ in range(3)]
    await shop.clock.sleep(1)
    asking[0].cancel()
    await shop.clock.sleep(1)
    gate.set()
    await shop.clock.sleep(1)
    assert asking[0].cancelled()
    (running,) = [each.result() for each in asking[1:] if each.done()]
    await completed(shop.here, running)
    assert [each.answer is None for each in await asyncio.gather(*asking[1:])].count(True) == 1


async def test_many_at_once_are_refused_alike_where_the_store_is_out_of_order(shop):
    shop.store.out = True
    outcomes = await asyncio.gather(*(claimed(shop.here) for _ in range(10)), return_exceptions=True)
    assert {type(each) for each in outcomes} == {Unavailable}
    assert shop.counts == {"outage": 10}


async def test_who_waits_for_one_that_lets_go_runs_next(shop):
    claim = await claimed(shop.here)
    patient = Rule(method="POST", retention=86_400, lease=10, wait=30)
    waiting = [asyncio.create_task(claimed(shop.here, patient)) for _ in range(3)]
    await shop.clock.sleep(1)
    assert not await shop.here.failed(claim, asyncio.CancelledError())
    await shop.clock.sleep(1)
    (running,) = [each.result() for each in waiting if each.done()]
    assert running.answer is None
    await completed(shop.here, running)
    assert [each.answer is None for each in await asyncio.gather(*waiting)].count(True) == 1
    assert not running.waiting


async def test_a_wait_ends_with_the_callers_time(shop):
    await claimed(shop.here)
    rule = Rule(method="POST", retention=1, lease=10, wait=30, due=lambda asked: asked[0] + 2)
    began = shop.clock.monotonic()
    with pytest.raises(RequestInProgress):
        await shop.there.claim(call(), rule, b"k", "/pay", b"", b"{}", (began, b"2S"))
    assert shop.clock.monotonic() == began + 2


async def test_an_answer_is_kept_once_the_store_is_back(shop):
    async with shop.attended():
        claim = await claimed(shop.here)
        shop.store.out = True
        await completed(shop.here, claim)
        await shop.clock.sleep(3)
        shop.store.out = False
        with pytest.raises(RequestInProgress):
            await claimed(shop.there)
        await shop.clock.sleep(2)
        assert (await claimed(shop.there)).answer.body == b"1"
    assert shop.counts["stored"] == 1


async def test_a_cancelled_call_whose_work_is_done_keeps_its_answer(shop):
    async with shop.attended():
        claim = await claimed(shop.here)
        gate = asyncio.Event()

        async def slow(*_):
            await gate.wait()

        shop.store.complete, right = slow, shop.store.complete
        completing = asyncio.create_task(completed(shop.here, claim))
        await shop.clock.sleep(0.1)
        completing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await completing
        shop.store.complete = right
        await shop.clock.sleep(2)
        assert (await claimed(shop.there)).answer.body == b"1"


async def test_a_claim_that_could_not_be_let_go_is_once_the_store_is_back(shop):
    async with shop.attended():
        claim = await claimed(shop.here)
        shop.store.out = True
        assert not await shop.here.failed(claim, RuntimeError("before it began"))
        await shop.clock.sleep(2)
        shop.store.out = False
        await shop.clock.sleep(2)
        assert (await claimed(shop.there)).answer is None


async def test_without_the_store_calls_are_refused_or_run_as_the_rule_says(shop, caplog):
    shop.store.out = True
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            await claimed(shop.here)
        assert caught.value.headers == {"Retry-After": "1"}
        assert caught.value.guard == "idempotency"
    assert shop.store.calls["claim"] == 3
    for _ in range(3):
        assert await claimed(shop.here, OPEN) is None
    assert shop.store.calls["claim"] == 3, "it did not answer a moment ago"
    await shop.clock.sleep(1.5)
    assert await claimed(shop.here, OPEN) is None
    assert shop.store.calls["claim"] == 4
    assert shop.counts == {"outage": 7}
    await shop.clock.sleep(1.5)
    shop.store.out = False
    assert await claimed(shop.here, OPEN) is not None
    assert caplog.text.count("cannot be reached") == 1
    assert caplog.text.count("can be reached again") == 1


async def test_an_outage_is_said_once_and_so_is_its_end(shop, caplog):
    async with shop.attended():
        shop.store.out = True
        for _ in range(5):
            with pytest.raises(Unavailable):
                await claimed(shop.here)
            await shop.clock.sleep(12)
        assert len(caplog.records) == 1
        shop.store.out = False
        await completed(shop.here, await claimed(shop.here))
        await shop.clock.sleep(60)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_what_is_owed_is_bounded():
    owed = Owed()

    def claim(number):
        return Claim(str(number), "f", f"token{number}", RULE, "pay", 0)

    for number in range(MOST_OWED + 10):
        owed.add(claim(number), None)
    assert len(list(owed)) == MOST_OWED
    for late in owed:
        owed.remove(late)
    half = bytes(MOST_OWED_BYTES // 2 + 1)
    owed.add(claim(1), half)
    owed.add(claim(2), half)
    assert [late.claim.id for late in owed] == ["1"]
    owed.remove(next(iter(owed)))
    owed.add(claim(2), half)
    assert [late.claim.id for late in owed] == ["2"]


async def test_what_has_expired_is_deleted_step_by_step(shop):
    for number in range(1200):
        await shop.store.claim(f"old-{number}", "f", "t", 1)
    steps = []
    forget = shop.store.forget

    async def counted(most):
        steps.append(await forget(most))
        return steps[-1]

    shop.store.forget = counted
    async with shop.attended():
        await shop.clock.sleep(1000)
    assert steps[:3] == [500, 500, 200]
    assert sum(steps) == 1200


async def test_memory_makes_room_only_of_what_has_expired(manual_clock):
    store = MemoryStore(manual_clock, 3)
    for number in range(3):
        await store.claim(f"{number}", "f", "t", 10)
    assert await store.complete("0", "t", b"x", 100)
    with pytest.raises(Unavailable):
        await store.claim("3", "f", "t", 10)
    manual_clock.advance(11)
    assert (await store.claim("3", "f", "t", 10)).state == "claimed"
    assert (await store.claim("0", "f", "u", 10)).answer == b"x"


async def test_memory_looks_at_each_record_a_few_times_however_long_it_is_held():
    clock = ManualClock()
    store = MemoryStore(clock, 10)
    await store.claim("a", "f", "t", 10)
    for _ in range(100):
        clock.advance(5)
        assert await store.hold("a", "t", 10)
        await store.forget(10)
    assert len(store._due) <= 3
    assert (await store.claim("a", "f", "u", 10)).state == "running"
