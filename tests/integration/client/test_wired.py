"""A client of a service tells its target about the call being served, without anybody wiring it, and no stranger."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from seawall import Service
from seawall.client import Client, Destinations
from seawall.settings import load
from seawall.testing import FakeReply, FakeServer, client

pytestmark = pytest.mark.anyio

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOLD = {"x-request-id", "traceparent", "tracestate", "baggage", "grpc-timeout", "seawall-attempt", "x-expected-ms"}


async def sent_by_a_service(monkeypatch: pytest.MonkeyPatch, make, **variables: str) -> tuple[dict[str, str], str]:
    """Return what a service's target was told, of what can be told, and the id of the call."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with FakeServer() as target:
        target.on("GET", "/", FakeReply(json="here"))
        service = Service("shop", settings=load())

        @service.resource
        async def there() -> AsyncIterator[Client]:
            async with make(service, target.url) as made:
                yield made

        @service.get("/", timeout=5)
        async def ask(there: Client) -> str:
            return (await there.request("GET", "/")).decode(str)

        fields = {"traceparent": TRACE, "tracestate": "a=b", "baggage": "who=me"}
        async with client(service) as http:
            answer = await http.get("/", headers=fields)
        assert (answer.status_code, answer.json()) == (200, "here")
        sent = target.requests[-1].headers
        return {name: sent[name] for name in TOLD if name in sent}, answer.headers["x-request-id"]


async def test_a_target_of_the_house_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told, request_id = await sent_by_a_service(monkeypatch, lambda service, url: service.client("there", url))
    left = told.pop("grpc-timeout")
    assert 4000 < int(left[:-1]) <= 5000
    assert told == {"x-request-id": request_id, "traceparent": TRACE, "tracestate": "a=b", "baggage": "who=me"}


async def test_the_span_of_the_call_is_its_place_in_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = await sent_by_a_service(
        monkeypatch,
        lambda service, url: service.client("there", url),
        SEAWALL_TELEMETRY_OTLP_ENDPOINT="http://127.0.0.1:9",
        SEAWALL_TELEMETRY_TRACE_RATIO="1",
    )
    version, trace, parent, flags = told["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE.split("-")[1], "01")
    assert parent != TRACE.split("-")[2], "the caller's span is not the place of this call"


async def test_the_deadline_goes_by_the_field_that_the_service_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = await sent_by_a_service(
        monkeypatch,
        lambda service, url: service.client("there", url),
        SEAWALL_HTTP_TIMEOUT_HEADER="X-Expected-Ms",
    )
    assert 4000 < int(told["x-expected-ms"]) <= 5000
    assert "grpc-timeout" not in told


async def test_a_client_made_by_hand_tells_them_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    told, request_id = await sent_by_a_service(monkeypatch, lambda _, url: Client("there", url))
    assert told["x-request-id"] == request_id
    assert told["traceparent"] == TRACE
    assert 4000 < int(told["grpc-timeout"][:-1]) <= 5000


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_stranger_is_told_nothing(monkeypatch: pytest.MonkeyPatch, by_hand: bool) -> None:
    told, _ = await sent_by_a_service(
        monkeypatch,
        lambda service, url: (
            Client("there", url, settings=service.settings.client) if by_hand else service.client("there", url)
        ),
        SEAWALL_CLIENT_TRUSTED="elsewhere.internal",
    )
    assert told == {}


async def test_a_url_that_somebody_gave_is_told_nothing_wherever_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Destinations(schemes=frozenset({"http"}), ports=None, allow=("127.0.0.0/8",))
    told, _ = await sent_by_a_service(
        monkeypatch, lambda service, url: service.client("there", url, destinations=inside)
    )
    assert told == {}


async def test_what_is_said_by_hand_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = await sent_by_a_service(
        monkeypatch,
        lambda service, url: service.client("there", url, propagate=[lambda: {"x-request-id": "mine"}]),
        SEAWALL_CLIENT_TRUSTED="",
    )
    assert told == {"x-request-id": "mine"}
