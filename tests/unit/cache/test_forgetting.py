"""Changes forget what is kept of their path and of what they name; and are refused if they are about something old."""

import pytest
from starlette.responses import PlainTextResponse, Response

from seawall import Call, NotFound, Reply, check_preconditions
from seawall.http.forgetting import named_paths, overlap
from seawall.http.route import parse_template
from support.kept import fields, get, made

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/b", False),
        ("/a/{x}", "/a/{y}", True),
        ("/a/{x}", "/a/special", True),
        ("/a/{x}", "/b/{x}", False),
        ("/a/{x}", "/a", False),
        ("/a/{x}/b", "/a/{y}", False),
        ("/a/{x:path}", "/a/b/c", True),
        ("/a/{x:path}", "/a", False),
        ("/{x:path}", "/a/{y}/{z}", True),
        ("/a/{x:path}", "/b/{y:path}", False),
    ],
)
def test_paths_that_two_templates_have_in_common(one, other, expected):
    first, second = parse_template(one, "one"), parse_template(other, "other")
    assert overlap(first, second) is overlap(second, first) is expected


@pytest.mark.parametrize(
    ("location", "paths"),
    [
        (b"/b", ["/b"]),
        (b"b?x=1#y", ["/a/b"]),
        (b"http://shop.example/b", ["/b"]),
        (b"https://shop.example/b", []),
        (b"http://other.example/b", []),
        (b"//other.example/b", []),
        (b"/caf%C3%A9", ["/café"]),
        (b"/a/x", []),
        (b"http://[broken/", []),
        (b"http://shop.example", ["/"]),
    ],
)
def test_what_a_change_names(location, paths):
    headers = {b"host": b"shop.example"}
    assert named_paths([(b"location", location), (b"x-other", b"/c")], headers, "/a/x", "http") == paths
    assert named_paths([(b"content-location", location)] * 2, headers, "/a/x", "http") == paths
    assert named_paths(None, headers, "/a/x", "http") == []


def counting(clock):
    app, calls = made(clock), []

    @app.get("/items/{item}", cache="60s")
    async def read(item: str) -> list[str]:
        calls.append(item)
        return [item, str(len(calls))]

    return app, calls


async def kept(app, calls, item="a"):
    """Return whether the answer for *item* is kept, without a change of what is."""
    before = len(calls)
    await get(app, f"/items/{item}")
    return len(calls) == before


async def test_a_change_elsewhere_that_names_a_path_forgets_it(manual_clock):
    app, calls = counting(manual_clock)

    @app.post("/orders/{item}", status=201)
    async def order(item: str) -> Reply[None]:
        return Reply(None, location=f"/items/{item}", headers={"Content-Location": "/items/c"})

    for item in ("a", "b", "c"):
        await get(app, f"/items/{item}")
    assert (await get(app, "/orders/a", method="POST")).status == 201
    assert not await kept(app, calls, "a")
    assert await kept(app, calls, "b")
    assert not await kept(app, calls, "c")


@pytest.mark.parametrize("status", [200, 303, 404, 500])
async def test_a_response_of_its_own_says_what_happened(manual_clock, status):
    app, calls = counting(manual_clock)

    @app.put("/items/{item}")
    async def write(item: str) -> Response:
        return PlainTextResponse("done", status, headers={"Location": "/items/b"})

    for item in ("a", "b"):
        await get(app, f"/items/{item}")
    assert (await get(app, "/items/a", method="PUT")).status == status
    for item in ("a", "b"):
        assert await kept(app, calls, item) is (status >= 400)


async def test_another_template_for_the_same_path_forgets_it(manual_clock):
    app, calls = counting(manual_clock)

    @app.delete("/items/a")
    async def delete() -> None: ...

    @app.route("PURGE", "/items/{anything}")
    async def purge(anything: str) -> None: ...

    await get(app, "/items/a")
    await get(app, "/items/a", method="DELETE")
    assert not await kept(app, calls)
    await get(app, "/items/a", method="PURGE")
    assert not await kept(app, calls)
    await get(app, "/items/b", method="PURGE")
    assert await kept(app, calls)


async def test_a_change_is_about_the_version_that_was_read(manual_clock):
    app, version = made(manual_clock), [1]

    @app.get("/x", cache="60s")
    async def read() -> Reply[int]:
        return Reply(version[0], headers={"ETag": f'"{version[0]}"'})

    @app.put("/x")
    async def write(call: Call, missing: bool = False) -> None:
        if missing:
            raise NotFound("none")
        check_preconditions(call, etag=f'"{version[0]}"', required=True)
        version[0] += 1

    etag = fields(await get(app))[b"etag"].decode()
    assert (await get(app, method="PUT")).status == 428
    assert (await get(app, method="PUT", if_match=etag)).status == 204
    refused = await get(app, method="PUT", if_match=etag)
    assert (refused.status, refused.json()["type"]) == (412, "urn:problem-type:seawall:precondition-failed")
    assert version == [2]
    assert fields(await get(app))[b"etag"] == b'"2"'
