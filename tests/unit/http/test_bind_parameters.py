"""Parameters from path, query, header and cookie: every type, and every error with its place."""

import enum
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import attrs
import msgspec
import pytest
from msgspec import Meta
from pydantic import BaseModel

from seawall import Call, Cookie, Header, Path, Principal, Query
from support.exchange import exchange
from support.settings import service

pytestmark = pytest.mark.anyio


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


UID = UUID("12345678-1234-5678-1234-567812345678")

GOOD: list[tuple[Any, str, Any]] = [
    (int, "7", 7),
    (int, "-7", -7),
    (int, "9007199254740993", 9007199254740993),
    (float, "1.5", 1.5),
    (float, "1e3", 1000.0),
    (float, "2", 2.0),
    (bool, "true", True),
    (bool, "false", False),
    (bool, "1", True),
    (bool, "0", False),
    (str, "plain", "plain"),
    (str, "7", "7"),
    (str, "null", "null"),
    (Size, "l", Size.LARGE),
    (Level, "2", Level.HIGH),
    (UUID, str(UID), UID),
    (Decimal, "0.10", Decimal("0.10")),
    (datetime, "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (date, "2026-01-02", date(2026, 1, 2)),
    (time, "03:04:05", time(3, 4, 5)),
    (timedelta, "PT90S", timedelta(seconds=90)),
    (Literal["asc", "desc"], "desc", "desc"),
    (Literal[1, 2], "2", 2),
    (int | str, "x", "x"),
    (int | bool, "true", True),
    (int | None, "7", 7),
    (str | None, "null", "null"),
    (Annotated[int, Meta(ge=1, le=9)], "9", 9),
    (Annotated[str, Meta(pattern="^[a-z]+$", max_length=3)], "abc", "abc"),
    (Annotated[int, Meta(ge=1)] | None, "1", 1),
]

BAD: list[tuple[Any, str]] = [
    (int, "x"),
    (int, "1.5"),
    (int, "true"),
    (int, "1_000"),
    (int, "0x10"),
    (int, "\u0661"),  # a digit, but not one of JSON
    (float, "x"),
    (float, "NaN"),
    (float, "nan"),
    (float, "Infinity"),
    (float, "-inf"),
    (float | None, "nan"),
    (bool, "yes"),
    (bool, "2"),
    (Size, "m"),
    (Level, "3"),
    (Level, "LOW"),
    (UUID, "12345678"),
    (Decimal, "ten"),
    (datetime, "yesterday"),
    (date, "2026-02-30"),
    (time, "25:00:00"),
    (Literal["asc", "desc"], "up"),
    (Literal[1, 2], "3"),
    (int | None, "null"),
    (Annotated[int, Meta(ge=1, le=9)], "10"),
    (Annotated[str, Meta(pattern="^[a-z]+$")], "A"),
    (Annotated[str, Meta(max_length=3)], "abcd"),
    (Annotated[int, Meta(ge=1)] | None, "0"),
]


def escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


async def ask(source: str, hint: Any, text: str) -> tuple[Any, list[Any]]:
    """Send *text* from *source* to an operation that takes *hint*; return the answer and what it was called with."""
    app, seen = service(), []
    marker = {"path": Path(), "query": Query(), "header": Header(), "cookie": Cookie()}[source]

    async def operation(value: Any) -> None:
        seen.append(value)

    operation.__annotations__["value"] = Annotated[hint, marker]
    app.get("/at/{value}" if source == "path" else "/at")(operation)
    path = f"/at/{escaped(text)}" if source == "path" else "/at"
    query = f"value={escaped(text)}" if source == "query" else ""
    field = text.encode().decode("latin-1")  # a header field carries bytes
    headers = {"header": {"value": field}, "cookie": {"cookie": f"value={field}"}}.get(source, {})
    return await exchange(app, "GET", path, query, headers=headers), seen


def shown(case: tuple[Any, ...]) -> str:
    return f"{getattr(case[0], '__name__', case[0])}-{case[1]}".replace("typing.", "")


@pytest.mark.parametrize("source", ["path", "query", "header", "cookie"])
@pytest.mark.parametrize("case", GOOD, ids=shown)
async def test_every_type_from_every_source(source, case):
    hint, text, value = case
    answer, seen = await ask(source, hint, text)
    assert (answer.status, seen) == (204, [value]), answer.body
    assert type(seen[0]) is type(value)


@pytest.mark.parametrize("source", ["path", "query", "header", "cookie"])
@pytest.mark.parametrize("case", BAD, ids=shown)
async def test_a_wrong_text_is_refused_where_it_stands(source, case):
    hint, text = case
    answer, seen = await ask(source, hint, text)
    assert answer.status == 422
    assert list(answer.errors) == [f"{source}:value"]
    assert seen == []


async def test_everything_wrong_is_said_at_once():
    app = service()

    @app.get("/things/{thing_id}")
    async def read(
        thing_id: int,
        size: Size,
        limit: Annotated[int, Meta(ge=1, le=100)] = 10,
        x_tenant: Annotated[int, Header()] = 0,
        session: Annotated[UUID | None, Cookie()] = None,
    ) -> None: ...

    answer = await exchange(
        app, "GET", "/things/x", "limit=0&limits=1", headers={"x-tenant": "a", "cookie": "session=b"}
    )
    assert answer.status == 422
    assert answer.errors == {
        "path:thing_id": "Expected `int`, got 'x'.",
        "query:size": "This parameter is required.",
        "query:limit": "Expected `int` >= 1.",
        "header:x-tenant": "Expected `int`, got 'a'.",
        "cookie:session": "Invalid UUID.",
    }


async def test_defaults_stand_for_what_is_not_sent():
    app, seen = service(), []

    @app.get("/d")
    async def read(
        a: int = 1,
        b: str | None = None,
        c: list[int] = [1, 2],  # noqa: B006 - what a user would write
        d: Annotated[Size, Header()] = Size.SMALL,
        e: Annotated[str, Cookie()] = "none",
    ) -> None:
        seen.append((a, b, c, d, e))

    assert (await exchange(app, "GET", "/d")).status == 204
    assert seen == [(1, None, [1, 2], Size.SMALL, "none")]


async def test_aliases_name_the_parameter_on_the_wire_and_in_errors():
    app, seen = service(), []

    @app.get("/a/{order-id}".replace("-", "_"))
    async def read(
        order: Annotated[int, Path("order_id")],
        page_size: Annotated[int, Query("page[size]")],
        tenant: Annotated[str, Header("X-Tenant")],
        sid: Annotated[str, Cookie("session.id")],
    ) -> None:
        seen.append((order, page_size, tenant, sid))

    fields = {"x-tenant": "t", "cookie": "session.id=s"}
    assert (await exchange(app, "GET", "/a/1", "page%5Bsize%5D=2", headers=fields)).status == 204
    assert seen == [(1, 2, "t", "s")]
    answer = await exchange(app, "GET", "/a/x")
    assert set(answer.errors) == {"path:order_id", "query:page[size]", "header:X-Tenant", "cookie:session.id"}


@pytest.mark.parametrize(
    ("hint", "query", "value"),
    [
        (list[int], "v=1&v=2", [1, 2]),
        (list[int], "v=1", [1]),
        (set[str], "v=a&v=a&v=b", {"a", "b"}),
        (frozenset[int], "v=1", frozenset({1})),
        (tuple[int, ...], "v=3&v=4", (3, 4)),
        (list[Size], "v=s&v=l", [Size.SMALL, Size.LARGE]),
        (list[int] | None, "v=1&v=2", [1, 2]),
        (list[str], "v=a%26b&v=c+d", ["a&b", "c d"]),
        (Annotated[list[int], Meta(max_length=2)], "v=1&v=2", [1, 2]),
        (list[Annotated[int, Meta(ge=1)]], "v=1", [1]),
    ],
)
async def test_lists_take_every_value_of_their_name(hint, query, value):
    app, seen = service(), []

    @app.get("/l")
    async def read(v: hint) -> None:
        seen.append(v)

    assert (await exchange(app, "GET", "/l", query)).status == 204
    assert seen == [value]


@pytest.mark.parametrize(
    ("hint", "query"),
    [
        (list[int], "v=1&v=x"),
        (list[float], "v=1&v=nan"),
        (list[float], "v=inf"),
        (list[int], ""),
        (Annotated[list[int], Meta(max_length=2)], "v=1&v=2&v=3"),
        (list[Annotated[int, Meta(ge=1)]], "v=0"),
        (list[Size], "v=s&v=m"),
    ],
)
async def test_wrong_lists_are_refused(hint, query):
    app = service()

    @app.get("/l")
    async def read(v: hint) -> None: ...

    answer = await exchange(app, "GET", "/l", query)
    assert (answer.status, list(answer.errors)) == (422, ["query:v"])


async def test_a_list_from_a_header_is_split_at_its_commas():
    app, seen = service(), []

    @app.get("/h")
    async def read(if_match: Annotated[list[str], Header()], x_n: Annotated[list[int], Header()] = []) -> None:  # noqa: B006
        seen.append((if_match, x_n))

    pairs = [("if-match", '"a", "b"'), ("if-match", '"c"'), ("x-n", "1, 2,3,,")]
    assert (await exchange(app, "GET", "/h", headers=pairs)).status == 204
    assert seen == [(['"a"', '"b"', '"c"'], [1, 2, 3])]
    assert (await exchange(app, "GET", "/h")).errors == {"header:if-match": "This parameter is required."}
    assert "header:x-n" in (await exchange(app, "GET", "/h", headers=[("if-match", "a"), ("x-n", "1,x")])).errors


async def test_a_parameter_that_is_one_value_may_stand_once():
    app = service()

    @app.get("/once")
    async def read(a: int = 0, b: list[int] = []) -> int:  # noqa: B006
        return a

    answer = await exchange(app, "GET", "/once", "a=1&a=2")
    assert (answer.status, answer.errors) == (422, {"query:a": "Give this parameter once."})
    assert (await exchange(app, "GET", "/once", "a=1&b=1&b=2&other=1&other=2")).body == b"1"


class Rule(msgspec.Struct):
    low: Annotated[int, Meta(ge=0)] = 0
    high: int = 10
    tags: list[str] = []
    ratio: float | None = None

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be more than high")


@attrs.define
class Attrs:
    low: int
    high: int = 10


class Model(BaseModel):
    low: int
    high: int = 10


async def test_a_query_as_one_value_with_a_rule_across_its_fields():
    app, seen = service(), []

    @app.get("/rule")
    async def read(rule: Annotated[Rule, Query()]) -> None:
        seen.append(rule)

    assert (await exchange(app, "GET", "/rule", "low=3&tags=a&tags=b&unrelated=1")).status == 204
    assert (await exchange(app, "GET", "/rule")).status == 204
    assert seen == [Rule(low=3, tags=["a", "b"]), Rule()]
    answer = await exchange(app, "GET", "/rule", "low=11")
    # The fields are what the caller sees: the name of the parameter that groups them is not on the wire.
    assert answer.status == 422
    assert [(error["location"], error.get("parameter")) for error in answer.json()["errors"]] == [("query", None)]
    answer = await exchange(app, "GET", "/rule", "low=-1&high=x&ratio=nan")
    assert set(answer.errors) == {"query:low", "query:high", "query:ratio"}
    answer = await exchange(app, "GET", "/rule", "high=1&high=2")
    assert answer.errors == {"query:high": "Give this parameter once."}


@pytest.mark.parametrize("kind", [Attrs, Model])
async def test_a_query_as_any_type_with_fields(kind):
    app, seen = service(), []

    @app.get("/q")
    async def read(q: Annotated[kind, Query()]) -> None:
        seen.append((q.low, q.high))

    assert (await exchange(app, "GET", "/q", "low=3")).status == 204
    assert seen == [(3, 10)]
    assert set((await exchange(app, "GET", "/q", "high=x")).errors) == {"query:low", "query:high"}


async def test_an_optional_query_value_is_its_default_when_nothing_of_it_is_sent():
    app, seen = service(), []

    @app.get("/q")
    async def read(q: Annotated[Rule | None, Query()] = None) -> None:
        seen.append(q)

    assert (await exchange(app, "GET", "/q")).status == 204
    assert (await exchange(app, "GET", "/q", "low=1")).status == 204
    assert seen == [None, Rule(low=1)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/files/plain", "plain"),
        ("/files/a%20b", "a b"),
        ("/files/a%2Fb", "a/b"),
        ("/files/caf%C3%A9", "café"),
        ("/files/100%25", "100%"),
        ("/files/a+b", "a+b"),
        ("/files/%E2%82%AC", "€"),
        ("/files/..", ".."),
    ],
)
async def test_a_path_segment_is_decoded_after_the_path_is_split(path, value):
    app, seen = service(), []

    @app.get("/files/{name}")
    async def read(name: str) -> None:
        seen.append(name)

    assert (await exchange(app, "GET", path)).status == 204
    assert seen == [value]


async def test_a_server_without_raw_path_is_served_too():
    app, seen = service(), []

    @app.get("/files/{name}")
    async def read(name: str) -> None:
        seen.append(name)

    assert (await exchange(app, "GET", "/files/a%20b", raw_path=None)).status == 204
    assert seen == ["a b"]


async def test_a_path_that_is_not_utf8_is_a_bad_request():
    app = service()

    @app.get("/files/{name}")
    async def read(name: str) -> None: ...

    answer = await exchange(app, "GET", "/files/%FF")
    assert (answer.status, answer.json()["type"]) == (400, "urn:problem-type:seawall:bad-request")


@pytest.mark.parametrize(
    ("path", "value"),
    [("/t/a/b/c", "a/b/c"), ("/t/a", "a"), ("/t/a%2Fb/c", "a/b/c"), ("/t/a/", "a/")],
)
async def test_a_tail_takes_the_rest_of_the_path(path, value):
    app, seen = service(), []

    @app.get("/t/{rest:path}")
    async def read(rest: str) -> None:
        seen.append(rest)

    assert (await exchange(app, "GET", path)).status == 204
    assert seen == [value]
    assert (await exchange(app, "GET", "/t/")).status == 404


@pytest.mark.parametrize("query", ["%FF=1", "a=%FF", "a=%C3%28"])
async def test_a_query_that_is_not_utf8_is_malformed(query):
    app = service()

    @app.get("/q")
    async def read(a: str = "") -> None: ...

    answer = await exchange(app, "GET", "/q", query)
    assert (answer.status, answer.json()["type"]) == (400, "urn:problem-type:seawall:malformed-query")


async def test_more_query_fields_than_allowed_are_malformed():
    app = service(http={"max_query_fields": 3})

    @app.get("/q")
    async def read(a: str = "") -> None: ...

    assert (await exchange(app, "GET", "/q", "a=1&b=2&c=3")).status == 204
    assert (await exchange(app, "GET", "/q", "a=1&b=2&c=3&d=4")).status == 400


async def test_call_and_principal_come_by_their_type():
    app, seen = service(), []

    @app.get("/who")
    async def who(call: Call, principal: Principal | None) -> None:
        seen.append((call.operation, call.client, call.header("X-Thing"), principal))

    @app.get("/me")
    async def me(principal: Principal) -> None: ...

    assert (await exchange(app, "GET", "/who", headers={"x-thing": "1"})).status == 204
    assert seen == [("who", "192.0.2.1", "1", None)]
    assert (await exchange(app, "GET", "/me")).status == 401


async def test_the_starlette_request_comes_by_its_type():
    from starlette.requests import Request

    app, seen = service(), []

    @app.post("/raw")
    async def raw(request: Request) -> None:
        seen.append((request.url.path, await request.body()))

    assert (await exchange(app, "POST", "/raw", body=[b"a", b"b"])).status == 204
    assert seen == [("/raw", b"ab")]
