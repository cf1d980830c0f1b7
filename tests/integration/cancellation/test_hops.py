"""A deadline of 300 ms through three services over real HTTP: no work begins after it has passed."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from support.process import Wire, served

HERE = Path(__file__).parent


def steps_after_the_deadline(passes_on: str) -> tuple[int, list[int], list[bool]]:
    """Return the answer's status, the steps each service began well after it, and whether each had begun at all."""
    with contextlib.ExitStack() as stack:
        hops, address = [], None
        for _ in range(3):  # the last one first
            variables = {"HOP_PASSES_ON": passes_on}
            if address is not None:
                variables["HOP_NEXT"] = f"http://{address[0]}:{address[1]}/work"
            hops.append(stack.enter_context(served("hop_app:service", HERE, **variables)))
            address = hops[-1].address()
            hops[-1].where = address
        with Wire(address) as wire:
            status, _, _ = wire.get("/work", "Grpc-Timeout: 300m")
        time.sleep(0.3)  # what was begun a moment before may come to its end
        for hop in hops:
            with Wire(hop.where) as wire:
                assert wire.get("/mark")[0] == 204
        time.sleep(0.3)
        for hop in hops:
            hop.tell()
            hop.until("mark")
        late = []
        for hop in hops:
            hop.ended()
            late.append(hop.output.partition("mark")[2].count("step "))
        return status, late, ["step 0" in hop.output for hop in hops]


def test_no_work_begins_after_a_deadline_that_is_passed_on() -> None:
    status, late, _ = steps_after_the_deadline("yes")
    assert (status, late) == (504, [0, 0, 0])


def test_it_does_where_the_deadline_is_not_passed_on() -> None:
    status, late, begun = steps_after_the_deadline("no")
    assert (status, begun) == (504, [True, True, True])
    assert late[0] > 0


def test_the_work_is_done_where_there_is_time() -> None:
    with served("hop_app:service", HERE) as last:
        host, port = last.address()
        variables = {"HOP_NEXT": f"http://{host}:{port}/mark", "HOP_PASSES_ON": "yes"}
        with served("hop_app:service", HERE, **variables) as first, Wire(first.address()) as wire:
            status, _, body = wire.get("/work", "Grpc-Timeout: 15S")
            assert (status, body) == (200, b"204")
