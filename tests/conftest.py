"""Fixtures every test shares."""

from __future__ import annotations

from seawall.testing.fixtures import anyio_backend, manual_clock, no_leaks

__all__ = ["anyio_backend", "manual_clock", "no_leaks"]
