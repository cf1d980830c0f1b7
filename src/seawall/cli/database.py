"""``seawall db``: the migrations of a service's database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from seawall.cli.report import CommandError, complain, reporting
from seawall.cli.target import load_service

if TYPE_CHECKING:
    from seawall.data.migrations import Migrations

__all__ = ["db"]

T = TypeVar("T")

db = typer.Typer(no_args_is_help=True, help="Write, apply and compare the migrations of a service's database.")

App = Annotated[str, typer.Argument(metavar="APP", show_default=False, help="The service, as MODULE:ATTRIBUTE.")]
Traceback = Annotated[
    bool,
    typer.Option("--traceback", envvar="SEAWALL_TRACEBACK", help="Show the traceback of an error.", show_default=False),
]


@db.command()
def upgrade(
    target: App,
    revision: Annotated[str, typer.Argument(help="How far: a revision, or +1.")] = "head",
    traceback: Traceback = False,
) -> None:
    """Apply migrations that were not applied yet."""

    async def work(migrations: Migrations) -> str:
        await migrations.upgrade(revision)
        return f"The database is at {', '.join((await migrations.state()).current) or 'nothing'}."

    _run(target, work, with_traceback=traceback)


@db.command()
def revision(
    target: App,
    message: Annotated[str, typer.Option("--message", "-m", help="What it does.")],
    empty: Annotated[bool, typer.Option("--empty", help="Without content, to be filled in by hand.")] = False,
    traceback: Traceback = False,
) -> None:
    """Write a migration from what the database is to what the code's tables are. Read it before you apply it."""

    async def work(migrations: Migrations) -> str:
        return f"Wrote {await migrations.revision(message, empty=empty)}; read it before you apply it."

    _run(target, work, with_traceback=traceback)


@db.command()
def current(target: App, traceback: Traceback = False) -> None:
    """Say which migration the database is at, and which the code expects."""

    async def work(migrations: Migrations) -> str:
        state = await migrations.state()
        lines = [
            f"database: {', '.join(state.current) or 'nothing'}",
            f"code:     {', '.join(state.heads) or 'nothing'}",
        ]
        if state.missing:
            lines.append(f"{state.missing} not applied")
        if state.unknown:
            lines.append("the database is ahead of the code")
        return "\n".join(lines)

    _run(target, work, with_traceback=traceback)


@db.command()
def check(target: App, traceback: Traceback = False) -> None:
    """Fail unless the database has every migration and its tables are those of the code."""

    async def work(migrations: Migrations) -> tuple[int, list[str]]:
        return (await migrations.state()).missing, await migrations.differences()

    missing, differences = _run(target, work, with_traceback=traceback, quiet=True)
    if missing or differences:
        behind = [f"{missing} not applied; run: seawall db upgrade {target}"] if missing else []
        complain("the database is not as the code expects.", *behind, *differences)
        raise typer.Exit(1)
    typer.echo("The database is as the code expects.")


def _run(target: str, work: Callable[[Migrations], Awaitable[T]], *, with_traceback: bool, quiet: bool = False) -> T:
    with reporting(with_traceback=with_traceback):
        from seawall.data.migrations import Migrations  # noqa: PLC0415 - needs SQLAlchemy, of an extra
        from seawall.data.wiring import Sql  # noqa: PLC0415 - as above

        service = load_service(target)
        owners = [getattr(resource.factory, "__self__", None) for resource in service.resources]
        found = next((owner for owner in owners if isinstance(owner, Sql)), None)
        if found is None:
            raise CommandError(
                f"{target} has no database.", "Give it one: from seawall.data import sql; sql(service)", usage=True
            )

        async def main() -> T:
            database = found.connect()
            try:
                await database.start()
                return await work(Migrations(database, found.metadata))
            finally:
                await database.close()

        result = asyncio.run(main())
        if not quiet:
            typer.echo(result)
        return result
    raise AssertionError  # pragma: no cover - `reporting` ends the command
