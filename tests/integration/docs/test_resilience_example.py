"""The policies that the how-to shows do what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import docs_sessions
import pytest
import sync_docs

pytestmark = pytest.mark.anyio


async def test_every_policy_that_is_shown_works() -> None:
    shown = docs_sessions.load(sync_docs.ROOT / "examples" / "docs" / "resilience.py")
    assert str(shown.payments) == "retry(breaker(timeout(bulkhead(call))))"
    assert await shown.charge(5) == "charged 5"
    assert await shown.stock("tea") == await shown.stock_in_a_block("tea") == 3
    assert await shown.search("green tea") == ["green", "tea"]
    assert await asyncio.gather(*[shown.report(month) for month in range(24)])
    assert await shown.find("a") == "A"
    assert await shown.exchange_rate("EUR") == 1.5
    shown.provider.down = True
    assert await shown.exchange_rate("EUR") == 1.5, "the last one seen"
    assert await shown.exchange_rate("CHF") == 1.0
    assert await asyncio.gather(*[shown.send("me") for _ in range(5)]) == ["me"] * 5
    assert await shown.reserve("tea") == "tea"

    async def chunks(*, broken: bool) -> AsyncIterator[bytes]:
        yield b"a"
        if broken:
            raise ConnectionResetError

    assert [chunk async for chunk in shown.download(chunks(broken=False))] == [b"a"]
    with pytest.raises(ConnectionResetError):
        [chunk async for chunk in shown.download(chunks(broken=True))]
    assert (shown.downloads.snapshot().calls, shown.downloads.snapshot().failures) == (2, 1)
    shown.resilience.breakers["payments"].force_open()
    assert shown.changes == ["payments: closed to forced-open, by hand"]
