"""The store and its providers, each a process of its own: up, slow, failing, cut off, refusing, and gone."""

from __future__ import annotations

import contextlib
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from seawall.testing import FakeReply, FakeServer, Fault
from seawall.testing import client as in_memory
from support.process import Served, served

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = ("payments", "shipping", "currency")
PASSWORD = "a long enough password"
PATIENCE = 60.0
CARD = {"card": "card-visa"}
DOWN = {502, 503, 504}
Offline = tuple[httpx.AsyncClient, FakeServer]


def key() -> dict[str, str]:
    return {"idempotency-key": uuid.uuid4().hex}


class Shop:
    """The store, its providers, and staff who are logged in."""

    def __init__(self, url: str, stack: contextlib.ExitStack) -> None:
        self.providers: dict[str, Served] = {}
        self.at: dict[str, str] = {}
        for name in NAMES:  # one after the other: on a busy machine each has its time to start
            self.providers[name] = stack.enter_context(served(f"storefront.providers.{name}:service", EXAMPLES))
            self.at[name] = "http://{}:{}".format(*self.providers[name].address())
        variables = {f"STOREFRONT_PROVIDERS_{name.upper()}": at for name, at in self.at.items()}
        self.store: Served = stack.enter_context(
            served(
                "storefront.app:service",
                EXAMPLES,
                STOREFRONT_DATABASE_URL=url,
                STOREFRONT_STAFF_PASSWORD=PASSWORD,
                **variables,
            )
        )
        address = "http://{}:{}".format(*self.store.address())
        self.http = stack.enter_context(httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False))
        login = self.http.post("/login", json={"username": "staff", "password": PASSWORD}).raise_for_status()
        self.http.headers["authorization"] = f"Bearer {login.json()['access_token']}"
        self.number = random.Random(1)

    def faults(self, name: str, **faults: float) -> None:
        httpx.put(f"{self.at[name]}/faults", json=faults, trust_env=False).raise_for_status()

    def heal(self) -> None:
        for name, each in self.providers.items():
            if each.process.poll() is None:
                self.faults(name)

    def charges(self) -> dict[str, int]:
        return httpx.get(f"{self.at['payments']}/stats", trust_env=False).raise_for_status().json()

    def product(self) -> int:
        new = {"sku": f"T-{self.number.getrandbits(48):X}", "name": "Lamp", "category": "Lights", "price": 1000}
        return self.http.post("/products", json=new | {"stock": 100}).raise_for_status().json()["id"]

    def order(self) -> str:
        """Place an order; return where it is."""
        new = {"email": f"{self.number.getrandbits(48):x}@example.com", "name": "Ada"}
        user = self.http.post("/users", json=new).raise_for_status().json()["id"]
        lines = [{"product_id": self.product(), "quantity": 2}]
        made = self.http.post("/orders", json={"customer_id": user, "lines": lines}, headers=key()).raise_for_status()
        return made.headers["location"]

    def pay(self, place: str, card: str = "card-visa") -> httpx.Response:
        return self.http.post(f"{place}/payment", json={"card": card})

    def status(self, place: str) -> str:
        return self.http.get(place).raise_for_status().json()["status"]

    def until_paid(self, place: str) -> httpx.Response:
        """Ask again until the breaker lets it through, as a customer would."""
        end = time.monotonic() + PATIENCE
        while (answer := self.pay(place)).status_code in DOWN:
            assert time.monotonic() < end, answer.text
            time.sleep(0.2)
        return answer

    def dashboard(self) -> dict:
        return self.http.get("/dashboard").raise_for_status().json()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with contextlib.ExitStack() as stack:
        yield Shop(f"sqlite:///{tmp_path_factory.mktemp('shop') / 'shop.sqlite3'}", stack)


@pytest.fixture
def shop(started: Shop) -> Iterator[Shop]:
    """The shop, every provider well and every breaker closed before and after."""
    yield started
    started.heal()
    end = time.monotonic() + PATIENCE
    while started.until_paid(started.order()) and started.dashboard()["missing"]:
        assert time.monotonic() < end, started.dashboard()
        time.sleep(0.2)
    while started.http.get(f"{started.order()}/delivery-cost").json()["estimated"]:
        assert time.monotonic() < end
        time.sleep(0.2)


def kind(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["type"].rpartition(":")[2]


def test_all_is_well(shop: Shop) -> None:
    place, before = shop.order(), shop.charges()["charges"]
    assert shop.http.get(f"{place}/delivery-cost").json() == {
        "price": 510, "currency": "USD", "days": 2, "estimated": False,
    }  # fmt: skip
    early = shop.http.post(f"{place}/shipment")
    assert (early.status_code, kind(early)) == (409, "not-shippable")
    declined = shop.pay(place, "declined-1")
    assert (declined.status_code, kind(declined)) == (409, "card-declined")
    paid = shop.pay(place)
    assert (paid.status_code, paid.json()["amount"]) == (200, 2000)
    assert shop.pay(place).json() == paid.json(), "a second time changes nothing"
    other = shop.pay(place, "card-other")
    assert (other.status_code, kind(other)) == (409, "not-payable")
    shipped = shop.http.post(f"{place}/shipment").raise_for_status()
    assert shop.http.post(f"{place}/shipment").json() == shipped.json()
    assert shop.status(place) == "shipped"
    assert shop.charges()["charges"] == before + 1
    shown = shop.dashboard()
    assert shown["missing"] == []
    assert shown["payment_stats"]["charges"] == before + 1
    assert shown["shipping_stats"]["shipments"] >= 1
    priced = shop.http.get(f"/products/{shop.product()}/price?currency=EUR").raise_for_status().json()
    assert priced["price"] == round(1000 * priced["rate"])
    unknown = shop.http.get(f"/products/{shop.product()}/price?currency=XXX")
    assert (unknown.status_code, kind(unknown)) == (409, "not-traded")
    assert shop.http.post("/orders/2147483647/payment", json=CARD).status_code == 404


def test_a_provider_is_told_which_call_it_is_asked_for_and_until_when(shop: Shop) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    fields = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = shop.http.post(f"{shop.order()}/payment", json=CARD, headers=fields).raise_for_status()
    line = shop.providers["payments"].until(rf'.*"POST /charges".*{answer.headers["x-request-id"]}.*')[0]
    assert trace in line


def test_a_slow_provider_is_given_up_left_alone_and_asked_again_once_it_is_well(shop: Shop) -> None:
    place = shop.order()
    shop.faults("payments", latency=5)
    first = shop.pay(place)
    assert (first.status_code, kind(first)) == (504, "timed-out")
    refused = []
    for _ in range(10):
        refused.append(kind(shop.pay(place)))
        if "breaker-open" in refused:
            break
    assert "breaker-open" in refused
    shown = shop.dashboard()
    assert shown["payment_stats"] is None
    assert [part["part"] for part in shown["missing"]] == ["payment_stats"]
    assert shown["order_stats"]["total"] >= 1, "the shop's own numbers are all there"
    assert shop.status(place) == "placed"
    assert shop.http.get(f"{place}/delivery-cost").json()["estimated"] is False, "others are as they were"
    shop.heal()
    assert shop.until_paid(place).status_code == 200


def test_a_payment_whose_answer_is_cut_off_is_taken_once(shop: Shop) -> None:
    place, before = shop.order(), shop.charges()
    shop.faults("payments", cuts=1)
    cut = shop.pay(place)
    assert (cut.status_code, kind(cut)) == (502, "connection-lost")
    assert shop.status(place) == "placed"
    shop.heal()
    assert shop.until_paid(place).status_code == 200
    after = shop.charges()
    assert after["charges"] == before["charges"] + 1, "each attempt was made under the same key"


def test_a_few_failures_are_not_seen_at_all(shop: Shop) -> None:
    shop.faults("payments", errors=0.2)
    # Three failures in a row, which nobody hides, come once in 125 times; without retries, every fifth payment fails.
    answers = [shop.pay(shop.order()).status_code for _ in range(20)]
    assert answers.count(200) >= 18, answers


def test_a_carrier_that_refuses_costs_an_estimate(shop: Shop) -> None:
    place = shop.order()
    shop.until_paid(place)
    shop.faults("shipping", refusals=1)
    cost = shop.http.get(f"{place}/delivery-cost").raise_for_status().json()
    assert cost == {"price": 990, "currency": "USD", "days": 5, "estimated": True}
    put_off = shop.http.post(f"{place}/shipment")
    assert (put_off.status_code, put_off.headers["retry-after"]) == (503, "1")
    assert shop.status(place) == "paid"


@pytest.fixture
async def offline(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Offline]:
    """The store in this process, whose payment provider and carrier are gone; and who tells it the rates."""
    from storefront.app import service
    from storefront.identity import staff_token
    from storefront.providers.contracts import Rates

    monkeypatch.setenv("STOREFRONT_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("STOREFRONT_PROVIDERS_RATES_FOR", "1ms")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        for name in ("PAYMENTS", "SHIPPING"):
            monkeypatch.setenv(f"STOREFRONT_PROVIDERS_{name}", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        async with FakeServer() as rates:
            monkeypatch.setenv("STOREFRONT_PROVIDERS_CURRENCY", rates.url)
            await service.cache.invalidate("rates of exchange", Rates)
            async with in_memory(service) as http:
                http.headers["authorization"] = f"Bearer {staff_token()}"
                yield http, rates
            await service.cache.invalidate("rates of exchange", Rates)


@pytest.mark.anyio
async def test_providers_that_are_gone_are_named(offline: Offline) -> None:
    http, _ = offline
    user = (await http.post("/users", json={"email": "a@example.com", "name": "Ada"})).json()["id"]
    product = await lamp(http)
    lines = [{"product_id": product, "quantity": 2}]
    made = await http.post("/orders", json={"customer_id": user, "lines": lines}, headers=key())
    place = made.headers["location"]
    gone = await http.post(f"{place}/payment", json=CARD)
    assert (gone.status_code, kind(gone)) == (503, "connect-failed")
    assert (await http.get(f"{place}/delivery-cost")).json()["estimated"] is True
    shown = (await http.get("/dashboard")).raise_for_status().json()
    assert {part["part"] for part in shown["missing"]} == {"payment_stats", "shipping_stats", "exchange_rates"}
    assert shown["order_stats"]["total"] == 1
    assert (await http.get(place)).json()["status"] == "placed"


async def told_in_time(http: httpx.AsyncClient, price: str) -> httpx.Response:
    """Ask until the rates come in the half second they have: on a busy machine the first ones do not."""
    for _ in range(20):
        answer = await http.get(price)
        if answer.status_code != 504:
            break
    return answer


@pytest.mark.anyio
async def test_old_rates_are_better_than_none(offline: Offline) -> None:
    http, rates = offline
    price = f"/products/{await lamp(http)}/price?currency=EUR"
    rates.fault(Fault(status=500))
    nobody = await http.get(price)
    assert (nobody.status_code, kind(nobody)) == (502, "remote-problem"), "nothing is known yet"
    rates.heal()
    told = {"base": "USD", "as_of": "2026-01-31T12:00:00Z", "rates": {"USD": 1, "EUR": 0.9}}
    rates.on("GET", "/rates/USD", FakeReply(json=told))
    first = (await told_in_time(http, price)).raise_for_status().json()
    assert (first["price"], first["as_of"]) == (900, told["as_of"])
    for fault in (Fault(status=500), Fault(cut="head"), Fault(hang=True)):
        rates.fault(fault)
        await anyio.sleep(0.01)  # the rates are not fresh any more
        assert (await http.get(price)).raise_for_status().json() == first
        rates.heal()


@pytest.mark.anyio
async def test_rates_are_asked_for_twice_where_they_are_slow(offline: Offline) -> None:
    http, rates = offline
    told = {"base": "USD", "as_of": "2026-01-31T12:00:00Z", "rates": {"USD": 1, "EUR": 0.9}}
    rates.on("GET", "/rates/USD", FakeReply(json=told))
    price = f"/products/{await lamp(http)}/price?currency=EUR"
    await told_in_time(http, price)
    asked = len(rates.requests)
    rates.on("GET", "/rates/USD", FakeReply(json=told | {"as_of": "2026-02-01T12:00:00Z"}))
    rates.fault(Fault(hang=True, times=1))
    await anyio.sleep(0.01)  # the rates are not fresh any more
    assert (await http.get(price)).raise_for_status().json()["as_of"] == "2026-02-01T12:00:00Z"
    assert len(rates.requests) == asked + 2


@pytest.mark.anyio
async def test_without_a_part_that_it_needs_there_is_no_dashboard(
    offline: Offline,
) -> None:
    from seawall import Unavailable
    from storefront.app import service
    from storefront.orders import Orders

    class Gone:
        async def stats(self) -> None:
            raise Unavailable

    http, _ = offline
    with service.override(Orders, Gone()):
        none = await http.get("/dashboard")
    assert (none.status_code, kind(none)) == (503, "unavailable")
    assert (await http.get("/dashboard")).status_code == 200


async def lamp(http: httpx.AsyncClient) -> int:
    new = {"sku": "LMP-1", "name": "Lamp", "category": "Lights", "price": 1000, "stock": 5}
    return (await http.post("/products", json=new)).raise_for_status().json()["id"]
