"""Attempts to be given what was made for another request, or to leave something for others to be given."""

import asyncio
from typing import Annotated

import pytest
from starlette.responses import Response

from seawall import Call, Principal, Reply
from seawall.cache import CachePolicy
from seawall.http.parameters import Cookie, Header
from seawall.settings import CacheSettings, ServiceSettings, Settings
from support.kept import Origin, Who, fields, get, made, status_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "header", ["x-forwarded-host", "x-forwarded-scheme", "x-original-url", "x-rewrite-url", "x-http-method-override"]
)
async def test_a_field_that_is_no_parameter_reaches_neither_the_operation_nor_the_key(manual_clock, header):
    app, calls = made(manual_clock), []

    @app.get("/x", cache="30s")
    async def read() -> str:
        calls.append(1)
        return "links to the shop"

    poisoned = await get(app, **{header.replace("-", "_"): "evil.example"})
    assert b"evil" not in poisoned.body
    assert status_of(await get(app)).startswith(b"hit")
    assert len(calls) == 1


async def test_a_link_made_of_the_host_is_kept_for_that_host_alone(manual_clock):
    app = made(manual_clock)

    @app.get("/x", cache=CachePolicy(None))
    async def read(call: Call) -> Reply[str]:
        return Reply(f"https://{call.header('host')}/", headers={"Cache-Control": "max-age=60"})

    assert (await get(app, host="evil.example")).body == b'"https://evil.example/"'
    assert (await get(app, host="shop.example")).body == b'"https://shop.example/"'


async def test_a_call_that_reads_fields_it_does_not_name_needs_vary(manual_clock):
    """The answer says itself on what it depends; what it hides cannot be known, which is why it must say it."""
    app = made(manual_clock)

    @app.get("/x", cache=CachePolicy(None))
    async def read(call: Call) -> Reply[str]:
        language = call.header("x-language") or "en"
        return Reply(language, headers={"Cache-Control": "max-age=60", "Vary": "X-Language"})

    for language in ("de", "fr", "de"):
        assert (await get(app, x_language=language)).body == f'"{language}"'.encode()
    assert (await get(app)).body == b'"en"'
    assert status_of(await get(app, x_language="fr")).startswith(b"hit")
    assert status_of(await get(app, x_language="it")) == b"fwd=vary-miss; stored"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"x_kind": "a"}, {"x_kind": "b"}, False),
        ({"x_kind": "a"}, {}, False),
        ({}, {"x_kind": ""}, False),
        ({"x_kind": "a, b"}, {"x_kind": "a,b"}, True),
        ({"x_kind": "a, b"}, {"x_kind": "b, a"}, False),
        ({"x_kind": "a"}, {"x_kind": "A"}, False),
        ({"x_kind": "a", "x_other": "1"}, {"x_kind": "a", "x_other": "2"}, True),
    ],
)
async def test_variants(manual_clock, one, other, same):
    origin = Origin(manual_clock, CachePolicy(None), {"Cache-Control": "max-age=60", "Vary": "X-Kind"})
    await origin.get(**one)
    await origin.get(**other)
    assert origin.calls == (1 if same else 2)
    await origin.get(**one)
    assert origin.calls == (1 if same else 2)


async def test_answers_that_name_other_fields_are_told_apart_by_all_of_them(manual_clock):
    said = [{"Cache-Control": "max-age=60", "Vary": name} for name in ("X-A", "X-B")]
    origin = Origin(manual_clock, CachePolicy(None), said[0], said[1])
    await origin.get(x_a="1", x_b="1")
    await origin.get(x_a="2", x_b="1")
    for fields_sent in ({"x_a": "2", "x_b": "2"}, {"x_a": "1", "x_b": "2"}):
        before = origin.calls
        await origin.get(**fields_sent)
        assert origin.calls == before + 1


async def test_vary_by_everything_or_too_much_is_not_kept(manual_clock):
    many = ", ".join(f"x-{number}" for number in range(40))
    for vary in ("*", "x-a, *", many):
        origin = Origin(manual_clock, CachePolicy(None), {"Cache-Control": "max-age=60", "Vary": vary})
        for _ in range(2):
            await origin.get()
        assert origin.calls == 2, vary


async def test_as_many_variants_as_anybody_likes_stay_within_the_bound(manual_clock):
    origin = Origin(
        manual_clock,
        CachePolicy(None),
        {"Cache-Control": "max-age=60", "Vary": "X-Kind"},
        settings=Settings(service=ServiceSettings(docs=False), cache=CacheSettings(max_entries=50)),
    )
    for number in range(200):
        await origin.get(x_kind=str(number))
    assert 0 < len(origin.kept) <= 50
    await origin.get(x_kind="199")
    assert origin.calls == 200


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a/x%2Fy", "/a/x/y"),
        ("/a/%2e%2e%2fb", "/a/../b"),
        ("/a/x?", "/a/x%3F"),
        ("/a/x%3Fq=1", "/a/x?q=1"),
        ("/a/x;q=1", "/a/x"),
        ("/a/x%00", "/a/x"),
        ("/a/x%20", "/a/x"),
        ("/a/X", "/a/x"),
        ("/a/x?q=1%26p=2", "/a/x?q=1&p=2"),
        ("/a/x?q=%2525", "/a/x?q=%25"),
        ("/a/x?q=1;p=2", "/a/x?q=1&p=2"),
        ("/a/x?q=1#p", "/a/x?q=1"),
        ("/a/x?q=%C3%A9", "/a/x?q=e%CC%81"),
    ],
)
async def test_targets_that_an_operation_can_tell_apart_are_two(manual_clock, one, other):
    app = made(manual_clock)

    @app.get("/a/{name}", cache="30s", unknown_fields="ignore")
    async def read(name: str, q: str = "", p: str = "") -> list[str]:
        return [name, q, p]

    @app.get("/a/{name}/{rest:path}", cache="30s")
    async def rest(name: str, rest: str) -> list[str]:
        return ["rest", name, rest]

    first, second = await get(app, one), await get(app, other)
    fresh = [(await get(_uncached(manual_clock), path)) for path in (one, other)]
    assert [(first.status, first.body), (second.status, second.body)] == [(each.status, each.body) for each in fresh]


def _uncached(clock):
    app = made(clock)

    @app.get("/a/{name}", unknown_fields="ignore")
    async def read(name: str, q: str = "", p: str = "") -> list[str]:
        return [name, q, p]

    @app.get("/a/{name}/{rest:path}")
    async def rest(name: str, rest: str) -> list[str]:
        return ["rest", name, rest]

    return app


async def test_what_is_refused_for_one_is_not_kept_for_another(manual_clock):
    app, calls = made(manual_clock), []

    @app.get("/x", cache="30s")
    async def read(q: int = 0) -> int:
        calls.append(q)
        return q

    for path in ("/x?q=a", "/x?q=1&q=2"):
        assert (await get(app, path)).status == 422
    assert (await get(app, "/x")).body == b"0"
    assert (await get(app, "/x?q=1")).body == b"1"
    assert calls == [0, 1]


async def test_cookies_that_are_parameters_are_in_the_key(manual_clock):
    app = made(manual_clock)

    @app.get("/x", cache="30s")
    async def read(theme: Annotated[str, Cookie()] = "light") -> str:
        return theme

    assert (await get(app, cookie="theme=dark")).body == b'"dark"'
    assert (await get(app)).body == b'"light"'
    assert (await get(app, cookie="theme=dark")).body == b'"dark"'


async def test_two_fields_are_not_one_that_looks_like_both(manual_clock):
    app = made(manual_clock)

    @app.get("/x", cache="30s")
    async def read(x_a: Annotated[str, Header("x-a")] = "", x_b: Annotated[str, Header("x-b")] = "") -> list[str]:
        return [x_a, x_b]

    assert (await get(app, x_a="1", x_b="2")).body == b'["1","2"]'
    assert (await get(app, x_a="2", x_b="1")).body == b'["2","1"]'
    assert (await get(app, x_a="1, 2")).body == b'["1, 2",""]'
    assert (await get(app, x_b="1, 2")).body == b'["","1, 2"]'


async def test_a_callers_answer_stays_his_whatever_others_send(manual_clock):
    app = made(manual_clock)

    policy = CachePolicy(30, stale_while_revalidate=60, stale_if_error=60)

    @app.get("/mine", roles={"user"}, guards=[Who()], cache=policy)
    async def mine(principal: Principal, call: Annotated[str, Header("x-none")] = "") -> str:
        await asyncio.sleep(1)
        if call:
            raise ConnectionError("no")
        return principal.subject

    subjects = ["ann", "bob", "ann", "eve", "bob"]
    answers = await asyncio.gather(*(get(app, "/mine", x_subject=subject) for subject in subjects))
    assert [answer.json() for answer in answers] == subjects
    manual_clock.advance(40)
    stale = await asyncio.gather(*(get(app, "/mine", x_subject=subject) for subject in ("eve", "ann")))
    assert [answer.json() for answer in stale] == ["eve", "ann"]
    assert (await get(app, "/mine")).status == 401
    # Neither as an error's stand-in, nor by a condition, nor as a part.
    assert (await get(app, "/mine", x_subject="mallory", x_none="1")).status == 500
    etag = fields(answers[0])[b"etag"].decode()
    other = await get(app, "/mine", x_subject="bob", if_none_match=etag)
    assert (other.status, other.json()) == (200, "bob")


async def test_what_sets_a_cookie_is_not_given_to_others(manual_clock):
    app, calls = made(manual_clock), []

    @app.get("/x", cache=CachePolicy(None))
    async def read() -> Response:
        calls.append(1)
        response = Response("x", headers={"Cache-Control": "public, max-age=60"})
        response.set_cookie("session", str(len(calls)))
        return response

    sessions = [fields(await get(app))[b"set-cookie"] for _ in range(2)]
    assert len(set(sessions)) == 2


async def test_an_answer_with_a_line_break_in_a_field_is_none(manual_clock):
    app = made(manual_clock)

    @app.get("/x", cache="30s")
    async def read(q: str = "") -> Reply[str]:
        return Reply("x", headers={"X-Echo": q})

    split = await get(app, "/x?q=a%0d%0aSet-Cookie:%20a=b")
    assert split.status == 500
    assert b"set-cookie" not in fields(split)
    assert (await get(app, "/x?q=a")).status == 200
