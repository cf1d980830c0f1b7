"""The storefront's commands: fill its database."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from seawall.problems import SeawallError
from storefront.chinook import ChinookError, read_chinook
from storefront.database import Database, database_url
from storefront.dataset import Dataset
from storefront.load import Added, Loaded, OnProgress, load
from storefront.seed import generate

__all__ = ["app", "main"]

app = typer.Typer(help="The storefront: a small shop served with Seawall.", no_args_is_help=True, add_completion=False)

Url = Annotated[
    str | None,
    typer.Option(
        help="Database, as 'sqlite:///FILE' or 'postgresql://USER@HOST/NAME'. "
        "Default: $STOREFRONT_DATABASE_URL, $SEAWALL_DATABASE_URL, or storefront.sqlite3 here."
    ),
]


@app.command()
def seed(
    *,
    url: Url = None,
    products: Annotated[int, typer.Option(min=5, help="How many products.")] = 3_000,
    customers: Annotated[int, typer.Option(min=1, help="How many customers.")] = 500,
    orders: Annotated[int, typer.Option(min=0, help="How many orders, of 1 to 5 lines each.")] = 10_000,
    number: Annotated[int, typer.Option("--seed", help="The same seed makes the same shop.")] = 1,
    reset: Annotated[bool, typer.Option("--reset", help="Empty the database first.")] = False,
) -> None:
    """Fill the database with a made-up shop. What is there already is left as it is."""
    dataset = generate(random.Random(number), customers=customers, products=products, orders=orders)
    with _progress() as on_progress:
        loaded = _run(_load(url, dataset, on_progress, reset=reset))
    _report("Seeded", loaded)


@app.command("import")
def import_chinook(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="chinook.json")],
    *,
    url: Url = None,
) -> None:
    """Import the Chinook sample database: tracks as products, invoices as orders. Twice does no harm."""
    try:
        chinook = read_chinook(path.read_bytes())
    except ChinookError as error:
        _fail(f"{path}: {error}")
    with _progress() as on_progress:
        loaded = _run(_load(url, chinook.dataset, on_progress, reset=False))
    _report("Imported", loaded)
    console = Console()
    console.print(f"Skipped rows: {len(chinook.skipped)}")
    for skipped in chinook.skipped:
        console.print(f"  {skipped.row}: {skipped.reason}", markup=False)


@app.command()
def demo(
    *,
    url: Annotated[str | None, typer.Option(help="Database; by default a SQLite file in the folder.")] = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=3_600, help="How long to drive it.")] = 60,
    folder: Annotated[Path, typer.Option(file_okay=False, help="Where database and log are kept.")] = Path(".demo"),
) -> None:
    """Seed the shop, serve it, drive a minute of traffic, and leave it up to be tried.

    Without a terminal it ends after the minute: with 0, or with 1 if a request failed that should not have.
    """
    from storefront.demo import demonstrate, is_watched  # noqa: PLC0415 - the other commands need no HTTP client

    folder.mkdir(parents=True, exist_ok=True)
    # Keeps itself out of version control, wherever it is.
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    url = url or f"sqlite:///{folder / 'storefront.sqlite3'}"
    dataset = generate(random.Random(1))
    with _progress() as on_progress:
        loaded = _run(_load(url, dataset, on_progress, reset=False))
    console = Console(highlight=False)
    console.print(
        f"The shop has {len(dataset.products):,} products and {len(dataset.orders):,} orders of its seed"
        f" ({'there already' if not loaded.orders.added else 'made now'})."
    )
    raise typer.Exit(
        asyncio.run(demonstrate(url, folder.resolve() / "server.log", seconds, console, stay=is_watched()))
    )


def main() -> None:
    """Run the command line."""
    app(prog_name="storefront")


async def _load(url: str | None, dataset: Dataset, on_progress: OnProgress, *, reset: bool) -> Loaded:
    database = Database(url or database_url(os.environ))
    try:
        if reset:
            await database.drop_tables()
        await database.create_tables()
        return await load(database, dataset, on_progress)
    finally:
        await database.close()


def _run(work: Coroutine[Any, Any, Loaded]) -> Loaded:
    try:
        return asyncio.run(work)
    except SeawallError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(f"[bold red]Error:[/] {escape(message)}", soft_wrap=True)
    sys.exit(1)


@contextmanager
def _progress() -> Iterator[OnProgress]:
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield on_progress


def _report(title: str, loaded: Loaded) -> None:
    table = Table("", "added", "there already", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in loaded.__struct_fields__:
        count: Added = getattr(loaded, name)
        table.add_row(name, f"{count.added:,}", f"{count.present:,}")
    Console().print(table)
