from __future__ import annotations

import dataclasses
from types import SimpleNamespace

from seawall.cli.plans import describe_plan, policy_values
from seawall.cli.terminal import duration
from seawall.operation import Policy
from seawall.plan import Place, Plan, Step

BASE = Policy()


def plan(policy=BASE):
    steps = (Step("receive", Place.RECEIVE, "request id"), Step("operation", Place.OPERATION))
    route = SimpleNamespace(method="GET", path="/orders")
    return Plan("read_orders", "asgi", steps, policy, "async def plan(): ...", None, {}, (), route)


def test_a_policy_is_compared_with_what_is_there_by_default():
    values = policy_values(dataclasses.replace(BASE, timeout=2.0), BASE)
    assert [value.name for value in values if value.changed] == ["timeout"]
    assert "guards" not in [value.name for value in values]


def test_a_plan_is_described():
    described = describe_plan(plan(), BASE, source=False)
    assert (described["operation"], described["method"], described["path"]) == ("read_orders", "GET", "/orders")
    assert described["steps"][0] == {"name": "receive", "place": "receive", "order": 0, "note": "request id"}
    assert "source" not in described
    assert describe_plan(plan(), BASE, source=True)["source"] == "async def plan(): ..."


def test_durations_are_for_people():
    assert [duration(each) for each in (None, 0.5, 2.0, 90.0)] == ["none", "500 ms", "2 s", "90 s"]
