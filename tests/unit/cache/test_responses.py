"""Answers of operations that are kept: for whom, for how long, what may be mistaken for what."""

import asyncio
from typing import Annotated

import pytest
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from seawall import Call, Guard, Place, Principal
from seawall.cache import CachePolicy
from seawall.http.compression import Compressor
from seawall.http.parameters import Header
from seawall.http.reply import Reply
from seawall.problems import DeclarationError, NotFound
from seawall.settings import OperationsSettings, ServiceSettings, Settings
from support.exchange import exchange
from support.settings import service

pytestmark = pytest.mark.anyio


class Who(Guard):
    """Believes what a header field says."""

    name = "who"
    place = Place.AUTHENTICATE

    async def check(self, call: Call) -> None:
        subject = call.header("x-subject")
        if subject is not None:
            call.principal = Principal(subject, roles=frozenset({"user"}), claims={"exp": call.header("x-exp")})


def made(clock, operations=None):
    settings = Settings(service=ServiceSettings(docs=False), operations=OperationsSettings(overrides=operations or {}))
    return service(clock=clock, settings=settings)


async def get(app, path="/x", method="GET", **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    target, _, query = path.partition("?")
    return await exchange(app, method, target, query, headers=fields)


def counting(clock, cache, **options):
    app, calls = made(clock), []

    @app.get("/x", cache=cache, **options)
    async def read(q: str = "") -> list[str]:
        calls.append(q)
        await asyncio.sleep(1.0)
        return [q, str(len(calls))]

    return app, calls


def fields(answer):
    return dict(answer.raw_headers)


async def test_a_hit_runs_nothing_and_says_so(manual_clock):
    app, calls = counting(manual_clock, "30s")
    first = await get(app)
    manual_clock.advance(10)
    second = await get(app)
    assert calls == [""]
    assert first.body == second.body
    assert fields(first)[b"cache-status"] == b"seawall; fwd=uri-miss; stored"
    assert fields(second)[b"cache-status"] == b"seawall; hit; ttl=20"
    assert fields(second)[b"age"] == b"10"
    assert fields(second)[b"cache-control"] == b"public, max-age=30"
    assert fields(first)[b"etag"] == fields(second)[b"etag"]
    manual_clock.advance(21)
    await get(app)
    assert len(calls) == 2


async def test_who_has_it_already_gets_304(manual_clock):
    app, _ = counting(manual_clock, "30s")
    etag = fields(await get(app))[b"etag"].decode()
    for sent in (etag, f'"other", W/{etag}', "*"):
        answer = await get(app, if_none_match=sent)
        assert (answer.status, answer.body) == (304, b"")
        assert fields(answer)[b"etag"].decode() == etag
        assert b"content-type" not in fields(answer)
        assert b"content-length" not in fields(answer)
    assert (await get(app, if_none_match='"other"')).status == 200


async def test_head_is_answered_with_what_get_left(manual_clock):
    app, calls = counting(manual_clock, "30s")
    whole = await get(app)
    head = await get(app, method="HEAD")
    assert head.body == b""
    assert fields(head)[b"content-length"] == fields(whole)[b"content-length"]
    assert len(calls) == 1


async def test_a_thousand_at_once_are_one_call_and_without_cache_a_thousand(manual_clock):
    app, calls = counting(manual_clock, "30s")
    answers = await asyncio.gather(*(get(app) for _ in range(1000)))
    assert len(calls) == 1
    assert len({answer.body for answer in answers}) == 1
    assert sum(b"collapsed" in fields(answer)[b"cache-status"] for answer in answers) == 999
    bare, calls = counting(manual_clock, None)
    await asyncio.gather(*(get(bare) for _ in range(1000)))
    assert len(calls) == 1000


async def test_a_filler_that_is_cancelled_costs_one_more_call(manual_clock):
    app, calls = counting(manual_clock, "30s")
    filler = asyncio.ensure_future(get(app))
    await asyncio.sleep(0.5)
    waiting = [asyncio.ensure_future(get(app)) for _ in range(50)]
    await asyncio.sleep(0.1)
    filler.cancel()
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
    assert len(calls) == 2


async def test_a_filler_with_little_time_does_not_fail_those_who_have_more(manual_clock):
    app, calls = counting(manual_clock, "30s")
    filler = asyncio.ensure_future(get(app, grpc_timeout="500m"))
    await asyncio.sleep(0.1)
    waiting = [asyncio.ensure_future(get(app)) for _ in range(10)]
    assert (await filler).status == 504
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
    assert len(calls) == 2


async def test_a_waiter_that_is_cancelled_leaves_the_others(manual_clock):
    app, calls = counting(manual_clock, "30s")
    waiting = [asyncio.ensure_future(get(app)) for _ in range(3)]
    await asyncio.sleep(0.5)
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert waiting[0].result().status == waiting[2].result().status == 200
    assert len(calls) == 1


async def test_errors_are_not_kept_and_shared_by_those_who_waited(manual_clock):
    app, calls = made(manual_clock), []

    @app.get("/x", cache=CachePolicy(10, stale_if_error=60))
    async def read() -> str:
        calls.append(1)
        await asyncio.sleep(1)
        if len(calls) == 1:
            raise ValueError("broken")
        if len(calls) == 2:
            raise NotFound("none")
        if len(calls) > 3:
            raise ValueError("broken again")
        return "yes"

    assert {answer.status for answer in await asyncio.gather(*(get(app) for _ in range(20)))} == {500}
    assert len(calls) == 1
    assert (await get(app)).status == 404
    assert (await get(app)).status == 200
    manual_clock.advance(30)
    stale = await get(app)
    assert (stale.status, stale.body) == (200, b'"yes"')
    assert fields(stale)[b"cache-status"] == b"seawall; fwd=stale; fwd-status=500"
    manual_clock.advance(60)
    assert (await get(app)).status == 500


async def test_all_get_the_old_answer_while_one_call_makes_the_new(manual_clock):
    app, calls = counting(manual_clock, CachePolicy(10, stale_while_revalidate=60))
    await get(app)
    manual_clock.advance(20)
    maker = asyncio.ensure_future(get(app))
    await asyncio.sleep(0.1)
    others = await asyncio.gather(*(get(app) for _ in range(5)))
    assert not maker.done()
    assert {answer.body for answer in others} == {b'["","1"]'}
    assert (await maker).body == b'["","1"]'
    assert fields(others[0])[b"cache-status"] == b"seawall; hit; ttl=-10"
    assert (await get(app)).body == b'["","2"]'
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/x?q=a", "/x?q=b", False),
        ("/x?q=a&z=1", "/x?z=1&q=a", True),
        ("/x?z=a&z=b", "/x?z=b&z=a", False),
        ("/x?q=%61", "/x?q=a", True),
        ("/x?q=a%26z=1", "/x?q=a&z=1", False),
        ("/x?q=a+b", "/x?q=a%20b", True),
        ("/x?q=a%2Bb", "/x?q=a+b", False),
        ("/x?q", "/x?q=", True),
        ("/x?", "/x", True),
    ],
)
async def test_queries_are_one_or_two(manual_clock, one, other, same):
    app, calls = counting(manual_clock, "30s")
    await get(app, one)
    await get(app, other)
    assert len(calls) == (1 if same else 2)


async def test_an_encoded_slash_is_another_path(manual_clock):
    app, calls = made(manual_clock), []

    @app.get("/a/{b}", cache="30s")
    async def one(b: str) -> str:
        calls.append(b)
        return b

    @app.get("/a/{b}/{c}", cache="30s")
    async def two(b: str, c: str) -> list[str]:
        calls.append((b, c))
        return [b, c]

    assert (await get(app, "/a/1/2")).body == b'["1","2"]'
    assert (await get(app, "/a/1%2F2")).body in (b'"1/2"', b'["1","2"]')
    assert (await get(app, "/a/x")).body == b'"x"'


async def test_representations_and_parameters_in_fields_are_kept_apart(manual_clock):
    app = made(manual_clock)

    @app.get("/x", cache=CachePolicy(30, vary=["X-Kind"]))
    async def read(lang: Annotated[str, Header("accept-language")] = "en") -> str:
        return lang

    plain = await get(app)
    assert (await get(app, accept="application/msgpack")).body == b"\xa2en"
    assert (await get(app, accept_language="de")).body == b'"de"'
    assert b"miss" in fields(await get(app, x_kind="b"))[b"cache-status"]
    assert b"hit" in fields(await get(app))[b"cache-status"]
    vary = b", ".join(value for name, value in plain.raw_headers if name == b"vary")
    assert {b"accept", b"accept-language", b"x-kind"} <= set(vary.split(b", "))
    assert (await get(app, accept="text/html")).status == 406


async def test_a_caller_never_gets_the_answer_of_another(manual_clock):
    app = made(manual_clock)

    @app.get("/mine", roles={"user"}, guards=[Who()], cache="30s")
    async def mine(principal: Principal) -> str:
        return principal.subject

    @app.get("/open", guards=[Who()], cache="30s")
    async def opened(principal: Principal | None) -> str:
        return "nobody" if principal is None else principal.subject

    for path in ("/mine", "/open"):
        assert (await get(app, path, x_subject="ann")).body == b'"ann"'
        assert (await get(app, path, x_subject="bob")).body == b'"bob"'
        again = await get(app, path, x_subject="ann", x_exp="later")
        assert again.body == b'"ann"'
        assert b"hit" in fields(again)[b"cache-status"]
    for path in ("/mine", "/open"):
        answer = fields(await get(app, path, x_subject="ann"))
        assert answer[b"cache-control"] == b"private, max-age=30"
        assert answer[b"vary"] == b"authorization, cookie"
    assert (await get(app, "/mine")).status == 401
    assert (await get(app, "/open")).body == b'"nobody"'


async def test_unsafe_methods_forget_their_path_and_tags_theirs(manual_clock):
    app, calls = made(manual_clock), []

    @app.get("/p/{sku}", cache=CachePolicy(30, tags=["product:{sku}", "products"]))
    async def read(sku: str) -> str:
        calls.append(sku)
        return sku

    @app.put("/p/{sku}")
    async def write(sku: str, fail: bool = False) -> None:
        if fail:
            raise NotFound("none")

    for path in ("/p/a", "/p/b", "/p/a"):
        await get(app, path)
    assert calls == ["a", "b"]
    await get(app, "/p/a?fail=true", method="PUT")
    await get(app, "/p/a")
    assert calls == ["a", "b"]
    await get(app, "/p/a", method="PUT")
    await get(app, "/p/a")
    await get(app, "/p/b")
    assert calls == ["a", "b", "a"]
    await app.cache.invalidate_tags("product:b")
    await get(app, "/p/a")
    await get(app, "/p/b")
    assert calls == ["a", "b", "a", "b"]
    await app.cache.invalidate_tags("products")
    await get(app, "/p/a")
    assert calls == ["a", "b", "a", "b", "a"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply("x", headers={"Cache-Control": "no-store"}),
        Reply("x", headers={"Vary": "*"}),
        Reply("x", cookies=[b"a=1"]),
        Reply("x", status=202),
        Reply("x" * 2_000_000),
    ],
    ids=["no-store", "vary", "cookie", "status", "size"],
)
async def test_what_may_not_be_kept_is_not(manual_clock, reply):
    app, calls = made(manual_clock), []

    @app.get("/x", cache="30s")
    async def read() -> Reply[str]:
        calls.append(1)
        return reply

    for _ in range(2):
        await get(app)
    assert len(calls) == 2


async def test_compressed_bytes_have_a_weak_etag(manual_clock):
    app = made(manual_clock)

    @app.get("/x", cache="30s")
    async def read() -> list[str]:
        return ["abc"] * 2000

    plain, small = await get(app), await get(app, accept_encoding="gzip")
    assert fields(small)[b"content-encoding"] == b"gzip"
    assert fields(small)[b"etag"] == b"W/" + fields(plain)[b"etag"]
    assert (await get(app, if_none_match=fields(small)[b"etag"].decode())).status == 304


async def test_a_kept_answer_is_compressed_once(manual_clock, monkeypatch):
    app, times = made(manual_clock), []
    compress = Compressor.compress

    def counted(self, body, encoding):
        times.append(encoding)
        return compress(self, body, encoding)

    monkeypatch.setattr(Compressor, "compress", counted)
    for path, cache in (("/x", "30s"), ("/bare", None)):

        @app.get(path, cache=cache, name=path[1:])
        async def read() -> list[str]:
            return ["abc"] * 2000

    bodies = {(await get(app, accept_encoding="gzip")).body for _ in range(3)}
    assert (times, len(bodies)) == (["gzip"], 1)
    for _ in range(3):
        await get(app, "/bare", accept_encoding="gzip")
    assert times == ["gzip"] * 4


@pytest.mark.parametrize("kind", ["stream", "background"])
async def test_a_response_that_is_not_whole_is_an_error_of_the_operation(manual_clock, kind):
    app = made(manual_clock)

    @app.get("/x", cache="30s")
    async def read() -> Response:
        if kind == "stream":
            return StreamingResponse(iter(["a"]))
        return PlainTextResponse("a", background=BackgroundTask(print))

    assert (await get(app)).status == 500


def _refused(declare):
    app = made(None)
    with pytest.raises(DeclarationError) as refusal:  # noqa: PT012 - either may notice
        declare(app)
        app.build()
    return str(refusal.value)


def test_declarations_that_would_be_wrong_are_refused_at_start_up():
    def post(app):
        @app.post("/x", cache="30s")
        async def write() -> None: ...

    def with_call(app):
        @app.get("/x", cache="30s")
        async def read(call: Call) -> str: ...

    def with_allow(app):
        def may(principal: Principal) -> bool: ...

        @app.get("/x", cache="30s", allow=may, guards=[Who()])
        async def read() -> str: ...

    def shared_principal(app):
        @app.get("/x", cache=CachePolicy(30, by_principal=False), roles={"a"}, guards=[Who()])
        async def read(principal: Principal) -> str: ...

    def public_and_closed(app):
        @app.get("/x", cache=CachePolicy(30, public=True), roles={"a"}, guards=[Who()])
        async def read() -> str: ...

    def strange(app):
        @app.get("/x", cache="soon")
        async def read() -> str: ...

    def stream(app):
        @app.get("/x", cache=30)
        async def read() -> StreamingResponse: ...

    def tag(app):
        @app.get("/x", cache=CachePolicy(30, tags=["p:{sku}"]))
        async def read() -> str: ...

    assert "cache is for GET" in _refused(post)
    assert "takes the Call" in _refused(with_call)
    assert "by_principal=True" in _refused(with_allow)
    assert "another's answer" in _refused(shared_principal)
    assert "for the one who calls" in _refused(public_and_closed)
    assert "cache='soon'" in _refused(strange)
    assert "not StreamingResponse" in _refused(stream)
    assert "no parameter of the path" in _refused(tag)


@pytest.mark.parametrize(("operations", "expected"), [({"read": {"cache": "1m"}}, 1), ({}, 2)])
async def test_configuration_sets_it(manual_clock, operations, expected):
    app, calls = made(manual_clock, operations), []

    @app.get("/x")
    async def read() -> str:
        calls.append(1)
        return "x"

    for _ in range(2):
        await get(app)
    assert len(calls) == expected
