"""The outer edge: limits of the request, trusted hosts and proxies, cross-origin rules, compression, middleware."""

import gzip
import zlib

import pytest
from starlette.middleware.gzip import GZipMiddleware

from seawall import Call, DeclarationError, Reply
from support.exchange import JSON, exchange
from support.settings import service

pytestmark = pytest.mark.anyio


def answering(value="x", **http):
    app = service(http=http)

    @app.get("/x")
    async def read(call: Call) -> str:
        return call.client or "none" if value == "client" else value

    @app.post("/x", max_body="1 kB")
    async def write(body: dict[str, str]) -> str:
        return "written"

    return app


async def test_a_path_or_query_too_long_is_a_414():
    app = answering(max_path_bytes=10, max_query_bytes=5)
    assert (await exchange(app, "GET", "/x", "a=123")).status == 200
    answer = await exchange(app, "GET", "/x", "a=1234")
    assert (answer.status, answer.json()["title"]) == (414, "URI too long")
    assert "query" in answer.json()["detail"]
    answer = await exchange(app, "GET", "/" + "y" * 10)
    assert (answer.status, "path" in answer.json()["detail"]) == (414, True)
    assert (await exchange(app, "GET", "/" + "y" * 9)).status == 404


async def test_too_many_header_fields_are_a_431():
    app = answering(max_header_count=3)
    fields = [("x-a", "1")] * 3
    assert (await exchange(app, "GET", "/x", headers=fields)).status == 200
    assert (await exchange(app, "GET", "/x", headers=[*fields, ("x-b", "1")])).status == 431
    assert (await exchange(app, "GET", "/nothing", headers=[*fields, ("x-b", "1")])).status == 431


@pytest.mark.parametrize("chunks", [[b'{"a":"' + b"x" * 2000 + b'"}'], [b'{"a":"', b"x" * 900, b"x" * 900, b'"}']])
async def test_a_body_too_large_is_a_413(chunks):
    answer = await exchange(answering(), "POST", "/x", body=chunks, headers=JSON)
    assert (answer.status, answer.json()["detail"]) == (413, "The body may have 1000 bytes at the most.")


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read():
    async def receive():
        raise AssertionError("the body was read")

    from support.exchange import answer_of, scope_of

    for length in ("1001", "9" * 30):
        sent = []

        async def send(message, sent=sent):
            sent.append(message)

        await answering()(scope_of("POST", "/x", headers={**JSON, "content-length": length}), receive, send)
        assert answer_of(sent).status == 413


async def test_the_largest_body_allowed_is_read():
    body = b'{"a":"' + b"x" * 992 + b'"}'
    assert len(body) == 1000
    for chunks in ([body], [body[:500], body[500:]], [b"", body, b""]):
        assert (await exchange(answering(), "POST", "/x", body=chunks, headers=JSON)).status == 200


async def test_other_hosts_are_refused():
    app = answering(trusted_hosts=("shop.example.com", "*.internal:8000"))
    for host in ("shop.example.com", "SHOP.example.com:443", "a.internal:8000"):
        assert (await exchange(app, "GET", "/x", headers={"host": host})).status == 200
    for host in ("example.com", "a.internal:8001", "shop.example.com@evil", ""):
        assert (await exchange(app, "GET", "/x", headers={"host": host})).status == 421
    assert (await exchange(app, "GET", "/x")).status == 421
    assert (await exchange(app, "GET", "/nothing", headers={"host": "evil"})).status == 421


async def test_the_client_is_who_trusted_proxies_say():
    fields = {"x-forwarded-for": "203.0.113.9, 10.0.0.2", "x-forwarded-proto": "https"}
    app = answering("client", trusted_proxies=("10.0.0.0/8",))
    for peer, seen in (("10.0.0.1", "203.0.113.9"), ("192.0.2.1", "192.0.2.1")):
        assert (await exchange(app, "GET", "/x", headers=fields, client=(peer, 1))).json() == seen
    app = answering("client")
    assert (await exchange(app, "GET", "/x", headers=fields, client=("10.0.0.1", 1))).json() == "10.0.0.1"


ORIGIN = {"origin": "https://shop.example.com"}


async def test_cors_on_actual_answers_errors_included():
    app = answering(cors_origins=("https://shop.example.com",), cors_credentials=True, cors_expose=("X-Total",))
    for path in ("/x", "/nothing"):
        answer = await exchange(app, "GET", path, headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example.com"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-expose-headers"] == "X-Total"
        assert "Origin" in answer.all("vary")
    for headers in ({"origin": "https://evil.example"}, {}):
        answer = await exchange(app, "GET", "/x", headers=headers)
        assert answer.status == 200
        assert "access-control-allow-origin" not in answer.headers
        assert "Origin" in answer.all("vary")
    assert "access-control-allow-origin" not in (await exchange(answering(), "GET", "/x", headers=ORIGIN)).headers


@pytest.mark.parametrize("path", ["/x", "/nothing", "/mounted/y"])
async def test_cors_preflights_are_answered_for_every_path(path):
    app = answering(cors_origins=("https://shop.example.com",), cors_methods=("GET", "PUT"))

    async def mounted(scope, receive, send):
        raise AssertionError("a preflight is the service's to answer")

    app.mount("/mounted", mounted)
    asked = {**ORIGIN, "access-control-request-method": "PUT", "access-control-request-headers": "authorization"}
    answer = await exchange(app, "OPTIONS", path, headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example.com"
    assert answer.headers["access-control-allow-methods"] == "GET, PUT"
    assert answer.headers["access-control-allow-headers"] == "authorization"
    assert answer.headers["access-control-max-age"] == "600"
    for refused in (
        {"origin": "https://evil.example"},
        {"access-control-request-method": "DELETE"},
        {"access-control-request-headers": "x-secret"},
    ):
        answer = await exchange(app, "OPTIONS", path, headers={**asked, **refused})
        assert answer.status == 204
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_an_options_that_is_no_preflight_lists_methods():
    app = answering(cors_origins=("*",))
    assert (await exchange(app, "OPTIONS", "/x", headers=ORIGIN)).headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip", "gzip"), ("gzip;q=0.5, deflate, identity;q=0.1", "gzip"), ("identity", None), (None, None), ("x", None)],
)
async def test_large_answers_are_compressed_as_the_client_accepts(accepted, coding):
    text = "abc" * 1000
    answer = await exchange(answering(text), "GET", "/x", headers={"accept-encoding": accepted} if accepted else {})
    assert answer.headers.get("content-encoding") == coding
    assert "accept-encoding" in [value.lower() for value in answer.all("vary")]
    body = gzip.decompress(answer.body) if coding else answer.body
    assert body == b'"' + text.encode() + b'"'
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_answers_are_compressed_from_the_size_on_that_was_set():
    app = answering("x" * 97, compress_min_bytes=100)
    answer = await exchange(app, "GET", "/x", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert "accept-encoding" not in [value.lower() for value in answer.all("vary")]
    app = answering("x" * 98, compress_min_bytes=100)
    assert (await exchange(app, "GET", "/x", headers={"accept-encoding": "gzip"})).headers["content-encoding"] == "gzip"
    app = answering("x" * 1000, compress=False)
    assert "content-encoding" not in (await exchange(app, "GET", "/x", headers={"accept-encoding": "gzip"})).headers


async def test_an_empty_answer_is_never_compressed():
    app = service(http={"compress_min_bytes": 0})

    @app.get("/x")
    async def read() -> None: ...

    answer = await exchange(app, "GET", "/x", headers={"accept-encoding": "gzip", "x-request-id": "text/plain"})
    assert (answer.status, answer.body) == (204, b"")
    assert "content-encoding" not in answer.headers


async def test_what_is_encoded_already_is_not_encoded_again():
    app = service()

    @app.get("/x")
    async def read() -> Reply[str]:
        return Reply("abc" * 1000, headers={"content-encoding": "custom"})

    answer = await exchange(app, "GET", "/x", headers={"accept-encoding": "gzip"})
    assert answer.all("content-encoding") == ["custom"]


async def test_compression_by_policy():
    app = service()

    @app.get("/x", compress=False)
    async def read() -> str:
        return "abc" * 1000

    assert "content-encoding" not in (await exchange(app, "GET", "/x", headers={"accept-encoding": "gzip"})).headers


async def test_large_problems_are_compressed_too():
    app = answering()
    answer = await exchange(
        app, "POST", "/x", json={str(number): number for number in range(80)}, headers={"accept-encoding": "gzip"}
    )
    assert (answer.status, answer.headers["content-encoding"]) == (422, "gzip")
    assert zlib.decompress(answer.body, 31).startswith(b'{"type"')


async def test_standard_middleware_stands_around_everything_the_last_one_outermost():
    app, order = answering("abc" * 1000, compress=False), []

    class Noting:
        def __init__(self, app, name):
            self.app, self.name = app, name

        async def __call__(self, scope, receive, send):
            order.append(self.name)
            await self.app(scope, receive, send)

    app.middleware(Noting, "inner")
    app.middleware(Noting, name="outer")
    app.middleware(GZipMiddleware, minimum_size=100)
    answer = await exchange(app, "GET", "/x", headers={"accept-encoding": "gzip"})
    assert (answer.headers["content-encoding"], order) == ("gzip", ["outer", "inner"])


async def test_static_files_come_with_ranges_and_validators(tmp_path):
    (tmp_path / "a.txt").write_text("0123456789")
    app = service()
    app.static("/files", tmp_path)
    answer = await exchange(app, "GET", "/files/a.txt")
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert answer.headers["x-content-type-options"] == "nosniff"
    tag = answer.headers["etag"]
    assert (await exchange(app, "GET", "/files/a.txt", headers={"if-none-match": tag})).status == 304
    assert (await exchange(app, "GET", "/files/a.txt", headers={"range": "bytes=0-1"})).body == b"01"
    assert (await exchange(app, "GET", "/files/../../etc/passwd")).status == 404
    assert (await exchange(app, "GET", "/files/%2e%2e/%2e%2e/etc/passwd")).status == 404
    with pytest.raises(DeclarationError, match="is not a folder"):
        app.static("/other", tmp_path / "missing")
