"""One Lua script, run as one atomic step by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

__all__ = ["Script"]


class Script:
    """A Lua script.

    It is sent by its hash (``EVALSHA``), and whole when the server does not know it: after a restart, a failover, or
    ``SCRIPT FLUSH``. Sending it whole runs it and makes it known in the same step. In a cluster all *keys* must belong
    to one slot: give them a common ``{tag}``.

    Args:
        source: The script; gets `KEYS` and `ARGV`.
    """

    __slots__ = ("sha", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        # SHA-1 is what EVALSHA names scripts by; nothing rests on its strength.
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, client: Any, keys: Sequence[str | bytes], *arguments: str | bytes | float) -> Any:
        """Run it and return what it returns.

        Raises:
            redis.exceptions.RedisError: The server cannot be reached, or the script failed.
        """
        from redis.exceptions import NoScriptError  # noqa: PLC0415 - of an extra; the client exists, so it is there

        try:
            return await client.evalsha(self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await client.eval(self.source, len(keys), *keys, *arguments)
