"""The demonstration complains about every answer that should not have been, and about no other."""

from __future__ import annotations

import random
from array import array

import httpx
import pytest

from seawall.testing.clock import ManualClock
from storefront.tally import Tally, percentile
from storefront.traffic import Visitor

pytestmark = pytest.mark.anyio

PROBLEM = {"Content-Type": "application/problem+json"}


async def ask(handler, expect, method="GET"):
    tally = Tally()
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://store") as http:
        visitor = Visitor(http, tally, ManualClock(), random.Random(1))
        answer = await visitor.ask("errand", method, "/x", expect)
    assert tally.requests == 1
    return answer, tally


async def test_what_was_expected_is_no_complaint():
    answer, tally = await ask(lambda _: httpx.Response(200), [200])
    assert (answer.status_code, tally.wrong, tally.complaints) == (200, 0, [])
    assert dict(tally.kinds["errand"].statuses) == {"200": 1}


async def test_another_status_is_one():
    answer, tally = await ask(lambda _: httpx.Response(500, text="oh"), [200])
    assert (answer, tally.wrong) == (None, 1)
    assert tally.complaints == ["errand: GET /x: 500, not [200]: oh"]


async def test_no_answer_is_one():
    def refuse(request):
        raise httpx.ConnectError("refused")

    answer, tally = await ask(refuse, [200])
    assert (answer, tally.wrong) == (None, 1)
    assert dict(tally.kinds["errand"].statuses) == {"ConnectError": 1}


@pytest.mark.parametrize(
    ("answer", "flaw"),
    [
        (httpx.Response(404, text="no"), "text/plain"),
        (httpx.Response(404, headers=PROBLEM, content=b'{"status": 500}'), "says it is 500"),
        (httpx.Response(405, headers=PROBLEM, content=b'{"status": 405}'), "allows None"),
        (httpx.Response(405, headers=PROBLEM | {"Allow": "GET"}, content=b'{"status": 405}'), "allows GET"),
    ],
)
async def test_a_refusal_that_is_no_problem_is_one(answer, flaw):
    _, tally = await ask(lambda _: answer, [404, 405])
    assert tally.wrong == 1
    assert flaw in tally.complaints[0]


async def test_a_refusal_that_is_a_problem_is_none():
    refusal = httpx.Response(405, headers=PROBLEM | {"Allow": "POST"}, content=b'{"status": 405}')
    _, tally = await ask(lambda _: refusal, [405])
    assert tally.wrong == 0


async def test_complaints_are_counted_and_a_few_kept():
    tally = Tally()
    for number in range(100):
        tally.complain("errand", str(number))
    assert (tally.wrong, tally.complaints[0], len(tally.complaints)) == (100, "errand: 0", 8)


async def test_percentiles():
    times = array("d", range(1, 101))
    assert (percentile(times, 0.5), percentile(times, 0.95), percentile(times, 1.0)) == (51, 96, 100)
    assert percentile(times, 0.5, last=10) == 96
    assert percentile(array("d"), 0.5) == 0
