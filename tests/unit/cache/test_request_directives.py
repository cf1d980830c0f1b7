"""What requests say in `Cache-Control`: followed where the policy allows it, and nowhere else."""

import pytest

from seawall.cache import CachePolicy
from support.kept import Origin, fields, status_of

pytestmark = pytest.mark.anyio
HEEDED = CachePolicy(None, heed_requests=True)
FRESH = {"Cache-Control": "max-age=60", "ETag": '"a"'}


@pytest.mark.parametrize("control", ["no-cache", "no-store", "max-age=0", "min-fresh=100", "only-if-cached", ""])
async def test_nobody_gets_past_a_cache_that_does_not_heed(manual_clock, control):
    origin = Origin(manual_clock, CachePolicy(None), FRESH)
    for _ in range(3):
        assert (await origin.get(cache_control=control)).status == 200
    assert origin.calls == 1


@pytest.mark.parametrize(
    ("control", "calls"),
    [
        ("no-cache", 2),
        ("no-store", 2),
        ("max-age=0", 2),
        ("max-age=9", 2),
        ("max-age=10", 1),
        ("min-fresh=51", 2),
        ("min-fresh=50", 1),
        ("max-stale=5", 1),
        ("nonsense", 1),
        ('"', 1),
    ],
)
async def test_an_answer_of_ten_seconds_that_lasts_sixty(manual_clock, control, calls):
    origin = Origin(manual_clock, HEEDED, FRESH)
    await origin.get()
    manual_clock.advance(10)
    answer = await origin.get(cache_control=control)
    assert origin.calls == calls
    assert status_of(answer).startswith(b"fwd=request" if calls == 2 else b"hit")


async def test_no_cache_asks_by_the_validator_and_no_store_keeps_nothing(manual_clock):
    origin = Origin(manual_clock, HEEDED, FRESH)
    await origin.get()
    await origin.get(cache_control="no-cache")
    assert origin.asked[1][b"if-none-match"] == b'"a"'
    assert (await origin.get()).body == b"answer 2"
    await origin.get(cache_control="no-store")
    assert b"if-none-match" not in origin.asked[2]
    assert (await origin.get()).body == b"answer 2"


@pytest.mark.parametrize(
    ("control", "said", "served"),
    [
        ("max-stale", "max-age=60", True),
        ("max-stale=30", "max-age=60", True),
        ("max-stale=10", "max-age=60", False),
        ("max-stale", "max-age=60, must-revalidate", False),
        ("max-stale", "max-age=60, no-cache", False),
        ("max-stale, max-age=70", "max-age=60", False),
    ],
)
async def test_max_stale(manual_clock, control, said, served):
    origin = Origin(manual_clock, HEEDED, {"Cache-Control": said, "ETag": '"a"'})
    await origin.get()
    manual_clock.advance(80)
    answer = await origin.get(cache_control=control)
    assert origin.calls == (1 if served else 2)
    if served:
        assert (fields(answer)[b"age"], status_of(answer)) == (b"80", b"hit; ttl=-20")


async def test_only_if_cached(manual_clock):
    origin = Origin(manual_clock, HEEDED, FRESH)
    assert (await origin.get(cache_control="only-if-cached")).status == 504
    await origin.get()
    assert (await origin.get(cache_control="only-if-cached")).status == 200
    manual_clock.advance(61)
    missing = await origin.get(cache_control="only-if-cached")
    assert (missing.status, missing.json()["type"]) == (504, "urn:problem-type:seawall:not-kept")
    assert origin.calls == 1
