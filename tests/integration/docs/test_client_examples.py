"""What the how-tos about the client, webhooks and concurrency show does what it says."""

from __future__ import annotations

import asyncio

import docs_sessions
import pytest
import sync_docs

from seawall.client import Client, DestinationRefused, Destinations, RemoteProblem, Webhooks
from seawall.concurrency import Channel, Threads
from seawall.testing import FakeReply, FakeServer, Fault, client

pytestmark = pytest.mark.anyio
EXAMPLES = sync_docs.ROOT / "examples" / "docs"


async def test_calls_to_a_provider(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeServer() as server:
        monkeypatch.setenv("SHOP_PAYMENTS_URL", server.url)
        monkeypatch.setenv("SHOP_TOKEN_URL", server.url + "/token")
        server.on("POST", "/token", FakeReply(json={"access_token": "t", "token_type": "Bearer"}))
        server.on("POST", "/charges", FakeReply(status=201, json={"id": "c1", "amount": 5}))
        shown = docs_sessions.load(EXAMPLES / "calling.py")
        async with client(shown.service) as http:
            server.fault(Fault(cut="head", times=2))
            paid = await http.post("/orders/7/pay?amount=5")
            assert (paid.status_code, paid.json()) == (200, {"id": "c1", "amount": 5})
            charges = [request for request in server.requests if request.path == "/charges"]
            assert len({request.headers["idempotency-key"] for request in charges}) == 1
            last = charges[-1].headers
            assert (last["authorization"], last["x-tenant"]) == ("Bearer t", "shop")
            assert last["x-request-id"] == paid.headers["x-request-id"]
            assert int(last["grpc-timeout"][:-1]) <= 5000
            told = {"type": "urn:problem-type:payments:card-declined", "detail": "Too poor."}
            server.on("POST", "/charges", FakeReply(status=409, json=told))
            declined = await http.post("/orders/7/pay?amount=5")
            assert (declined.status_code, declined.json()["title"]) == (409, "The card was declined")
            server.on("POST", "/charges", FakeReply(status=404, json={"detail": "secret"}))
            broken = await http.post("/orders/7/pay?amount=5")
            assert broken.status_code == 502, "a target's 404 is no 404 of ours"
            assert "secret" not in broken.text
        async with Client("payments", server.url) as plain:
            payments = plain.bind(shown.Payments)
            assert await shown.find(payments, "none") is None
            server.fault(Fault(status=500, times=1))
            with pytest.raises(RemoteProblem):
                await shown.find(payments, "none")
            server.on("GET", "/file", FakeReply(pieces=(b"ab", b"cd")))
            server.on("PUT", "/copy", FakeReply(status=204))
            await shown.copy(plain, "/file", "/copy")
            assert server.requests[-1].body == b"abcd"
        async with shown.pictures() as pictures:
            with pytest.raises(DestinationRefused):
                await shown.fetch(pictures, server.url + "/file")


async def test_webhooks(capsys: pytest.CaptureFixture[str]) -> None:
    shown = docs_sessions.load(EXAMPLES / "webhooks.py")
    body = b'{"type":"order.paid","data":{"order":7}}'
    async with client(shown.service) as http:
        fields = shown.hooks.sign("m1", body)
        for _ in range(2):
            headers = {"content-type": "application/json", **fields}
            assert (await http.post("/hooks", content=body, headers=headers)).status_code == 204
        refused = await http.post("/hooks", content=body + b" ", headers={"content-type": "application/json", **fields})
        assert (refused.status_code, refused.json()["type"]) == (401, "urn:problem-type:seawall:webhook-refused")
    assert capsys.readouterr().out == "order.paid\n"
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    async with FakeServer() as server:
        server.on("POST", "/", FakeReply(status=200))
        inside = Destinations(schemes=frozenset({"http"}), ports=None, allow=("127.0.0.0/8",))
        async with Client("webhooks", "http://webhooks.invalid", destinations=inside) as open_client:
            delivered = await shown.announce(open_client, server.url + "/", secret, 7)
        assert (delivered.outcome, delivered.message) == ("delivered", "order-7-paid")
        assert Webhooks(secret).verify(server.requests[0].headers, server.requests[0].body) == "order-7-paid"
        async with shown.webhook_client() as public:
            assert (await shown.announce(public, server.url + "/", secret, 7)).outcome == "refused"


async def test_things_side_by_side() -> None:
    shown = docs_sessions.load(EXAMPLES / "side_by_side.py")
    assert await shown.nearest() == "west"
    assert await shown.agreed() == ["a", "c"]
    assert await shown.lengths(["x", "y"]) == ["x", "y"]
    assert await shown.page() == (shown.Page("orders", None), ["advertisement"])
    assert await shown.send_all(["a", "down", "b"]) == (2, ["down"])
    assert await shown.answers(["a", "b"]) == ["a", "b"]
    assert await shown.load(str(number) for number in range(10)) == 67.5
    assert await shown.resize(12) == 500
    assert await shown.batches() == [[0, 1, 2], [3, 4]]
    orders, returns = Channel(5), Channel(5)
    await returns.send(3)
    assert await shown.whichever(orders, returns) == "return 3"
    await orders.send(1)
    orders.close()
    returns.close()
    assert [number async for number in shown.all_of(orders, returns)] == [1]
    async with Threads(1) as threads:
        assert await shown.primes(threads) == 168
    reader = shown.news.subscribe(1)
    await shown.news.send("old")
    await shown.news.send("new")
    assert await reader.receive() == "new"
    stock = {"tea": 50}
    await asyncio.gather(*[shown.sell("tea", stock) for _ in range(50)])
    assert stock == {"tea": 0}
    assert await asyncio.gather(*[shown.rate("EUR") for _ in range(5)]) == ["EUR"] * 5
