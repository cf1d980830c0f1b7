"""A client that calls a service in memory: no socket, no server, the whole plan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from seawall.problems import ConfigurationError
from seawall.service import Service

if TYPE_CHECKING:
    import httpx

__all__ = ["client"]


@asynccontextmanager
async def client(service: Service, *, base_url: str = "http://testserver") -> AsyncIterator[httpx.AsyncClient]:
    """Start *service* for the time of the block and yield a client for it.

    ::

        async with client(service) as http:
            answer = await http.get("/orders/7")
            assert answer.status_code == 200

    Args:
        service: The service; its resources start before the block and stop after it.
        base_url: What relative URLs are relative to.

    Raises:
        ConfigurationError: The service cannot start, or the ``testing`` extra is not installed.
    """
    try:
        import httpx  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("seawall.testing.client needs httpx: pip install 'seawall[testing]'.") from None
    async with service.running():
        transport = httpx.ASGITransport(service, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as made:
            yield made
