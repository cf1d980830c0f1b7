"""Fixtures of conformance tests: real servers, and virtual time for those that ask for it."""

from seawall.testing.fixtures import anyio_backend, manual_clock
from support.stores import mysql_url, postgres_database, redis_url

__all__ = ["anyio_backend", "manual_clock", "mysql_url", "postgres_database", "redis_url"]
