"""Fixtures for pytest, by import: virtual time, and nothing left behind, for the tests that ask for it.

Import them into a test module or a ``conftest.py``; `anyio_backend` makes the anyio plugin run a test that takes
`manual_clock` on the clock's own event loop, and every other one on asyncio's::

    from seawall.testing.fixtures import anyio_backend, manual_clock, no_leaks

    @pytest.mark.anyio
    async def test_expires(manual_clock, no_leaks):
        await manual_clock.sleep(3600)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from seawall.testing import leaks
from seawall.testing.clock import ManualClock

__all__ = ["anyio_backend", "manual_clock", "no_leaks"]


@pytest.fixture
def manual_clock() -> ManualClock:
    """Return a clock that jumps to the next timer when every task of the test waits."""
    return ManualClock()


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> str | tuple[str, dict[str, Any]]:
    """Return asyncio as the backend, on the loop of `manual_clock` when the test takes that."""
    if "manual_clock" not in request.fixturenames:
        return "asyncio"
    clock: ManualClock = request.getfixturevalue("manual_clock")
    return "asyncio", {"loop_factory": clock.loop_factory}


@pytest.fixture
async def no_leaks(anyio_backend: object) -> AsyncIterator[None]:  # noqa: ARG001 - what makes it run on the test's loop
    """Fail the test if it leaves a task or a held lock behind, or is in a deadlock; see `seawall.testing.leaks`."""
    async with leaks.no_leaks():
        yield
