"""Limits in front of operations: whose allowance it is, what is told, what survives, what costs nothing."""

import pytest

from seawall import Call, Guard, Place, Principal
from seawall.limit import Rate
from seawall.settings import (
    AdmissionSettings,
    HttpSettings,
    LimitSettings,
    OperationsSettings,
    ServiceSettings,
    Settings,
)
from support.exchange import exchange
from support.settings import service

pytestmark = pytest.mark.anyio

LISTED = (b"ratelimit", b"ratelimit-policy", b"retry-after")


class Who(Guard):
    """Believes what a header field says."""

    name = "who"
    place = Place.AUTHENTICATE

    async def check(self, call: Call) -> None:
        subject = call.header("x-subject")
        if subject is not None:
            tenant = call.header("x-tenant")
            call.principal = Principal(subject, claims={"tenant": tenant} if tenant else {})


def limited(rate, *, clock, limit=None, http=None, operations=None):
    settings = Settings(
        limit=LimitSettings(**(limit or {})),
        http=HttpSettings(**(http or {})),
        service=ServiceSettings(docs=False),
        operations=OperationsSettings(overrides=operations or {}),
    )
    app = service(clock=clock, settings=settings)

    @app.get("/x", rate=rate, guards=[Who()])
    async def read() -> str:
        return "yes"

    return app


async def ask(app, subject=None, *, client="192.0.2.1", path="/x", **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    if subject is not None:
        headers["x-subject"] = subject
    return await exchange(app, "GET", path, headers=headers, client=(client, 4000) if client else None)


async def statuses(app, number, subject=None, **options):
    return [(await ask(app, subject, **options)).status for _ in range(number)]


async def test_as_many_as_are_allowed_and_then_429(manual_clock):
    app = limited("3/minute", clock=manual_clock)
    answers = [await ask(app) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"3/minute";r=2;t=20',
        '"3/minute";r=1;t=40',
        '"3/minute";r=0;t=60',
        '"3/minute";r=0;t=60',
    ]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"3/minute";q=3;w=60'}
    assert ["retry-after" in answer.headers for answer in answers] == [False, False, False, True]
    refused = answers[3]
    assert refused.headers["retry-after"] == "20"
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert (problem["type"], problem["status"]) == ("urn:problem-type:seawall:too-many-requests", 429)
    assert problem["violated-policies"] == ["3/minute"]
    await manual_clock.sleep(20.001)
    assert await statuses(app, 2) == [200, 429]


async def test_a_long_rest_gives_no_more_than_a_burst(manual_clock):
    app = limited("10/second burst 2", clock=manual_clock)
    await manual_clock.sleep(3600)
    assert await statuses(app, 3) == [200, 200, 429]
    await manual_clock.sleep(0.1001)
    assert await statuses(app, 2) == [200, 429]


async def test_every_principal_has_its_own_and_who_has_none_is_known_by_address(manual_clock):
    app = limited("1/minute", clock=manual_clock)
    assert await statuses(app, 2, "ada") == [200, 429]
    assert await statuses(app, 2, "bob") == [200, 429]
    assert await statuses(app, 2) == [200, 429]
    assert await statuses(app, 1, client="192.0.2.2") == [200]
    assert await statuses(app, 1, "192.0.2.3") == [200]
    assert await statuses(app, 1, client="192.0.2.3") == [200]  # no principal is taken for an address


async def test_by_address_it_stands_before_authentication(manual_clock):
    app = limited(Rate("1/minute", key="address"), clock=manual_clock)
    assert await statuses(app, 1, "ada") == [200]
    assert await statuses(app, 1, "bob") == [429]
    plan = app.build().plans[0]
    names = [step.name for step in plan.steps]
    assert names.index("limit") < names.index("who")
    assert "await" not in next(line for line in plan.source.splitlines() if "take_allowance" in line)


async def test_ipv6_counts_by_network_and_mapped_ipv4_as_ipv4(manual_clock):
    app = limited(Rate("1/minute", key="address"), clock=manual_clock)
    assert await statuses(app, 1, client="2001:db8:0:1::1") == [200]
    assert await statuses(app, 1, client="2001:db8:0:1:ffff::2") == [429]
    assert await statuses(app, 1, client="2001:db8:0:2::1") == [200]
    assert await statuses(app, 1, client="::ffff:192.0.2.9") == [200]
    assert await statuses(app, 1, client="192.0.2.9") == [429]
    assert await statuses(app, 2, client=None) == [200, 429]
    assert await statuses(app, 1, client="fe80::1%eth0") == [200]
    wider = limited(Rate("1/minute", key="address"), clock=manual_clock, limit={"ipv6_prefix": 48})
    assert await statuses(wider, 1, client="2001:db8:0:1::1") == [200]
    assert await statuses(wider, 1, client="2001:db8:0:2::1") == [429]


async def test_a_forged_forwarding_field_makes_no_new_caller(manual_clock):
    rate = Rate("1/minute", key="address")
    app = limited(rate, clock=manual_clock)
    assert await statuses(app, 1, x_forwarded_for="203.0.113.1") == [200]
    assert await statuses(app, 1, x_forwarded_for="203.0.113.2") == [429]
    behind = limited(rate, clock=manual_clock, http={"trusted_proxies": ("192.0.2.1",)})
    assert await statuses(behind, 1, x_forwarded_for="203.0.113.1") == [200]
    assert await statuses(behind, 1, x_forwarded_for="203.0.113.2") == [200]
    # What the client itself has put in front of what the proxy adds counts for nothing.
    assert await statuses(behind, 1, x_forwarded_for="198.51.100.7, 203.0.113.2") == [429]
    assert await statuses(behind, 1, x_forwarded_for="\x7f;drop, 203.0.113.2") == [429]


async def test_by_claim_and_by_function(manual_clock):
    app = limited(Rate("1/minute", key="claim:tenant"), clock=manual_clock)
    assert await statuses(app, 1, "ada", x_tenant="acme") == [200]
    assert await statuses(app, 1, "bob", x_tenant="acme") == [429]
    assert await statuses(app, 1, "bob", x_tenant="other") == [200]
    assert await statuses(app, 2, "bob") == [200, 429]

    def device(call: Call) -> str | None:
        return call.header("x-device")

    app = limited(Rate("1/minute", key=device), clock=manual_clock)
    assert await statuses(app, 2, x_device="a") == [200, 429]
    assert await statuses(app, 2, x_device="a" * 4000) == [200, 429]
    assert await statuses(app, 1, x_device="a" * 4001) == [200]
    assert await statuses(app, 3) == [200, 200, 200]  # without a key there is no limit
    assert max(map(len, app.limits.local._spaces["read#0:rate:" + device.__qualname__].tats)) <= 128


async def test_cost(manual_clock):
    def cost(call: Call) -> int:
        return int(call.header("x-cost"))

    app = limited(Rate("10/minute", cost=cost), clock=manual_clock)
    assert await statuses(app, 1, x_cost="7") == [200]
    assert await statuses(app, 1, x_cost="4") == [429]
    assert await statuses(app, 1, x_cost="3") == [200]
    assert await statuses(app, 2, x_cost="0") == [200, 200]
    answer = await ask(app, x_cost="11")
    assert (answer.status, "retry-after" in answer.headers) == (429, False)
    assert "costs 11" in answer.json()["detail"]
    assert await statuses(app, 1, x_cost="-5") == [500]
    app = limited(Rate("10/minute", cost=4), clock=manual_clock)
    assert await statuses(app, 3) == [200, 200, 429]


async def test_several_rates_are_one_step(manual_clock):
    app = limited(["2/second", "3/minute"], clock=manual_clock)
    assert await statuses(app, 3) == [200, 200, 429]
    await manual_clock.sleep(1.01)
    answer = await ask(app)
    assert answer.headers["ratelimit"] == '"2/second";r=1;t=1, "3/minute";r=0;t=59'
    assert answer.headers["ratelimit-policy"] == '"2/second";q=2;w=1, "3/minute";q=3;w=60'
    answer = await ask(app)
    assert answer.json()["violated-policies"] == ["3/minute"]
    assert '"2/second";r=1' in answer.headers["ratelimit"]  # what refused took nothing from the other


async def test_rates_of_different_keys(manual_clock):
    app = limited([Rate("3/minute", key="address"), "2/minute"], clock=manual_clock)
    assert await statuses(app, 3, "ada") == [200, 200, 429]
    assert await statuses(app, 1, "bob") == [429]
    answer = await ask(app, "bob", client="192.0.2.7")
    assert [value.partition(";")[0] for value in answer.all("ratelimit")] == ['"3/minute"', '"2/minute"']


async def test_a_quota_is_whole_again_when_its_window_ends(manual_clock):
    app = limited("2 each day", clock=manual_clock)  # it is 2026-01-01T00:00:00Z
    await manual_clock.sleep(86_400 - 30)
    assert await statuses(app, 3) == [200, 200, 429]
    answer = await ask(app)
    assert (answer.headers["retry-after"], answer.headers["ratelimit"]) == ("30", '"2 each day";r=0;t=30')
    await manual_clock.sleep(30)
    assert await statuses(app, 3) == [200, 200, 429]
    app = limited("1 each month", clock=manual_clock)
    assert await statuses(app, 2) == [200, 429]
    await manual_clock.sleep(30 * 86_400 - 1)
    assert await statuses(app, 1) == [429]
    await manual_clock.sleep(1)
    answer = await ask(app)
    assert (answer.status, answer.headers["ratelimit-policy"]) == (200, '"1 each month";q=1')


async def test_the_service_has_a_default_each_operation_counts_by_itself_and_a_name_joins_them(manual_clock):
    app = service(clock=manual_clock, rate="1/minute")
    shared = Rate("2/minute", name="reports")

    @app.get("/a")
    async def first() -> None: ...

    @app.get("/b")
    async def second() -> None: ...

    @app.get("/c", rate=None)
    async def free() -> None: ...

    @app.get("/d", rate=shared)
    async def third() -> None: ...

    @app.get("/e", rate=shared)
    async def fourth() -> None: ...

    assert await statuses(app, 2, path="/a") == [204, 429]
    assert await statuses(app, 2, path="/b") == [204, 429]
    assert await statuses(app, 3, path="/c") == [204, 204, 204]
    assert await statuses(app, 1, path="/d") == [204]
    assert await statuses(app, 2, path="/e") == [204, 429]
    assert await statuses(app, 1, path="/d") == [429]


async def test_a_limit_changes_while_it_runs_and_nobody_gets_a_new_allowance(manual_clock):
    app = limited("4/minute", clock=manual_clock)
    assert await statuses(app, 2) == [200, 200]
    app.rebuild()
    assert await statuses(app, 3) == [200, 200, 429]

    def change(text):
        app._settings = Settings(
            service=ServiceSettings(docs=False), operations=OperationsSettings(overrides={"read": {"rate": text}})
        )
        app.rebuild()

    change("8/minute")  # the minute that is owed stays
    assert await statuses(app, 1) == [429]
    await manual_clock.sleep(7.6)
    assert await statuses(app, 2) == [200, 429]
    change(["8/minute", "1/hour"])
    assert await statuses(app, 1) == [429]
    change(None)
    assert await statuses(app, 9) == [200] * 9


async def test_fields_can_be_kept_to_refusals(manual_clock):
    for rate in ("1/minute", ["1/minute", "9/hour"]):
        app = limited(rate, clock=manual_clock, limit={"fields": False})
        first, second = await ask(app), await ask(app)
        assert [name for name, _ in first.raw_headers if name in LISTED] == []
        assert sorted(name for name, _ in second.raw_headers if name in LISTED) == sorted(LISTED)


async def test_callers_are_bounded_and_those_who_owe_nothing_go_first(manual_clock):
    app = limited("2/minute", clock=manual_clock, limit={"max_keys": 1000})
    for number in range(500):
        await ask(app, f"early-{number}")
    await manual_clock.sleep(61)
    assert await statuses(app, 3, "ada") == [200, 200, 429]
    store = app.limits.local
    take = store.taker(_rule(app), 1)
    for number in range(900):
        take(f"late-{number}", manual_clock.monotonic())
        assert store.count == sum(len(cells.tats) for cells in store._spaces.values()) <= 1000
    assert await statuses(app, 1, "ada") == [429]  # 500 owed nothing: she was not forgotten for 900 others


def _rule(app):
    from seawall.limit.rule import rule_of

    return rule_of(Rate("2/minute"), "read", 0)


async def test_a_hundred_thousand_callers_stay_within_the_bound(manual_clock):
    from seawall.limit.memory import MemoryStore
    from seawall.limit.rule import rule_of

    store = MemoryStore(manual_clock, 5000)
    rules = [rule_of(Rate("5/minute"), "a", 0), rule_of(Rate("5/day"), "b", 0)]
    takes = [store.taker(rule, 1) for rule in rules]
    for number in range(100_000):
        takes[number & 1](f"user-{number}", manual_clock.monotonic())
    assert store.count == sum(len(cells.tats) for cells in store._spaces.values()) == 5000


async def test_without_a_rate_there_is_nothing_in_the_plan(manual_clock):
    app = limited(None, clock=manual_clock)
    assert "take_allowance" not in app.build().plans[0].source
    assert app._limits is None


async def test_the_document_knows_of_it(manual_clock):
    app = service(clock=manual_clock, settings=Settings(admission=AdmissionSettings(enabled=False)))

    @app.get("/limited", rate="1/minute", concurrency=3)
    async def read() -> None: ...

    @app.get("/free")
    async def free() -> None: ...

    document = app.openapi()
    assert {"429", "503"} <= document["paths"]["/limited"]["get"]["responses"].keys()
    assert not {"429", "503"} & document["paths"]["/free"]["get"]["responses"].keys()
    assert document["components"]["responses"]["TooManyRequests"]["headers"].keys() >= {"Retry-After", "RateLimit"}
