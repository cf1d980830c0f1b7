"""A route: where on the HTTP surface an operation stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from seawall.http.binding import Bound
from seawall.operation import Operation, Policy
from seawall.problems import DeclarationError, Problem

__all__ = ["Route", "Template", "parse_template"]

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(:path)?\}")
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%-]+")


@dataclass(frozen=True, slots=True)
class Template:
    """A path with parameters, split at its slashes.

    Args:
        text: As it was written.
        segments: Each segment: its literal text, or None where a parameter stands.
        names: The parameters, in order.
        tail: Whether the last parameter takes the rest of the path, slashes included.
    """

    text: str
    segments: tuple[str | None, ...]
    names: tuple[str, ...]
    tail: bool


def parse_template(text: str, where: str) -> Template:
    """Parse ``/orders/{order_id}`` or ``/files/{path:path}``.

    Raises:
        DeclarationError: The template is malformed.
    """
    if not text.startswith("/"):
        raise DeclarationError(f"{where}: the path {text!r} must begin with '/'.")
    segments: list[str | None] = []
    names: list[str] = []
    tail = False
    parts = text[1:].split("/") if text != "/" else [""]
    for index, part in enumerate(parts):
        match = _PARAMETER.fullmatch(part)
        if match is None:
            if part and not _LITERAL.fullmatch(part):
                raise DeclarationError(
                    f"{where}: the segment {part!r} of {text!r} is neither plain text nor one whole '{{name}}' or "
                    "'{name:path}'."
                )
            segments.append(_decoded(part, text, where))
            continue
        if match[1] in names:
            raise DeclarationError(f"{where}: the path {text!r} names {{{match[1]}}} twice.")
        names.append(match[1])
        segments.append(None)
        if match[2]:
            tail = True
            if index != len(parts) - 1:
                raise DeclarationError(f"{where}: {part} takes the rest of the path, so it must come last in {text!r}.")
    return Template(text, tuple(segments), tuple(names), tail)


def _decoded(part: str, text: str, where: str) -> str:
    """Return the literal as paths are compared with it: decoded."""
    try:
        literal = unquote(part, errors="strict")
    except UnicodeDecodeError:
        literal = "/"
    if "/" in literal:
        raise DeclarationError(f"{where}: the segment {part!r} of {text!r} is no text once it is decoded.")
    return literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path, and the operation it leads to.

    Args:
        method: The HTTP method, in capitals.
        template: The path, service and group prefixes and a version in the path included.
        operation: The operation.
        policy: Its effective policy.
        bounds: Where its parameters come from.
        status: The status of a success.
        tags: For the API document.
        documented: Whether it appears in the API document.
        problems: Problems the operation itself may raise, for the API document.
        version: The version it belongs to, or None where the service has no versions.
    """

    method: str
    template: Template
    operation: Operation
    policy: Policy
    bounds: tuple[Bound, ...]
    status: int
    tags: tuple[str, ...] = ()
    documented: bool = True
    problems: tuple[type[Problem], ...] = ()
    version: str | None = None

    @property
    def path(self) -> str:
        """The path as it was written, prefixes included."""
        return self.template.text

    @property
    def result(self) -> Any:
        """The type of a success, without the `Reply` around it."""
        from seawall.http.reply import unwrap  # noqa: PLC0415 - reply imports nothing of ours; kept near its use

        return unwrap(self.operation.returns)
