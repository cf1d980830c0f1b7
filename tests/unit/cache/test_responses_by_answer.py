"""Answers kept by what they say themselves: `Cache-Control`, `Expires`, `Age`, `Vary`, validators."""

import asyncio

import pytest

from seawall import Forbidden, NotFound, TooManyRequests
from seawall.cache import CachePolicy
from seawall.http.dates import http_date
from support.exchange import scope_of
from support.kept import Origin, Who, fields, get, made, status_of

pytestmark = pytest.mark.anyio
OPEN = CachePolicy(None)


def date(clock, seconds=0.0):
    return http_date(clock.time() + seconds).decode()


@pytest.mark.parametrize(
    ("control", "kept"),
    [
        ("max-age=60", True),
        ("s-maxage=60", True),
        ("max-age=0, s-maxage=60", True),
        ("max-age=60, s-maxage=0", False),
        ("max-age=60, no-store", False),
        ("max-age=60, no-cache", False),
        ("max-age=60, private", False),
        ('max-age=60, private="x-a"', False),
        ("max-age=60, must-revalidate", True),
        ("max-age=60, no-store, must-understand", True),
        ("public", False),
        ("", False),
    ],
)
async def test_cache_control_of_the_answer_decides(manual_clock, control, kept):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": control} if control else {})
    for _ in range(2):
        assert (await origin.get()).status == 200
    assert origin.calls == (1 if kept else 2)


@pytest.mark.parametrize(
    ("control", "kept"), [("max-age=60", 60), ("max-age=5", 5), ("no-store", 0), ("max-age=0", 0), ("", 30)]
)
async def test_what_the_answer_says_comes_before_what_the_policy_says(manual_clock, control, kept):
    origin = Origin(
        manual_clock, CachePolicy(30, vary=["x-none"]), {"Cache-Control": control} if control else {"X-A": "b"}
    )
    await origin.get()
    if kept:
        manual_clock.advance(kept - 1)
        await origin.get()
    assert origin.calls == 1
    manual_clock.advance(2)
    await origin.get()
    assert origin.calls == 2


@pytest.mark.parametrize(("expires", "kept"), [(60, True), (0, False), (-60, False)])
async def test_expires_counts_from_the_date(manual_clock, expires, kept):
    said = {"Expires": date(manual_clock, expires), "Date": date(manual_clock)}
    origin = Origin(manual_clock, OPEN, said)
    for _ in range(2):
        await origin.get()
    assert origin.calls == (1 if kept else 2)


async def test_expires_that_is_no_date_is_past_and_max_age_comes_before_it(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Expires": "0"}, {"Expires": "0", "Cache-Control": "max-age=60"})
    for _ in range(3):
        await origin.get()
    assert origin.calls == 2


@pytest.mark.parametrize(
    ("age", "fresh"), [("30", True), ("60", False), ("99, 0", False), ("0, 99", True), ("-1", True), ("x", True)]
)
async def test_an_answer_may_come_with_an_age(manual_clock, age, fresh):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60", "Age": age})
    first = await origin.get()
    assert fields(first).get(b"age", b"0") == (age.split(",")[0].encode() if age[:1].isdigit() else b"0")
    manual_clock.advance(2)
    second = await origin.get()
    assert origin.calls == (1 if fresh else 2)
    if fresh:
        assert int(fields(second)[b"age"]) == 2 + (int(age.split(",")[0]) if age[:1].isdigit() else 0)


async def test_a_date_that_is_past_is_an_age_and_the_call_s_own_time_too(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60", "Date": date(manual_clock, -40)})
    origin.seconds = 10.0
    assert fields(await origin.get())[b"age"] == b"50"
    origin.seconds = 0.0
    manual_clock.advance(11)
    await origin.get()
    assert origin.calls == 2


@pytest.mark.parametrize("status", [200, 203, 299, 302, 404, 410, 500, 503])
async def test_any_final_status_is_kept_if_it_says_so_and_only_some_without(manual_clock, status):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60"})
    origin.statuses = [status]
    for _ in range(2):
        assert (await origin.get()).status == status
    assert origin.calls == 1
    origin = Origin(manual_clock, CachePolicy(60, vary=["x-none"]))
    origin.statuses = [status]
    for _ in range(2):
        await origin.get()
    assert origin.calls == (1 if status in (200, 203) else 2)


async def test_an_unknown_status_that_must_be_understood_is_not_kept(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60, must-understand"})
    origin.statuses = [299]
    for _ in range(2):
        await origin.get()
    assert origin.calls == 2


async def test_a_stale_answer_is_validated_by_its_own_validators(manual_clock):
    said = {"Cache-Control": "max-age=5", "ETag": '"a"', "Last-Modified": date(manual_clock, -100), "X-A": "1"}
    origin = Origin(manual_clock, OPEN, said, {"Cache-Control": "max-age=7", "X-A": "2"})
    origin.statuses = [200, 304]
    first = await origin.get(if_none_match='"other"', range="bytes=0-1")
    assert first.status == 206
    assert b"if-none-match" not in origin.asked[0]
    assert b"range" not in origin.asked[0]
    manual_clock.advance(6)
    again = await origin.get()
    assert origin.asked[1][b"if-none-match"] == b'"a"'
    assert origin.asked[1][b"if-modified-since"] == said["Last-Modified"].encode()
    assert (again.status, again.body) == (200, b"answer 1")
    assert fields(again)[b"x-a"] == b"2"
    assert fields(again)[b"content-type"].startswith(b"text/plain")
    assert status_of(again) == b"fwd=stale; fwd-status=304; stored"
    manual_clock.advance(6)
    assert fields(await origin.get())[b"age"] == b"6"
    assert origin.calls == 2


async def test_no_cache_is_validated_each_time(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60, no-cache", "ETag": '"a"'})
    origin.statuses = [200, 304]
    for _ in range(3):
        assert (await origin.get()).body == b"answer 1"
    assert origin.calls == 3
    assert (await origin.get(if_none_match='"a"')).status == 304


async def test_a_304_about_another_tag_changes_nothing(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=5", "ETag": '"a"'}, {"ETag": '"b"'})
    origin.statuses = [200, 304]
    await origin.get()
    manual_clock.advance(6)
    await origin.get()
    await origin.get()
    assert [asked.get(b"if-none-match") for asked in origin.asked] == [None, b'"a"', b'"a"']


@pytest.mark.parametrize(
    ("control", "status"),
    [
        ("max-age=5, stale-if-error=60", 200),
        ("max-age=5", 502),
        ("max-age=5, stale-if-error=60, must-revalidate", 502),
        ("max-age=5, stale-if-error=60, proxy-revalidate", 502),
        ("s-maxage=5, stale-if-error=60", 502),
    ],
)
async def test_stale_if_error_of_the_answer(manual_clock, control, status):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": control}, {})
    origin.statuses = [200, 502]
    await origin.get()
    manual_clock.advance(30)
    answer = await origin.get()
    assert answer.status == status
    assert (status_of(answer) == b"fwd=stale; fwd-status=502") == (status == 200)


async def test_an_error_does_not_stand_in_for_an_error(manual_clock):
    origin = Origin(manual_clock, CachePolicy(None, stale_if_error=60), {"Cache-Control": "max-age=5"}, {})
    origin.statuses = [502, 503]
    await origin.get()
    manual_clock.advance(6)
    assert (await origin.get()).status == 503


async def test_stale_while_revalidate_of_the_answer(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=5, stale-while-revalidate=10", "ETag": '"a"'})
    await origin.get()
    manual_clock.advance(6)
    # The conditions are the caller's own, not those that the operation is asked by.
    assert (await origin.get()).body == b"answer 1"
    assert origin.asked[1][b"if-none-match"] == b'"a"'
    assert (await origin.get()).body == b"answer 2"
    manual_clock.advance(20)
    assert (await origin.get()).body == b"answer 3"
    assert origin.calls == 3


async def test_a_call_that_goes_on_does_not_end_with_its_client(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=5, stale-while-revalidate=10"})
    await origin.get()
    manual_clock.advance(6)
    origin.seconds = 1.0  # long enough for the client's end to be seen
    answered, sent = asyncio.Event(), []

    async def receive():
        await answered.wait()  # servers say so to who asks after the answer, whether the connection is closed or not
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if message["type"] == "http.response.body":
            answered.set()

    await origin.app(scope_of("GET", "/x"), receive, send)
    assert sent[-1]["body"] == b"answer 1"
    origin.seconds = 0.0
    assert (await origin.get()).body == b"answer 2"
    assert origin.calls == 2


async def test_a_refresh_that_fails_leaves_the_old_answer_for_its_time(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=5, stale-while-revalidate=10"})
    origin.statuses = [200, 0, 0, 200]
    await origin.get()
    manual_clock.advance(6)
    for _ in range(2):
        assert (await origin.get()).body == b"answer 1"
    assert origin.calls == 3


@pytest.mark.parametrize(
    ("status", "said", "gone"),
    [
        (200, {"Cache-Control": "no-store"}, True),
        (200, {"Cache-Control": "private"}, True),
        (404, {}, True),
        (500, {}, False),
        (503, {"Cache-Control": "no-store"}, False),
    ],
)
async def test_what_is_no_longer_true_is_not_given_out_again(manual_clock, status, said, gone):
    kept = {"Cache-Control": "max-age=5, stale-while-revalidate=60, stale-if-error=60"}
    origin = Origin(manual_clock, OPEN, kept, said)
    origin.statuses = [200, status]
    await origin.get()
    manual_clock.advance(6)
    assert (await origin.get()).body == b"answer 1"
    assert ((await origin.get()).body != b"answer 1") is gone


@pytest.mark.parametrize(("problem", "gone"), [(NotFound, True), (Forbidden, True), (TooManyRequests, False)])
async def test_a_refusal_by_the_operation_ends_what_it_said_before(manual_clock, problem, gone):
    app, calls = made(manual_clock), []

    @app.get("/x", cache=CachePolicy(5, stale_while_revalidate=60))
    async def read() -> str:
        calls.append(1)
        if len(calls) > 1:
            raise problem("no")
        return "old"

    await get(app)
    manual_clock.advance(6)
    assert (await get(app)).body == b'"old"'
    assert ((await get(app)).status == problem.status) is gone


async def test_head_has_no_parts(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60"})
    for _ in range(2):
        head = await origin.get(method="HEAD", range="bytes=0-1")
        assert (head.status, head.body, fields(head)[b"content-length"]) == (200, b"", b"8")
    assert origin.calls == 1


async def test_authorization_needs_to_be_told_that_it_does_not_matter(manual_clock):
    for control, kept in (("max-age=60", False), ("max-age=60, public", True), ("s-maxage=60", True)):
        origin = Origin(manual_clock, OPEN, {"Cache-Control": control})
        await origin.get(authorization="Basic YTpi")
        await origin.get()
        assert origin.calls == (1 if kept else 2), control
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60"})
    await origin.get()
    await origin.get(authorization="Basic YTpi")
    assert origin.calls == 1


async def test_private_answers_are_kept_for_their_caller(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "private, max-age=60"}, roles={"user"}, guards=[Who()])
    for subject in ("ann", "bob", "ann", "bob"):
        await origin.get(x_subject=subject, authorization=subject)
    assert origin.calls == 2
    assert (await origin.get(x_subject="ann", authorization="ann")).body == b"answer 1"


async def test_targeted_fields_count_where_the_policy_names_them(manual_clock):
    said = {"CDN-Cache-Control": "max-age=60", "Cache-Control": "no-store"}
    for targets, calls in (((), 2), (["CDN-Cache-Control"], 1)):
        origin = Origin(manual_clock, CachePolicy(None, targets=targets), said)
        for _ in range(2):
            answer = await origin.get()
        assert origin.calls == calls
        assert fields(answer)[b"cache-control"] == b"no-store"
    broken = {"CDN-Cache-Control": "max-age=60, &", "Cache-Control": "max-age=5"}
    origin = Origin(manual_clock, CachePolicy(None, targets=["CDN-Cache-Control"]), broken)
    await origin.get()
    manual_clock.advance(6)
    await origin.get()
    assert origin.calls == 2


@pytest.mark.parametrize("field", [{"range": "bytes=0-5"}, {"range": "bytes=0-5", "if_range": "{etag}"}])
async def test_ranges_of_what_is_kept(manual_clock, field):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60", "ETag": '"a"'})
    await origin.get()
    part = await origin.get(**{name: value.format(etag='"a"') for name, value in field.items()})
    assert (part.status, part.body) == (206, b"answer")
    assert fields(part)[b"content-range"] == b"bytes 0-5/8"
    assert fields(part)[b"content-length"] == b"6"
    several = await origin.get(range="bytes=0-1, 4-5")
    assert several.status == 206
    assert fields(several)[b"content-type"].startswith(b"multipart/byteranges; boundary=")
    assert len(several.body) == int(fields(several)[b"content-length"])
    refused = await origin.get(range="bytes=99-")
    assert (refused.status, refused.body) == (416, b"")
    assert fields(refused)[b"content-range"] == b"bytes */8"
    whole = await origin.get(range="bytes=0-1", if_range='"other"')
    assert (whole.status, whole.body) == (200, b"answer 1")
    assert origin.calls == 1


async def test_a_part_is_not_compressed(manual_clock):
    app = made(manual_clock)

    @app.get("/x", cache="30s")
    async def read() -> list[str]:
        return ["abc"] * 5000

    part = await get(app, range="bytes=0-9999", accept_encoding="gzip")
    assert b"content-encoding" not in fields(part)
    assert len(part.body) == 10000


async def test_if_match_of_a_read(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60", "ETag": '"a"'})
    assert (await origin.get(if_match='"b"')).status == 412
    assert (await origin.get(if_match='"b"')).status == 412
    assert (await origin.get(if_match='"a"')).status == 200
    assert origin.calls == 1


async def test_collapsed_calls_get_only_what_they_may(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "max-age=60", "Vary": "x-kind"})
    origin.seconds = 1.0
    kinds = ["a", "b", "a", "c", "b", "a"]
    answers = await asyncio.gather(*(origin.get(x_kind=kind) for kind in kinds))
    assert origin.calls == 3
    assert len({(kind, answer.body) for kind, answer in zip(kinds, answers, strict=True)}) == 3


async def test_what_is_not_to_be_kept_is_made_for_each_who_waited(manual_clock):
    origin = Origin(manual_clock, OPEN, {"Cache-Control": "private, max-age=60"})
    origin.seconds = 1.0
    answers = await asyncio.gather(*(origin.get() for _ in range(5)))
    assert origin.calls == 5
    assert len({answer.body for answer in answers}) == 5


async def test_dates_and_fields_of_the_answer_are_its_own(manual_clock):
    said = {"Cache-Control": "max-age=60", "X-Content-Type-Options": "other", "X-A": "1", "Cache-Status": "other; hit"}
    origin = Origin(manual_clock, OPEN, said)
    for _ in range(2):
        answer = await origin.get()
        assert answer.all("x-content-type-options") == ["other"]
        assert answer.all("x-a") == ["1"]
        assert len(answer.all("cache-status")) == 1
        assert b"vary" not in fields(answer)
