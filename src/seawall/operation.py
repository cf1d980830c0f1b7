"""Operation and Policy: what a service offers, and what stands guard in front of it."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import re
import types
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from seawall.problems import DeclarationError
from seawall.units import seconds, size

if TYPE_CHECKING:
    from seawall.auth.scheme import Scheme  # auth imports the plan
    from seawall.cache.policy import CachePolicy
    from seawall.idempotency.rule import Idempotency
    from seawall.limit.rate import Rate
    from seawall.plan.guards import Guard  # the plan imports this module

__all__ = ["Operation", "Parameter", "Policy", "PolicyOptions", "describe"]

MISSING: Any = inspect.Parameter.empty
_REFERENCE = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


class PolicyOptions(TypedDict, total=False):
    """The options of a policy, as they are written on a service, a group or an operation.

    The inner one wins; configuration (``[operations.NAME]``) wins over all of them.
    """

    timeout: float | str | None
    """Seconds (or ``"500ms"``, ``"2s"``) the operation may take before it is cancelled and answered with
    504; None lifts the limit."""

    on_disconnect: Literal["cancel", "finish"]
    """Whether a call is cancelled when its client goes away before the answer, or runs to its end all the same."""

    max_body: int | str
    """Bytes (or ``"1 MiB"``) of body the operation accepts before it answers 413."""

    unknown_fields: Literal["refuse", "ignore"]
    """Whether a body with fields the type does not know is answered with 422."""

    duplicate_keys: Literal["last", "refuse"]
    """Whether a JSON object that names a key twice is answered with 400, or its last value counts."""

    compress: bool
    """Whether answers are compressed when the client accepts it and they are large enough."""

    retry_serialization: int
    """How often the operation is run again, within its deadline, when its database asks for that because others
    changed the same data (SQLSTATE 40001 and its kin). Only for operations that do nothing but their session's work."""

    deprecated: bool | date | str
    """Since when callers should move on (RFC 9745 ``Deprecation``); True states it in the document only."""

    sunset: date | str | None
    """When the operation is expected to go away (RFC 8594 ``Sunset``)."""

    successor: str | None
    """Where to move to: a URI reference sent as ``Link`` with ``rel="successor-version"``."""

    rate: str | Rate | Iterable[str | Rate] | None
    """How often the operation may be called by whom: ``"100/minute"``, ``"10/second burst 20"``, ``"10000 each day"``,
    a `Rate`, or several; then 429. None lifts what an outer level says."""

    priority: Literal["health", "critical", "normal", "sheddable"]
    """What is refused first when there is too much to do: ``sheddable``, then ``normal``, then ``critical``;
    ``health`` never is."""

    concurrency: int | Literal["adaptive"] | None
    """How many calls of the operation run at once: a number, or as many as it can be measured to take; then 503."""

    cache: float | str | CachePolicy | None
    """How long answers of a GET are kept, here and by callers: seconds, ``"30s"``, or a `CachePolicy` for more. An
    operation that is not open to everybody has answers of its own for each caller."""

    idempotent: bool | Idempotency
    """Whether POST and PATCH take an ``Idempotency-Key``: what is sent again with one is done once and
    answered alike."""

    auth: Scheme | Iterable[Scheme]
    """How callers show who they are: any one of these schemes. Closes the operation to those who do not."""

    roles: Iterable[str]
    """The caller must have one of these roles; else 403."""

    scopes: Iterable[str]
    """The caller's credentials must have been granted all of these scopes; else 403."""

    allow: Callable[..., bool | Awaitable[bool]] | None
    """A predicate over the caller and the operation's arguments that must return True; else 403."""

    public: bool
    """True opens the operation to everybody, whatever outer levels say."""

    deny_by_default: bool
    """Whether an operation that says neither roles, scopes, allow nor public is closed to everybody."""

    guards: Iterable[Guard]
    """Guards of the user's own. Those of outer levels stay; one of the same name replaces the outer one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What guards an operation, every option resolved. See `PolicyOptions` for their meaning."""

    timeout: float | None = 30.0
    on_disconnect: Literal["cancel", "finish"] = "cancel"
    max_body: int = 1024 * 1024
    unknown_fields: Literal["refuse", "ignore"] = "refuse"
    duplicate_keys: Literal["last", "refuse"] = "last"
    compress: bool = True
    retry_serialization: int = 0
    deprecated: bool | datetime = False
    sunset: datetime | None = None
    successor: str | None = None
    rate: tuple[Rate, ...] = ()
    priority: Literal["health", "critical", "normal", "sheddable"] = "normal"
    concurrency: int | Literal["adaptive"] | None = None
    cache: CachePolicy | None = None
    idempotent: Idempotency | None = None
    auth: tuple[Scheme, ...] = ()
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    allow: Callable[..., bool | Awaitable[bool]] | None = None
    public: bool = False
    deny_by_default: bool = False
    guards: tuple[Guard, ...] = ()

    @property
    def closed(self) -> bool:
        """Whether somebody must be known to call."""
        asks = self.auth or self.roles or self.scopes or self.allow or self.deny_by_default
        return bool(asks) and not self.public

    @property
    def denies_everybody(self) -> bool:
        """Whether it is closed because nothing says who may."""
        return self.deny_by_default and not (self.public or self.roles or self.scopes or self.allow)

    def merge(self, options: Mapping[str, Any], where: str) -> Policy:
        """Return this policy with *options* laid over it.

        Args:
            options: Raw options, as `PolicyOptions` takes them.
            where: What to name in an error, such as ``operation 'read_order'``.

        Raises:
            DeclarationError: An option is unknown or its value impossible.
        """
        changes: dict[str, Any] = {}
        for name, value in options.items():
            resolve = _RESOLVERS.get(name)
            if resolve is None:
                close = difflib.get_close_matches(name, _RESOLVERS, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(_RESOLVERS))}."
                raise DeclarationError(f"{where}: unknown policy option {name!r}; {hint}")
            try:
                changes[name] = resolve(value, self)
            except (TypeError, ValueError) as error:
                raise DeclarationError(f"{where}: policy option {name}={value!r} is not possible: {error}") from None
        merged = dataclasses.replace(self, **_access(changes, where))
        if merged.sunset and isinstance(merged.deprecated, datetime) and merged.sunset < merged.deprecated:
            raise DeclarationError(
                f"{where}: sunset={merged.sunset:%Y-%m-%d} comes before deprecated={merged.deprecated:%Y-%m-%d}; "
                "an operation is deprecated first (RFC 9745 section 3)."
            )
        return merged


def _access(changes: dict[str, Any], where: str) -> dict[str, Any]:
    """Return *changes* with what they say of access said completely.

    ``public=True`` lifts the rules of outer levels; rules close what an outer level made public.
    """
    rules = [name for name in ("roles", "scopes", "allow") if changes.get(name)]
    if changes.get("public"):
        if rules:
            raise DeclarationError(f"{where}: public=True lets everybody in, and {rules[0]}=… does not; keep one.")
        return {"roles": frozenset(), "scopes": frozenset(), "allow": None, **changes}
    if (rules or changes.get("auth")) and "public" not in changes:
        return {**changes, "public": False}
    return changes


def _auth(value: Any, _: Policy) -> tuple[Any, ...]:
    from seawall.auth.scheme import Scheme  # noqa: PLC0415 - auth imports the plan, which imports this module

    schemes = (value,) if isinstance(value, Scheme) else tuple(value or ())
    for scheme in schemes:
        if not isinstance(scheme, Scheme):
            raise TypeError(f"{scheme!r} is no scheme; import one from seawall.auth, such as BearerTokens()")
    if schemes and all(scheme.name == "anonymous" for scheme in schemes):
        raise ValueError("nobody could show who they are; write public=True")
    return schemes


def _names(value: Any, _: Policy) -> frozenset[str]:
    if isinstance(value, str):
        raise TypeError(f"it must be several; write {{{value!r}}}")
    names: frozenset[Any] = frozenset(value or ())
    for name in names:
        if not isinstance(name, str) or not name or name.split() != [name]:
            raise ValueError(f"{name!r} is no name without spaces")
    return names


def _allow(value: Any, _: Policy) -> Any:
    if value is not None and not callable(value):
        raise TypeError("it must be a function that returns whether the caller may")
    return value


def _timeout(value: Any, _: Policy) -> float | None:
    if value is None:
        return None
    result = seconds(value)
    if result <= 0:
        raise ValueError("it must be more than 0 seconds (None lifts the limit)")
    return result


def _max_body(value: Any, _: Policy) -> int:
    return size(value)


def _retries(value: Any, _: Policy) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("it must be a whole number")
    if not 0 <= value <= 10:
        raise ValueError("it must be from 0 to 10")
    return value


def _choice(*choices: str) -> Callable[[Any, Policy], Any]:
    def resolve(value: Any, _: Policy) -> Any:
        if value not in choices:
            raise ValueError(f"it must be one of {', '.join(map(repr, choices))}")
        return value

    return resolve


def _flag(value: Any, _: Policy) -> bool:
    if not isinstance(value, bool):
        raise TypeError("it must be true or false")
    return value


def _moment(value: Any, _: Policy) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise TypeError("it must be a date, a datetime or an ISO 8601 text")


def _deprecated(value: Any, policy: Policy) -> bool | datetime:
    return value if isinstance(value, bool) else _moment(value, policy) or False


def _successor(value: Any, _: Policy) -> str | None:
    if value is None or (isinstance(value, str) and _REFERENCE.fullmatch(value)):
        return value
    raise ValueError("it must be a URI reference, with anything but ASCII percent-encoded")


def _rate(value: Any, _: Policy) -> tuple[Rate, ...]:
    from seawall.limit.rate import rates  # noqa: PLC0415 - for services with limits

    return rates(value)


def _concurrency(value: Any, _: Policy) -> int | str | None:
    if value is None or value == "adaptive":
        return value  # type: ignore[no-any-return]  # one of the two
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError('it must be a number of calls, "adaptive", or None')
    if not 1 <= value <= 1_000_000:
        raise ValueError("it must be 1 to 1,000,000 calls (None lifts the limit)")
    return value


def _cache(value: Any, _: Policy) -> CachePolicy | None:
    from seawall.cache.policy import cache_policy  # noqa: PLC0415 - for services with caches

    return cache_policy(value)


def _idempotent(value: Any, _: Policy) -> Idempotency | None:
    from seawall.idempotency.rule import idempotency_of  # noqa: PLC0415 - for services with idempotent operations

    return idempotency_of(value)


def _guards(value: Any, policy: Policy) -> tuple[Guard, ...]:
    from seawall.plan.guards import Guard  # noqa: PLC0415 - the plan imports this module

    added = tuple(value)
    for guard in added:
        if not isinstance(guard, Guard):
            raise TypeError(f"{guard!r} is not a Guard")
    names = {guard.name for guard in added}
    if len(names) < len(added):
        raise ValueError("two of them have the same name, and only the last would count; name them apart")
    return (*(guard for guard in policy.guards if guard.name not in names), *added)


_RESOLVERS: Mapping[str, Callable[[Any, Policy], Any]] = types.MappingProxyType(
    {
        "timeout": _timeout,
        "on_disconnect": _choice("cancel", "finish"),
        "max_body": _max_body,
        "unknown_fields": _choice("refuse", "ignore"),
        "duplicate_keys": _choice("last", "refuse"),
        "compress": _flag,
        "retry_serialization": _retries,
        "deprecated": _deprecated,
        "sunset": _moment,
        "successor": _successor,
        "rate": _rate,
        "priority": _choice("health", "critical", "normal", "sheddable"),
        "concurrency": _concurrency,
        "cache": _cache,
        "idempotent": _idempotent,
        "auth": _auth,
        "roles": _names,
        "scopes": _names,
        "allow": _allow,
        "public": _flag,
        "deny_by_default": _flag,
        "guards": _guards,
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation's function.

    Args:
        name: Its name.
        type: Its type, with ``Annotated`` metadata that Seawall reads taken off and the rest left on.
        default: Its default, or `MISSING`.
        markers: The ``Annotated`` metadata Seawall reads (`Query`, `Body`, `Check` …).
        keyword_only: Whether it must be passed by name.
    """

    name: str
    type: Any
    default: Any = MISSING
    markers: tuple[Any, ...] = ()
    keyword_only: bool = False

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One typed async function that a service offers. Knows no transport.

    Args:
        name: Unique within the service (and version).
        function: The function.
        parameters: Its parameters, in order.
        returns: Its return type.
        summary: The first line of its docstring.
        description: The rest of its docstring.
        version: The version it belongs to, or None.
    """

    name: str
    function: Callable[..., Awaitable[Any]]
    parameters: tuple[Parameter, ...]
    returns: Any
    summary: str = ""
    description: str = ""
    version: str | None = None

    @property
    def where(self) -> str:
        """Name and place of definition, for error messages."""
        code = getattr(inspect.unwrap(_plain(self.function)), "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        return f"operation {self.name!r}{place}"


def describe(
    function: Callable[..., Awaitable[Any]], *, name: str | None = None, version: str | None = None
) -> Operation:
    """Return the operation that *function* declares.

    Raises:
        DeclarationError: It is not an async function, or a parameter or the result has no type.
    """
    name = name or str(getattr(function, "__name__", type(function).__name__))
    operation = Operation(name, function, (), Any, version=version)
    plain = inspect.unwrap(_plain(function))
    if inspect.isasyncgenfunction(plain):
        raise DeclarationError(
            f"{operation.where}: it yields; an operation returns one result. Return a StreamingResponse to answer "
            "piece by piece."
        )
    if not inspect.iscoroutinefunction(plain):
        raise DeclarationError(f"{operation.where}: it must be an async function; write 'async def {name}(…)'.")
    try:
        hints = get_type_hints(_plain(function), include_extras=True)
    except NameError as error:
        raise DeclarationError(
            f"{operation.where}: a type cannot be resolved: {error}. Import it where the function's module can see it."
        ) from None
    parameters = tuple(
        _parameter(operation, parameter, hints) for parameter in inspect.signature(function).parameters.values()
    )
    if "return" not in hints:
        raise DeclarationError(f"{operation.where}: say what it returns, for example '-> None' or '-> Order'.")
    summary, _, description = (inspect.getdoc(function) or "").partition("\n")
    returns = hints["return"]
    return dataclasses.replace(
        operation,
        parameters=parameters,
        returns=type(None) if returns is None else returns,
        summary=summary.strip(),
        description=description.strip(),
    )


def _plain(function: Any) -> Any:
    """Return the function behind a partial or an object with an async ``__call__``: it has the annotations."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or isinstance(function, type):
        return function
    return getattr(type(function), "__call__", function)  # noqa: B004 - not whether, but which


def _parameter(operation: Operation, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Parameter:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise DeclarationError(
            f"{operation.where}: parameter {name!r} must be an ordinary named one; *args, **kwargs and "
            "positional-only parameters cannot be bound."
        )
    if name not in hints:
        raise DeclarationError(f"{operation.where}: parameter {name!r} has no type; annotate it.")
    hint, markers = split_annotated(hints[name])
    return Parameter(name, hint, parameter.default, markers, parameter.kind is parameter.KEYWORD_ONLY)


class Marker:
    """Base of the ``Annotated`` metadata that Seawall itself reads."""

    __slots__ = ()


def split_annotated(hint: Any) -> tuple[Any, tuple[Marker, ...]]:
    """Return *hint* without the markers of ours in its ``Annotated``, and those markers."""
    if get_origin(hint) is not Annotated:
        return hint, ()
    inner, *metadata = get_args(hint)
    markers = tuple(item for item in metadata if isinstance(item, Marker))
    rest = tuple(item for item in metadata if not isinstance(item, Marker))
    return (Annotated[(inner, *rest)] if rest else inner), markers


def bare(hint: Any) -> Any:
    """Return *hint* without ``Annotated`` around it."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def union_members(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union type, or *hint* alone."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
