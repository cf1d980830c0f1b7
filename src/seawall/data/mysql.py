"""MariaDB and MySQL by aiomysql. What is cancelled is killed at the server, which would go on with it otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine
from sqlalchemy.util.concurrency import await_, in_greenlet

from seawall.data.backend import Failure
from seawall.data.spans import BeginStatement
from seawall.settings import DatabaseSettings

__all__ = ["Mysql", "backend"]

_BY_CODE = {
    1213: Failure.SERIALIZATION,  # deadlock
    1205: Failure.SERIALIZATION,  # lock wait timeout
    1020: Failure.SERIALIZATION,  # record has changed since last read (MariaDB, snapshot isolation)
    1969: Failure.TIMEOUT,  # max_statement_time (MariaDB)
    3024: Failure.TIMEOUT,  # max_execution_time (MySQL)
    1062: Failure.DUPLICATE,
    1040: Failure.UNREACHABLE,  # too many connections
    1053: Failure.UNREACHABLE,  # shutdown
    1927: Failure.UNREACHABLE,  # connection was killed
    2003: Failure.UNREACHABLE,
    2006: Failure.UNREACHABLE,
    2013: Failure.UNREACHABLE,
    2014: Failure.UNREACHABLE,
    2055: Failure.UNREACHABLE,
    1044: Failure.REFUSED,
    1045: Failure.REFUSED,
    1049: Failure.REFUSED,
    1698: Failure.REFUSED,
}
_KILL_SECONDS = 2.0


class Mysql:
    """What is particular to MariaDB and MySQL."""

    name = "mysql"
    single_writer = False

    @staticmethod
    @contextmanager
    def watch_driver(connection: Any, begin: BeginStatement) -> Iterator[None]:
        """Tell of every statement; its values stand in it already, and are left out by whoever shows it."""
        run = connection.query

        async def query(statement: Any, *arguments: Any, **options: Any) -> Any:
            end = begin(statement if isinstance(statement, str) else bytes(statement).decode(errors="replace"))
            try:
                answer = await run(statement, *arguments, **options)
            except BaseException as error:
                end(error)
                raise
            end(None)
            return answer

        connection.query = query
        try:
            yield
        finally:
            del connection.query

    def options(self, settings: DatabaseSettings, application: str) -> Mapping[str, Any]:
        """Return keyword arguments of the engine; a connection is asked whether it lives before it is used."""
        arguments = {"connect_timeout": settings.connect_timeout, "program_name": application[:63]}
        return {"connect_args": arguments, "pool_pre_ping": True}

    def prepare(self, engine: Engine, settings: DatabaseSettings, *, read_only: bool) -> None:
        """Set the server's own limit, begin transactions as what they are, and kill what is cancelled."""
        seconds = settings.statement_timeout

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, _: Any) -> None:
            cursor = connection.cursor()
            try:
                cursor.execute(f"SET SESSION max_statement_time = {seconds:.3f}")  # MariaDB
            except Exception:  # noqa: BLE001 - MySQL has it under another name and in milliseconds
                cursor.execute(f"SET SESSION max_execution_time = {int(seconds * 1000)}")
            cursor.close()

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            if read_only or connection.get_execution_options().get("seawall_read"):
                connection.exec_driver_sql("START TRANSACTION READ ONLY")

        @event.listens_for(engine, "invalidate")
        def kill(connection: Any, record: Any, error: BaseException | None) -> None:
            if isinstance(error, asyncio.CancelledError) and in_greenlet():
                number = connection.driver_connection.thread_id()
                target = record.info.get("seawall_target")
                if target is not None:
                    await_(asyncio.shield(_kill(target.arguments, number)))

    def is_alive(self, connection: Any) -> bool:
        """Whether it was not closed here."""
        return not connection.closed

    def is_clean(self, connection: Any) -> bool:
        """Whether no transaction is open."""
        return not connection.get_transaction_status()

    def classify(self, error: BaseException) -> Failure | None:
        """Return what an error means, by its number."""
        code = error.args[0] if error.args else None
        return _BY_CODE.get(code) if isinstance(code, int) else None


async def _kill(arguments: Mapping[str, Any], number: int) -> None:
    """End the connection *number* at the server; when that cannot be had, its statement ends by its own limit."""
    import aiomysql  # type: ignore[import-untyped]  # noqa: PLC0415 - the driver, of an extra

    with suppress(Exception):
        async with asyncio.timeout(_KILL_SECONDS):
            connection = await aiomysql.connect(**arguments)
            try:
                async with connection.cursor() as cursor:
                    await cursor.execute(f"KILL CONNECTION {int(number)}")
            finally:
                connection.close()


backend = Mysql()
