"""Groups: operations that share a path, tags, a version and policy options."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, Unpack

from seawall.http.route import Template, parse_template
from seawall.operation import Operation, Policy, PolicyOptions, describe
from seawall.problems import DeclarationError, Problem

__all__ = ["Declaration", "Group", "RouteOptions"]

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class RouteOptions(PolicyOptions, total=False):
    """What can be said of a route: the options of its policy, and how it appears."""

    name: str
    """The operation's name; the function's by default."""

    status: int
    """The status of a success: 200 by default, 204 for an operation that returns None."""

    tags: Iterable[str]
    """Tags in the API document, besides those of the groups."""

    version: str
    """The version the operation belongs to."""

    documented: bool
    """Whether the operation appears in the API document; True by default."""

    problems: Iterable[type[Problem]]
    """Problems the operation itself may raise, for the API document."""


_METHOD = re.compile(r"[A-Z][A-Z0-9_-]*")
ROUTE_ONLY = frozenset(RouteOptions.__annotations__) - frozenset(PolicyOptions.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One route as it was declared.

    Args:
        method: The HTTP method.
        template: The path, prefixes of groups included.
        operation: The operation.
        chain: The policy options of every level, the outermost first.
        status: The status of a success.
        tags: Tags of every level.
        documented: Whether it appears in the API document.
        problems: Problems the operation may raise.
    """

    method: str
    template: Template
    operation: Operation
    chain: tuple[Mapping[str, Any], ...]
    status: int
    tags: tuple[str, ...]
    documented: bool
    problems: tuple[type[Problem], ...]


class Group:
    """Operations that share a path, tags, a version and policy options; made by `Service.group`."""

    def __init__(
        self,
        parent: Group | None,
        prefix: str,
        tags: tuple[str, ...],
        version: str | None,
        options: Mapping[str, Any],
        where: str,
    ) -> None:
        self._parent = parent
        self._prefix = prefix
        self._tags = tags
        self._api_version = version
        self._options = options
        self.policy_options = options
        self.policy: Policy = (parent.policy if parent else Policy()).merge(options, where)
        self.declarations: list[Declaration] = parent.declarations if parent else []
        self.taken: dict[Any, Operation] = parent.taken if parent else {}
        self._built: Any = None

    @property
    def root(self) -> Group:
        """The group that has no parent: the service."""
        return self._parent.root if self._parent is not None else self

    def group(
        self,
        prefix: str = "",
        *,
        tags: Iterable[str] = (),
        version: str | None = None,
        **options: Unpack[PolicyOptions],
    ) -> Group:
        """Return a group within this one.

        Args:
            prefix: What its paths begin with, after this group's own; may have parameters.
            tags: Tags of its operations, besides this group's.
            version: The version its operations belong to; this group's by default.
            options: Policy options, laid over this group's.

        Raises:
            DeclarationError: An option is unknown or its value impossible.
        """
        if prefix and not prefix.startswith("/"):
            raise DeclarationError(f"group {prefix!r}: the prefix must begin with '/'.")
        return Group(
            self,
            self._prefix + prefix.rstrip("/"),
            (*self._tags, *_several("tags", tags, str, f"group {prefix!r}")),
            version or self._api_version,
            dict(options),
            f"group {prefix!r}",
        )

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Offer an operation under GET; HEAD and OPTIONS come with it. See `RouteOptions` and `PolicyOptions`."""
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Offer an operation under POST. See `RouteOptions` and `PolicyOptions`."""
        return self.route("POST", path, **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Offer an operation under PUT. See `RouteOptions` and `PolicyOptions`."""
        return self.route("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Offer an operation under PATCH. See `RouteOptions` and `PolicyOptions`."""
        return self.route("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Offer an operation under DELETE. See `RouteOptions` and `PolicyOptions`."""
        return self.route("DELETE", path, **options)

    def route(self, method: str, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Offer an operation under any *method* and *path*.

        Raises:
            DeclarationError: The function, the path or an option is impossible, or the route is taken.
        """

        def register(function: F) -> F:
            self._declare(method, path, function, dict(options))
            return function

        return register

    def _declare(
        self, method: str, path: str, function: Callable[..., Awaitable[Any]], options: dict[str, Any]
    ) -> None:
        extras = {name: options.pop(name) for name in ROUTE_ONLY & options.keys()}
        if not _METHOD.fullmatch(method):
            raise DeclarationError(f"route {path!r}: {method!r} is not a method; write it in capitals, like 'GET'.")
        operation = describe(function, name=extras.get("name"), version=extras.get("version") or self._api_version)
        _refuse_unknown(options, operation)
        self.policy.merge(options, operation.where)
        if path and not path.startswith("/"):
            raise DeclarationError(f"{operation.where}: the path {path!r} must begin with '/'.")
        nothing = operation.returns is type(None)
        declaration = Declaration(
            method=method,
            template=parse_template(self._prefix + ("" if self._prefix and path == "/" else path), operation.where),
            operation=operation,
            chain=(*self._chain(), options),
            status=_status(extras.get("status", 204 if nothing else 200), operation, nothing=nothing),
            tags=(*self._tags, *_several("tags", extras.get("tags", ()), str, operation.where)),
            documented=extras.get("documented", True),
            problems=_several("problems", extras.get("problems", ()), type, operation.where),
        )
        self._refuse_twins(declaration)
        self.declarations.append(declaration)
        self._forget()

    def _chain(self) -> tuple[Mapping[str, Any], ...]:
        return (*(self._parent._chain() if self._parent else ()), self._options)  # noqa: SLF001 - a group's own parent

    def _forget(self) -> None:
        """Drop what was compiled: there is more to compile now."""
        self._built = None
        if self._parent is not None:
            self._parent._forget()  # noqa: SLF001 - a group's own parent

    def _refuse_twins(self, new: Declaration) -> None:
        operation = new.operation
        place = (new.method, new.template.segments, new.template.tail, operation.version)
        old = self.taken.get(place)
        if old is not None:
            raise DeclarationError(
                f"{operation.where}: {new.method} {new.template.text} is taken by {old.where}; give one another path, "
                "method or version."
            )
        self._claim_name(operation)
        self.taken[place] = operation

    def _claim_name(self, operation: Operation) -> None:
        old = self.taken.setdefault((operation.name, operation.version), operation)
        if old is not operation:
            raise DeclarationError(
                f"{operation.where}: there is another {old.where}; configuration and documents tell operations apart "
                "by their names, so give one of them name='…'."
            )


def _several(option: str, values: Iterable[Any], kind: type, where: str) -> tuple[Any, ...]:
    """Return the values of an option that takes several; one text is not several letters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise DeclarationError(f"{where}: {option}={values!r} must be several; write {option}=[{values!r}].")
    result = tuple(values)
    for value in result:
        if not isinstance(value, kind):
            raise DeclarationError(f"{where}: {option} has {value!r} in it, which is no {kind.__name__}.")
    return result


def _refuse_unknown(options: Mapping[str, Any], operation: Operation) -> None:
    """Refuse an option that neither routes nor policies have, while both can be suggested."""
    for name in options.keys() - RouteOptions.__annotations__.keys() - PolicyOptions.__annotations__.keys():
        known = sorted({*RouteOptions.__annotations__, *PolicyOptions.__annotations__})
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}."
        raise DeclarationError(f"{operation.where}: unknown option {name!r}; {hint}")


def _status(status: Any, operation: Operation, *, nothing: bool) -> int:
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 399:
        raise DeclarationError(
            f"{operation.where}: status={status!r} is no success; use 200 to 399 (others are problems to raise)."
        )
    if nothing and status not in (200, 201, 202, 204, 205):
        raise DeclarationError(f"{operation.where}: status={status} for an operation that returns None; use 204.")
    if not nothing and status in (204, 205, 304):
        raise DeclarationError(f"{operation.where}: status={status} has no body, but it returns a value; return None.")
    return status
