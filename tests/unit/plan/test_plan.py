"""Plans: the order of their fragments, what is not used leaves no line, shared code, readable tracebacks."""

import asyncio
import re
import traceback
from typing import Annotated

import pytest

from seawall import (
    Call,
    Check,
    Conflict,
    FieldError,
    Forbidden,
    Guard,
    Header,
    Place,
    Principal,
    Reply,
    Unauthorized,
    current_call,
)
from seawall.operation import Policy, describe
from seawall.plan import CodeCache, Writer, code, compile_plan, form_of
from support.exchange import exchange, running
from support.settings import service

pytestmark = pytest.mark.anyio


class Recording(Guard):
    """Notes when it is asked and what it is told in the end."""

    name = "recording"

    def __init__(self, log, name="recording", place=Place.AUTHORISE, refuse=None):
        self.log, self.name, self.place, self.refuse = log, name, place, refuse

    async def check(self, call: Call) -> None:
        self.log.append(f"{self.name} checks")
        if self.refuse is not None:
            raise self.refuse

    async def release(self, call: Call, error: BaseException | None) -> None:
        self.log.append(f"{self.name} releases {type(error).__name__ if error else 'well'}")


class Passing(Guard):
    name = "passing"

    async def check(self, call: Call) -> None: ...


class Session: ...


async def test_fragments_stand_in_the_documented_order():
    app = service(http={"trusted_hosts": ("*",), "trusted_proxies": ("10.0.0.1",), "cors_origins": ("*",)})
    app.resource(scope="call")(Session)

    def fine(value: int) -> None: ...

    guards = [
        Recording([], f"at {place.name}", place)
        for place in Place
        if Place.ARRIVE <= place <= Place.BULKHEAD and place is not Place.BIND
    ]

    @app.get("/x", guards=guards[::-1])
    async def read(session: Session, n: Annotated[int, Check(fine)]) -> int:
        return n

    (plan,) = app.build().plans
    assert [step.name for step in plan.steps] == [
        "receive",
        "record",
        "answer",
        "limits",
        "hosts",
        "proxies",
        "cors",
        "at ARRIVE",
        "at ADMISSION",
        "admission",
        "at CLIENT_LIMIT",
        "at AUTHENTICATE",
        "at AUTHORISE",
        "at PRINCIPAL_LIMIT",
        "at IDEMPOTENCY",
        "at CACHE",
        "bind",
        "disconnect",
        "at DEADLINE",
        "deadline",
        "at BULKHEAD",
        "resources",
        "validate",
        "encode",
        "operation",
    ]
    assert [step.place for step in plan.steps] == sorted(step.place for step in plan.steps)


async def test_what_is_not_used_leaves_no_line():
    app = service(http={"compress": False, "timeout_header": ""})

    @app.get("/x", timeout=None, on_disconnect="finish")
    async def read() -> int:
        return 1

    @app.get("/y", timeout=1, guards=[Recording([])])
    async def guarded(session: int = 0) -> int:
        return 1

    bare, full = (plan.source for plan in app.build().plans)
    for word in (
        "deadline",
        "sooner",
        "watch",
        "check",
        "release",
        "parse_query",
        "cookie",
        "compress",
        "errors",
        "hosts",
        "cors",
    ):
        assert word not in bare
    for word in ("deadline", "watch", "check_recording", "release_recording", "parse_query"):
        assert word in full


async def test_only_a_guard_with_a_release_encloses_what_is_further_in():
    app = service()
    app.get("/x", guards=[Passing()], timeout=None)(describe_me)
    with_release = service()
    with_release.get("/x", guards=[Recording([])], timeout=None)(describe_me)
    source, enclosing = app.build().plans[0].source, with_release.build().plans[0].source
    assert enclosing.count("try:") == source.count("try:") + 1


async def describe_me() -> None: ...


@pytest.mark.parametrize(
    ("raised", "end"),
    [
        (None, "well"),
        (Conflict("x"), "Conflict"),
        (ValueError("x"), "ValueError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
async def test_a_guard_is_released_however_the_call_ended(raised, end, caplog):
    log: list[str] = []
    app = service()

    @app.get("/x", guards=[Recording(log, "outer", Place.ADMISSION), Recording(log, "inner", Place.BULKHEAD)])
    async def read() -> None:
        log.append("operation")
        if raised is not None:
            raise raised

    if isinstance(raised, asyncio.CancelledError):
        with pytest.raises(asyncio.CancelledError):
            await exchange(app, "GET", "/x")
    else:
        await exchange(app, "GET", "/x")
    assert log == ["outer checks", "inner checks", "operation", f"inner releases {end}", f"outer releases {end}"]


async def test_a_guard_that_refuses_is_not_released_and_those_before_it_are():
    log: list[str] = []
    app = service()
    guards = [Recording(log, "outer", Place.ADMISSION), Recording(log, "inner", refuse=Forbidden("No."))]

    @app.get("/x", guards=guards)
    async def read() -> None:
        log.append("operation")

    answer = await exchange(app, "GET", "/x")
    assert (answer.status, answer.json()["detail"]) == (403, "No.")
    assert log == ["outer checks", "inner checks", "outer releases Forbidden"]


async def test_a_guard_refuses_before_a_wrong_request_is_looked_at():
    app = service()

    @app.post("/x", guards=[Recording([], refuse=Forbidden("No."))])
    async def write(body: dict[str, int]) -> None: ...

    assert (await exchange(app, "POST", "/x", body=b"{")).status == 403


async def test_a_guard_can_say_who_calls():
    class Known(Guard):
        name = "known"
        place = Place.AUTHENTICATE

        async def check(self, call: Call) -> None:
            if call.header("authorization"):
                call.principal = Principal("ada")

    app = service(guards=[Known()])

    @app.get("/me")
    async def me(principal: Principal) -> str:
        assert current_call().principal is principal
        return principal.subject

    assert (await exchange(app, "GET", "/me", headers={"authorization": "x"})).json() == "ada"
    assert (await exchange(app, "GET", "/me")).status == 401


async def test_operations_of_one_form_share_their_code():
    app = service()
    for number in range(20):

        async def read(order_id: int) -> int:
            return order_id

        app.get(f"/r{number}/{{order_id}}", name=f"r{number}")(read)
    plans = app.build().plans
    assert len({plan.source for plan in plans}) == 1
    assert len({id(plan.run.__code__) for plan in plans[1:]}) == 1, "what they share is known from the second on"


def test_values_are_bound_never_written_into_the_source():
    app = service()

    @app.get("/x", timeout=12.5, name="evil\n    raise SystemExit")
    async def read(a: str = '"""; import os') -> int:
        return 1

    source = app.build().plans[0].source
    assert "12.5" not in source
    assert "SystemExit" not in source
    assert "import os" not in source


async def test_tracebacks_show_the_generated_line_and_the_operation(caplog):
    app = service()

    @app.get("/orders/{order_id}")
    async def read_order(order_id: int) -> int:
        return order_id // 0

    await exchange(app, "GET", "/orders/7")
    (record,) = caplog.records
    text = "".join(traceback.format_exception(*record.exc_info))
    # The number is that of the form, which all operations of one form share.
    assert re.search(r'File "<seawall plan \d+>"', text)
    assert "result = await _operation(p_order_id)" in text
    assert "return order_id // 0" in text
    assert "ZeroDivisionError" in text


async def test_tracebacks_survive_the_line_cache_being_checked(caplog):
    import linecache

    app = service()

    @app.get("/x")
    async def another_read() -> int:
        return 1 // 0

    app.build()
    linecache.checkcache()
    await exchange(app, "GET", "/x")
    assert "result = await _operation()" in "".join(traceback.format_exception(*caplog.records[0].exc_info))


async def test_parameters_with_the_names_of_the_plans_own_do_not_meet_them():
    names = [
        "call",
        "headers",
        "scope",
        "send",
        "receive",
        "body",
        "status",
        "token",
        "parts",
        "result",
        "task",
        "error",
    ]
    app = service()
    parameters = ", ".join(f"{name}: str = {name!r}" for name in names)
    namespace = {}
    exec(f"async def operation({parameters}) -> list[str]: return [{', '.join(names)}]", namespace)
    app.get("/x")(namespace["operation"])
    answer = await exchange(app, "GET", "/x", "&".join(f"{name}=q-{name}" for name in names))
    assert answer.json() == [f"q-{name}" for name in names]
    assert (await exchange(app, "GET", "/x")).json() == names


def test_a_writer_binds_a_value_once_and_names_apart():
    writer = Writer()
    one, two = object(), object()
    assert writer.bind("check x-y", one) == writer.bind("check x-y", one) == "_check_x_y"
    assert writer.bind("check x-y", two) == "_check_x_y_2"
    assert writer.bind("!", one) == "_value"
    with writer.block("if x:"):
        pass
    assert writer.source == "if x:\n    pass\n"


async def test_a_fragment_of_any_kind_finds_its_place():
    class Doubling:
        name = "doubling"
        place = Place.CACHE

        def emit(self, writer, inner):
            inner()
            writer.line("result = result * 2")

    class Innermost:
        name = "innermost"
        place = Place.OPERATION

        def emit(self, writer, inner):
            writer.line(f"result = await {writer.bind('operation', describe_two)}()")
            inner()

    class Outermost:
        name = "outermost"
        place = Place.RECEIVE

        def emit(self, writer, inner):
            inner()
            writer.line("return result")

    fragments = [Innermost(), Doubling(), Outermost()]
    plan = compile_plan(
        describe(describe_two), Policy(), carrier="test", signature="", fragments=fragments, codes=CodeCache()
    )
    assert await plan.run() == 4
    assert [step.name for step in plan.steps] == ["outermost", "doubling", "innermost"]


async def describe_two() -> int:
    return 2


# -- direct calls


async def test_a_direct_call_runs_under_the_policy_of_its_operation():
    log: list[str] = []
    app = service()

    @app.operation("price", guards=[Recording(log)])
    async def price(sku: str, times: int = 1) -> int:
        log.append(current_call().operation)
        return len(sku) * times

    assert await app.call("price", sku="abc") == 3
    assert await app.call("price", sku="abc", times=2) == 6
    assert log[:3] == ["recording checks", "price", "recording releases well"]
    with pytest.raises(LookupError):
        current_call()
    with pytest.raises(KeyError, match="nothing"):
        await app.call("nothing")
    with pytest.raises(TypeError, match="colour"):
        await app.call("price", colour="red")


async def test_a_direct_call_goes_on_with_the_identity_of_the_one_it_is_made_in():
    app = service()

    class Known(Guard):
        name = "known"

        async def check(self, call: Call) -> None:
            call.principal = call.principal or (Principal("ada") if call.header("authorization") else None)

    @app.operation("inner")
    async def inner(call: Call, principal: Principal | None) -> tuple[str, str, str | None]:
        return call.request_id, call.operation, principal.subject if principal else None

    @app.operation("strict")
    async def strict(principal: Principal) -> str:
        return principal.subject

    @app.get("/outer", guards=[Known()])
    async def outer(call: Call) -> Reply[list[object]]:
        found = list(await app.call("inner"))
        assert current_call() is call
        return Reply([*found, await app.call("strict")])

    answer = await exchange(app, "GET", "/outer", headers={"x-request-id": "abc", "authorization": "x"})
    assert answer.json() == ["abc", "inner", "ada", "ada"]
    assert (await app.call("inner"))[1:] == ("inner", None)
    with pytest.raises(Unauthorized):
        await app.call("strict")
    assert (await exchange(app, "GET", "/outer")).status == 401


async def test_a_routed_operation_can_be_called_directly_too():
    app = service()
    app.resource(Session)

    @app.get("/x/{n}")
    async def double(n: int, session: Session, x_tenant: Annotated[str | None, Header()] = None) -> int:
        return n * 2

    async with running(app):
        assert await app.call("double", n=4) == 8


async def test_problems_of_a_direct_call_are_raised():
    app = service()

    @app.operation("fail")
    async def fail() -> None:
        raise Conflict("x", errors=[FieldError("y", "/z")])

    with pytest.raises(Conflict):
        await app.call("fail")


# -- many


def test_a_thousand_operations_of_one_form_are_compiled_once(monkeypatch):
    app = service()
    for number in range(1000):

        async def read(order_id: int, limit: int = 10, q: str | None = None) -> dict[str, int]:
            return {"id": order_id}

        app.get(f"/group{number % 50}/r{number}/{{order_id}}", name=f"r{number}")(read)
    compiled: list[str] = []
    monkeypatch.setattr(
        code, "compile", lambda source, *rest: compiled.append(source) or compile(source, *rest), raising=False
    )
    built = app.build()
    assert len(built.plans) == 1000
    # Three operations (those after the first show what they have in common), the fallback and the finders of two
    # methods: not one of the thousand has code of its own.
    assert len(compiled) <= 8


def test_plans_of_one_form_keep_only_what_differs_for_themselves():
    app = service()
    for number in range(4):

        async def read(order_id: int, limit: int = 10) -> dict[str, int]:
            return {"id": order_id}

        app.get(f"/r{number}/{{order_id}}", name=f"r{number}")(read)
    _, second, third, fourth = (plan.run for plan in app.build().plans)
    assert second.__code__ is third.__code__ is fourth.__code__
    assert second.__globals__ is third.__globals__
    own, common = second.own, second.__globals__
    assert {"_operation", "_operation_name"} <= set(own)
    assert len(own) == len(form_of(second).own) < len(common) / 3
    assert form_of(second).common is form_of(third).common
    assert {"_Call", "_monotonic", "_representations", "_read_order_id"} <= set(common)


def test_values_that_are_the_functions_own_stay_apart_whatever_others_share():
    codes, source = code.CodeCache(), "def read():\n    return a, b\n"
    one, two = object(), object()
    made = [
        codes.function(source, "read", str(index), {"a": a, "b": b})
        for index, (a, b) in enumerate([(one, 1), (one, 2), (two, 3), (two, 3), (one, 4), (two, 5)])
    ]
    assert [function() for function in made] == [(one, 1), (one, 2), (two, 3), (two, 3), (one, 4), (two, 5)]
    assert [function.__qualname__ for function in made] == ["0", "1", "2", "3", "4", "5"]


def test_a_form_whose_values_have_nothing_in_common_is_not_compiled_again_and_again(monkeypatch):
    compiled: list[str] = []
    monkeypatch.setattr(
        code, "compile", lambda source, *rest: compiled.append(source) or compile(source, *rest), raising=False
    )
    codes, source = code.CodeCache(), "def read():\n    return a, b\n"
    for number in range(100):
        assert codes.function(source, "read", "x", {"a": object(), "b": number})()[1] == number
    for number in range(100):  # each shares something with the first, and each something else
        values = {"a": number % 10, "b": number // 10}
        assert codes.function(source, "read", "x", values)() == tuple(values.values())
    assert len(compiled) <= 8


def test_a_value_put_under_a_shared_name_is_found_by_all_that_share_it():
    codes, source = code.CodeCache(), "def read():\n    return a, b\n"
    shared = object()
    functions = [codes.function(source, "read", "x", {"a": shared, "b": number}) for number in range(3)]
    for function in functions:
        code.put(function, "a", "new")
        code.put(function, "b", "own")
    assert [function() for function in functions] == [("new", "own")] * 3


class One:
    """A resource."""


class Other:
    """Another one."""


def test_after_a_reload_the_protocol_class_finds_resources_that_start_anew():
    def made():
        app = service()

        @app.get("/one/{number}")
        async def one(number: int, resource: One) -> str:
            return ""

        @app.get("/other/{number}")
        async def other(number: int, resource: Other) -> str:
            return ""

        for kind in (One, Other):
            app.resource(kind)
        return app

    built, fresh = made().build(), made().build()
    built.use_wire()
    built.replace_by(fresh)
    resources = {One: One(), Other: Other()}
    built.provide(resources)
    for name, kind in (("one", One), ("other", Other)):
        target = built.surface.wires[b"GET"].find(["", name, "1"])
        known = [*target.own, *target.run.__globals__.values()]
        assert any(value is resources[kind] for value in known), name
