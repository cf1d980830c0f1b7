"""An answer that says more than its value: status, header fields, cookies, ``Location``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args, get_origin

from seawall.operation import union_members

__all__ = ["Reply", "unwrap"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Reply(Generic[T_co]):
    """A value with more to say about how it is answered; declare it as ``-> Reply[Order]``.

    Args:
        value: What is encoded as the body; None sends no body.
        status: The status, or None for the route's own.
        location: The ``Location`` field: a URI reference.
        headers: Further header fields.
        cookies: ``Set-Cookie`` values, made by `seawall.set_cookie`.
    """

    value: T_co
    status: int | None = None
    location: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Iterable[bytes] = ()


def is_reply(hint: Any) -> bool:
    """Return whether *hint* is ``Reply`` or a union with it."""
    return any((get_origin(member) or member) is Reply for member in union_members(hint))


def unwrap(hint: Any) -> Any:
    """Return *hint* with ``Reply[T]`` replaced by ``T``."""
    members = tuple(
        (get_args(member) or (Any,))[0] if (get_origin(member) or member) is Reply else member
        for member in union_members(hint)
    )
    result = members[0]
    for member in members[1:]:
        result = result | member
    return result
