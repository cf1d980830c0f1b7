"""Strict-Transport-Security is for answers over https alone (RFC 6797 section 7.2), whoever ends the TLS."""

from __future__ import annotations

import pytest
from tests.support.exchange import exchange
from tests.support.settings import service

pytestmark = pytest.mark.anyio

HSTS = "strict-transport-security"


async def answers(**http):
    made = service(http={"hsts_seconds": 3600, **http})

    @made.get("/")
    async def read() -> str:
        """Answer."""
        return "ok"

    return made


async def test_not_over_http():
    assert HSTS not in (await exchange(await answers(), "GET", "/")).headers


async def test_over_https():
    answer = await exchange(await answers(), "GET", "/", scheme="https")
    assert answer.headers[HSTS] == "max-age=3600"


async def test_on_problems_too():
    answer = await exchange(await answers(), "GET", "/nothing", scheme="https")
    assert answer.status == 404
    assert answer.headers[HSTS] == "max-age=3600"


async def test_when_a_trusted_proxy_ends_the_tls():
    made = await answers(trusted_proxies=("127.0.0.0/8",))
    forwarded = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")]
    answer = await exchange(made, "GET", "/", headers=forwarded, client=("127.0.0.1", 5))
    assert answer.headers[HSTS] == "max-age=3600"
