"""The workloads: which requests are sent, what every contender must answer, and what it must refuse."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

SEED = 20_260_101  # the same requests in every run
SPREAD = 1_000  # different requests per workload of many routes


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP/1.1 request; `body` is sent as JSON unless `media_type` says otherwise."""

    method: str
    target: str
    body: bytes | None = None
    media_type: str = "application/json"
    authorization: str | None = None

    def headers(self) -> dict[str, str]:
        shown = {} if self.authorization is None else {"Authorization": self.authorization}
        return shown if self.body is None else {**shown, "Content-Type": self.media_type}

    def wire(self, host: str) -> bytes:
        """Return the bytes that go over the socket."""
        head = f"{self.method} {self.target} HTTP/1.1\r\nHost: {host}\r\n"
        for name, value in self.headers().items():
            head += f"{name}: {value}\r\n"
        if self.body is not None:
            head += f"Content-Length: {len(self.body)}\r\n"
        return head.encode() + b"\r\n" + (self.body or b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """What every contender must answer: a status and, as parsed JSON, a body."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Probe:
    """A request beside the load; `required` ones must be refused, the others are only recorded.

    Args:
        name: What is wrong with it.
        request: The request.
        required: Whether it must be refused.
        status: With which status; any 4xx by default.
        guard: Whether a guard refuses it, so that contenders without guards are not asked.
    """

    name: str
    request: Request
    required: bool = True
    status: int | None = None
    guard: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests sent in turn, the answer to each, and the bad input tried before anything is timed.

    Args:
        name: What it is called.
        about: What is sent.
        build: Returns the requests; called each time, since some are too many to keep.
        expected: Returns the answer to one of them.
        probes: What must be refused.
        routes: Extra routes of the application.
        references: The contenders whose ratios are in the table.
        checked: How many requests are sent once before anything is timed; None for all.
        logged: Whether guarded contenders must write an access line for each call, and be measured.
        guards_only: Whether contenders without guards take no part.
        variables: What servers get in their environment.
        refused: The least and the largest share of the load that must be refused with 4xx.
        limited: A request that must be answered with 429 when it is repeated.
    """

    name: str
    about: str
    build: Callable[[], tuple[Request, ...]]
    expected: Callable[[Request], Answer]
    probes: tuple[Probe, ...]
    routes: int = 0
    references: tuple[str, str] = ("raw", "gin")
    checked: int | None = None
    logged: bool = False
    guards_only: bool = False
    variables: tuple[tuple[str, str], ...] = ()
    refused: tuple[float, float] = (0.0, 0.0)
    limited: Request | None = None

    @property
    def requests(self) -> tuple[Request, ...]:
        """Return the requests."""
        return self.build()

    @property
    def family(self) -> str:
        """Return the name by which it is chosen, with others of its kind."""
        return self.name.partition("-")[0]


def _get_expected(request: Request) -> Answer:
    parts = urlsplit(request.target)
    query = parse_qs(parts.query)
    order_id = int(parts.path.rpartition("/")[2])
    body = {
        "order_id": order_id,
        "limit": int(query.get("limit", ["10"])[0]),
        "q": query.get("q", [None])[0],
        "status": "paid",
        "currency": "EUR",
        "total": order_id * 1.25,
    }
    return Answer(200, body)


def _get_workload() -> Workload:
    chance = random.Random(SEED)
    words = ("tide", "harbour", "quay", "breakwater", "lock")
    requests = [
        Request(
            "GET",
            f"/orders/{chance.randint(1, 99_999)}?limit={chance.randint(1, 100)}&q={chance.choice(words)}",
        )
        for _ in range(64)
    ]
    bad = {
        "path not an integer": "/orders/abc",
        "limit not an integer": "/orders/1?limit=abc",
        "limit too small": "/orders/1?limit=0",
        "limit too large": "/orders/1?limit=101",
        "unknown path": "/nowhere",
    }
    return Workload(
        "get",
        "GET /orders/{order_id}?limit=&q=",
        lambda: tuple(requests),
        _get_expected,
        tuple(Probe(name, Request("GET", target)) for name, target in bad.items()),
    )


def _order(chance: random.Random) -> dict[str, Any]:
    lines = [
        {
            "sku": f"SKU-{chance.randint(10_000, 99_999)}",
            "quantity": chance.randint(1, 20),
            "unit_price": chance.randint(1, 400) / 4,  # quarters: every language sums them to the same number
            "gift": chance.random() < 0.2,
        }
        for _ in range(5)
    ]
    return {
        "customer_id": chance.randint(1, 99_999),
        "reference": f"web-{chance.randint(100_000, 999_999)}",
        "currency": chance.choice(("EUR", "USD", "GBP")),
        "note": "Leave it with the harbour master, please.",
        "lines": lines,
    }


def _post(value: Any) -> Request:
    return Request("POST", "/orders", json.dumps(value, separators=(",", ":")).encode())


def _post_expected(request: Request) -> Answer:
    order = json.loads(request.body or b"")
    body = {
        "id": order["customer_id"] * 1000 + len(order["lines"]),
        "customer_id": order["customer_id"],
        "reference": order["reference"],
        "currency": order["currency"],
        "total": round(sum(line["quantity"] * line["unit_price"] for line in order["lines"]), 2),
        "lines": [{"gift": False, **line} for line in order["lines"]],
    }
    return Answer(201, body)


def _post_workload() -> Workload:
    chance = random.Random(SEED)
    good = _order(chance)
    requests = [_post(good), *(_post(_order(chance)) for _ in range(15))]

    def with_line(**changes: Any) -> dict[str, Any]:
        return {**good, "lines": [*good["lines"][:4], {**good["lines"][4], **changes}]}

    def without(name: str) -> dict[str, Any]:
        return {key: value for key, value in good.items() if key != name}

    line_without_price = {key: value for key, value in good["lines"][0].items() if key != "unit_price"}
    bad = {
        "customer_id zero": {**good, "customer_id": 0},
        "customer_id a word": {**good, "customer_id": "many"},
        "reference missing": without("reference"),
        "reference empty": {**good, "reference": ""},
        "reference too long": {**good, "reference": "r" * 65},
        "currency unknown": {**good, "currency": "XXX"},
        "note too long": {**good, "note": "n" * 201},
        "lines missing": without("lines"),
        "lines empty": {**good, "lines": []},
        "lines too many": {**good, "lines": good["lines"][:1] * 51},
        "sku empty": with_line(sku=""),
        "sku too long": with_line(sku="s" * 33),
        "quantity zero": with_line(quantity=0),
        "quantity too large": with_line(quantity=1000),
        "quantity a fraction": with_line(quantity=1.5),
        "unit_price negative": with_line(unit_price=-0.5),
        "unit_price missing": {**good, "lines": [line_without_price]},
        "gift not a boolean": with_line(gift="perhaps"),
        "unknown field": {**good, "surprise": 1},
        "unknown field in a line": with_line(surprise=1),
    }
    body = requests[0].body or b""
    huge = body[:-1] + b" " * (1024 * 1024) + b"}"
    probes = [
        *(Probe(name, _post(value)) for name, value in bad.items()),
        Probe("malformed JSON", Request("POST", "/orders", b'{"customer_id": 1,')),
        Probe("empty body", Request("POST", "/orders", b"")),
        Probe("quantity as a string", _post(with_line(quantity="3")), required=False),
        Probe("text/plain", Request("POST", "/orders", body, "text/plain"), required=False),
        Probe("body over 1 MiB", Request("POST", "/orders", huge), required=False),
    ]
    return Workload("post", "POST /orders, 5 lines", lambda: tuple(requests), _post_expected, tuple(probes))


def _routes_expected(request: Request) -> Answer:
    _, route, _, item_id = request.target.split("/")
    return Answer(200, {"route": int(route[1:]), "item_id": int(item_id)})


def _routes_workload(routes: int) -> Workload:
    chance = random.Random(SEED)
    targets = [f"/r{n % routes}/items/{chance.randint(10_000, 99_999)}" for n in range(SPREAD)]
    chance.shuffle(targets)
    return Workload(
        f"routes-{routes}",
        f"GET /r{{n}}/items/{{item_id}}, spread over {routes:,} routes",
        lambda: tuple(Request("GET", target) for target in targets),
        _routes_expected,
        (
            Probe("unknown route", Request("GET", f"/r{routes}/items/1")),
            Probe("item_id a word", Request("GET", "/r1/items/x")),
        ),
        routes,
    )


GET, POST = _get_workload(), _post_workload()
ROUTES_10, ROUTES_1000 = _routes_workload(10), _routes_workload(1_000)
