"""Fixtures every test shares."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio; Seawall runs on nothing else."""
    return "asyncio"
