"""Answers: encodings, statuses, header fields, replies, Starlette's responses, HEAD, and what an error becomes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pydantic
import pytest
from starlette.background import BackgroundTask
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from seawall import (
    Conflict,
    FieldError,
    InvalidInput,
    Problem,
    Reply,
    TooManyRequests,
    Unavailable,
    current_call,
    delete_cookie,
    fan_out,
    set_cookie,
)
from support.exchange import exchange
from support.settings import service, settings

pytestmark = pytest.mark.anyio


class Item(msgspec.Struct):
    id: int
    price: Decimal = Decimal("1.50")


class Model(pydantic.BaseModel):
    unit_price: int = pydantic.Field(1, alias="unitPrice")


def returning(value: Any, hint: Any, **options: Any):
    app = service()

    async def read() -> Any:
        return value

    read.__annotations__["return"] = hint
    app.get("/x", **options)(read)
    return app


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("application/msgpack", "application/msgpack"),
        ("application/json;q=0.5, application/msgpack", "application/msgpack"),
        ("text/html, */*;q=0.1", "application/json"),
        ("", "application/json"),
    ],
)
async def test_the_representation_is_the_one_the_client_likes_best(accept, content_type):
    app = returning(Item(1), Item)
    answer = await exchange(app, "GET", "/x", headers={} if accept is None else {"accept": accept})
    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    decode = msgspec.json.decode if content_type.endswith("json") else msgspec.msgpack.decode
    assert decode(answer.body) == {"id": 1, "price": "1.50"}
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "accept" in [value.lower() for value in answer.all("vary")]


async def test_a_client_that_takes_neither_gets_a_406_and_the_operation_does_not_run():
    app, ran = service(), []

    @app.post("/x")
    async def act() -> int:
        ran.append(1)
        return 1

    answer = await exchange(app, "POST", "/x", headers={"accept": "text/html"})
    assert (answer.status, answer.headers["content-type"]) == (406, "application/problem+json")
    assert answer.json()["available"] == ["application/json", "application/msgpack"]
    assert ran == []


async def test_many_different_accept_fields_are_not_all_remembered():
    app = returning(1, int)
    plan = app.build().plans[0]
    remembered = next(value for name, value in plan.namespace.items() if name.startswith("_representations"))
    for number in range(1000):
        await exchange(app, "GET", "/x", headers={"accept": f"application/json, text/x{number}"})
    assert len(remembered) <= 300


@pytest.mark.parametrize(
    ("value", "hint", "body"),
    [
        (None, Item | None, None),
        ([Item(1)], list[Item], [{"id": 1, "price": "1.50"}]),
        ({"a": 1}, dict[str, int], {"a": 1}),
        ("text", str, "text"),
        (Model(unitPrice=2), Model, {"unitPrice": 2}),
        ([Model(unitPrice=2)], list[Model], [{"unitPrice": 2}]),
        ({"m": Model(unitPrice=2)}, dict[str, Any], {"m": {"unitPrice": 2}}),
        (Model(unitPrice=2), Model | None, {"unitPrice": 2}),
        (float("nan"), float, None),
    ],
)
async def test_every_kind_of_result_is_encoded(value, hint, body):
    answer = await exchange(returning(value, hint), "GET", "/x")
    assert (answer.status, answer.json()) == (200, body)


async def test_none_is_a_204_without_body_or_its_fields():
    answer = await exchange(returning(None, None), "GET", "/x")
    assert (answer.status, answer.body) == (204, b"")
    assert not {"content-type", "content-length"} & set(answer.headers)


@pytest.mark.parametrize("status", [200, 201, 202, 205])
async def test_another_status_without_a_body_says_that_it_has_none(status):
    answer = await exchange(returning(None, None, status=status), "GET", "/x")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (status, b"", "0")
    assert "content-type" not in answer.headers


async def test_a_reply_says_more_than_its_value():
    app = service()

    @app.post("/items", status=201)
    async def create() -> Reply[Item]:
        return Reply(
            Item(1),
            location="/items/1",
            headers={"X-Thing": "a", "ETag": '"1"'},
            cookies=[set_cookie("a", "1"), delete_cookie("b")],
        )

    answer = await exchange(app, "POST", "/items")
    assert (answer.status, answer.json()["id"]) == (201, 1)
    assert answer.headers["location"] == "/items/1"
    assert (answer.headers["x-thing"], answer.headers["etag"]) == ("a", '"1"')
    assert len(answer.all("set-cookie")) == 2


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (Reply(Item(1), status=202), 202, {"id": 1, "price": "1.50"}),
        (Reply(None, status=202), 202, b""),
        (Reply(None), 200, b""),
        (Reply(Item(1), status=204), 204, b""),
        (Item(1), 200, {"id": 1, "price": "1.50"}),
    ],
)
async def test_a_reply_may_have_no_body(reply, status, body):
    answer = await exchange(returning(reply, Reply[Item | None] | Item), "GET", "/x")
    assert answer.status == status
    assert (answer.body or b"") == body if isinstance(body, bytes) else answer.json() == body
    if status == 204:
        assert "content-length" not in answer.headers


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\x00", "a\x7f"])
async def test_a_header_field_cannot_split_the_answer(value, caplog):
    app = returning(Reply(1, headers={"x-thing": value}), Reply[int])
    answer = await exchange(app, "GET", "/x")
    assert answer.status == 500
    assert "x-thing" not in answer.headers


@pytest.mark.parametrize("name", ["content-length", "Content-Type", "transfer-encoding", "connection"])
async def test_a_reply_cannot_contradict_the_framing_of_its_answer(name, caplog):
    answer = await exchange(returning(Reply(1, headers={name: "5"}), Reply[int]), "GET", "/x")
    assert answer.status == 500
    assert f"{name!r} is the service's own" in caplog.text


async def test_starlette_responses_pass_with_the_services_fields(tmp_path):
    (tmp_path / "a.txt").write_text("0123456789")
    app = service(sunset="2030-01-01")

    @app.get("/html")
    async def html() -> HTMLResponse:
        return HTMLResponse("<p>", headers={"x-content-type-options": "mine"})

    @app.get("/to")
    async def to() -> RedirectResponse:
        return RedirectResponse("/html", 303)

    @app.get("/file")
    async def file() -> FileResponse:
        return FileResponse(tmp_path / "a.txt")

    @app.get("/maybe/{n}")
    async def maybe(n: int) -> Item | RedirectResponse:
        return Item(n) if n else RedirectResponse("/html")

    @app.get("/reply/{n}")
    async def reply(n: int) -> Reply[Item] | Response:
        return Reply(Item(n), status=202) if n else Response(b"raw", 200, media_type="text/plain")

    answer = await exchange(app, "GET", "/html")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"<p>", "text/html; charset=utf-8")
    assert answer.all("x-content-type-options") == ["mine"]
    assert answer.headers["sunset"].startswith("Tue, 01 Jan 2030")
    assert answer.headers["x-request-id"]
    assert (await exchange(app, "GET", "/to")).headers["location"] == "/html"
    answer = await exchange(app, "GET", "/file", headers={"range": "bytes=2-4"})
    assert (answer.status, answer.body) == (206, b"234")
    assert (await exchange(app, "GET", "/maybe/1")).json()["id"] == 1
    assert (await exchange(app, "GET", "/maybe/0")).status == 307
    assert (await exchange(app, "GET", "/maybe/x")).status == 422
    assert (await exchange(app, "GET", "/reply/1")).status == 202
    assert (await exchange(app, "GET", "/reply/0")).body == b"raw"


async def test_a_response_made_once_gets_the_id_of_each_request():
    constant = PlainTextResponse("ok")
    app = returning(constant, PlainTextResponse)
    answers = [await exchange(app, "GET", "/x", headers={"x-request-id": f"id-{n}"}) for n in range(3)]
    assert [answer.all("x-request-id") for answer in answers] == [["id-0"], ["id-1"], ["id-2"]]


async def test_a_response_that_cannot_be_sent_is_a_500_with_a_problem(tmp_path, caplog):
    app = returning(FileResponse(tmp_path / "missing"), FileResponse)
    answer = await exchange(app, "GET", "/x")
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "missing" not in answer.body.decode()


async def test_a_stream_runs_within_its_call_and_an_error_in_it_breaks_the_connection():
    app, seen = service(), []

    async def pieces(fail: bool) -> AsyncIterator[bytes]:
        seen.append(current_call().operation)
        yield b"a"
        yield b"b"
        if fail:
            raise RuntimeError("half way")

    @app.get("/stream")
    async def stream(fail: bool = False) -> StreamingResponse:
        return StreamingResponse(pieces(fail), background=BackgroundTask(lambda: seen.append("after")))

    answer = await exchange(app, "GET", "/stream")
    assert (answer.body, seen) == (b"ab", ["stream", "after"])
    sent: list[Any] = []
    with pytest.raises(RuntimeError, match="half way"):
        await _collect(app, "/stream", "fail=true", sent)
    assert [message.get("more_body") for message in sent if message["type"] == "http.response.body"] == [True, True]


async def _collect(app, path, query, sent):
    from support.exchange import scope_of

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await app(scope_of("GET", path, query), receive, send)


async def test_large_starlette_responses_are_compressed_too():
    app = returning(HTMLResponse("<p>" * 2000), HTMLResponse)
    answer = await exchange(app, "GET", "/x", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < 1000


async def test_head_is_get_without_its_body():
    app = service()

    @app.get("/items/{item_id}")
    async def read(item_id: int) -> Item:
        return Item(item_id)

    @app.get("/page")
    async def page() -> HTMLResponse:
        return HTMLResponse("<p>")

    for path in ("/items/1", "/page"):
        get, head = await exchange(app, "GET", path), await exchange(app, "HEAD", path)
        assert head.body == b""
        assert {**get.headers, "x-request-id": ""} == {**head.headers, "x-request-id": ""}
    assert (await exchange(app, "HEAD", "/items/x")).status == 422


class OutOfStock(Conflict):
    type = "urn:problem-type:test:out-of-stock"
    title = "Out of stock"


async def test_a_problem_is_a_document_with_everything_it_says():
    app = service()

    @app.get("/stock")
    async def stock() -> None:
        raise OutOfStock(
            "There is none left.",
            errors=[FieldError("Too many.", "/lines/0")],
            headers={"Retry-After": "5"},
            available=3,
            status=999,
        )

    answer = await exchange(app, "GET", "/stock", headers={"x-request-id": "abc"})
    assert answer.status == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "5"
    assert answer.json() == {
        "type": "urn:problem-type:test:out-of-stock",
        "title": "Out of stock",
        "status": 409,
        "detail": "There is none left.",
        "instance": "/stock",
        "request_id": "abc",
        "errors": [{"detail": "Too many.", "pointer": "/lines/0"}],
        "available": 3,
    }


async def test_a_minimal_problem_says_no_more_than_it_knows():
    app = service()

    @app.get("/busy")
    async def busy() -> None:
        raise Unavailable

    answer = await exchange(app, "GET", "/busy")
    assert set(answer.json()) == {"type", "title", "status", "instance", "request_id"}


async def test_an_unexpected_error_says_nothing_and_is_logged_with_its_traceback(caplog):
    app = service()

    @app.get("/boom")
    async def boom() -> int:
        secret = "hunter2"
        raise ValueError(secret)

    with caplog.at_level(logging.ERROR, logger="seawall"):
        answer = await exchange(app, "GET", "/boom", headers={"x-request-id": "abc"})
    assert answer.status == 500
    assert "hunter2" not in answer.body.decode()
    assert answer.json()["type"] == "urn:problem-type:seawall:internal-error"
    (record,) = caplog.records
    assert (record.request_id, record.operation) == ("abc", "boom")
    assert record.exc_info[1].args == ("hunter2",)


async def test_development_shows_the_traceback_as_json_or_page(caplog):
    app = service(settings=settings(environment="development"))

    @app.get("/boom")
    async def boom() -> int:
        raise ValueError("visible")

    answer = await exchange(app, "GET", "/boom")
    assert any("visible" in line for line in answer.json()["traceback"])
    page = await exchange(app, "GET", "/boom", headers={"accept": "text/html, */*;q=0.1"})
    assert page.headers["content-type"].startswith("text/html")
    assert b"visible" in page.body


class Domain(Exception): ...


class Special(Domain): ...


async def test_exceptions_are_translated_the_most_derived_first(caplog):
    app = service()

    @app.translate(Domain)
    def domain(error: Domain) -> Problem:
        return Conflict(str(error))

    @app.translate(Special)
    def special(error: Special) -> Problem:
        return TooManyRequests(str(error))

    @app.get("/x")
    async def act(special: bool = False) -> None:
        raise Special("s") if special else Domain("d")

    assert (await exchange(app, "GET", "/x")).status == 409
    assert (await exchange(app, "GET", "/x", "special=true")).status == 429


async def test_a_translation_that_fails_is_a_500_with_a_problem(caplog):
    app = service()

    @app.translate(Domain)
    def domain(error: Domain) -> Problem:
        raise RuntimeError("broken translation")

    @app.get("/x")
    async def act() -> None:
        raise Domain

    answer = await exchange(app, "GET", "/x")
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "broken translation" in caplog.text


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "problem",
    [
        Conflict("x", headers={"x-bad": "a\nb"}),
        Conflict("x", thing=Unspeakable()),
    ],
)
async def test_a_problem_that_cannot_be_sent_is_a_500_with_a_problem(problem, caplog):
    app = service()

    @app.get("/x")
    async def act() -> None:
        raise problem

    answer = await exchange(app, "GET", "/x")
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")


async def test_a_result_that_cannot_be_encoded_is_a_500_that_the_log_explains(caplog):
    answer = await exchange(returning(object(), Any), "GET", "/x")
    assert answer.status == 500
    assert "cannot be encoded" in caplog.text


async def test_problems_of_a_task_group_are_the_answer():
    app = service()

    @app.get("/group")
    async def group(other: bool = False) -> None:
        async def fail(error: Exception) -> None:
            raise error

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail(Conflict("first")))
            if other:
                tasks.create_task(fail(ValueError("no answer")))

    assert (await exchange(app, "GET", "/group")).json()["detail"] == "first"
    assert (await exchange(app, "GET", "/group", "other=true")).status == 500


async def test_a_problem_of_a_fanned_out_part_is_the_answer_and_ends_the_others():
    app, ended = service(), []

    async def fails() -> int:
        raise Conflict("part")

    async def waits() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)
        return 1

    @app.get("/fan")
    async def fan() -> dict[str, int]:
        return await fan_out(dict, a=waits(), b=fails())

    answer = await exchange(app, "GET", "/fan")
    assert (answer.status, answer.json()["detail"], ended) == (409, "part", [1])


@pytest.mark.parametrize("given", ["abc-1", "a" * 128, "A.B_c~+/=:-"])
async def test_a_request_id_is_taken_over(given):
    answer = await exchange(returning(1, int), "GET", "/x", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, "a\tb", "é", "<script>", 'a"b', "a,b"])
async def test_a_request_id_that_cannot_go_into_logs_is_replaced(given):
    answer = await exchange(returning(1, int), "GET", "/x", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) > 8


async def test_repeated_request_ids_are_replaced_and_made_ones_are_unique():
    app = returning(1, int)
    fields = [("x-request-id", "a"), ("x-request-id", "b")]
    made = {(await exchange(app, "GET", "/x", headers=fields)).headers["x-request-id"] for _ in range(50)}
    assert len(made) == 50


async def test_security_fields_are_on_every_answer():
    app = returning(1, int)
    for path in ("/x", "/nothing"):
        assert (await exchange(app, "GET", path)).headers["x-content-type-options"] == "nosniff"
    app = service(http={"security_headers": False})

    @app.get("/x")
    async def read() -> int:
        return 1

    assert "x-content-type-options" not in (await exchange(app, "GET", "/x")).headers
    app = service(http={"hsts_seconds": 600})
    app.get("/x")(read)
    assert "max-age=600" in (await exchange(app, "GET", "/x", scheme="https")).headers["strict-transport-security"]


async def test_invalid_input_lists_what_it_is_given():
    app = service()

    @app.get("/x")
    async def act() -> None:
        raise InvalidInput(errors=[FieldError("Wrong.", parameter="a", location="query")])

    assert (await exchange(app, "GET", "/x")).errors == {"query:a": "Wrong."}


@pytest.mark.parametrize(("status", "kind"), [(404, "not-found"), (409, "conflict"), (418, None)])
async def test_starlettes_http_exception_is_the_problem_of_its_status(status, kind):
    from starlette.exceptions import HTTPException

    app = service()

    @app.get("/x")
    async def act() -> None:
        raise HTTPException(status, "told", headers={"x-a": "1", "content-type": "text/plain"})

    answer = await exchange(app, "GET", "/x")
    assert (answer.status, answer.json()["status"], answer.headers["x-a"]) == (status, status, "1")
    assert answer.json()["type"] == (f"urn:problem-type:seawall:{kind}" if kind else "about:blank")
    assert answer.all("content-type") == ["application/problem+json"]
