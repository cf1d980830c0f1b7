"""One ``GET`` in fewer steps than the driver's own: what is read at every turn must not cost more than it tells."""

from __future__ import annotations

from typing import Any

from redis.exceptions import ConnectionError as Broken

from seawall.data.redis.traced import TracedRedis
from seawall.spans import recorder

__all__ = ["read"]


async def read(client: Any, key: str) -> bytes | None:
    """Return what ``client.get(key)`` returns.

    It takes a connection of the client's own pool and gives it back, as the driver does, so that connecting, noticing
    what the server has closed, health checks, and the bounds of waiting are the driver's. It leaves out a task for the
    sending (a request this short is taken by the socket or waits in its buffer; the answer is waited for no longer than
    the driver waits), the wrapping for retries, and the driver's own metrics. Where the connection breaks, the driver
    does it all anew, with its retries, unless there are to be none; commands that are recorded, and clusters, are the
    driver's from the beginning.

    Raises:
        redis.exceptions.RedisError: As ``client.get``.
    """
    if type(client) is not TracedRedis or client.connection is not None or recorder() is not None:
        return await client.execute_command("GET", key)  # type: ignore[no-any-return]  # bytes: see `connect`
    pool: Any = client.connection_pool
    connection = await pool.get_connection()
    try:
        await connection.check_health()
        name = key.encode()
        request = b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(name), name)
        writer = getattr(connection, "_writer", None)  # the driver's name for it, which it may change
        if writer is None or writer.is_closing():
            await connection.send_packed_command(request, check_health=False)
        else:
            writer.write(request)
        return await connection.read_response()  # type: ignore[no-any-return]  # as above
    except Broken:
        await connection.disconnect()  # as the driver does: the server may have said that it is only starting
        if not connection.retry.get_retries():
            raise
    finally:
        await pool.release(connection)
    return await client.execute_command("GET", key)  # type: ignore[no-any-return]  # as above
