"""Fixtures of unit tests: virtual time for those that ask for it."""

from seawall.testing.fixtures import anyio_backend, manual_clock, no_leaks

__all__ = ["anyio_backend", "manual_clock", "no_leaks"]
