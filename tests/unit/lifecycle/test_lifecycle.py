from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from starlette.responses import PlainTextResponse

from seawall import Call, DeclarationError, Guard, Service, Unavailable
from seawall.http.health import may_see
from seawall.lifecycle import Cut, Phase
from seawall.settings import ServerSettings, ServiceSettings
from support.exchange import exchange, running
from support.settings import settings

pytestmark = pytest.mark.anyio


class Database:
    def __init__(self):
        self.ok = True


class Session: ...


def service_of(clock=None, *, health=True, shutdown_seconds=30):
    chosen = replace(
        settings(), service=ServiceSettings(health=health), server=ServerSettings(shutdown_seconds=shutdown_seconds)
    )
    made = Service("shop", settings=chosen, clock=clock)

    @made.resource
    async def database() -> AsyncIterator[Database]:
        yield Database()

    return made


async def get(service, path, **scope):
    return await exchange(service, "GET", path, client=("127.0.0.1", 5), **scope)


class TestHealth:
    async def test_before_the_start_it_lives_and_nothing_else(self):
        service = service_of()
        statuses = [(await get(service, f"/health/{probe}")).status for probe in ("live", "startup", "ready")]
        assert statuses == [200, 503, 503]

    async def test_running_it_passes(self):
        async with running(service_of()) as service:
            for probe in ("live", "startup", "ready"):
                answer = await get(service, f"/health/{probe}")
                assert (answer.status, answer.json()) == (200, {"status": "pass"})
                assert answer.headers["content-type"] == "application/health+json"
                assert answer.headers["cache-control"] == "no-store"
            assert (await exchange(service, "HEAD", "/health/live")).body == b""

    async def test_a_check_takes_resources_and_decides(self):
        service = service_of()

        @service.check(cache=0)
        async def store(database: Database) -> bool:
            return database.ok

        async with running(service):
            assert (await get(service, "/health/ready")).status == 200
            service.resources.values[Database].ok = False
            answer = await get(service, "/health/ready")
            assert answer.status == 503
            assert answer.json()["checks"]["store:responseTime"][0]["status"] == "fail"
            assert (await get(service, "/health/live")).status == 200
            assert (await get(service, "/health/startup")).status == 200

    async def test_draining_it_is_not_ready(self):
        async with running(service_of()) as service:
            service.lifecycle.begin_drain(5)
            answer = await get(service, "/health/ready")
            assert (answer.status, answer.json()) == (503, {"status": "fail", "notes": ["draining"]})
            assert (await get(service, "/health/startup")).status == 200

    async def test_guards_of_the_service_do_not_stand_in_front(self):
        class Closed(Guard):
            name = "closed"

            async def check(self, call: Call) -> None:
                raise Unavailable

        service = Service("shop", settings=settings(), guards=[Closed()], timeout=1)

        @service.get("/hello")
        async def hello() -> str:
            return "hello"

        async with running(service):
            assert (await get(service, "/hello")).status == 503
            assert (await get(service, "/health/live")).status == 200

    @pytest.mark.parametrize("path", ["/health/live", "/health/{probe}", "/health/{rest:path}"])
    async def test_a_route_of_the_users_own_wins(self, path):
        service = service_of()

        if "{probe}" in path:

            @service.get(path)
            async def own(probe: str) -> str:
                return "mine"

        elif "{rest" in path:

            @service.get(path)
            async def own_rest(rest: str) -> str:
                return "mine"

        else:

            @service.get(path)
            async def own_live() -> str:
                return "mine"

        async with running(service):
            assert (await get(service, "/health/live")).json() == "mine"
            ready = (await get(service, "/health/ready")).json()
            assert ready == ({"status": "pass"} if path == "/health/live" else "mine")

    async def test_a_route_for_everything_does_not(self):
        service = service_of()

        @service.get("/{page:path}")
        async def page(page: str) -> str:
            return "page"

        async with running(service):
            assert (await get(service, "/health/live")).json() == {"status": "pass"}
            assert (await get(service, "/anything")).json() == "page"

    @pytest.mark.parametrize(("prefix", "body"), [("/health", b"mounted"), ("/", b'{"status":"pass"}')])
    async def test_a_mount_in_its_place_wins(self, prefix, body):
        service = service_of()
        service.mount(prefix, PlainTextResponse("mounted"))
        async with running(service):
            assert (await get(service, "/health/live")).body == body

    async def test_it_can_be_switched_off(self):
        async with running(service_of(health=False)) as service:
            assert (await get(service, "/health/live")).status == 404

    async def test_it_is_not_in_the_document(self):
        service = service_of()
        assert "/health/live" not in service.openapi()["paths"]
        assert all("health" not in route.path for route in service.build().routes)

    @pytest.mark.parametrize(
        ("detail", "client", "fields", "seen"),
        [
            ("never", "127.0.0.1", {}, False),
            ("always", "192.0.2.7", {}, True),
            ("loopback", "127.0.0.1", {}, True),
            ("loopback", "127.9.9.9", {}, True),
            ("loopback", "::1", {}, True),
            ("loopback", "::ffff:127.0.0.1", {}, True),
            ("loopback", "192.0.2.7", {}, False),
            ("loopback", "::ffff:192.0.2.7", {}, False),
            ("loopback", None, {}, False),
            ("loopback", "testclient", {}, False),
            ("loopback", "127.0.0.1", {b"x-forwarded-for": b"192.0.2.7"}, False),
            ("loopback", "127.0.0.1", {b"forwarded": b"for=192.0.2.7"}, False),
        ],
    )
    def test_who_is_told(self, detail, client, fields, seen):
        assert may_see(detail, client, fields) is seen


class TestDeclaring:
    def test_a_check_must_get_what_it_takes(self):
        service = Service("shop", settings=settings())

        @service.check
        async def store(database: Database) -> None: ...

        with pytest.raises(DeclarationError, match=r"check .*store: nothing provides 'database' of type Database"):
            service.build()

    def test_a_check_has_no_call(self):
        service = service_of()

        @service.resource(scope="call")
        def session(database: Database) -> Session:
            return Session()

        @service.check
        async def store(session: Session) -> None: ...

        with pytest.raises(DeclarationError, match="lives as long as one call"):
            service.build()

    def test_two_checks_have_two_names(self):
        service = service_of()

        @service.check
        async def store() -> None: ...

        with pytest.raises(DeclarationError, match="there is a check 'store' already"):
            service.check(store)

    def test_what_is_not_async_is_refused(self):
        with pytest.raises(DeclarationError, match="must be an async function"):
            service_of().check(lambda: None)

    def test_a_parameter_needs_a_type(self):
        async def store(database): ...

        with pytest.raises(DeclarationError, match="'database' has no type"):
            service_of().background(store)

    @pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": float("nan")}, {"cache": -1}])
    def test_times_must_be_possible(self, options):
        async def store() -> None: ...

        with pytest.raises(DeclarationError, match="timeout="):
            service_of().check(**options)(store)


class TestLife:
    async def test_the_order_of_the_end(self, manual_clock):
        log = []
        service = Service("shop", settings=settings(), clock=manual_clock)

        @service.resource
        async def database() -> AsyncIterator[Database]:
            yield Database()
            log.append("database closed")

        @service.background
        async def flush(database: Database) -> None:
            log.append("flush began")
            await service.tasks.stopping()
            log.append("flush ended")

        @service.lifecycle.on_drain(order=1)
        async def later() -> None:
            log.append("hook 1")

        @service.lifecycle.on_drain
        async def sooner() -> None:
            log.append("hook 0")

        async with running(service):
            assert service.lifecycle.phase is Phase.RUNNING
            await asyncio.sleep(1)
        assert log == ["flush began", "hook 0", "hook 1", "flush ended", "database closed"]
        assert service.lifecycle.phase is Phase.STOPPED
        assert not service.lifecycle.cut

    async def test_it_can_run_again(self, manual_clock):
        service = service_of(manual_clock)
        hooks = []

        @service.lifecycle.on_drain
        async def hook() -> None:
            hooks.append(1)

        for _ in range(2):
            async with running(service):
                assert (await get(service, "/health/ready")).status == 200
        assert hooks == [1, 1]

    async def test_but_once_at_a_time(self, manual_clock):
        async with running(service_of(manual_clock)) as service:
            with pytest.raises(RuntimeError, match="running already"):
                async with running(service):
                    pass
            assert (await get(service, "/health/ready")).status == 200

    async def test_a_late_hook_is_cut_and_the_next_one_runs(self, manual_clock):
        service = service_of(manual_clock, shutdown_seconds=10)
        ran = []

        @service.lifecycle.on_drain
        async def endless() -> None:
            await asyncio.Event().wait()

        @service.lifecycle.on_drain
        async def quick() -> None:
            ran.append(manual_clock.monotonic())

        async with running(service):
            began = manual_clock.monotonic()
        assert ran == [began + 7]
        assert service.lifecycle.cut.streams == [endless.__qualname__]

    async def test_work_that_is_cut_is_told(self, manual_clock):
        service = service_of(manual_clock, shutdown_seconds=10)
        async with running(service):
            service.tasks.start(asyncio.Event().wait, name="endless")
            await asyncio.sleep(0)
        assert service.lifecycle.cut.tasks == ["endless"]
        assert str(service.lifecycle.cut) == "tasks: endless"

    def test_a_cut_reads_well(self):
        assert str(Cut()) == "nothing"
        assert str(Cut(calls=2, connections=1, tasks=["a", "b"])) == "2 calls; 1 connection; tasks: a, b"
