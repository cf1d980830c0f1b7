"""schemathesis against the store: every check, every phase, no failure."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.clock import SystemClock

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SECONDS = 240


async def test_schemathesis_finds_nothing(sqlite_url, seed, tmp_path, log_in):
    from storefront.process import environment, serving

    await seed(sqlite_url)
    log, environ = tmp_path / "server.log", environment(sqlite_url)
    async with serving("storefront.app:service", log, environ, SystemClock()) as server:
        token = await log_in(server.address, environ)
        run = await asyncio.to_thread(
            subprocess.run,
            [
                *(
                    str(Path(sys.executable).with_name("schemathesis")),
                    "--config-file",
                    str(HERE / "schemathesis.toml"),
                ),
                *("run", f"{server.address}/openapi.json", "--checks", "all", "--no-color"),
                *("--header", f"Authorization: {token['authorization']}"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
    assert "Selected: 25/25" in run.stdout
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in run.stdout
    assert not [line for line in log.read_text().splitlines() if '"level":"error"' in line]
