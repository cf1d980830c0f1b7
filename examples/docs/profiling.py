"""A service with something to find: one operation blocks the event loop, one waits for a lock."""

from __future__ import annotations

import asyncio
import hashlib

from seawall import Service

service = Service("profiling")
printer = asyncio.Lock()


# region: blocking
@service.post("/passwords")
async def hash_password(password: str) -> str:
    """Hash a password, on the event loop: every other call waits for it."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), b"a salt of sixteen", 600_000).hex()


# endregion


# region: lock
@service.post("/labels/{order_id}")
async def print_label(order_id: int) -> int:
    """Print a label; there is one printer."""
    async with printer:
        await asyncio.sleep(1)
    return order_id


# endregion
