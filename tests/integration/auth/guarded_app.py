"""A service with tokens, which counts the connections it makes; the same with the guard taken out."""

from __future__ import annotations

import sys
from typing import Any

from seawall import Principal, Service
from seawall.auth import BearerTokens, KeyRing, keys_from_jwks, secret_key
from seawall.call import current_call

SECRET = b"0123456789abcdef0123456789abcdef"
made: list[str] = []


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        made.append(f"{event} {arguments[:2]!r}")


def create(public_jwk: dict[str, Any] | None = None, *, guarded: bool = True) -> Service:
    import json
    import os

    keys = keys_from_jwks(json.loads(os.environ["TEST_PUBLIC_JWKS"]))
    tokens = BearerTokens(KeyRing([secret_key(SECRET), *keys]), issuer="https://issuer.example", audience="shop")
    service = Service("guarded", auth=tokens)
    if not guarded:
        # The control: whoever sends anything is somebody.
        service = Service("unguarded")

    @service.get("/me")
    async def me() -> str:
        principal: Principal | None = current_call().principal
        return principal.subject if principal else "anybody"

    @service.get("/connections", public=True)
    async def connections() -> list[str]:
        return made

    @service.get("/alive", public=True)
    async def alive() -> str:
        return "yes"

    sys.addaudithook(listen)
    return service


def unguarded() -> Service:
    return create(guarded=False)
