"""``python -m storefront demo``: the shop is seeded, served, driven for a minute, and stays up to be tried."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from seawall.clock import Clock, SystemClock
from storefront.ledger import Ledger, Verdict
from storefront.process import Server, ServerFailed, environment, serving
from storefront.storm import Storm, addresses, provided
from storefront.tally import Tally, percentile
from storefront.traffic import drive

__all__ = ["demonstrate", "is_watched"]

_VISITORS = 8
_SEED = 7
_EVERY = 10.0  # seconds between two lines where there is no terminal
_RECENT = 500  # requests that the times shown on the way are of


def is_watched() -> bool:
    """Return whether somebody sits at a terminal, who may want to try the shop afterwards."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


async def demonstrate(url: str, log: Path, seconds: float, console: Console, *, stay: bool) -> int:
    """Serve the shop whose database is at *url*, drive it for so many *seconds*, and say what was seen.

    Args:
        url: The database, seeded.
        log: The file the server's log goes to.
        seconds: How long.
        console: Where to say it.
        stay: Whether to serve on until Ctrl-C.

    Returns:
        The exit status: 1 if a request ended otherwise than it should have, or the server did.
    """
    clock = SystemClock()
    tally, ledger = Tally(), Ledger()
    try:
        environ = environment(url)
        password = environ["STOREFRONT_STAFF_PASSWORD"]
        await ledger.begin(url)
        async with (
            _ended_by_signals(),
            provided(log.parent, environ, clock) as providers,
            serving("storefront.app:service", log, {**environ, **addresses(providers)}, clock) as server,
        ):
            console.print(f"Serving at {server.address}, log in {_short(log)}", highlight=False)
            for name, provider in providers.items():
                console.print(f"  {name:<9} provider at {provider.address}", highlight=False)
            storm = Storm(providers, tally, clock)
            await _drive(server, seconds, tally, clock, console, password, ledger, storm)
            verdict = await ledger.close(url)
            for each in verdict.wrong:
                tally.complain("place order", each)
            _report(tally, seconds, console)
            _report_orders(verdict, console)
            if not await storm.report(console):
                tally.complain("pay", "the provider's books do not agree with what was paid")
            if stay and not tally.wrong:
                _invite(server, console, password, providers)
                await _serve_on(server, console)
    except ServerFailed as failure:
        console.print(f"[bold red]Error:[/] {escape(str(failure))}", soft_wrap=True)
        return 1
    except asyncio.CancelledError:
        console.print("Stopped.")
        return 1 if tally.wrong else 0
    if tally.wrong:
        console.print(f"[bold red]{tally.wrong} requests ended otherwise than they should have.[/] The log ends:")
        console.print(server.tail(), markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


async def _drive(
    server: Server,
    seconds: float,
    tally: Tally,
    clock: Clock,
    console: Console,
    password: str,
    ledger: Ledger,
    storm: Storm,
) -> None:
    driving = asyncio.create_task(
        drive(
            server.address,
            seconds,
            tally,
            clock,
            visitors=_VISITORS,
            seed=_SEED + server.process.pid,
            password=password,
            ledger=ledger,
        )
    )
    began = clock.monotonic()

    def tell(says: str) -> None:
        console.print(f"{clock.monotonic() - began:4.0f} s: {says}", highlight=False)

    blowing = asyncio.create_task(storm.blow(seconds, tell))
    try:
        with _display(tally, seconds, console) as show:
            while not driving.done():
                show(clock.monotonic() - began)
                await asyncio.wait([driving], timeout=0.25)
        await driving
        await blowing
    finally:
        for task in (driving, blowing):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@contextmanager
def _display(tally: Tally, seconds: float, console: Console) -> Iterator[Callable[[float], None]]:
    """Yield what shows how far it has come: a table that stays in its place, or a line now and then."""
    if not console.is_terminal:
        due = _EVERY

        def tell(elapsed: float) -> None:
            nonlocal due
            if elapsed >= due:
                due += _EVERY
                console.print(f"{elapsed:4.0f} of {seconds:g} s: {tally.requests:,} requests, {tally.wrong} wrong")

        yield tell
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[rate]}"), expand=True
    )
    task = bar.add_task("Driving", total=seconds, rate="")
    # Gone in the end: the report takes its place.
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(elapsed: float) -> None:
            rate = f"{tally.requests:,} requests, {tally.requests / max(elapsed, 0.001):,.0f}/s"
            bar.update(task, completed=elapsed, rate=rate)
            live.update(Group(bar, _table(tally, max(elapsed, 0.001), _RECENT)), refresh=True)

        yield show


def _table(tally: Tally, elapsed: float, last: int | None = None) -> Table:
    table = Table("request", box=None, header_style="dim", padding=(0, 1))
    for name in ("number", "per s", "p50 ms", "p95 ms", "wrong"):
        table.add_column(name, justify="right")
    table.add_column("statuses")
    for kind in sorted(tally.kinds):
        of_one = tally.kinds[kind]
        number = sum(of_one.statuses.values())
        table.add_row(
            kind,
            f"{number:,}",
            f"{number / elapsed:,.1f}",
            f"{percentile(of_one.times, 0.5, last) * 1_000:.1f}",
            f"{percentile(of_one.times, 0.95, last) * 1_000:.1f}",
            f"[bold red]{of_one.wrong}[/]" if of_one.wrong else "0",
            " ".join(
                f"[{_colour(status)}]{status}[/]:{of_one.statuses[status]:,}" for status in sorted(of_one.statuses)
            ),
        )
    return table


def _colour(status: str) -> str:
    return {"2": "green", "3": "cyan", "4": "yellow", "c": "cyan"}.get(status[0], "red")


def _report(tally: Tally, seconds: float, console: Console) -> None:
    console.print(_table(tally, seconds))
    rate = f"{tally.requests / seconds:,.0f} a second from {_VISITORS} visitors, who pause between two errands"
    console.print(f"\n{tally.requests:,} requests in {seconds:g} s: {rate}.", highlight=False)
    if not tally.wrong:
        console.print("[bold green]Every one was answered as it should have been[/], refusals included.")
    for complaint in tally.complaints:
        console.print(f"[red]✗[/] {escape(complaint)}", soft_wrap=True, highlight=False)


def _report_orders(verdict: Verdict, console: Console) -> None:
    again = f"{verdict.cut:,} times cut off before the answer, {verdict.replayed:,} times answered as before"
    console.print(
        f"{verdict.keys:,} orders, each under a key of its own, were sent {verdict.sent:,} times: {again}.",
        highlight=False,
        soft_wrap=True,
    )
    if not verdict.wrong:
        console.print(
            f"[bold green]The shop holds the {verdict.placed:,} of them that it said it placed, and none twice.[/]",
            highlight=False,
        )


def _invite(server: Server, console: Console, password: str, providers: Mapping[str, Server]) -> None:
    at, bank = server.address, providers["payments"].address
    console.print(
        f"""
[bold]Open[/]
  {at}/               where to begin
  {at}/docs           the API, to be tried in the browser
  {at}/openapi.json   its OpenAPI document

[bold]Or try[/]
  curl '{at}/products?q=lamp&sort=price&limit=3'
  TOKEN=$(curl -s {at}/login --json '{{"username": "staff", "password": "{password}"}}' | jq -r .access_token)
  curl '{at}/dashboard' -H "Authorization: Bearer $TOKEN"
  curl -i {at}/orders -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
    -H 'Idempotency-Key: "one-of-mine"' -d '{{"customer_id": 1, "lines": [{{"product_id": 7, "quantity": 2}}]}}'
  curl -i {at}/users -H 'Content-Type: application/json' -d '{{"email": "nobody"}}'

[bold]Or break something[/]
  curl {bank}/faults -X PUT --json '{{"errors": 1}}'
  curl '{at}/dashboard' -H "Authorization: Bearer $TOKEN"   # everything but the payments
  curl {bank}/faults -X PUT --json '{{}}'

Ctrl-C ends it.""",
        highlight=False,
        soft_wrap=True,
    )


async def _serve_on(server: Server, console: Console) -> None:
    status = await server.process.wait()
    console.print(f"The server ended with {status}. Its log ends:")
    console.print(server.tail(), markup=False, highlight=False, soft_wrap=True)


@asynccontextmanager
async def _ended_by_signals() -> AsyncIterator[None]:
    """Let SIGINT and SIGTERM cancel the task, so that the server is ended however the demonstration is."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, lambda: task and task.cancel())
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
