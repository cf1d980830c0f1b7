"""The client over real sockets: what it sends, what it raises, and what it does when its target fails."""

from __future__ import annotations

import asyncio
import base64
import gzip
import ssl
from collections.abc import AsyncIterator
from typing import Annotated, Protocol

import msgspec
import pytest
import trustme

from seawall.call import Call, enter, leave
from seawall.client import (
    Answer,
    AnswerTooLarge,
    Bearer,
    Client,
    ClientCredentials,
    ConnectFailed,
    ConnectionLost,
    Header,
    RemoteProblem,
    RemoteUnavailable,
    Tls,
    UnexpectedAnswer,
    get,
    post,
)
from seawall.clock import SystemClock
from seawall.problems import Conflict, DeadlineExceeded, InvalidInput
from seawall.resilience import Backoff, Breaker, BreakerOpen, Hedge, Resilience, Retry, TimedOut, Timeout
from seawall.settings import ClientSettings
from seawall.testing import FakeReply, FakeServer, Fault

pytestmark = pytest.mark.anyio

QUICK = Backoff(first="1ms", longest="2ms")


class Charge(msgspec.Struct):
    id: int
    amount: int


class OutOfStock(Conflict):
    type = "urn:problem-type:test:out-of-stock"
    title = "Out of stock"


class Payments(Protocol):
    @get("/charges/{charge_id}")
    async def read(self, charge_id: str, expand: list[str] | None = None, deep: bool | None = None) -> Charge: ...

    @post("/charges", key=True, raises=[OutOfStock])
    async def charge(self, charge: Charge, tenant: Annotated[str, Header("X-Tenant")] = "none") -> Charge: ...

    @post("/plain")
    async def plain(self, charge: Charge) -> None: ...

    @post("/raw")
    async def raw(self, content: AsyncIterator[bytes]) -> Answer: ...


@pytest.fixture
async def server():
    async with FakeServer() as made:
        made.on("GET", "/charges/7", FakeReply(json={"id": 7, "amount": 5}))
        made.on("GET", "/charges/a%2F..%20b", FakeReply(json={"id": 8, "amount": 5}))
        made.on("POST", "/charges", lambda request: FakeReply(status=201, json=request.json()))
        made.on("POST", "/plain", FakeReply(status=204))
        made.on("POST", "/raw", lambda request: FakeReply(body=request.body[::-1]))
        yield made


def pipeline(name: str, *policies):
    return Resilience(hooks=()).pipeline(name, *policies)


async def test_a_declared_interface_calls(server: FakeServer) -> None:
    async with Client("payments", server.url) as client:
        payments = client.bind(Payments)
        assert await payments.read("7", expand=["a", "b c"], deep=True) == Charge(7, 5)
        assert server.requests[-1].query == {"expand": ["a", "b c"], "deep": ["true"]}
        assert (await payments.read("a/.. b")).id == 8, "a value stays within its segment"
        assert await payments.charge(Charge(1, 2), tenant="t") == Charge(1, 2)
        sent = server.requests[-1]
        assert (sent.headers["x-tenant"], sent.headers["content-type"]) == ("t", "application/json")
        assert await payments.plain(Charge(1, 2)) is None

        async def content() -> AsyncIterator[bytes]:
            for piece in (b"ab", b"cd"):
                yield piece

        assert (await payments.raw(content())).body == b"dcba"
        assert server.connections == 1, "connections are pooled"
        for wrong in ("..", ".", ""):
            with pytest.raises(InvalidInput):
                await payments.read(wrong)


async def test_what_a_call_says_about_the_one_it_is_made_for(server: FakeServer) -> None:
    clock = SystemClock()
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    call = Call(b"id-1", "op", {b"traceparent": trace, b"tracestate": b"a=b", b"seawall-attempt": b"2"})
    call.deadline = clock.monotonic() + 5
    token = enter(call)
    try:
        client = Client("payments", server.url, clock=clock)
        async with client:
            await client.request("GET", "/charges/7")
            sent = server.requests[-1].headers
            assert (sent["x-request-id"], sent["traceparent"], sent["tracestate"]) == ("id-1", trace.decode(), "a=b")
            assert sent["seawall-attempt"] == "2"
            assert sent["grpc-timeout"].endswith("m")
            assert 4000 < int(sent["grpc-timeout"][:-1]) <= 5000
            call.deadline = clock.monotonic() - 1
            with pytest.raises(DeadlineExceeded):
                await client.request("GET", "/charges/7")
            assert len(server.requests) == 1
    finally:
        leave(token)


async def test_problems_are_raised_by_their_type(server: FakeServer) -> None:
    told = {"type": OutOfStock.type, "title": "x", "status": 409, "detail": "no tea", "left": 0, "self": 1}
    told["errors"] = [{"detail": "bad", "pointer": "/sku"}]
    server.on("POST", "/charges", FakeReply(status=409, json=told))
    server.on("POST", "/plain", FakeReply(status=404, json={"type": "urn:x", "title": "No", "detail": "none"}))
    async with Client("payments", server.url) as client:
        payments = client.bind(Payments)
        with pytest.raises(OutOfStock) as stock:
            await payments.charge(Charge(1, 2))
        assert (stock.value.detail, stock.value.extensions, stock.value.errors[0].pointer) == (
            "no tea",
            {"left": 0},
            "/sku",
        )
        with pytest.raises(RemoteProblem) as missing:
            await payments.plain(Charge(1, 2))
        error = missing.value
        assert (error.status, error.answer_status, error.answer_type, error.answer_detail) == (
            502,
            404,
            "urn:x",
            "none",
        )
        assert "none" not in str(error.document()), "what the target said is not told to our caller"
        server.on("POST", "/plain", FakeReply(status=503, headers={"Retry-After": "7"}))
        with pytest.raises(RemoteUnavailable) as busy:
            await payments.plain(Charge(1, 2))
        assert (busy.value.status, busy.value.headers) == (503, {"retry-after": "7"})


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (FakeReply(body=b"not json"), UnexpectedAnswer),
        (FakeReply(json={"id": "seven", "amount": 1}), UnexpectedAnswer),
        (FakeReply(status=304), UnexpectedAnswer),
        (FakeReply(body=b"x" * 2001), AnswerTooLarge),
        (FakeReply(pieces=(b"x" * 1500, b"x" * 1500)), AnswerTooLarge),
        (FakeReply(body=gzip.compress(b"x" * 100_000), headers={"content-encoding": "gzip"}), AnswerTooLarge),
        (FakeReply(body=b"x", headers={"content-encoding": "gzip"}), (ConnectionLost, UnexpectedAnswer)),
        (FakeReply(status=302, headers={"location": "http://other.test/"}), UnexpectedAnswer),
        (FakeReply(status=302, headers={"location": "/charges/7"}), UnexpectedAnswer),
    ],
)
async def test_answers_that_were_not_agreed(server: FakeServer, reply: FakeReply, error) -> None:
    server.on("GET", "/charges/7", reply)
    async with Client("payments", server.url, settings=ClientSettings(max_response=2000)) as client:
        with pytest.raises(error):
            await client.bind(Payments).read("7")


async def test_redirects_on_the_same_origin_are_followed(server: FakeServer) -> None:
    server.on("GET", "/old", FakeReply(status=307, headers={"location": "charges/7"}))
    async with Client("payments", server.url, auth=Bearer("t")) as client:
        assert (await client.request("GET", "/old")).decode(Charge).id == 7
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer t", "Bearer t"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(cut="before"), ConnectionLost),
        (Fault(cut="head"), ConnectionLost),
        (Fault(cut="body"), ConnectionLost),
        (Fault(garbage=True), UnexpectedAnswer),
        (Fault(hang=True), TimedOut),
        (Fault(status=500), RemoteProblem),
    ],
)
async def test_faults_have_names(server: FakeServer, fault: Fault, error) -> None:
    server.fault(fault)
    async with Client("payments", server.url, settings=ClientSettings(timeout=0.2)) as client:
        with pytest.raises(error):
            await client.request("POST", "/charges", {"id": 1})
    async with asyncio.timeout(5):
        while server.open and not fault.hang:  # noqa: ASYNC110 - a socket has no event
            await asyncio.sleep(0.005)


async def test_connections_are_limited(server: FakeServer) -> None:
    most = 0

    async def slow(request) -> FakeReply:
        nonlocal most
        most = max(most, server.open)
        await asyncio.sleep(0.005)
        return FakeReply(json={"id": 7, "amount": 5})

    server.on("GET", "/charges/7", slow)
    for limits in ({"max_connections": 3}, {"max_connections_per_host": 3}):
        async with Client("payments", server.url, settings=ClientSettings(**limits)) as client:
            await asyncio.gather(*[client.request("GET", "/charges/7") for _ in range(30)])
        async with asyncio.timeout(5):
            while server.open:  # noqa: ASYNC110 - a socket has no event
                await asyncio.sleep(0.005)
    assert most == 3
    server.fault(Fault(hang=True))
    settings = ClientSettings(max_connections=1, connect_timeout=0.1, timeout=5)
    async with Client("payments", server.url, settings=settings) as client:
        hanging = asyncio.create_task(client.request("GET", "/charges/7"))
        await asyncio.sleep(0.02)
        with pytest.raises(ConnectFailed):
            await client.request("GET", "/charges/7")
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


async def test_nobody_there(server: FakeServer) -> None:
    async with FakeServer() as gone:
        url = gone.url
    policies = pipeline("gone", Retry(attempts=3, backoff=QUICK, budget=None))
    async with Client("gone", url, policies) as client:
        with pytest.raises(ConnectFailed) as failed:
            await client.request("POST", "/charges", {"id": 1})
    assert failed.value.headers["Seawall-Retried"] == "3", "what was not sent is tried again, whatever its method"


async def test_only_what_may_be_made_twice_is(server: FakeServer) -> None:
    policies = pipeline("payments", Retry(attempts=3, idempotent=True, backoff=QUICK, budget=None))
    async with Client("payments", server.url, policies) as client:
        payments = client.bind(Payments)
        server.fault(Fault(cut="head", times=1))
        with pytest.raises(ConnectionLost):
            await payments.plain(Charge(1, 2))
        server.fault(Fault(cut="head", times=2))
        before = len(server.requests)
        assert await payments.charge(Charge(1, 2)) == Charge(1, 2)
        made = server.requests[before:]
        assert len({request.headers["idempotency-key"] for request in made}) == 1
        assert [request.headers.get("seawall-attempt") for request in made] == [None, "2", "3"]
        assert await payments.charge(Charge(1, 2)) == Charge(1, 2)
        assert server.requests[-1].headers["idempotency-key"] != made[0].headers["idempotency-key"]


async def test_reads_are_retried_without_being_told(server: FakeServer) -> None:
    server.on("HEAD", "/charges/7", FakeReply(body=b"x" * 5000))
    settings = ClientSettings(max_response=1000)
    async with Client(
        "payments", server.url, pipeline("p", Retry(backoff=QUICK, budget=None)), settings=settings
    ) as client:
        server.fault(Fault(cut="body", times=1))
        server.fault(Fault(status=503, times=1))
        assert (await client.request("get", "/charges/7")).decode(Charge).id == 7
        assert len(server.requests) == 3
        assert (await client.request("HEAD", "/charges/7")).body == b"", (
            "its length is that of a body that does not come"
        )
        server.fault(Fault(cut="head", times=1))
        await client.request("POST", "/charges", {"id": 1}, headers={"idempotency-key": "k"})


async def test_streams_that_lost_or_came_too_late_are_closed(server: FakeServer) -> None:
    server.on("GET", "/s", FakeReply(pieces=(b"a",) * 1000, pause=0.01))
    server.fault(Fault(latency=0.1, times=1))
    hedge = pipeline("p", Hedge(after="20ms"))
    async with Client("files", server.url, hedge) as client:
        async with client.stream("GET", "/s") as stream:
            assert await anext(aiter(stream)) == b"a"
        assert len(server.requests) == 2
        async with asyncio.timeout(5):
            while server.open:  # noqa: ASYNC110 - a socket has no event
                await asyncio.sleep(0.005)
        server.fault(Fault(latency=0.1, times=1))
        before = len(server.requests)
        await client.request("POST", "/charges", {"id": 1})
        assert len(server.requests) == before + 1, "what may not be made twice is not hedged"


async def test_what_a_lower_layer_has_retried_is_not_retried(server: FakeServer) -> None:
    server.on("GET", "/charges/7", FakeReply(status=503, headers={"Seawall-Retried": "3"}))
    async with Client("payments", server.url, pipeline("p", Retry(backoff=QUICK))) as client:
        with pytest.raises(RemoteUnavailable) as error:
            await client.request("GET", "/charges/7")
    assert len(server.requests) == 1
    assert error.value.headers == {"seawall-retried": "3"}, "and whoever calls us is told"


async def test_a_target_that_fails_is_left_alone_and_one_that_refuses_is_not(server: FakeServer) -> None:
    policies = pipeline("payments", Breaker(window=10, minimum_calls=3), Timeout("1s"))
    async with Client("payments", server.url, policies) as client:
        for _ in range(6):
            with pytest.raises(RemoteProblem):
                await client.request("GET", "/missing")
        server.fault(Fault(status=500))
        for _ in range(9):
            with pytest.raises((RemoteProblem, BreakerOpen)):
                await client.request("GET", "/charges/7")
        with pytest.raises(BreakerOpen):
            await client.request("GET", "/charges/7")


async def test_streams_both_ways(server: FakeServer) -> None:
    server.on("GET", "/big", FakeReply(pieces=(b"a" * 70_000, b"b" * 70_000)))
    server.on("GET", "/cut", FakeReply(pieces=(b"a", b"b"), pause=0.01))
    server.on("GET", "/slow", FakeReply(pieces=(b"a", b"b"), pause=30))
    settings = ClientSettings(idle_timeout=0.2, max_response=10, timeout=5)
    async with Client("files", server.url, settings=settings) as client:
        async with client.stream("GET", "/big") as stream:
            assert sum([len(piece) async for piece in stream]) == 140_000
        with pytest.raises(RemoteProblem):
            async with client.stream("GET", "/missing"):
                pass
        async with client.stream("GET", "/slow") as stream:
            with pytest.raises(TimedOut):
                [piece async for piece in stream]
        server.fault(Fault(cut="body"))
        async with client.stream("GET", "/cut") as stream:
            with pytest.raises(ConnectionLost):
                [piece async for piece in stream]


async def test_tokens_are_fetched_once_and_renewed(server: FakeServer) -> None:
    issued = 0

    async def token(request) -> FakeReply:
        nonlocal issued
        assert request.headers["authorization"] == "Basic " + base64.b64encode(b"id%3A:secret").decode()
        assert request.body == b"grant_type=client_credentials&scope=a+b"
        issued += 1
        await asyncio.sleep(0.02)
        return FakeReply(json={"access_token": f"t{issued}", "token_type": "bearer", "expires_in": 3600})

    good = {"t1"}

    def charge(request) -> FakeReply:
        known = request.headers.get("authorization", "").removeprefix("Bearer ")
        return FakeReply(json={"id": 7, "amount": 5}) if known in good else FakeReply(status=401)

    server.on("POST", "/token", token)
    server.on("GET", "/charges/7", charge)
    async with (
        ClientCredentials(server.url + "/token", "id:", "secret", scope="a b") as auth,
        Client("payments", server.url, auth=auth) as client,
    ):
        await asyncio.gather(*[client.request("GET", "/charges/7") for _ in range(20)])
        assert issued == 1
        good.clear()
        good.add("t2")
        await asyncio.gather(*[client.request("GET", "/charges/7") for _ in range(5)])
        assert issued == 2, "a token that is refused is renewed once for all"
        good.clear()
        with pytest.raises(RemoteProblem) as error:
            await client.request("GET", "/charges/7")
        assert (error.value.answer_status, error.value.status) == (401, 502)
        assert "secret" not in repr(auth)


async def test_both_sides_show_a_certificate(tmp_path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(tmp_path / "known.pem")
    stranger.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(tmp_path / "unknown.pem")
    async with FakeServer(tls=context) as server:
        server.on("GET", "/", FakeReply(json=1))
        known = Tls(ca=tmp_path / "ca.pem", certificate=tmp_path / "known.pem")
        async with Client("m", server.url, tls=known) as client:
            assert (await client.request("GET", "/")).body == b"1"
        for tls in (
            Tls(ca=tmp_path / "ca.pem"),
            Tls(ca=tmp_path / "ca.pem", certificate=tmp_path / "unknown.pem"),
            None,
        ):
            async with Client("m", server.url, tls=tls) as client:
                with pytest.raises((ConnectFailed, ConnectionLost)):
                    await client.request("GET", "/")


async def test_a_call_that_is_cancelled_leaves_nothing_behind(server: FakeServer) -> None:
    server.fault(Fault(hang=True, share=0.5))
    async with Client("p", server.url, settings=ClientSettings(max_connections=4)) as client:
        tasks = [asyncio.create_task(client.request("GET", "/charges/7")) for _ in range(40)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.heal()
        assert len(await asyncio.gather(*[client.request("GET", "/charges/7") for _ in range(8)])) == 8
    assert not [task for task in asyncio.all_tasks() if "request" in repr(task.get_coro())]
