"""Reads in fewer steps than the driver's own: what is read at every turn must not cost more than it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ConnectionError as Broken
from redis.exceptions import ResponseError

from seawall.data.redis.traced import TracedRedis
from seawall.spans import recorder

__all__ = ["Reads", "read"]

MOST = 64
"""Keys of one command: while the server answers it, everybody else waits."""
CLOSED = "The client was closed."
_Waiting = tuple[str, asyncio.Future[Any]]


class Reads:
    """Reads of one key each. Those that begin in one turn of the event loop, while others wait, are one command.

    Nobody waits for another one to begin, but an answer comes with those of the same turn. One who is cancelled leaves;
    the command goes on for the others, within the time that the driver waits. Who reads while nobody else does asks
    without a task between, and a recorded call sends a command of its own.

    Args:
        client: The client, of the event loop in which it is used.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._alone = False
        self._waiting: list[_Waiting] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under *key*; None for what is no text.

        Raises:
            redis.exceptions.RedisError: As ``client.get``, but for another kind of value.
        """
        if recorder() is not None:
            return (await read(self._client, (key,)))[0]
        if not (self._alone or self._under_way):
            self._alone = True
            try:
                return (await read(self._client, (key,)))[0]
            finally:
                self._alone = False
        if not self._waiting:
            self._send()
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        found = await future
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]  # bytes: see `connect`

    def close(self) -> None:
        """Cut short what is under way; all who wait are told."""
        for task in self._under_way:
            task.cancel()
        _tell(self._waiting, [Broken(CLOSED)] * len(self._waiting))  # their task will not have begun
        self._waiting.clear()

    def _send(self) -> None:
        """Ask in the next turn for all that are waiting by then."""
        task = asyncio.ensure_future(self._ask())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ask(self) -> None:
        waiting = self._waiting[:MOST]
        del self._waiting[:MOST]
        if self._waiting:
            self._send()
        answers: Sequence[Any] = ()
        error: Exception = Broken(CLOSED)
        try:
            answers = await read(self._client, [key for key, _ in waiting])
        except Exception as failed:  # noqa: BLE001 - it is raised to all who wait
            error = failed.with_traceback(None)
        finally:
            _tell(waiting, answers or [error] * len(waiting))


def _tell(waiting: Sequence[_Waiting], answers: Sequence[Any]) -> None:
    for (_, future), answer in zip(waiting, answers, strict=True):
        if not future.done():
            future.set_result(answer)


async def read(client: Any, keys: Sequence[str]) -> Sequence[bytes | None]:
    """Return what ``client.mget(keys)`` returns; at least one.

    It takes a connection of the client's own pool and gives it back, as the driver does, so that connecting, noticing
    what the server has closed, health checks, and the bounds of waiting are the driver's. It leaves out a task for the
    sending (a request this short is taken by the socket or waits in its buffer; the answer is waited for no longer than
    the driver waits), the wrapping for retries, and the driver's own metrics. Where the connection breaks, the driver
    does it all anew, with its retries, unless there are to be none; commands that are recorded, and clusters, are the
    driver's from the beginning.

    Raises:
        redis.exceptions.RedisError: As ``client.mget``.
    """
    if type(client) is not TracedRedis or client.connection is not None or recorder() is not None:
        return await client.execute_command("MGET", *keys)  # type: ignore[no-any-return]  # bytes: see `connect`
    pool: Any = client.connection_pool
    connection = await pool.get_connection()
    try:
        await connection.check_health()
        request = _request(keys)
        writer = getattr(connection, "_writer", None)  # the driver's name for it, which it may change
        if writer is None or writer.is_closing():
            await connection.send_packed_command(request, check_health=False)
        else:
            writer.write(request)
        answer = await connection.read_response()
        return answer if len(keys) > 1 else (answer,)
    except ResponseError as error:
        if len(keys) > 1 or "WRONGTYPE" not in str(error):
            raise
        return (None,)  # as MGET has it
    except Broken:
        await connection.disconnect()  # as the driver does: the server may have said that it is only starting
        if not connection.retry.get_retries():
            raise
    finally:
        await pool.release(connection)
    return await client.execute_command("MGET", *keys)  # type: ignore[no-any-return]  # as above


def _request(keys: Sequence[str]) -> bytes:
    """Return the command as it is sent; for one key its answer is read in fewer steps if it is no list of one."""
    if len(keys) == 1:
        name = keys[0].encode()
        return b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(name), name)
    names = [key.encode() for key in keys]
    request = b"*%d\r\n$4\r\nMGET\r\n" % (len(names) + 1)
    return request + b"".join([b"$%d\r\n%b\r\n" % (len(name), name) for name in names])
