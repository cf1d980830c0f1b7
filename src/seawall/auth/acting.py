"""Predicates and principals for code of the service's own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from seawall.call import Call, Principal, current, enter, leave

__all__ = ["acting_as", "authenticated"]


def authenticated(principal: Principal) -> bool:  # noqa: ARG001 - that there is one is all that is asked
    """Let in everybody who is known: ``allow=authenticated``."""
    return True


@contextmanager
def acting_as(principal: Principal) -> Generator[None]:
    """Make calls of the service's own operations (`Service.call`) as *principal* within the block."""
    outer = current.get(None)
    call = Call(outer.id, outer.operation, outer.metadata, outer.peer) if outer else Call(b"internal", "")
    call.principal = principal
    token = enter(call)
    try:
        yield
    finally:
        leave(token)
