"""Faults for the demonstration: one provider after the other is not well, and then all of them are again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
from rich.console import Console
from rich.table import Table

from seawall import fan_out
from seawall.clock import Clock
from storefront.process import Server, serving
from storefront.providers.faults import Faults
from storefront.shopping import PROVIDER_DOWN
from storefront.tally import Tally, percentile

__all__ = ["PROVIDERS", "Storm", "addresses", "provided"]

PROVIDERS = ("payments", "shipping", "currency")


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which something is not as it should be."""

    says: str
    faults: Mapping[str, Faults] = field(default_factory=dict)


SPELLS = (
    Spell("all is well"),
    Spell("payments answer after 3 s", {"payments": Faults(latency=3)}),
    Spell("payments fail, every one", {"payments": Faults(errors=1)}),
    Spell("shipping breaks off mid-answer", {"shipping": Faults(cuts=1)}),
    Spell("currency refuses, shipping is slow", {"currency": Faults(refusals=1), "shipping": Faults(latency=2)}),
    Spell("a third of everything fails", dict.fromkeys(PROVIDERS, Faults(errors=0.2, cuts=0.1))),
    Spell("all is well again"),
)


@asynccontextmanager
async def provided(folder: Path, environ: Mapping[str, str], clock: Clock) -> AsyncIterator[Mapping[str, Server]]:
    """Serve the providers while the block runs, each in a process of its own.

    Raises:
        ServerFailed: One did not start, or did not end with 0.
    """
    # Their books are their own, whatever database the shop has.
    own = {**environ, "SEAWALL_IDEMPOTENCY_STORE": "memory"}
    async with AsyncExitStack() as stack:
        yield await fan_out(
            dict,
            **{
                name: stack.enter_async_context(
                    serving(f"storefront.providers.{name}:service", folder / f"{name}.log", own, clock, port=0)
                )
                for name in PROVIDERS
            },
        )


def addresses(providers: Mapping[str, Server]) -> dict[str, str]:
    """Return what tells the store where *providers* are; its rates of exchange are to be asked for often."""
    found = {f"STOREFRONT_PROVIDERS_{name.upper()}": server.address for name, server in providers.items()}
    return {**found, "STOREFRONT_PROVIDERS_RATES_FOR": "1s"}


@dataclass(slots=True)
class _Seen:
    """How much of everything there was by some moment."""

    statuses: dict[str, Counter[str]]
    times: dict[str, int]
    notes: Counter[str]


class Storm:
    """Lets the faults happen, and keeps what customers saw meanwhile.

    Args:
        providers: The providers at work.
        tally: What the customers see.
        clock: By which spells end.
    """

    def __init__(self, providers: Mapping[str, Server], tally: Tally, clock: Clock) -> None:
        self._providers = providers
        self._tally = tally
        self._clock = clock
        self._rows: list[tuple[Spell, _Seen, _Seen]] = []

    async def blow(self, seconds: float, tell: Callable[[str], None]) -> None:
        """Let every spell happen for an equal part of so many *seconds*, and *tell* which it is."""
        began = self._clock.monotonic()
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            try:
                for number, spell in enumerate(SPELLS, 1):
                    await self._switch(http, spell.faults)
                    tell(spell.says)
                    before = self._seen()
                    await self._clock.sleep(max(0.0, began + seconds * number / len(SPELLS) - self._clock.monotonic()))
                    self._rows.append((spell, before, self._seen()))
            finally:
                await self._switch(http, {})

    async def _switch(self, http: httpx.AsyncClient, faults: Mapping[str, Faults]) -> None:
        for name, server in self._providers.items():
            body = msgspec.json.encode(faults.get(name, Faults()))
            answer = await http.put(
                f"{server.address}/faults", content=body, headers={"content-type": "application/json"}
            )
            answer.raise_for_status()

    def _seen(self) -> _Seen:
        kinds = self._tally.kinds
        return _Seen(
            {kind: Counter(of_one.statuses) for kind, of_one in kinds.items()},
            {kind: len(of_one.times) for kind, of_one in kinds.items()},
            Counter(self._tally.notes),
        )

    async def report(self, console: Console) -> bool:
        """Say what customers saw, and whether the provider's books agree; return whether they do."""
        table = Table("while", box=None, header_style="dim", padding=(0, 1), title="What the faults did to customers")
        columns = ("search p95", "paid", "put off", "pay p95", "delivery: asked/est.", "prices", "dashboard: all/part")
        for name in columns:
            table.add_column(name, justify="right")
        for spell, before, after in self._rows:
            notes = after.notes - before.notes
            pay = after.statuses.get("pay", Counter()) - before.statuses.get("pay", Counter())
            put_off = sum(pay[str(status)] for status in PROVIDER_DOWN)
            prices = after.statuses.get("other money", Counter()) - before.statuses.get("other money", Counter())
            table.add_row(
                spell.says,
                self._p95("search products", before, after),
                f"[green]{pay['200']}[/]",
                f"[yellow]{put_off}[/]" if put_off else "0",
                self._p95("pay", before, after),
                f"{notes['cost asked']}/{notes['cost estimated']}",
                f"{prices['200']}",
                f"{notes['dashboard whole']}/{notes['dashboard partly']}",
            )
        console.print(table)
        console.print(
            " put off: told to come back, and did · est.: estimated without the carrier · part: with a provider's part"
            " missing",
            style="dim",
            highlight=False,
            soft_wrap=True,
        )
        return await self._books_agree(console)

    def _p95(self, kind: str, before: _Seen, after: _Seen) -> str:
        begin, end = before.times.get(kind, 0), after.times.get(kind, 0)
        if begin == end:
            return "-"
        return f"{percentile(self._tally.kinds[kind].times[begin:end], 0.95) * 1_000:,.0f} ms"

    async def _books_agree(self, console: Console) -> bool:
        """Compare what customers paid with what the provider took: once for each order, and for no other."""
        notes = self._tally.notes
        paid = notes["paid"] + notes["settled"]
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            stats = (await http.get(f"{self._providers['payments'].address}/stats")).raise_for_status().json()
        agree: bool = stats["charges"] == stats["references"] == paid
        console.print(
            f"\n{paid:,} orders were paid, {notes['settled']:,} of them by asking again after a fault;"
            f" the provider has {stats['charges']:,} charges for {stats['references']:,} orders:"
            f" {'[bold green]none twice, none for nothing[/]' if agree else '[bold red]that does not agree[/]'}.",
            highlight=False,
            soft_wrap=True,
        )
        return agree
