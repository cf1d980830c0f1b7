"""What identity costs a call, by processor time in this process: ``python benchmarks/identity.py``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from seawall import Service
from seawall.auth import BearerTokens, Grant, KeyRing, TokenService, secret_key
from seawall.settings import ServiceSettings, Settings

SECRET = "0123456789abcdef0123456789abcdef"
ROUNDS = 50_000


def cpu(function: Callable[[], object], rounds: int) -> float:
    """Return the microseconds of one call, the best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(rounds):
            function()
        best = min(best, time.process_time() - began)
    return best / rounds * 1e6


def plan_cost(service: Service, headers: list[tuple[bytes, bytes]]) -> float:
    """Return the microseconds of one whole call over ASGI, without a server."""
    scope = {"type": "http", "method": "GET", "path": "/x", "raw_path": b"/x", "query_string": b"", "scheme": "http"}
    scope |= {"headers": headers, "client": ("192.0.2.1", 1), "root_path": ""}

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None: ...

    async def run() -> float:
        app = service.asgi
        best = float("inf")
        for _ in range(7):
            began = time.process_time()
            for _ in range(20_000):
                await app(scope, receive, send)
            best = min(best, time.process_time() - began)
        return best / 20_000 * 1e6

    return asyncio.run(run())


def main() -> None:
    """Measure and print."""
    tokens = TokenService(secret_key(SECRET), issuer="https://issuer.example", audience="shop")
    grant = Grant(subject="ann", roles=frozenset({"customer"}), scopes=frozenset({"read", "write"}))
    scheme = BearerTokens(KeyRing([secret_key(SECRET)]), issuer="https://issuer.example", audience="shop")
    plain, guarded = (
        Service("plain", settings=Settings(service=ServiceSettings(docs=False)), **options)
        for options in ({}, {"auth": scheme, "roles": {"customer"}})
    )

    async def nothing() -> str:
        return "yes"

    for service in (plain, guarded):
        service.get("/x")(nothing)
        service.build()
    sent = f"Bearer {tokens.access_token(grant)}".encode()
    scheme.cache.put(bytes(sent), *scheme.verifier(sent[7:]), now=time.time())
    get, clock, unknown = scheme.cache.get, time.time, (None, 0.0)
    # As a server hands them over: other bytes with every request, whose hash is not known yet.
    arriving = iter([{b"authorization": bytes(bytearray(sent))} for _ in range(ROUNDS * 5)])

    def cached() -> object:
        principal, until = get(next(arriving).get(b"authorization"), unknown)
        return principal if until > clock() else None

    print(f"cached token, the lines of the plan     {cpu(cached, ROUNDS):6.2f} µs ({len(sent)} bytes)")
    fresh = [tokens.access_token(grant).encode() for _ in range(5_000)]
    each = iter(fresh * 5)
    print(f"HS256, every token new                  {cpu(lambda: scheme.verifier(next(each)), 5_000):6.2f} µs")
    headers = [(b"host", b"shop"), (b"authorization", sent)]
    without, with_guard = plan_cost(plain, headers), plan_cost(guarded, headers)
    print(f"a whole call without guards             {without:6.2f} µs")
    print(f"the same with token and role            {with_guard:6.2f} µs, {with_guard - without:.2f} more")


if __name__ == "__main__":
    main()
