"""Resources: who makes them, in which order they start and end, and what tests put in their place."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Annotated

import pytest

from seawall import Call, ConfigurationError, Conflict, DeclarationError, Principal
from support.exchange import exchange, running
from support.settings import service

pytestmark = pytest.mark.anyio


class Engine: ...


class Session:
    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine


class Orders:
    def __init__(self, session: Session) -> None:
        self.session = session


class Config:
    pass


def layered(log: list[str]):
    """Return a service with an app-scoped engine, and a session and repository for each call."""
    app = service()

    @app.resource
    async def engine(config: Config) -> AsyncIterator[Engine]:
        log.append("engine up")
        yield Engine()
        log.append("engine down")

    @app.resource(scope="call")
    async def session(engine: Engine, call: Call) -> AsyncGenerator[Session, None]:
        log.append(f"session up for {call.operation}")
        try:
            yield Session(engine)
        except BaseException as error:
            log.append(f"rolled back after {type(error).__name__}")
            raise
        else:
            log.append("committed")
        finally:
            log.append("session down")

    app.resource(Orders, scope="call")
    app.resource(Config)
    return app


async def test_they_start_in_order_and_end_in_reverse():
    log: list[str] = []
    app = layered(log)

    @app.get("/x")
    async def read(orders: Orders, session: Session, engine: Engine) -> str:
        assert orders.session is session
        assert session.engine is engine
        log.append("operation")
        return "x"

    async with running(app):
        assert (await exchange(app, "GET", "/x")).status == 200
        assert (await exchange(app, "GET", "/x")).status == 200
    call = ["session up for read", "operation", "committed", "session down"]
    assert log == ["engine up", *call, *call, "engine down"]


async def test_what_an_operation_does_not_take_is_not_made_for_it():
    log: list[str] = []
    app = layered(log)

    @app.get("/x")
    async def read(engine: Engine) -> None: ...

    async with running(app):
        await exchange(app, "GET", "/x")
    assert log == ["engine up", "engine down"]
    assert "session" not in app.build().plans[0].source


async def test_the_answer_is_sent_only_after_the_commit():
    log: list[str] = []
    app = layered(log)

    @app.get("/x")
    async def read(session: Session) -> str:
        return "x"

    async def send(message):
        log.append(message["type"])

    async def receive():
        await asyncio.Event().wait()

    from support.exchange import scope_of

    async with running(app):
        await app(scope_of("GET", "/x"), receive, send)
    assert log.index("session down") < log.index("http.response.start")


async def test_a_commit_that_fails_is_a_500(caplog):
    app = service()

    @app.resource(scope="call")
    async def session() -> AsyncIterator[Session]:
        yield Session()
        raise RuntimeError("commit failed")

    @app.post("/x", status=201)
    async def create(session: Session) -> str:
        return "created"

    async with running(app):
        answer = await exchange(app, "POST", "/x")
    assert answer.status == 500
    assert "created" not in answer.body.decode()


async def test_a_commit_may_answer_with_a_problem():
    app = service()

    @app.resource(scope="call")
    async def session() -> AsyncIterator[Session]:
        yield Session()
        raise Conflict("Somebody was faster.")

    @app.post("/x")
    async def create(session: Session) -> None: ...

    async with running(app):
        assert (await exchange(app, "POST", "/x")).status == 409


@pytest.mark.parametrize(
    ("raised", "status"), [(Conflict("no"), 409), (ValueError("x"), 500), (asyncio.CancelledError(), None)]
)
async def test_an_operation_that_fails_rolls_back(raised, status, caplog):
    log: list[str] = []
    app = layered(log)

    @app.get("/x")
    async def read(session: Session) -> None:
        raise raised

    async with running(app):
        if status is None:
            with pytest.raises(asyncio.CancelledError):
                await exchange(app, "GET", "/x")
        else:
            assert (await exchange(app, "GET", "/x")).status == status
    assert log[2:4] == [f"rolled back after {type(raised).__name__}", "session down"]


async def test_a_result_that_cannot_be_encoded_rolls_back(caplog):
    log: list[str] = []
    app = layered(log)

    @app.get("/x")
    async def read(session: Session) -> dict[str, object]:
        return {"a": object()}

    async with running(app):
        assert (await exchange(app, "GET", "/x")).status == 500
    assert "committed" not in log
    assert "session down" in log


async def test_a_call_that_runs_out_of_time_rolls_back(manual_clock):
    log: list[str] = []
    app = layered(log)
    app.clock = manual_clock

    @app.get("/x", timeout=1)
    async def read(session: Session) -> None:
        await asyncio.sleep(60)

    async with running(app):
        assert (await exchange(app, "GET", "/x")).status == 504
    assert log[2:4] == ["rolled back after CancelledError", "session down"]


async def test_a_wrong_request_opens_nothing():
    log: list[str] = []
    app = layered(log)

    @app.get("/x/{n}")
    async def read(n: int, session: Session) -> None: ...

    async with running(app):
        assert (await exchange(app, "GET", "/x/a")).status == 422
    assert log == ["engine up", "engine down"]


async def test_every_kind_of_factory():
    app, closed = service(), []

    def plain() -> Config:
        return Config()

    async def coroutine(config: Config) -> Engine:
        return Engine()

    async def generator(engine: Engine) -> AsyncGenerator[Session, None]:
        yield Session(engine)
        closed.append(1)

    for scope in ("app", "call"):
        made = service()
        for factory in (plain, coroutine, generator):
            made.resource(scope=scope)(factory)
        made.resource(scope=scope)(Orders)

        @made.get("/x")
        async def read(orders: Orders, engine: Engine) -> bool:
            return orders.session.engine is engine

        async with running(made):
            assert (await exchange(made, "GET", "/x")).json() is True
    assert closed == [1, 1]
    del app


async def test_a_resource_is_asked_for_by_what_it_provides():
    app = service()

    class Base: ...

    class Derived(Base): ...

    app.resource(provides=Base)(Derived)

    @app.get("/x")
    async def read(thing: Base, annotated: Annotated[Base, "some metadata"]) -> str:
        assert thing is annotated
        return type(thing).__name__

    async with running(app):
        assert (await exchange(app, "GET", "/x")).json() == "Derived"


async def test_one_that_cannot_start_closes_those_before_it_and_says_which():
    app, log = service(), []

    @app.resource
    async def engine() -> AsyncIterator[Engine]:
        log.append("up")
        try:
            yield Engine()
        finally:
            log.append("down")

    @app.resource
    async def session(engine: Engine) -> Session:
        raise ConnectionError("refused")

    with pytest.raises(
        ConfigurationError, match=r"resource Session from .*session.* did not start: ConnectionError: refused"
    ):
        async with running(app):
            raise AssertionError("it runs")
    assert log == ["up", "down"]


async def test_every_one_is_closed_even_when_another_fails_to():
    app, log = service(), []

    @app.resource
    async def engine() -> AsyncIterator[Engine]:
        yield Engine()
        log.append("engine down")

    @app.resource
    async def session(engine: Engine) -> AsyncIterator[Session]:
        yield Session()
        raise RuntimeError("cannot close")

    with pytest.raises(RuntimeError, match="cannot close"):
        async with running(app):
            pass
    assert log == ["engine down"]


async def test_they_are_closed_when_the_service_is_cancelled():
    log: list[str] = []
    app = layered(log)
    started = asyncio.Event()

    async def serve() -> None:
        async with running(app):
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert log[0] == "engine up"
    assert task.cancelled()


async def test_a_service_that_has_not_started_says_so(caplog):
    app = layered([])

    @app.get("/x")
    async def read(orders: Orders) -> str:
        return str(orders.session.engine.anything)

    assert (await exchange(app, "GET", "/x")).status == 500
    assert "has not started" in caplog.text


async def test_override_before_the_start_makes_nothing_of_what_it_replaces():
    log: list[str] = []
    app = layered(log)
    fake = Engine()

    @app.get("/x")
    async def read(session: Session) -> bool:
        return session.engine is fake

    with app.override(Engine, fake):
        async with running(app):
            assert (await exchange(app, "GET", "/x")).json() is True
    assert "engine up" not in log
    async with running(app):
        assert (await exchange(app, "GET", "/x")).json() is False
    assert "engine up" in log


async def test_override_while_it_runs_and_of_call_scoped_ones():
    log: list[str] = []
    app = layered(log)
    fake = Session()

    @app.get("/x")
    async def read(orders: Orders) -> bool:
        return orders.session is fake

    async with running(app):
        asgi = app.asgi
        assert (await exchange(asgi, "GET", "/x")).json() is False
        with app.override(Session, fake):
            log.clear()
            assert (await exchange(asgi, "GET", "/x")).json() is True
            assert log == []
            with app.override(Session, Session()):
                assert (await exchange(asgi, "GET", "/x")).json() is False
            assert (await exchange(asgi, "GET", "/x")).json() is True
        assert (await exchange(asgi, "GET", "/x")).json() is False
        assert log[-1] == "session down"


async def test_they_reach_direct_calls_too():
    log: list[str] = []
    app = layered(log)

    @app.operation("count")
    async def count(n: int, session: Session, engine: Engine) -> bool:
        return session.engine is engine and n == 1

    async with running(app):
        assert await app.call("count", n=1) is True
    assert log[1:4] == ["session up for count", "committed", "session down"]


def declared(app, *factories, scope="app"):
    for factory in factories:
        app.resource(scope=scope)(factory)


def test_a_circle_is_refused_with_its_members():
    def a(session: Session) -> Engine: ...
    def b(orders: Orders) -> Session: ...
    def c(engine: Engine) -> Orders: ...

    app = service()
    declared(app, a, b, c)
    with pytest.raises(DeclarationError, match=r"in a circle: \w+ → \w+ → \w+ → \w+; break it"):
        app.build()


def test_what_nothing_provides_is_refused_with_what_there_is():
    def a(session: Session) -> Engine: ...

    app = service()
    declared(app, a)
    app.resource(Config)
    with pytest.raises(DeclarationError, match=r"nothing provides 'session' of type Session.*Config, Engine"):
        app.build()


def test_what_lives_long_cannot_need_what_lives_short():
    def short() -> Engine: ...
    def long(engine: Engine) -> Session: ...

    app = service()
    app.resource(scope="call")(short)
    app.resource(long)
    with pytest.raises(DeclarationError, match=r"scope='call'"):
        app.build()


@pytest.mark.parametrize("kind", [Call, Principal])
def test_what_lives_long_cannot_need_the_call(kind):
    def long(call: kind) -> Session: ...

    app = service()
    app.resource(long)
    with pytest.raises(DeclarationError, match="nothing provides 'call'"):
        app.build()


def untyped():
    return Engine()


async def generator_untyped():
    yield Engine()


def generator_sync() -> Iterator[Engine]:
    yield Engine()


def parameter_untyped(config) -> Engine:
    return Engine()


def unresolved(config: "Missing") -> Engine:  # noqa: F821 - the point of the test
    return Engine()


def none() -> None: ...


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (untyped, "say what it makes"),
        (none, "say what it makes"),
        (generator_untyped, "say what it yields"),
        (generator_sync, "write 'async def'"),
        (parameter_untyped, "'config' has no type"),
        (unresolved, "cannot be resolved"),
    ],
)
def test_an_impossible_factory_is_refused_at_import(factory, message):
    with pytest.raises(DeclarationError, match=message) as caught:
        service().resource(factory)
    assert factory.__name__ in str(caught.value)


def test_a_type_is_provided_once_and_by_a_known_scope():
    app = service()
    app.resource(Engine)
    with pytest.raises(DeclarationError, match="already provided by"):
        app.resource(Engine)
    with pytest.raises(DeclarationError, match="neither 'app' nor 'call'"):
        app.resource(scope="request")(Config)
