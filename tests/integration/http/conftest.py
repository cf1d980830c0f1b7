"""One server process for the tests of this folder, over each of the two carriers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server, serve


@pytest.fixture(scope="session", params=["create", "behind_middleware"], ids=["wire", "asgi"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server with small limits."""
    limits = {
        "SEAWALL_HTTP_BODY_TIMEOUT": "1s",
        "SEAWALL_HTTP_HEAD_TIMEOUT": "3s",
        "SEAWALL_HTTP_MAX_BODY": "1 MiB",
        "SEAWALL_HTTP_MAX_PATH_BYTES": "1000",
        "SEAWALL_HTTP_MAX_QUERY_BYTES": "1000",
        "SEAWALL_HTTP_MAX_HEADER_COUNT": "20",
        "SEAWALL_HTTP_MAX_HEADER_BYTES": "4096",
        "SEAWALL_HTTP_MAX_QUERY_FIELDS": "10",
        "SEAWALL_SERVER_KEEP_ALIVE": "2s",
    }
    log = tmp_path_factory.mktemp("server") / "log"
    with serve(f"hostile_app:{request.param}()", Path(__file__).parent, log, **limits) as running:
        yield running


@pytest.fixture(autouse=True)
def survives(server: Server) -> Iterator[None]:
    """Fail the test after which the server does not answer any more."""
    yield
    assert server.alive(), server.log.read_text(errors="replace")
