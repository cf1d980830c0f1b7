"""Migrations by Alembic: a folder of them, the state of the database, and what a start says when they differ.

The folder needs no ``env.py`` of the user's own making: `seawall db revision` writes one that calls `run`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData

from seawall.data.backend import shown_url
from seawall.data.database import Database
from seawall.problems import ConfigurationError, SeawallError

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["Migrations", "MigrationsBehind", "State", "check_at_start", "run"]

logger = logging.getLogger("seawall.data")

_ENV = '''"""Run by Alembic; which database and which tables, `seawall db` says."""

from seawall.data.migrations import run

run()
'''
_SCRIPT = '''"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
'''
_LOCK = 0x5EAA11  # any number of our own: workers that migrate at once take turns


class MigrationsBehind(ConfigurationError):
    """Migrations of the code were not applied to the database."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a database stands.

    Args:
        current: Revisions the database is at.
        heads: Revisions the code expects.
        missing: How many migrations of the code were not applied.
        unknown: Revisions of the database that the code does not have: it is ahead.
    """

    current: tuple[str, ...]
    heads: tuple[str, ...]
    missing: int
    unknown: tuple[str, ...]


class Migrations:
    """The migrations of one database.

    Args:
        database: The database; need not be started.
        metadata: The tables the code has, for `revision` and `differences`.
    """

    def __init__(self, database: Database, metadata: MetaData | None = None) -> None:
        self._database = database
        self._metadata = metadata
        self.folder = Path(database.settings.migrations)

    @property
    def exist(self) -> bool:
        """Whether there is a folder of migrations."""
        return (self.folder / "env.py").is_file()

    async def state(self) -> State:
        """Return where the database stands."""
        async with self._database.reading_primary() as connection:
            return await connection.run_sync(self._state)

    async def upgrade(self, revision: str = "head") -> None:
        """Apply migrations up to *revision*; several who do so at once take turns.

        Raises:
            MigrationError: A migration or revision is wrong.
        """
        self._need_folder()
        from alembic import command  # noqa: PLC0415 - of an extra, and slow

        async with self._database.write() as connection:
            if self._database.backend.name == "postgresql":
                await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            await connection.run_sync(lambda sync: _reported(command.upgrade, self._config(sync), revision))

    async def revision(self, message: str, *, empty: bool = False) -> Path:
        """Write a migration from what the database is to what the tables of the code are.

        Args:
            message: What it does; part of the file's name.
            empty: Whether to write one without content, to be filled in by hand.

        Returns:
            The file.

        Raises:
            ConfigurationError: The tables of the code are not known.
            MigrationError: The database is not at the last migration.
        """
        from alembic import command  # noqa: PLC0415 - as above

        if not empty and self._metadata is None:
            raise ConfigurationError(
                "seawall db revision: the tables are not known; give them, as in sql(service, metadata=Base.metadata), "
                "or write an empty migration with --empty."
            )
        self._prepare_folder()

        def write(sync: Connection) -> Any:
            return _reported(command.revision, self._config(sync), message=message, autogenerate=not empty)

        async with self._database.write() as connection:  # Alembic makes its own table where there is none
            script = await connection.run_sync(write)
        return Path(script.path)

    async def differences(self) -> list[str]:
        """Return what differs between the database and the tables of the code, for people.

        Raises:
            ConfigurationError: The tables of the code are not known.
        """
        from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - as above
        from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as above

        metadata = self._metadata
        if metadata is None:
            raise ConfigurationError(
                "seawall db check: the tables are not known; give them, as in sql(service, metadata=Base.metadata)."
            )

        def compare(sync: Connection) -> list[str]:
            return [_difference(each) for each in compare_metadata(MigrationContext.configure(sync), metadata)]

        async with self._database.reading_primary() as connection:
            return await connection.run_sync(compare)

    def _state(self, sync: Connection) -> State:
        from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as above
        from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

        current = MigrationContext.configure(sync).get_current_heads()
        if not self.exist:
            return State(tuple(current), (), 0, tuple(current))
        scripts = ScriptDirectory.from_config(self._config(sync))
        known = {script.revision for script in scripts.walk_revisions()}
        unknown = tuple(revision for revision in current if revision not in known)
        applied: set[str] = set()
        pending = [revision for revision in current if revision in known]
        while pending:
            revision = pending.pop()
            applied.add(revision)
            down = scripts.get_revision(revision).down_revision
            pending += [each for each in ((down,) if isinstance(down, str) else down or ()) if each not in applied]
        # A database that is ahead has had all that this code knows: newer migrations stand on older ones.
        missing = 0 if unknown else len(known - applied)
        return State(tuple(current), tuple(scripts.get_heads()), missing, unknown)

    def _config(self, sync: Connection) -> Config:
        from alembic.config import Config  # noqa: PLC0415 - as above

        config = Config()
        config.set_main_option("script_location", str(self.folder).replace("%", "%%"))
        config.attributes["connection"] = sync
        config.attributes["metadata"] = self._metadata
        return config

    def _need_folder(self) -> None:
        if not self.exist:
            raise ConfigurationError(
                f"there are no migrations in {str(self.folder)!r} (database.migrations); "
                "write the first one with: seawall db revision APP -m 'first'."
            )

    def _prepare_folder(self) -> None:
        (self.folder / "versions").mkdir(parents=True, exist_ok=True)
        for name, content in (("env.py", _ENV), ("script.py.mako", _SCRIPT)):
            if not (self.folder / name).exists():
                (self.folder / name).write_text(content)


class MigrationError(SeawallError):
    """A migration cannot be run; the message is Alembic's."""


def run() -> None:
    """Run migrations on the connection that `seawall db` has opened; called by ``env.py``."""
    from alembic import context  # noqa: PLC0415 - as above

    attributes = context.config.attributes
    connection = attributes.get("connection")
    if connection is None:
        raise ConfigurationError("migrations: run them with 'seawall db upgrade APP', which knows the database.")
    context.configure(
        connection=connection,
        target_metadata=attributes.get("metadata"),
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


async def check_at_start(database: Database) -> None:
    """Compare database and code as the settings say.

    Raises:
        MigrationsBehind: Migrations were not applied, and the settings say to refuse.
    """
    if not (Path(database.settings.migrations) / "env.py").is_file():
        return
    if logging.getLogger("alembic").level == logging.NOTSET:  # it tells at length what it looks at
        logging.getLogger("alembic").setLevel(logging.WARNING)
    state = await Migrations(database).state()
    shown = f"database {shown_url(database.url)!r}"
    if state.unknown:
        logger.warning(
            "%s is ahead of this code: it is at %s, which the code does not know. That is so while a newer release "
            "rolls out; otherwise deploy the code that goes with it.",
            shown,
            ", ".join(state.unknown),
        )
    if state.missing:
        message = (
            f"{shown}: {state.missing} migration{'s were' if state.missing > 1 else ' was'} not applied: it is at "
            f"{', '.join(state.current) or 'nothing'}, the code expects {', '.join(state.heads)}. "
            "Run: seawall db upgrade APP."
        )
        if database.settings.migrations_check == "refuse":
            raise MigrationsBehind(f"{message} (SEAWALL_DATABASE_MIGRATIONS_CHECK=warn starts all the same.)")
        logger.warning("%s", message)


def _reported(function: Any, *arguments: Any, **options: Any) -> Any:
    from alembic.util import CommandError  # noqa: PLC0415 - as above

    try:
        return function(*arguments, **options)
    except CommandError as error:
        raise MigrationError(f"migrations: {error}") from error


def _difference(change: Any) -> str:
    first = change[0] if isinstance(change, list) else change
    words = str(first[0]).replace("_", " ")
    names = [str(getattr(part, "name", part)) for part in first[1:] if isinstance(part, str) or hasattr(part, "name")]
    return f"{words} {'.'.join(names)}".strip()
