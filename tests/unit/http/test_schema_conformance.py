"""What the API document allows is accepted, and what it excludes is refused, in the corners where msgspec differs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
import pytest

from seawall import Query
from support.exchange import MSGPACK, exchange
from support.settings import service as make

pytestmark = pytest.mark.anyio


class Line(msgspec.Struct, forbid_unknown_fields=True):
    number: int
    weight: float = 0.0


class Parcel(msgspec.Struct):
    lines: list[Line]
    by_size: dict[int, int] = {}


class Search(msgspec.Struct, kw_only=True):
    since: datetime | None = None
    span: timedelta | None = None
    most: int | None = None
    word: str | None = None


@pytest.fixture
async def app():
    service = make()

    @service.post("/parcels")
    async def send(parcel: Parcel) -> Parcel:
        """Send."""
        return parcel

    @service.post("/unique", duplicate_keys="refuse")
    async def send_unique(parcel: Parcel) -> Parcel:
        """Send."""
        return parcel

    @service.get("/search")
    async def search(search: Annotated[Search, Query()]) -> Search:
        """Search."""
        return search

    @service.get("/moments")
    async def moments(since: datetime | None = None, spans: list[timedelta] | None = None) -> Any:
        """Tell."""
        return [since, spans]

    @service.get("/numbers/{number}")
    async def number(number: int) -> int:
        """Return it."""
        return number

    async with service.running():
        yield service


async def test_a_whole_number_is_an_integer_however_it_is_written(app):
    body = b'{"lines": [{"number": 3.0, "weight": 2.0}, {"number": 1e2}], "by_size": {"4": 5.0}}'
    answer = await exchange(app, "POST", "/parcels", headers={"content-type": "application/json"}, body=body)
    assert answer.status == 200, answer.body
    assert answer.json() == {
        "lines": [{"number": 3, "weight": 2.0}, {"number": 100, "weight": 0.0}],
        "by_size": {"4": 5},
    }


async def test_so_it_is_in_messagepack(app):
    body = msgspec.msgpack.encode({"lines": [{"number": 3.0}]})
    answer = await exchange(app, "POST", "/parcels", headers=MSGPACK, body=body)
    assert (answer.status, answer.json()["lines"][0]["number"]) == (200, 3)


@pytest.mark.parametrize("number", ["3.5", "1e300", "9007199254740994.0", "-0.1"])
async def test_any_other_is_none(app, number):
    body = b'{"lines": [{"number": 3.0}, {"number": %s}]}' % number.encode()
    answer = await exchange(app, "POST", "/parcels", headers={"content-type": "application/json"}, body=body)
    assert (answer.status, set(answer.errors)) == (422, {"/lines/1/number"})


async def test_what_else_is_wrong_is_still_found(app):
    head = {"content-type": "application/json"}
    body = b'{"lines": [{"number": 3.0, "colour": 1}]}'
    answer = await exchange(app, "POST", "/parcels", headers=head, body=body)
    assert (answer.status, set(answer.errors)) == (422, {"/lines/0/colour"})
    body = b'{"lines": [{"number": 3.0}], "size": 1}'
    answer = await exchange(app, "POST", "/parcels", headers=head, body=body)
    assert (answer.status, set(answer.errors)) == (422, {"/size"})
    body = b'{"lines": [{"number": 3.0, "number": 4}]}'
    answer = await exchange(app, "POST", "/unique", headers=head, body=body)
    assert (answer.status, set(answer.errors)) == (400, {"/lines/0/number"})


@pytest.mark.parametrize("query", ["since=null", "span=Null", "most=null"])
async def test_the_word_null_is_no_value_of_a_parameter(app, query):
    answer = await exchange(app, "GET", "/search", query)
    assert (answer.status, set(answer.errors)) == (422, {f"query:{query.partition('=')[0]}"})


async def test_but_it_is_a_word(app):
    answer = await exchange(app, "GET", "/search", "word=null")
    assert (answer.status, answer.json()["word"]) == (200, "null")


@pytest.mark.parametrize("query", ["since=0.5", "since=1700000000", "span=5"])
@pytest.mark.parametrize("path", ["/search", "/moments"])
async def test_a_number_is_no_moment_and_no_duration(app, path, query):
    if path == "/moments":
        query = query.replace("span=", "spans=")
    answer = await exchange(app, "GET", path, query)
    assert (answer.status, set(answer.errors)) == (422, {f"query:{query.partition('=')[0]}"})


async def test_moments_and_durations_are(app):
    query = "since=2026-01-31T12:00:00Z&span=PT5S"
    answer = await exchange(app, "GET", "/search", query)
    assert (answer.json()["since"], answer.json()["span"]) == ("2026-01-31T12:00:00Z", "PT5S")
    answer = await exchange(app, "GET", "/moments", "since=2026-01-31T12:00:00Z&spans=PT5S&spans=P1D")
    assert answer.json() == ["2026-01-31T12:00:00Z", ["PT5S", "P1D"]]


@pytest.mark.parametrize(
    ("path", "instance"),
    [
        ("/numbers/%C3%BF%5E%22", "/numbers/%C3%BF%5E%22"),
        ("/numbers/a:@!$&'()*+,;=-._~", "/numbers/a:@!$&'()*+,;=-._~"),
    ],
)
async def test_the_instance_of_a_problem_is_a_uri_reference(app, path, instance):
    answer = await exchange(app, "GET", path)
    assert (answer.status, answer.json()["instance"]) == (422, instance)
