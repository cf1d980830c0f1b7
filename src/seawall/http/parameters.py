"""Where a parameter comes from, said in ``Annotated``: ``Annotated[str, Header("X-Tenant")]``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from seawall.operation import Marker
from seawall.problems import FieldError

__all__ = ["Body", "Check", "Cookie", "Form", "Header", "Path", "Query"]


@dataclass(frozen=True, slots=True)
class Path(Marker):
    """From the path; *name* is the one in the template when it differs from the parameter's."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class Query(Marker):
    """From the query. A type with fields takes each of its fields from the query."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class Header(Marker):
    """From a header field; by default the parameter's name with hyphens for underscores."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class Cookie(Marker):
    """From a cookie."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class Body(Marker):
    """The body, decoded by its media type; ``bytes`` takes it as it came."""


@dataclass(frozen=True, slots=True)
class Form(Marker):
    """The body as a form (``application/x-www-form-urlencoded`` or ``multipart/form-data``).

    The type's fields are the form's; a field of type `UploadFile` takes a file.
    """


@dataclass(frozen=True, slots=True)
class Check(Marker):
    """A validation that needs more than the value itself: the database, another service, the clock.

    Args:
        function: Takes the value and any resources by type, and returns or yields (or, being async,
            returns) what is wrong; nothing means all is well. Pointers are relative to the value.
    """

    function: Callable[..., Iterable[FieldError] | Awaitable[Iterable[FieldError] | None] | Any | None]
