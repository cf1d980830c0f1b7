"""Rates: by whom, how often, at what cost."""

from __future__ import annotations

from seawall import Call, Service
from seawall.limit import Rate

service = Service("limited")


# region: simple
@service.get("/search", rate="2/minute")
async def search(q: str) -> list[str]:
    """Look something up."""
    return [q]


@service.get("/feed", rate=["10/second burst 20", "1000/hour"])
async def feed() -> list[str]:
    """Say what is new."""
    return []


# endregion


# region: key
def report_cost(call: Call) -> int:
    """Let a full report take ten times as much as a short one."""
    return 10 if call.header("prefer") == "full" else 1


PER_TENANT = Rate("1000 each day", key="claim:tenant", cost=report_cost, name="reports")
PER_ADDRESS = Rate("30/minute", key="address")


@service.post("/reports", rate=[PER_ADDRESS, PER_TENANT])
async def make_report() -> None:
    """Make a report: tenants share an allowance, and every address has one of its own."""


@service.post("/summaries", rate=PER_TENANT)
async def make_summary() -> None:
    """Make a summary, out of the same allowance."""


# endregion


# region: function
def device(call: Call) -> str | None:
    """Count by device; calls that name none are not limited."""
    return call.header("x-device")


@service.post("/readings", rate=Rate("1/second burst 60", key=device))
async def take_reading() -> None:
    """Take a reading."""


# endregion
