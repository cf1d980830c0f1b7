"""Dispatch: which operation answers, what answers where none does, and at what cost."""

import sys

import pytest

from seawall import DeclarationError
from seawall.http.dispatch import Matcher, Table
from seawall.http.route import parse_template
from seawall.plan import CodeCache
from support.exchange import exchange
from support.settings import service

pytestmark = pytest.mark.anyio


def serving(*routes: str):
    """Return a service whose operations, written as ``GET /path``, answer with what they were declared as."""
    app = service()
    for number, text in enumerate(routes):
        method, path = text.split(" ")
        names = parse_template(path, "test").names

        async def operation(text: str = text, **values: str) -> str:
            return text

        source = f"async def operation({', '.join(f'{name}: str' for name in names)}) -> str: return text"
        namespace = {"text": text}
        exec(source, namespace)
        app.route(method, path, name=f"operation_{number}")(namespace["operation"])
    return app


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/orders", "GET /orders"),
        ("/orders/7", "GET /orders/{id}"),
        ("/orders/search", "GET /orders/search"),
        ("/orders/search/x", "GET /orders/{id}/{part}"),
        ("/orders/7/lines", "GET /orders/{id}/lines"),
        ("/orders/7/lines/1", "GET /orders/{id}/lines/{line}"),
        ("/orders/latest/lines", "GET /orders/latest/{part}"),
        ("/users/7/lines", "GET /{kind}/{id}/lines"),
        ("/users/7/other", "GET /{kind}/{id}/{part}"),
        ("/files/a/b/c/d", "GET /files/{rest:path}"),
        ("/files/a", "GET /files/{name}"),
        ("/files/img/a/b", "GET /files/img/{rest:path}"),
        ("/", "GET /"),
        ("/caf%C3%A9", "GET /caf%C3%A9"),
        ("/a%20b/7", "GET /a%20b/{id}"),
        ("/order%73", "GET /orders"),
        ("/double//slash", "GET /double//slash"),
        ("/trailing/", "GET /trailing/"),
        ("/x.json", "GET /x.json"),
    ],
)
async def test_the_route_that_answers(path, route):
    app = serving(
        "GET /{kind}/{id}/{part}",
        "GET /{kind}/{id}/lines",
        "GET /orders/{id}/{part}",
        "GET /orders/{id}",
        "GET /orders/{id}/lines",
        "GET /orders/latest/{part}",
        "GET /orders/{id}/lines/{line}",
        "GET /orders/search",
        "GET /orders",
        "GET /files/{rest:path}",
        "GET /files/img/{rest:path}",
        "GET /files/{name}",
        "GET /",
        "GET /caf%C3%A9",
        "GET /a%20b/{id}",
        "GET /double//slash",
        "GET /trailing/",
        "GET /x.json",
    )
    answer = await exchange(app, "GET", path)
    assert (answer.status, answer.json()) == (200, route)


async def test_the_order_of_declaration_makes_no_difference():
    routes = ["GET /a/{x}/c", "GET /{y}/b/c", "GET /a/b/{z}", "GET /{p}/{q}/{r}", "GET /a/{x}/{y}"]
    for order in (routes, routes[::-1]):
        app = serving(*order)
        found = [
            (await exchange(app, "GET", path)).json() for path in ("/a/b/c", "/a/x/c", "/x/b/c", "/x/x/x", "/a/x/x")
        ]
        assert found == ["GET /a/b/{z}", "GET /a/{x}/c", "GET /{y}/b/c", "GET /{p}/{q}/{r}", "GET /a/{x}/{y}"]


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/orders/", "/orders//", "/orders/7/", "/orders//lines", "//orders", "/Orders", "/orders/7/x", ""],
)
async def test_what_is_not_there_is_a_404(path):
    app = serving("GET /orders", "GET /orders/{id}", "GET /orders/{id}/lines")
    answer = await exchange(app, "GET", path)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_an_encoded_slash_is_part_of_its_segment():
    app = serving("GET /admin/users", "GET /{name}")
    assert (await exchange(app, "GET", "/admin%2Fusers")).json() == "GET /{name}"
    assert (await exchange(app, "GET", "/%61dmin/users")).json() == "GET /admin/users"
    app = serving("GET /admin/users")
    assert (await exchange(app, "GET", "/admin%2Fusers")).status == 404
    app = serving("PUT /files/{name}")
    assert (await exchange(app, "GET", "/files/a%2Fb")).status == 405
    app = serving("PUT /files/a/b")
    assert (await exchange(app, "GET", "/files/a%2Fb")).status == 404


@pytest.mark.parametrize(
    ("asked", "other"), [("/orders/", "/orders"), ("/trailing", "/trailing/"), ("/orders/7/", "/orders/7")]
)
async def test_a_slash_too_many_or_too_few_is_pointed_out(asked, other):
    app = serving("GET /orders", "GET /trailing/", "GET /orders/{id}")
    answer = await exchange(app, "GET", asked)
    assert answer.status == 404
    assert f"there is something at {other}." in answer.json()["detail"]


async def test_another_method_is_a_405_that_lists_those_there_are():
    app = serving("GET /orders/{id}", "DELETE /orders/{id}", "POST /orders/search")
    answer = await exchange(app, "PUT", "/orders/7")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")
    answer = await exchange(app, "BREW", "/orders/7")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")


async def test_a_path_of_one_method_does_not_hide_a_parameter_of_another():
    app = serving("GET /orders/{id}", "POST /orders/search")
    assert (await exchange(app, "GET", "/orders/search")).json() == "GET /orders/{id}"
    assert (await exchange(app, "POST", "/orders/search")).json() == "POST /orders/search"
    assert (await exchange(app, "POST", "/orders/7")).status == 405
    answer = await exchange(app, "PUT", "/orders/search")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_options_answers_by_itself():
    app = serving("GET /orders/{id}", "POST /orders")
    answer = await exchange(app, "OPTIONS", "/orders/7")
    assert (answer.status, answer.body, answer.headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")
    assert (await exchange(app, "OPTIONS", "/nothing")).status == 404
    answer = await exchange(app, "OPTIONS", "*", raw_path=b"*")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_an_options_or_head_of_the_users_own_stays():
    app = serving("GET /x/{a}", "HEAD /x/{b}", "OPTIONS /x/{c}")
    assert (await exchange(app, "HEAD", "/x/1")).body == b'"HEAD /x/{b}"'
    assert (await exchange(app, "OPTIONS", "/x/1")).json() == "OPTIONS /x/{c}"


async def test_a_tail_and_a_segment_may_stand_side_by_side():
    app = serving("GET /files/{name}", "GET /files/{rest:path}")
    assert (await exchange(app, "GET", "/files/a")).json() == "GET /files/{name}"
    assert (await exchange(app, "GET", "/files/a/b")).json() == "GET /files/{rest:path}"


@pytest.mark.parametrize(
    ("path", "root", "status"),
    [
        ("/api/orders/7", "/api", 200),
        ("/api/orders", "/api", 200),
        ("/api/orders/a%2Fb", "/api", 200),
        ("/api/order%73", "/api/", 200),
        ("/orders", "/api", 200),
        ("/apiorders", "/api", 404),
        ("/api", "/api", 200),
        ("/api%20x/orders", "/api x", 200),
    ],
)
async def test_a_service_mounted_elsewhere_sees_its_own_part_of_the_path(path, root, status):
    app = serving("GET /orders", "GET /orders/{id}", "GET /")
    assert (await exchange(app, "GET", path, root_path=root)).status == status


async def test_a_path_that_only_begins_like_the_root_is_not_below_it():
    app = serving("GET /{name}")
    assert (await exchange(app, "GET", "/apiorders", root_path="/api")).json() == "GET /{name}"


@pytest.mark.parametrize(
    "path",
    [
        "orders",
        "/{a}/{a}",
        "/{a:path}/b",
        "/a{b}",
        "/{a}b",
        "/a b",
        "/{",
        "/{1a}",
        "/a?b",
        "/a#b",
        "/a%2Fb",
        "/%FF",
        "/{a:int}",
    ],
)
def test_an_impossible_path_is_refused_at_import(path):
    app = service()

    async def operation() -> None: ...

    with pytest.raises(DeclarationError, match="operation 'operation'"):
        app.get(path)(operation)


class Counted(dict):
    """A dictionary that counts how often it is looked into."""

    looks = 0

    def get(self, *arguments):
        Counted.looks += 1
        return super().get(*arguments)


def lines_run(count: int, path: str) -> tuple[int, int]:
    """Return how many dictionaries a look-up among *count* times 4 routes asks, and how many lines it runs."""
    table = Table()
    for number in range(count):
        for template in (
            f"/r{number}",
            f"/r{number}/{{id}}",
            f"/r{number}/{{id}}/lines",
            f"/r{number}/{{id}}/{{part}}",
        ):
            table.add(parse_template(template, "test"), template)
    matcher: Matcher = table.compile(CodeCache(), "GET")
    names = matcher.find.__globals__
    for name, value in names.items():
        if name.startswith("_table"):
            names[name] = Counted(value)
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        return trace

    Counted.looks = 0
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = matcher.find(path.split("/"))
    finally:
        sys.settrace(before)
    assert found is not None
    return Counted.looks, lines


@pytest.mark.parametrize("path", ["/r5/7", "/r5/7/lines", "/r5/7/other", "/r9/x"])
def test_a_thousand_routes_cost_what_ten_do(path):
    assert lines_run(1000, path) == lines_run(10, path)
    looks, _ = lines_run(1000, path)
    assert looks <= 2


def test_a_route_that_is_there_twice_is_refused_with_both_places():
    app = service()

    async def one(a: str) -> None: ...
    async def two(b: str) -> None: ...

    app.get("/x/{a}")(one)
    with pytest.raises(DeclarationError, match=r"(?s)'two'.*GET /x/\{b\} is taken by operation 'one'"):
        app.get("/x/{b}")(two)
    app.post("/x/{b}")(two)
    with pytest.raises(DeclarationError, match="another operation 'one'"):
        app.put("/x/{a}")(one)
    with pytest.raises(DeclarationError, match="another operation 'one'"):
        app.operation("one")(two)
    app.put("/x/{a}", name="put_one")(one)


def test_a_method_is_written_in_capitals():
    app = service()

    async def operation() -> None: ...

    for method in ("get", "Get", "", "GE T"):
        with pytest.raises(DeclarationError, match="in capitals"):
            app.route(method, "/x")(operation)
