"""Scenarios 23 and 3 over three server processes in a row: deadlines are kept by all, retries do not multiply."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from seawall.client import Client, RemoteProblem
from seawall.problems import Problem
from seawall.resilience import Backoff, Resilience, Retry
from support.process import Wire
from support.rows import Row

LIMIT, MARGIN = 0.3, 0.3
"""The deadline, and what the way through three servers may take on a machine that is busy."""
REQUESTS = 60
RUNS = itertools.count(1)


def steps_after_the_deadline(row: Row, mode: str) -> tuple[int, int, set[str]]:
    """Return the answer's status, how many steps began after the deadline, and who has begun any.

    The ledger is read as it comes, by this process's clock.
    """
    run = next(RUNS)  # what is left of another one is not this one's
    with Wire(row.addresses["A"]) as wire:
        began = time.monotonic()
        wire.send(f"/work/{mode}/{run}", f"Grpc-Timeout: {int(LIMIT * 1000)}m")
        notes = []
        while time.monotonic() < began + LIMIT + MARGIN + 0.6:
            notes += row.notes()
            time.sleep(0.005)
        status = wire.answer()[0]
    own = [(at, told.split()[0]) for at, told in notes if told.endswith(f" step {run}")]
    return status, sum(at > began + LIMIT + MARGIN for at, _ in own), {name for _, name in own}


def test_23_no_work_begins_after_the_deadline(row: Row) -> None:
    status, late, _ = steps_after_the_deadline(row, "on")
    assert (status, late) == (504, 0)


def test_23_without_propagation_it_does(row: Row) -> None:
    for _ in range(5):  # on a busy machine A may have no time to ask B
        status, late, begun = steps_after_the_deadline(row, "off")
        if begun == {"A", "B", "C"}:
            break
    assert (status, begun) == (504, {"A", "B", "C"})
    assert late >= 10


async def calls_at_the_last(row: Row, mode: str, requests: int) -> float:
    """Ask A, again if need be, as A asks B and B asks C, which is down; return the calls at C for each request."""
    row.notes()
    again = Backoff(first="5ms", longest="10ms")
    retry = Retry(attempts=3, backoff=again) if mode == "on" else Retry(attempts=3, backoff=again, budget=None)
    pipeline = Resilience(hooks=()).pipeline("row", retry)
    gate = asyncio.Semaphore(10)
    async with Client("row", row.url("A"), pipeline, propagate=() if mode == "off" else None) as client:

        async def one() -> None:
            async with gate:
                with pytest.raises(Problem) as failed:
                    await client.request("GET", f"/chain/{mode}")
                assert isinstance(failed.value, RemoteProblem)

        await asyncio.gather(*[one() for _ in range(requests)])
    return row.counted()["C asked"] / requests


def test_3_layers_do_not_multiply_retries(row: Row) -> None:
    assert 1 <= asyncio.run(calls_at_the_last(row, "on", REQUESTS)) <= 1.3


def test_3_without_protection_they_do(row: Row) -> None:
    assert asyncio.run(calls_at_the_last(row, "off", 10)) == 27


def test_3_that_layers_tell_each_other_is_enough_for_them_not_to_multiply(row: Row) -> None:
    """Without any budget: the lowest layer makes its three attempts, and no other makes any."""
    assert asyncio.run(calls_at_the_last(row, "told", 20)) == 3
