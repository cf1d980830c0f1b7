"""Versions by path, header field and media type, and the fields that announce the end of one."""

import pytest

from seawall import ConfigurationError, DeclarationError, Versions
from support.exchange import exchange
from support.settings import service

pytestmark = pytest.mark.anyio


def versioned(versions: Versions, **options):
    app = service(versions=versions, **options)

    @app.get("/orders/{order_id}", version="1", deprecated="2026-01-01", sunset="2027-01-01", successor="/v2/orders")
    async def read(order_id: int) -> str:
        return f"one {order_id}"

    two = app.group("/orders", version="2")

    @two.get("/{number}", name="read")
    async def read_two(number: int) -> str:
        return f"two {number}"

    return app


async def test_by_path():
    app = versioned(Versions(by="path"))
    assert (await exchange(app, "GET", "/v1/orders/7")).json() == "one 7"
    assert (await exchange(app, "GET", "/v2/orders/7")).json() == "two 7"
    assert (await exchange(app, "GET", "/v3/orders/7")).status == 404
    assert (await exchange(app, "GET", "/orders/7")).status == 404
    app = versioned(Versions(by="path", prefix="/api/"))
    assert (await exchange(app, "GET", "/api/2/orders/7")).json() == "two 7"


async def test_by_header():
    app = versioned(Versions(by="header"))
    for version, text in (("1", "one 7"), ("2", "two 7")):
        answer = await exchange(app, "GET", "/orders/7", headers={"api-version": version})
        assert answer.json() == text
        assert "api-version" in answer.all("vary")
    answer = await exchange(app, "GET", "/orders/7")
    assert (answer.status, answer.json()["versions"]) == (400, ["1", "2"])
    assert "API-Version" in answer.json()["detail"]
    assert (await exchange(app, "GET", "/orders/7", headers={"api-version": "3"})).status == 400
    answer = await exchange(app, "HEAD", "/orders/7", headers={"api-version": "2"})
    assert (answer.status, answer.body) == (200, b"")


async def test_by_media_type():
    app = versioned(Versions(by="media"))
    for accept, text in (
        ("application/json; version=1", "one 7"),
        ("application/json;version=2", "two 7"),
        ('text/html, application/json;version="2"', "two 7"),
    ):
        answer = await exchange(app, "GET", "/orders/7", headers={"accept": accept})
        assert (answer.status, answer.json()) == (200, text)
        assert answer.headers["content-type"] == f"application/json; version={1 if text.startswith('one') else 2}"
    answer = await exchange(app, "GET", "/orders/7", headers={"accept": "application/msgpack;version=2"})
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, "application/msgpack")
    assert (await exchange(app, "GET", "/orders/7", headers={"accept": "application/json;version=3"})).status == 406
    assert (await exchange(app, "GET", "/orders/7", headers={"accept": "*/*"})).status == 400


@pytest.mark.parametrize("by", ["header", "media"])
async def test_a_default_version(by):
    app = versioned(Versions(by=by, default="2"))
    assert (await exchange(app, "GET", "/orders/7")).json() == "two 7"


async def test_the_end_of_a_version_is_announced_on_every_answer_of_it():
    app = versioned(Versions(by="path"))
    for path in ("/v1/orders/7", "/v1/orders/x"):
        answer = await exchange(app, "GET", path)
        assert answer.headers["deprecation"] == "@1767225600"
        assert answer.headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
        assert answer.headers["link"] == '</v2/orders>; rel="successor-version"'
    answer = await exchange(app, "GET", "/v2/orders/7")
    assert not {"deprecation", "sunset", "link"} & set(answer.headers)


async def test_an_operation_of_a_version_is_called_by_both():
    app = versioned(Versions(by="header"))
    assert await app.call("read@1", order_id=1) == "one 1"
    assert await app.call("read@2", number=1) == "two 1"


def test_a_version_without_versions_is_refused():
    app = service()

    @app.get("/x", version="1")
    async def read() -> None: ...

    with pytest.raises(ConfigurationError, match=r"belongs to version '1'.*Versions\(by='path'\)"):
        app.build()


@pytest.mark.parametrize("first", ["1", None])
def test_an_unversioned_twin_is_refused_where_it_would_answer_the_same_requests(first):
    app = service(versions=Versions(by="header"))

    async def one() -> None: ...
    async def two() -> None: ...

    app.get("/x", **({"version": first} if first else {}))(one)
    app.get("/x", **({} if first else {"version": "1"}))(two)
    with pytest.raises(ConfigurationError, match="answered by operation 'one'"):
        app.build()


def test_a_path_that_only_its_version_makes_the_same_is_refused():
    app = service(versions=Versions(by="path"))

    async def one() -> None: ...
    async def two() -> None: ...

    app.get("/x", version="1")(one)
    app.get("/v1/x")(two)
    with pytest.raises(ConfigurationError, match="GET /v1/x is answered by"):
        app.build()


@pytest.mark.parametrize("options", [{"by": "query"}, {"by": "path", "default": "1"}])
def test_impossible_versions_are_refused(options):
    with pytest.raises(DeclarationError, match="versions:"):
        Versions(**options)
