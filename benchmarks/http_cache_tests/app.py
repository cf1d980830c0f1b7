"""A service whose one cached operation fetches what it returns from the origin of http-cache-tests.

The operation says nothing of its own: status, header fields and body are the origin's, so that the cache decides by
them. As every intermediary must, it leaves out what belongs to one connection (RFC 9110 §7.6.1).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping

import aiohttp
from starlette.requests import Request
from starlette.responses import Response

from seawall import Call, Service
from seawall.cache import CachePolicy

ORIGIN = os.environ.get("CACHE_TESTS_ORIGIN", "http://127.0.0.1:8000")
HOP_BY_HOP = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length",
    )
)  # fmt: skip
AS_THE_ORIGIN_SAYS = CachePolicy(None, heed_requests=True, targets=["CDN-Cache-Control"], stale_if_error="1h")

service = Service("http-cache-tests")


@service.resource
async def origin() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to the origin. What it sends is passed on as it is: no decoding, no redirect followed."""
    async with aiohttp.ClientSession(ORIGIN, auto_decompress=False) as session:
        yield session


@service.get("/test/{path:path}", cache=AS_THE_ORIGIN_SAYS)
async def fetch(path: str, call: Call, origin: aiohttp.ClientSession, test: str | None = None) -> Response:
    """Return what the origin has at a path."""
    return await passed_on(origin, "GET", f"/test/{path}", call.metadata, query={} if test is None else {"test": test})


async def change(path: str, request: Request, origin: aiohttp.ClientSession) -> Response:
    """Hand a change on to the origin."""
    fields = dict(request.headers.raw)
    return await passed_on(origin, request.method, f"/test/{path}", fields, await request.body())


for method in ("POST", "PUT", "DELETE", "M-SEARCH"):
    service.route(method, "/test/{path:path}", name=f"change-{method.lower()}")(change)


@service.put("/config/{test}")
async def configure(test: str, request: Request, origin: aiohttp.ClientSession) -> Response:
    """Hand the script of a test on to the origin."""
    return await passed_on(origin, "PUT", f"/config/{test}", dict(request.headers.raw), await request.body())


@service.get("/state/{test}")
async def state(test: str, request: Request, origin: aiohttp.ClientSession) -> Response:
    """Return what the origin has seen of a test."""
    return await passed_on(origin, "GET", f"/state/{test}", dict(request.headers.raw))


async def passed_on(
    origin: aiohttp.ClientSession,
    method: str,
    path: str,
    fields: Mapping[bytes, bytes],
    body: bytes | None = None,
    query: Mapping[str, str] | None = None,
) -> Response:
    """Send a request on, and return its answer without the fields of the connection."""
    sent = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in fields.items()
        if name.decode("latin-1") not in HOP_BY_HOP and name != b"host"
    }
    skipped = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
    async with origin.request(
        method, path, params=query, headers=sent, data=body, allow_redirects=False, skip_auto_headers=skipped
    ) as answer:
        content = await answer.read()
        left_out = {name.encode() for name in HOP_BY_HOP}
        for value in answer.headers.getall("Connection", ()):
            left_out.update(name.strip().lower().encode("latin-1") for name in value.split(","))
        response = Response(content, answer.status)
        response.raw_headers = [
            (name.lower(), value) for name, value in answer.raw_headers if name.lower() not in left_out
        ]
        return response
