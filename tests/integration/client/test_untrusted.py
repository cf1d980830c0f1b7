"""URLs that somebody else gave: what is refused, by name, by address, by redirect, and webhooks to them."""

from __future__ import annotations

import socket

import pytest

from seawall.client import Client, DestinationRefused, Destinations, Webhooks, WebhookSender, new_secret
from seawall.resilience import Backoff, Resilience, Retry
from seawall.testing import FakeReply, FakeServer, Fault

pytestmark = pytest.mark.anyio

ANY = {"schemes": frozenset({"http", "https"}), "ports": None}


@pytest.fixture
async def server():
    async with FakeServer() as made:
        made.on("GET", "/", FakeReply(json=1))
        made.on("POST", "/hook", FakeReply(status=204))
        yield made


@pytest.fixture
def names(monkeypatch):
    """What names resolve to; a list of lists gives another answer each time, as a rebinding server does."""
    known: dict[str, list[list[str]]] = {}
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host, port, *rest, **kwargs):
        if host not in known:
            return real(host, port, *rest, **kwargs)
        asked.append(host)
        answers = known[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    known["asked"] = asked  # type: ignore[assignment]
    return known


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/", "http://2130706433:{port}/", "http://0x7f.1:{port}/", "http://localhost:{port}/",
        "http://127.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://[::1]:{port}/", "http://0:{port}/",
        "http://\uff11\uff12\uff17.0.0.1:{port}/", "http://127\u30020\u30020\u30021:{port}/", "http://public.test:{port}/",
        "http://a:b@public.test:{port}/", "http://public.test\\@127.0.0.1:{port}/", "file:///etc/passwd",
        "http://", "http:///x", "http://127.0.0.1:{port}\r\nx: y/", "http://mixed.test:{port}/",
    ],
)  # fmt: skip
async def test_nothing_inside_is_reached(server: FakeServer, names, url: str) -> None:
    names["public.test"] = [["127.0.0.1"]]
    names["mixed.test"] = [["1.1.1.1", "127.0.0.1"]]
    async with Client("any", "http://a.test", destinations=Destinations(**ANY)) as client:
        with pytest.raises(DestinationRefused):
            await client.request("GET", url.format(port=server.port))
        with pytest.raises(DestinationRefused):
            async with client.stream("GET", url.format(port=server.port)):
                pass
    assert server.connections == 0


async def test_without_destinations_a_name_leads_inside(server: FakeServer, names) -> None:
    names["public.test"] = [["127.0.0.1"]]
    async with Client("any", f"http://public.test:{server.port}") as client:
        assert (await client.request("GET", "/")).body == b"1"


async def test_what_was_judged_is_what_is_connected_to(server: FakeServer, names) -> None:
    names["rebinding.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    allowed = Destinations(**ANY, allow=("127.0.0.1/32",))
    async with Client("any", "http://a.test", destinations=allowed) as client:
        for _ in range(2):
            assert (await client.request("GET", f"http://rebinding.test:{server.port}/")).body == b"1"
    assert names["asked"] == ["rebinding.test"], "it is not asked again between the judgement and the connection"


async def test_each_redirect_is_judged(server: FakeServer) -> None:
    server.on("GET", "/inside", FakeReply(status=302, headers={"location": f"http://127.0.0.2:{server.port}/"}))
    server.on("GET", "/ok", FakeReply(status=302, headers={"location": "/"}))
    server.on("GET", "/loop", FakeReply(status=302, headers={"location": "/loop"}))
    allowed = Destinations(**ANY, allow=("127.0.0.1/32",))
    async with Client("any", "http://a.test", destinations=allowed) as client:
        assert (await client.request("GET", f"{server.url}/ok")).body == b"1"
        with pytest.raises(DestinationRefused):
            await client.request("GET", f"{server.url}/inside")
        with pytest.raises(Exception, match="redirects"):
            await client.request("GET", f"{server.url}/loop")


async def test_webhooks_are_delivered_under_one_id(server: FakeServer) -> None:
    retry = Resilience(hooks=()).pipeline("webhooks", Retry(attempts=3, backoff=Backoff(first="1ms"), budget=None))
    allowed = Destinations(**ANY, allow=("127.0.0.1/32",))
    secret = new_secret()
    async with Client("webhooks", "http://a.test", retry, destinations=allowed) as client:
        sender = WebhookSender(client)
        server.fault(Fault(cut="head", times=1))
        server.fault(Fault(status=500, times=1))
        delivery = await sender.deliver(f"{server.url}/hook", {"type": "order.paid"}, secret, message="msg_1")
        assert (delivery.outcome, delivery.message) == ("delivered", "msg_1")
        assert len(server.requests) == 3
        for request in server.requests:
            assert Webhooks(secret).verify(request.headers, request.body) == "msg_1"
        outcomes = []
        for reply in (FakeReply(status=410), FakeReply(status=400), FakeReply(status=302, headers={"location": "/"})):
            server.on("POST", "/hook", reply)
            outcomes.append((await sender.deliver(f"{server.url}/hook", b"{}", secret)).outcome)
        assert outcomes == ["gone", "failed", "failed"]
        assert (await sender.deliver("http://127.0.0.2/hook", b"{}", secret)).outcome == "refused"
        assert (await sender.deliver("no url", b"{}", secret)).outcome == "refused"
