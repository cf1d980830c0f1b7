"""Calls to somebody else, and what stands around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from seawall import NotFound, Service, Unavailable
from seawall.resilience import (
    AdaptiveLimit,
    Breaker,
    BreakerSnapshot,
    Budget,
    Bulkhead,
    Event,
    Fallback,
    Hedge,
    Outcome,
    RateLimit,
    Resilience,
    Retry,
    Stale,
    StateChanged,
    Throttle,
    Timeout,
)

service = Service("resilience")


class Provider:
    """Stands for a payment provider somewhere else; it can be switched off."""

    down = False

    async def charge(self, amount: int) -> str:
        """Charge a card."""
        if self.down:
            raise Unavailable
        return f"charged {amount}"


provider = Provider()

# region: registry
resilience = Resilience()


@service.resource
def policies() -> Resilience:
    """Let operations and the console reach every policy."""
    return resilience


payments = resilience.pipeline(
    "payments",
    Retry(attempts=3, idempotent=True),
    Breaker(window=100, minimum_calls=3, failure_rate=0.5, open_for="30s"),
    Timeout("2s"),
    Bulkhead(limit=20),
)


@payments
async def charge(amount: int) -> str:
    """Ask the provider to charge a card."""
    return await provider.charge(amount)


@service.post("/charges/{amount}")
async def place_charge(amount: int) -> str:
    """Charge a card."""
    return await charge(amount)


# endregion


# region: switch
@service.get("/breakers")
async def breakers(resilience: Resilience) -> Sequence[BreakerSnapshot]:
    """Show how every breaker stands."""
    return resilience.snapshots()


@service.post("/breakers/{name}/{state}", status=204)
async def switch(name: str, state: str, resilience: Resilience) -> None:
    """Switch a breaker by hand."""
    breaker = resilience.breakers.get(name)
    if breaker is None:
        raise NotFound(f"There is no breaker {name!r}.")
    {"open": breaker.force_open, "closed": breaker.force_closed, "auto": breaker.reset}[state]()


# endregion


@service.post("/provider/{state}", status=204)
async def switch_provider(state: str) -> None:
    """Switch the provider off and on."""
    provider.down = state == "down"


# region: retry
retry = resilience.engine("stock", Retry(attempts=4, idempotent=True, budget=Budget(per_success=0.1, capacity=20)))


@retry
async def stock(sku: str) -> int:
    """Ask how many there are: may be asked twice."""
    return len(sku)


async def stock_in_a_block(sku: str) -> int:
    """Do the same where a function would be too much."""
    found = 0
    async for attempt in retry.attempts():
        async with attempt:
            found = len(sku)
    return found


# endregion

# region: timeout
search_limit = resilience.engine("search", Timeout("300ms"))


async def search(words: str) -> list[str]:
    """Search, and give up after 300 ms, or at the deadline of the call being served."""
    async with search_limit.guard():
        return words.split()


# endregion

# region: bulkhead
reports = resilience.engine("reports", Bulkhead(limit=4, queue=20, patience="2s"))


@reports
async def report(month: int) -> str:
    """Make a report: four at once, twenty may wait."""
    return f"report {month}"


# endregion

# region: hedge
lookup = resilience.engine("lookup", Hedge(after="p95", until_known="200ms"))


@lookup
async def find(key: str) -> str:
    """Look something up: a second time, once it takes longer than 95 of 100 calls do."""
    return key.upper()


# endregion

# region: fallback
rates = resilience.pipeline("rates", Fallback(stale=Stale(max_age="1h"), value=1.0), Timeout("1s"))


@rates
async def exchange_rate(currency: str) -> float:
    """Return a rate: today's, else the last one seen within an hour, else 1."""
    if provider.down:
        raise Unavailable
    return 1.5


@service.get("/rates/{currency}")
async def rate(currency: str) -> float:
    """Return a rate."""
    return await exchange_rate(currency)


# endregion

# region: rate
mailer = resilience.engine("mailer", RateLimit(rate="10/second", burst=5, queue=100, patience="5s"))


@mailer
async def send(to: str) -> str:
    """Send a mail, at the pace the provider allows."""
    return to


# endregion

# region: limits
inventory = resilience.pipeline("inventory", Throttle(), AdaptiveLimit(start=20, most=200))


@inventory
async def reserve(sku: str) -> str:
    """Reserve what the inventory can cope with; hold back what it would turn away."""
    return sku


# endregion

# region: permit
downloads = resilience.engine("downloads", Breaker(slow_after="2s"))


async def download(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass a stream on; whether it went well is known at its end only."""
    permit = downloads.acquire()
    try:
        async for chunk in chunks:
            yield chunk
        permit.success()
    except OSError as error:
        permit.failure(error)
        raise
    finally:
        permit.report(Outcome.IGNORED)  # does nothing once the end has been told


# endregion


# region: hook
changes: list[str] = []


@resilience.on_event
def note(event: Event) -> None:
    """Keep what changed."""
    if isinstance(event, StateChanged):
        changes.append(f"{event.name}: {event.before} to {event.after}, {event.reason}")


# endregion
