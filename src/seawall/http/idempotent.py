"""Says which routes can be idempotent by a key, and which cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from seawall.http.binding import Source
from seawall.http.encoding import returns_response
from seawall.http.route import Route
from seawall.plan.idempotency import METHODS
from seawall.problems import DeclarationError

__all__ = ["idempotent_where_possible"]


def idempotent_where_possible(route: Route, own: Mapping[str, Any]) -> Route:
    """Return *route*; what a group or the service says of idempotency counts for POST and PATCH alone.

    Args:
        route: The route.
        own: The options written on the operation itself.

    Raises:
        DeclarationError: The operation itself says that it is idempotent, and that cannot be.
    """
    if route.policy.idempotent is None:
        return route
    if route.method not in METHODS:
        if own.get("idempotent"):
            raise DeclarationError(
                f"{route.operation.where}: idempotent is for POST and PATCH; {route.method} is idempotent by itself. "
                "Leave it out."
            )
        return dataclasses.replace(route, policy=dataclasses.replace(route.policy, idempotent=None))
    if returns_response(route.operation.returns):
        raise DeclarationError(
            f"{route.operation.where}: an answer that is a Response of its own cannot be kept; return a value, or say "
            "idempotent=False."
        )
    if any(bound.source in (Source.FORM, Source.REQUEST) for bound in route.bounds):
        raise DeclarationError(
            f"{route.operation.where}: forms and the Request itself are read as they come, and cannot be compared "
            "with an earlier request; take a body, or say idempotent=False."
        )
    return route
