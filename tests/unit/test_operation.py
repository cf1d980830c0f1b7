"""Operations and policies: options, their inheritance, and every declaration that cannot work, with its fix."""

import dataclasses
import functools
import types
from datetime import UTC, date, datetime
from typing import Annotated, Any, get_type_hints

import msgspec
import pytest

from seawall import (
    BadRequest,
    Body,
    Call,
    ConfigurationError,
    Conflict,
    Cookie,
    DeclarationError,
    Form,
    Group,
    Guard,
    Header,
    NotFound,
    Path,
    Place,
    Policy,
    PolicyOptions,
    Query,
    RouteOptions,
)
from seawall.auth import Scheme
from seawall.cache import CachePolicy
from seawall.idempotency import Idempotency
from seawall.limit import Rate
from seawall.operation import describe
from support.exchange import exchange
from support.settings import service, settings

pytestmark = pytest.mark.anyio


class Order(msgspec.Struct):
    sku: str


class Engine: ...


class Named(Guard):
    name = "named"

    def __init__(self, log: list[Any], text: str = "", name: str = "named") -> None:
        self.log, self.text, self.name = log, text, name

    async def check(self, call: Call) -> None:
        self.log.append(self.text)


async def nothing() -> None: ...


def policy_of(app: Group, name: str) -> Policy:
    return next(route.policy for route in app.build().routes if route.operation.name == name)


# -- options


def test_options_of_policy_route_and_resolvers_agree():
    from seawall.operation import _RESOLVERS

    fields = {field.name for field in dataclasses.fields(Policy)}
    assert set(PolicyOptions.__annotations__) == fields == set(_RESOLVERS)
    assert set(RouteOptions.__annotations__) == fields | {"name", "status", "tags", "version", "documented", "problems"}
    late = {"Guard": Guard, "CachePolicy": CachePolicy, "Idempotency": Idempotency, "Rate": Rate, "Scheme": Scheme}
    assert get_type_hints(PolicyOptions, localns=late)


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"timeout": 2}, "timeout", 2.0),
        ({"timeout": "500ms"}, "timeout", 0.5),
        ({"timeout": "2m"}, "timeout", 120.0),
        ({"timeout": None}, "timeout", None),
        ({"max_body": 10}, "max_body", 10),
        ({"max_body": "2 MiB"}, "max_body", 2 * 1024**2),
        ({"max_body": 0}, "max_body", 0),
        ({"unknown_fields": "ignore"}, "unknown_fields", "ignore"),
        ({"duplicate_keys": "refuse"}, "duplicate_keys", "refuse"),
        ({"compress": False}, "compress", False),
        ({"deprecated": True}, "deprecated", True),
        ({"deprecated": "2026-01-01"}, "deprecated", datetime(2026, 1, 1, tzinfo=UTC)),
        ({"deprecated": date(2026, 1, 1)}, "deprecated", datetime(2026, 1, 1, tzinfo=UTC)),
        ({"sunset": datetime(2026, 1, 1, 2)}, "sunset", datetime(2026, 1, 1, 2, tzinfo=UTC)),  # noqa: DTZ001 - the point of it
        ({"sunset": None}, "sunset", None),
        ({"successor": "/v2/orders?x=1#y"}, "successor", "/v2/orders?x=1#y"),
    ],
)
def test_every_option_is_resolved(options, name, value):
    assert getattr(Policy().merge(options, "test"), name) == value


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "2 weeks"},
        {"timeout": True},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"timeout": []},
        {"max_body": -1},
        {"max_body": 1.5},
        {"max_body": "1 mb"},
        {"max_body": None},
        {"unknown_fields": "reject"},
        {"duplicate_keys": []},
        {"compress": 1},
        {"deprecated": "soon"},
        {"deprecated": 5},
        {"sunset": "2026-13-01"},
        {"sunset": True},
        {"successor": ""},
        {"successor": "/a b"},
        {"successor": "/é"},
        {"successor": '/"><x'},
        {"successor": "/\x00"},
        {"guards": nothing},
        {"guards": [nothing]},
        {"guards": [Named]},
        {"guards": [Named([]), Named([])]},
    ],
    ids=str,
)
def test_an_impossible_value_is_refused_with_the_option_and_the_value(options):
    ((name, value),) = options.items()
    with pytest.raises(DeclarationError, match=r"(?s)operation 'nothing'.* is not possible: ") as caught:
        service().get("/x", **options)(nothing)
    assert f"{name}={value!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("declare", "where"),
    [
        (lambda app: app.get("/x", timeuot=2)(nothing), "operation 'nothing'"),
        (lambda app: app.operation("op", timeuot=2)(nothing), "operation 'op'"),
        (lambda app: app.group("/g", timeuot=2), "group '/g'"),
        (lambda app: app.mount("/m", nothing, timeuot=2), "mount at '/m'"),
        (lambda app: service("other", timeuot=2), "service 'other'"),
    ],
)
def test_an_unknown_option_is_refused_with_the_one_that_was_meant(declare, where):
    with pytest.raises(DeclarationError, match="did you mean 'timeout'") as caught:
        declare(service())
    assert where in str(caught.value)


def test_options_of_routes_are_suggested_too():
    with pytest.raises(DeclarationError, match="did you mean 'status'"):
        service().get("/x", statsu=201)(nothing)
    with pytest.raises(DeclarationError, match=r"known are: allow.*version"):
        service().get("/x", qqqqq=201)(nothing)


def test_an_operation_ends_after_it_is_deprecated():
    with pytest.raises(DeclarationError, match="comes before deprecated"):
        service(deprecated="2027-01-01").get("/x", sunset="2026-01-01")(nothing)


# -- levels


def test_the_inner_level_wins():
    app = service(timeout=1, max_body=1, compress=False, unknown_fields="ignore")
    outer = app.group("/a", timeout=2, max_body=2, compress=True)
    inner = outer.group("/b", timeout=3)
    inner.get("/c", timeout=4, name="four")(nothing)
    inner.get("/d", name="three")(nothing)
    outer.get("/e", name="two")(nothing)
    app.get("/f", name="one")(nothing)
    assert [policy_of(app, name).timeout for name in ("four", "three", "two", "one")] == [4, 3, 2, 1]
    four = policy_of(app, "four")
    assert (four.max_body, four.compress, four.unknown_fields) == (2, True, "ignore")


def test_settings_are_the_outermost_level_and_overrides_the_innermost():
    app = service(settings=settings(timeout=9, max_body=8, operations={"read": {"timeout": "7s"}}))
    app.get("/a", name="read", timeout=1)(nothing)
    app.get("/b", name="other")(nothing)
    assert policy_of(app, "read").timeout == 7
    assert (policy_of(app, "other").timeout, policy_of(app, "other").max_body) == (9, 8)


async def test_overrides_reach_operations_without_a_route_and_direct_calls():
    app = service(settings=settings(operations={"count": {"timeout": 7}, "read": {"timeout": 6}}))
    app.operation("count", timeout=1)(nothing)
    app.get("/a", name="read", timeout=1)(nothing)
    direct = app.build().direct
    assert (direct["count"].policy.timeout, direct["read"].policy.timeout) == (7, 6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"raed": {"timeout": 1}}, r"\[operations.raed\]: there is no operation 'raed'; did you mean 'read'"),
        ({"zzz": {"timeout": 1}}, "there are: count, read"),
        ({"read": {"timeuot": 1}}, r"settings \[operations.read\]: unknown policy option 'timeuot'"),
        ({"read": {"timeout": -1}}, r"settings \[operations.read\]: policy option timeout=-1"),
        ({"count": {"timeout": -1}}, r"settings \[operations.count\]: policy option timeout=-1"),
    ],
)
def test_a_wrong_override_stops_the_start(overrides, message):
    app = service(settings=settings(operations=overrides))
    app.get("/a", name="read")(nothing)
    app.operation("count")(nothing)
    with pytest.raises(ConfigurationError, match=message):
        app.build()


async def test_guards_add_up_by_name():
    log: list[str] = []
    app = service(guards=[Named(log, "service one", "one"), Named(log, "service two", "two")])
    group = app.group("/g", guards=[Named(log, "group two", "two"), Named(log, "group three", "three")])
    group.get("/x", guards=[Named(log, "operation four", "four")])(nothing)
    await exchange(app, "GET", "/g/x")
    assert log == ["service one", "group two", "group three", "operation four"]


async def test_groups_join_paths_tags_and_versions():
    app = service()
    group = app.group("/shops/{shop}", tags=["shops"]).group("/orders/", tags=["orders"])

    @group.get("/", tags=["all"])
    async def everything(shop: int) -> int:
        return shop

    @group.get("/{order}")
    async def one(shop: int, order: int) -> int:
        return shop * order

    @app.group("/empty").get("")
    async def empty() -> int:
        return 0

    assert (await exchange(app, "GET", "/shops/2/orders")).json() == 2
    assert (await exchange(app, "GET", "/shops/2/orders/3")).json() == 6
    assert (await exchange(app, "GET", "/empty")).json() == 0
    assert [route.tags for route in app.build().routes] == [("shops", "orders", "all"), ("shops", "orders"), ()]


async def test_what_is_declared_later_is_served_too():
    app = service()
    app.get("/a", name="a")(nothing)
    assert (await exchange(app, "GET", "/a")).status == 204
    app.group("/g").get("/b", name="b")(nothing)
    assert (await exchange(app, "GET", "/g/b")).status == 204


# -- declarations that cannot work


def sync() -> None: ...
async def generator() -> Any:
    yield 1


async def untyped(a) -> None: ...
async def no_return(a: int): ...
async def starred(*args: int) -> None: ...
async def keywords(**kwargs: int) -> None: ...
async def positional(a: int, /) -> None: ...
async def missing(a: "Nowhere") -> None: ...  # noqa: F821 - the point of the test


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (sync, "write 'async def sync"),
        (generator, "it yields; an operation returns one result"),
        (untyped, "parameter 'a' has no type; annotate it"),
        (no_return, "say what it returns, for example '-> None'"),
        (starred, r"parameter 'args' must be an ordinary named one"),
        (keywords, r"parameter 'kwargs' must be an ordinary named one"),
        (positional, r"parameter 'a' must be an ordinary named one"),
        (missing, "a type cannot be resolved: name 'Nowhere'"),
        (5, "it must be an async function"),
    ],
)
def test_an_impossible_function_is_refused_at_import_with_its_place(function, message):
    with pytest.raises(DeclarationError, match=message) as caught:
        service().get("/x")(function)
    if isinstance(function, types.FunctionType):
        assert f"test_operation.py:{function.__code__.co_firstlineno}" in str(caught.value)


def with_path(app, path="/x/{order_id}", **annotations):
    async def operation(**_: Any) -> None: ...

    source = f"async def operation({', '.join(annotations)}) -> None: ..."
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    namespace["operation"].__annotations__.update(annotations)
    return namespace["operation"]


IMPOSSIBLE = [
    ("GET", "/x/{order_id}", {}, r"has \{order_id\} but no parameter takes it; add 'order_id: str'"),
    ("GET", "/x", {"a": Annotated[int, Path()]}, r"'a' is marked Path but the path has no \{a\}"),
    ("POST", "/x", {"a": Order, "b": Order}, "a and b would both be the body; make one type"),
    ("POST", "/x", {"a": Order, "b": Annotated[Order, Form()]}, "a and b would both be the body"),
    ("GET", "/x", {"a": Annotated[Order, Body()]}, "a GET has no body to bind 'a' to"),
    ("GET", "/x", {"a": Annotated[Order, Form()]}, "a GET has no body to bind 'a' to"),
    ("GET", "/x", {"a": Order}, r"nothing provides 'a' of type Order. Register a resource"),
    ("GET", "/x", {"a": Engine}, r"nothing provides 'a' of type Engine. Register a resource"),
    ("POST", "/x", {"a": Engine}, r"nothing provides 'a' of type Engine"),
    ("GET", "/x", {"a": Annotated[list[Order], Query()]}, "cannot come from the query: it has fields"),
    ("GET", "/x", {"a": Annotated[dict[str, int], Query()]}, "cannot come from the query: it has fields"),
    ("GET", "/x", {"a": Annotated[Order, Header()]}, "cannot come from the header: it has fields"),
    ("GET", "/x", {"a": Annotated[Order, Cookie()]}, "cannot come from the cookie: it has fields"),
    ("GET", "/x/{a}", {"a": Order}, "cannot come from the path: it has fields"),
    ("GET", "/x", {"a": Annotated[int, Query(), Header()]}, "'a' is marked to come from two places; keep one"),
    ("POST", "/x", {"a": Annotated[int, Form()]}, "'a' is marked Form, so its type must have fields"),
    ("POST", "/x", {"a": Annotated[complex, Body()]}, "complex"),
    ("POST", "/x", {"a": Annotated[Engine, Body()]}, "Engine"),
    ("POST", "/x", {"a": Annotated[Order | list[Engine], Body()]}, "Engine"),
    ("GET", "/x", {"a": Annotated[Engine, Query()]}, "Engine"),
    ("GET", "/x/{a}", {"a": Annotated[list[int], Path()]}, "that has one value"),
    ("GET", "/x", {"a": Annotated[set[int], Cookie()]}, "that has one value"),
]


@pytest.mark.parametrize(("method", "path", "annotations", "message"), IMPOSSIBLE, ids=lambda value: str(value)[:60])
def test_an_impossible_parameter_stops_the_start_with_the_fix(method, path, annotations, message):
    app = service()
    app.route(method, path)(with_path(app, **annotations))
    with pytest.raises(ConfigurationError, match=message) as caught:
        app.build()
    assert "operation 'operation'" in str(caught.value)


class One(msgspec.Struct):
    a: int


class Two(msgspec.Struct):
    b: int


def test_a_body_msgspec_cannot_tell_apart_is_refused():
    app = service()

    @app.post("/x")
    async def create(order: One | Two) -> None: ...

    with pytest.raises(DeclarationError, match=r"operation 'create'.*'order'.*tag"):
        app.build()


@pytest.mark.parametrize(
    ("status", "returns", "message"),
    [
        (404, int, "is no success"),
        (100, int, "is no success"),
        ("201", int, "is no success"),
        (True, int, "is no success"),
        (204, int, "has no body, but it returns a value"),
        (304, int, "has no body, but it returns a value"),
        (301, None, "returns None; use 204"),
    ],
)
def test_a_status_that_contradicts_the_result_is_refused(status, returns, message):
    async def operation() -> None: ...

    operation.__annotations__["return"] = returns
    with pytest.raises(DeclarationError, match=message):
        service().get("/x", status=status)(operation)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda app: app.get("x"), "must begin with '/'"),
        (lambda app: app.group("/g").get("x"), "must begin with '/'"),
        (lambda app: app.get("/x", tags="orders"), r"write tags=\['orders'\]"),
        (lambda app: app.get("/x", tags=[1]), "is no str"),
        (lambda app: app.get("/x", problems=NotFound), "must be several"),
        (lambda app: app.get("/x", problems=[BadRequest("x")]), "is no type"),
    ],
)
def test_other_impossible_routes_are_refused(declare, message):
    with pytest.raises(DeclarationError, match=message):
        declare(service())(nothing)


def test_an_impossible_group_is_refused():
    with pytest.raises(DeclarationError, match="prefix must begin with '/'"):
        service().group("orders")
    with pytest.raises(DeclarationError, match=r"write tags=\['orders'\]"):
        service().group("/orders", tags="orders")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "give it a name"),
        ({"name": "x", "place": Place.BIND}, "from ARRIVE to BULKHEAD"),
        ({"name": "x", "place": Place.OPERATION}, "from ARRIVE to BULKHEAD"),
        ({"name": "x", "place": Place.RECEIVE}, "from ARRIVE to BULKHEAD"),
        ({"name": "x", "place": Place.RECORD}, "from ARRIVE to BULKHEAD"),
    ],
)
def test_an_impossible_guard_is_refused_at_import(attributes, message):
    with pytest.raises(DeclarationError, match=message):
        type("Impossible", (Guard,), attributes)


# -- what else is a function


class Reader:
    def __init__(self, text: str) -> None:
        self.text = text

    async def __call__(self, number: int) -> str:
        """Read."""
        return self.text * number

    async def method(self, number: int) -> str:
        return self.text + str(number)


async def scaled(factor: int, number: int) -> int:
    return factor * number


def traced(function):
    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        return await function(*args, **kwargs)

    return wrapper


async def test_objects_methods_partials_and_decorated_functions_are_operations():
    app = service()
    app.get("/object/{number}", name="object")(Reader("a"))
    app.get("/method/{number}")(Reader("b").method)
    app.get("/partial/{number}", name="partial")(functools.partial(scaled, 3))
    app.get("/keyword/{number}", name="keyword")(functools.partial(scaled, factor=4))
    app.get("/decorated/{number}")(traced(scaled_by_two))
    assert (await exchange(app, "GET", "/object/2")).json() == "aa"
    assert (await exchange(app, "GET", "/method/2")).json() == "b2"
    assert (await exchange(app, "GET", "/partial/2")).json() == 6
    assert (await exchange(app, "GET", "/keyword/2")).json() == 8
    assert (await exchange(app, "GET", "/decorated/2")).json() == 4


async def scaled_by_two(number: int) -> int:
    return number * 2


async def test_a_declared_function_stays_an_ordinary_function():
    app = service()

    @app.get("/x/{number}")
    async def double(number: int, *, times: int = 2) -> int:
        """Double a number.

        Or more.
        """
        return number * times

    assert await double(4) == 8
    operation = describe(double)
    assert (operation.summary, operation.description) == ("Double a number.", "Or more.")
    assert [(item.name, item.type, item.required) for item in operation.parameters] == [
        ("number", int, True),
        ("times", int, False),
    ]
    assert (await exchange(app, "GET", "/x/4", "times=3")).json() == 12


def test_a_name_belongs_to_one_operation():
    app = service()
    app.operation("nothing")(nothing)
    with pytest.raises(DeclarationError, match="another operation 'nothing'"):
        app.get("/x")(nothing)
    with pytest.raises(DeclarationError, match="another operation 'nothing'"):
        app.operation("nothing")(nothing)


def test_problems_of_a_service_are_ordinary_classes():
    assert Conflict("x").detail == "x"
    assert str(Conflict()) == "Conflict"
