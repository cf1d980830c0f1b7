"""redbot on the store: pages, documents, files and answers, each with the requests it makes of its own."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import httpx
import pytest

from seawall.clock import SystemClock

pytestmark = pytest.mark.anyio

NOTES = Path(__file__).with_name("redbot_notes.py")
SECONDS = 60
CLOSED = ("/dashboard", "/orders", "/users")
# It is what lets caches on the way keep the answers to those who send a token there, which nobody needs to.
PUBLIC = "Cache-Control: public is probably not necessary."
EXPECTED = {"/items/5": {"The resource has been deprecated.", PUBLIC}, "/products/5": {PUBLIC}}  # as they are meant


async def notes_on(url, headers):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(NOTES),
        url,
        json.dumps(headers),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    return [json.loads(line) for line in output.splitlines()]


async def test_redbot_has_nothing_to_say_against_it(sqlite_url, seed, tmp_path, log_in):
    from storefront.process import environment, serving

    await seed(sqlite_url)
    environ = environment(sqlite_url)
    async with (
        serving("storefront.app:service", tmp_path / "server.log", environ, SystemClock()) as server,
        httpx.AsyncClient(base_url=server.address, trust_env=False) as http,
    ):
        token = await log_in(server.address, environ)
        page = (await http.get("/docs")).text
        assets = [f"/{name}" for name in re.findall(r'(?:src|href)="(docs/assets/[^"]+)"', page)]
        assert len(assets) >= 2
        paths = [
            *("/", "/static/style.css", "/static/icon.svg", "/docs", "/openapi.json", *assets),
            *("/dashboard", "/products?limit=5", "/products?q=lamp&limit=100", "/products/5", "/orders/5", "/users/5"),
            *("/items/5", "/products/2147483647", "/nowhere"),
        ]
        limit = asyncio.Semaphore(4)

        async def look(path):
            async with limit:
                return await notes_on(server.address + path, token if path.startswith(CLOSED) else {})

        found = dict(zip(paths, await asyncio.gather(*map(look, paths)), strict=True))
    bad = [
        (path, note)
        for path, notes in found.items()
        for note in notes
        if note["level"] in {"BAD", "WARN"} and note["summary"] not in EXPECTED.get(path, ())
    ]
    assert not bad
    assert {notes[0]["summary"] for path, notes in found.items() if path in {"/", "/dashboard"}} == {"status 200"}
    summaries = {note["summary"] for notes in found.values() for note in notes}
    assert "If-None-Match conditional requests are supported." in summaries, "it has looked"
