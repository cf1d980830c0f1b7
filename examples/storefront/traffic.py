"""Traffic for the demonstration: shoppers who browse, order and cancel, clerks, and people who get it wrong.

Every request says which statuses it may be answered with; what comes otherwise is a complaint.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import httpx

from seawall.clock import Clock
from storefront.ledger import Ledger
from storefront.shopping import Shopper, settle
from storefront.tally import Tally
from storefront.words import CATEGORIES

__all__ = ["drive"]

_TIMEOUT = 15.0  # seconds; longer than any operation may take, so that the service's own answer is seen
_WORDS = ("lamp", "oak", "desk", "wool", "basket", "linen", "glass", "tea")
_SORTS = ("name", "-name", "price", "-price", "newest", "oldest")
_THINK = 0.02  # seconds between two errands of one visitor, at the most
_CUT, _TWICE = 0.15, 0.1  # shares of orders whose connection is cut, and that are sent twice at once
_CUT_AFTER = 0.02  # seconds after which it is cut, at the most: before, while and after the order is placed
_TRIES = 10


class Visitor(Shopper):
    """Somebody who runs one errand after the other."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        tally: Tally,
        clock: Clock,
        chance: random.Random,
        ledger: Ledger | None = None,
    ) -> None:
        self._http = http
        self._tally = tally
        self._ledger = ledger or Ledger()
        self._clock = clock
        self._chance = chance

    async def visit(self, until: float) -> None:
        """Run errands until the clock's *until*."""
        errands = list(_ERRANDS)
        while self._clock.monotonic() < until:
            errand = self._chance.choices(errands, [_ERRANDS[each] for each in errands])[0]
            await errand(self)
            await self._clock.sleep(self._chance.random() * _THINK)

    async def ask(
        self, kind: str, method: str, url: str, expect: Collection[int], **options: Any
    ) -> httpx.Response | None:
        """Send a request, count it, and return the answer if it is one of those it may have."""
        began = self._clock.monotonic()
        try:
            answer = await self._http.request(method, url, **options)
        except httpx.HTTPError as error:
            self._tally.add(kind, type(error).__name__, self._clock.monotonic() - began)
            self._tally.complain(kind, f"{method} {url}: {type(error).__name__} {error}")
            return None
        self._tally.add(kind, str(answer.status_code), self._clock.monotonic() - began)
        if answer.status_code not in expect:
            self._tally.complain(kind, f"{method} {url}: {answer.status_code}, not {expect}: {answer.text[:200]}")
            return None
        if answer.status_code >= 400 and (flaw := _flaw(answer, method)):
            self._tally.complain(kind, f"{method} {url}: {answer.status_code} {flaw}")
        return answer

    # -- those who look around

    async def browse(self) -> None:
        """Search with a few filters, and look at something that was found."""
        chance = self._chance
        # Whoever looks around need not be known.
        filters: dict[str, Any] = {"sort": chance.choice(_SORTS), "limit": chance.choice((5, 10, 20))}
        if chance.random() < 0.5:
            filters["category"] = chance.choice(CATEGORIES).category
        if chance.random() < 0.4:
            filters["q"] = chance.choice(_WORDS)
        if chance.random() < 0.4:
            filters |= {"min_price": 1_000, "max_price": chance.choice((5_000, 20_000, 90_000))}
        found = await self.ask("search products", "GET", "/products", [200], params=filters)
        if found is not None and (items := found.json()["items"]):
            # 404: a clerk may have retired it between the two
            await self.ask("read product", "GET", f"/products/{chance.choice(items)['id']}", [200, 404])

    async def walk(self) -> None:
        """Read a list page by page; nothing may come twice."""
        path = self._chance.choice(("/orders", "/products", "/users"))
        query: dict[str, Any] = {"sort": "oldest", "limit": 25}
        seen: set[int] = set()
        for _ in range(4):
            page = await self.ask("walk pages", "GET", path, [200], params=query)
            if page is None:
                return
            ids = [item["id"] for item in page.json()["items"]]
            if seen.intersection(ids):
                self._tally.complain("walk pages", f"{path}: {seen.intersection(ids)} came twice")
            seen.update(ids)
            query["cursor"] = page.json()["next"]
            if query["cursor"] is None:
                return

    async def follow_orders(self) -> None:
        """Look at one customer's orders."""
        query = {"customer_id": self._customer(), "limit": 5}
        await self.ask("search orders", "GET", "/orders", [200], params=query)

    async def manage(self) -> None:
        """Look at the shop in numbers, and at its pages."""
        await self.ask("dashboard", "GET", "/dashboard", [200])
        document = await self.ask("pages", "GET", "/openapi.json", [200])
        if document is not None:
            again = {"If-None-Match": document.headers["ETag"]}
            await self.ask("pages", "GET", "/openapi.json", [304], headers=again)
        await self.ask("pages", "GET", "/", [200])

    # -- those who change something

    async def order(self) -> None:
        """Order a few things; think better of it now and then."""
        customer = self._customer()
        stocked = await self.ask(
            "search products",
            "GET",
            "/products",
            [200],
            params={"in_stock": True, "limit": 100, "sort": self._chance.choice(_SORTS)},
        )
        if stocked is None or not (items := stocked.json()["items"]):
            return
        chosen = self._chance.sample(items, min(len(items), 1 + int(self._chance.random() * 4)))
        lines = [{"product_id": item["id"], "quantity": 1} for item in chosen]
        made = await self.place({"customer_id": customer, "lines": lines})
        if made is None or made.status_code != 201:
            return
        place = made.headers["Location"]
        await self.ask("read order", "GET", place, [200])
        if self._chance.random() < 0.4:
            await self.ask("cancel order", "POST", f"{place}/cancellation", [200])
            await self.ask("cancel order", "POST", f"{place}/cancellation", [409])

    async def place(self, order: dict[str, Any]) -> httpx.Response | None:
        """Send an order until there is an answer, each time under the same key; return the answer.

        Some are cut off before it, as networks do, and some are sent twice at once, as hasty fingers do.
        """
        key, mood = self._mark(), self._chance.random()
        if mood < _CUT:
            await self._cut(key, order)
        elif mood < _CUT + _TWICE:
            await asyncio.gather(self._send(key, order), self._send(key, order))
        for _ in range(_TRIES):
            answer = await self._send(key, order)
            if answer is None or not (wait := _in_progress(answer)):
                return answer
            await self._clock.sleep(wait)
        self._tally.complain("place order", f"key {key}: still in progress after {_TRIES} times")
        return None

    async def _send(self, key: str, order: dict[str, Any]) -> httpx.Response | None:
        self._ledger.sending(key)
        # 409: the last one may be sold meanwhile, or it is being placed; 422: or retired
        expect, headers = [201, 409, 422], {"Idempotency-Key": f'"{key}"'}
        answer = await self.ask("place order", "POST", "/orders", expect, json=order, headers=headers)
        self._note(key, answer)
        return answer

    async def _cut(self, key: str, order: dict[str, Any]) -> None:
        self._ledger.sending(key)
        patience = httpx.Timeout(_TIMEOUT, read=self._chance.random() * _CUT_AFTER)
        began = self._clock.monotonic()
        try:
            answer = await self._http.post(
                "/orders", json=order, headers={"Idempotency-Key": f'"{key}"'}, timeout=patience
            )
        except httpx.HTTPError:
            self._ledger.cut += 1
            self._tally.add("cut off order", "cut", self._clock.monotonic() - began)
        else:
            self._tally.add("cut off order", str(answer.status_code), self._clock.monotonic() - began)
            self._note(key, answer)

    def _note(self, key: str, answer: httpx.Response | None) -> None:
        if answer is not None and not _in_progress(answer):
            replayed = "idempotency-replayed" in answer.headers
            place = answer.headers.get("location")
            self._ledger.answered(key, answer.status_code, answer.content, place, replayed=replayed)

    async def join(self) -> None:
        """Become a customer; nobody becomes one twice. See one's own orders, and nobody else's."""
        new = {"email": f"{self._mark()}@example.com", "name": "Ada Lovelace"}
        made = await self.ask("create user", "POST", "/users", [201], json=new)
        if made is not None:
            await self.ask("read user", "GET", made.headers["Location"], [200])
            await self.ask("create user", "POST", "/users", [409], json=new)
        await self.ask("strangers", "GET", "/orders/1", [401], headers={"authorization": "Bearer forged"})
        if self._chance.random() < 0.1:  # a password takes a while, as it should
            await self.log_in()

    async def log_in(self) -> None:
        """Become a customer with a password, log in, order, and look."""
        new = {"email": f"{self._mark()}@example.com", "name": "Grace Hopper", "password": self._mark()}
        made = await self.ask("create user", "POST", "/users", [201], json=new)
        if made is None:
            return
        login = {"username": new["email"], "password": new["password"]}
        pair = await self.ask("log in", "POST", "/login", [200, 429], json=login)
        if pair is None or pair.status_code == 429:
            return
        mine = {"authorization": f"Bearer {pair.json()['access_token']}"}
        own, other = made.json()["id"], 1
        await self.ask("own orders", "GET", f"/orders?customer_id={own}", [200], headers=mine)
        await self.ask("others' orders", "GET", f"/orders?customer_id={other}", [403], headers=mine)
        await self.ask("others' orders", "GET", "/dashboard", [403], headers=mine)
        again = {"refresh_token": pair.json()["refresh_token"]}
        await self.ask("log in", "POST", "/login/renewals", [200], json=again)
        await self.ask("log in", "POST", "/login/renewals", [401], json=again)

    async def keep_range(self) -> None:
        """Add a product, change it, retire it."""
        new = self._product()
        made = await self.ask("create product", "POST", "/products", [201], json=new)
        if made is None:
            return
        place = made.headers["Location"]
        await self.ask("change product", "PATCH", place, [200], json={"price": 4_200})
        await self.ask("retire product", "DELETE", place, [204])
        await self.ask("read product", "GET", place, [404])
        await self.ask("create product", "POST", "/products", [409], json=new)

    async def deliver(self) -> None:
        """Add several products at once, one of them twice."""
        news = [self._product() for _ in range(5)]
        made = await self.ask("create products", "POST", "/product-batches", [200], json={"products": [*news, news[0]]})
        if made is not None:
            statuses = [result["status"] for result in made.json()["results"]]
            if statuses != [201] * 5 + [409]:
                self._tally.complain("create products", f"statuses {statuses}")
            for result in made.json()["results"][:5]:
                await self.ask("retire product", "DELETE", result["location"], [204])

    # -- those who get it wrong

    async def err(self) -> None:
        """Send something that cannot be."""
        method, url, status, options = self._chance.choice(_MISTAKES)
        await self.ask("mistakes", method, url, [status], **options)

    def _customer(self) -> int:
        return 1 + int(self._chance.random() * 100)

    def _mark(self) -> str:
        return f"{self._chance.getrandbits(64):016X}"

    def _product(self) -> dict[str, Any]:
        return {"sku": f"DEMO-{self._mark()}", "name": "Breakwater Lamp", "category": "Lighting", "price": 4_900}


_ERRANDS: dict[Callable[[Visitor], Awaitable[None]], int] = {
    Visitor.browse: 30,
    Visitor.order: 20,
    Visitor.err: 15,
    Visitor.walk: 8,
    Visitor.follow_orders: 8,
    Visitor.join: 6,
    Visitor.keep_range: 6,
    Visitor.deliver: 3,
    Visitor.manage: 4,
    Visitor.buy: 20,
    Visitor.compare: 10,
    Visitor.look: 5,
}

_JSON = {"Content-Type": "application/json"}
_KEY = {"Idempotency-Key": "mistaken"}
_NOTHING = [{"product_id": 2**31 - 1, "quantity": 1}]
_USER = {"email": "ada@example.com", "name": "Ada"}
_MISTAKES: Sequence[tuple[str, str, int, dict[str, Any]]] = (
    ("GET", "/products/2147483647", 404, {}),
    ("GET", "/nowhere", 404, {}),
    ("GET", "/products/one", 422, {}),
    ("GET", "/products?limit=0&sort=colour", 422, {}),
    ("GET", "/products?min_price=2&max_price=1", 422, {}),
    ("GET", "/products?cursor=forged", 422, {}),
    ("GET", "/orders?customer_id=2147483647", 422, {}),
    ("GET", "/products/1", 406, {"headers": {"Accept": "image/png"}}),
    ("PUT", "/orders", 405, {}),
    ("DELETE", "/dashboard", 405, {}),
    ("PATCH", "/users/1", 405, {}),
    ("POST", "/users", 400, {"content": b'{"email": "ada@', "headers": _JSON}),
    ("POST", "/users", 400, {"content": b'"\xff"', "headers": _JSON}),
    ("POST", "/users", 415, {"content": b"email=ada", "headers": {"Content-Type": "text/plain"}}),
    ("POST", "/users", 413, {"json": _USER | {"name": "A" * 20_000}}),
    ("POST", "/users", 422, {"json": _USER | {"email": "ada"}}),
    ("POST", "/users", 422, {"json": _USER | {"nickname": "Ada"}}),
    ("POST", "/orders", 422, {"json": {"customer_id": 1, "lines": []}, "headers": _KEY}),
    ("POST", "/orders", 422, {"json": {"customer_id": 1, "lines": _NOTHING}, "headers": _KEY}),
    ("POST", "/orders", 400, {"json": {"customer_id": 1, "lines": _NOTHING}}),
    ("POST", "/orders/2147483647/cancellation", 404, {}),
)


async def drive(
    address: str,
    seconds: float,
    tally: Tally,
    clock: Clock,
    *,
    visitors: int,
    seed: int,
    password: str,
    ledger: Ledger | None = None,
) -> None:
    """Let *visitors* run errands at *address* for so many *seconds*, and count in *tally* what comes of them.

    Orders are noted in *ledger* as well. They act as staff, who log in with *password*, except where they browse.
    """
    until = clock.monotonic() + seconds
    chance = random.Random(seed)
    async with httpx.AsyncClient(base_url=address, timeout=_TIMEOUT, trust_env=False) as http:
        login = await http.post("/login", json={"username": "staff", "password": password})
        http.headers["authorization"] = f"Bearer {login.raise_for_status().json()['access_token']}"
        # Rates of exchange that were known once are never missing again; before, there may be none.
        await http.get("/products/1/price?currency=EUR")
        async with asyncio.TaskGroup() as group:
            for _ in range(visitors):
                visitor = Visitor(http, tally, clock, random.Random(chance.getrandbits(64)), ledger)
                group.create_task(visitor.visit(until))
        await settle(http, tally, clock)


def _in_progress(answer: httpx.Response) -> float:
    """Return after how many seconds to ask again, if that is the answer; else 0."""
    if answer.status_code != 409 or not answer.json()["type"].endswith(":request-in-progress"):
        return 0.0
    return float(answer.headers["Retry-After"])


def _flaw(answer: httpx.Response, method: str) -> str | None:
    """Return what is wrong with a refusal as such; every one is a problem, and a 405 says what is possible."""
    if answer.headers.get("Content-Type") != "application/problem+json":
        return f"came as {answer.headers.get('Content-Type')}"
    if answer.json()["status"] != answer.status_code:
        return f"says it is {answer.json()['status']}"
    if answer.status_code == 405 and method in answer.headers.get("Allow", method):
        return f"allows {answer.headers.get('Allow')}"
    return None
