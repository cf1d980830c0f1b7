"""Resources: what operations work with, who makes it, and how long it lives."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, get_args, get_origin, get_type_hints

from seawall.call import Call, Principal
from seawall.operation import bare, union_members
from seawall.plan import Place, Writer
from seawall.plan.compiler import AppResource
from seawall.problems import DeclarationError
from seawall.units import seconds

__all__ = ["START_TIMEOUT", "STOP_TIMEOUT", "CallResources", "Kind", "Resource", "Resources", "Scope", "show"]

Scope = Literal["app", "call"]
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0


class Kind(StrEnum):
    """How a factory makes its value."""

    PLAIN = "plain"
    COROUTINE = "coroutine"
    GENERATOR = "generator"


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """Something with a lifetime that operations take as a parameter.

    Args:
        type: What it is asked for by.
        factory: What makes it.
        scope: Whether it lives as long as the service or as one call.
        kind: How the factory makes it.
        needs: The factory's parameters and the types they take.
        start_timeout: Seconds an app-scoped resource may take to start.
        stop_timeout: Seconds an app-scoped resource may take to close.
    """

    type: Any
    factory: Callable[..., Any]
    scope: Scope
    kind: Kind
    needs: tuple[tuple[str, Any], ...]
    start_timeout: float = START_TIMEOUT
    stop_timeout: float = STOP_TIMEOUT

    @property
    def where(self) -> str:
        """Name and place of definition, for error messages."""
        code = getattr(self.factory, "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        return f"resource {show(self.type)} from {getattr(self.factory, '__qualname__', self.factory)!s}{place}"

    def open(self, arguments: Mapping[str, Any]) -> contextlib.AbstractAsyncContextManager[Any]:
        """Return the context manager that makes the value and gives it back."""
        return _managed(self)(**arguments)


class Resources:
    """The resources of one service, checked as a graph; `values` holds those that have started."""

    def __init__(self) -> None:
        self._declared: dict[Any, Resource] = {}
        self._defaults: dict[Any, Resource] = {}
        self._overrides: dict[Any, Resource] = {}
        self.values: dict[Any, Any] = {}

    def add(
        self,
        factory: Callable[..., Any],
        scope: Scope = "app",
        provides: Any = None,
        *,
        start_timeout: float | str = START_TIMEOUT,
        stop_timeout: float | str = STOP_TIMEOUT,
    ) -> Resource:
        """Declare a resource; what it provides is read from the factory's result type.

        Raises:
            DeclarationError: The factory says not what it makes, the type is made already, or a time is impossible.
        """
        resource = _describe(factory, scope, provides)
        resource = dataclasses.replace(
            resource,
            start_timeout=_limit(resource, "start_timeout", start_timeout),
            stop_timeout=_limit(resource, "stop_timeout", stop_timeout),
        )
        if resource.type in self._declared:
            raise DeclarationError(
                f"{resource.where}: {show(resource.type)} is already provided by "
                f"{self._declared[resource.type].where}; keep one, or give this one a type of its own."
            )
        self._declared[resource.type] = resource
        return resource

    def default(self, kind: Any, value: Any) -> None:
        """Provide *value* as the resource *kind* until another one is declared."""
        self._defaults[kind] = Resource(kind, lambda: value, "app", Kind.PLAIN, ())

    @property
    def types(self) -> frozenset[Any]:
        """The types that can be asked for."""
        return frozenset(self._all())

    def __getitem__(self, kind: Any) -> Resource:
        """Return the resource that provides *kind*, an override before the declared one."""
        return self._all()[kind]

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._all().values())

    def _all(self) -> dict[Any, Resource]:
        return {**self._defaults, **self._declared, **self._overrides}

    @contextlib.contextmanager
    def override(self, kind: Any, replacement: Any) -> Generator[None]:
        """Put *replacement*, a value, in the place of the resource *kind* for the time of the block."""
        before, values = self._overrides.get(kind), dict(self.values)
        self._overrides[kind] = Resource(kind, lambda: replacement, "app", Kind.PLAIN, ())
        self.values[kind] = replacement
        try:
            yield
        finally:
            self.values.clear()
            self.values.update(values)
            if before is None:
                del self._overrides[kind]
            else:
                self._overrides[kind] = before

    def order(self) -> tuple[Resource, ...]:
        """Return the resources, each after those it needs.

        Raises:
            DeclarationError: One needs what nothing provides, what lives shorter than itself, or itself.
        """
        graph: dict[Any, set[Any]] = {}
        for resource in self:
            graph[resource.type] = set()
            for name, kind in resource.needs:
                if kind in (Call, Principal) and resource.scope == "call":
                    continue
                self._check_need(resource, name, kind)
                graph[resource.type].add(kind)
        try:
            return tuple(self[kind] for kind in TopologicalSorter(graph).static_order())
        except CycleError as error:
            chain = " → ".join(show(kind) for kind in reversed(error.args[1]))
            raise DeclarationError(
                f"resources need each other in a circle: {chain}; break it at one of them."
            ) from None

    def _check_need(self, resource: Resource, name: str, kind: Any) -> None:
        if kind not in self.types:
            known = ", ".join(sorted(show(item) for item in self.types)) or "none"
            raise DeclarationError(
                f"{resource.where}: nothing provides {name!r} of type {show(kind)}. Register it with "
                f"@service.resource; provided are: {known}."
            )
        if resource.scope == "app" and self[kind].scope == "call":
            raise DeclarationError(
                f"{resource.where}: it lives as long as the service, but {name!r} ({show(kind)}) only as long as one "
                "call; declare it with scope='call'."
            )


class CallResources:
    """The fragment that opens what one operation needs for the time of a call."""

    name = "resources"
    place = Place.RESOURCES

    def __init__(self, resources: Resources, wanted: Iterable[Any]) -> None:
        self._resources = resources
        self._order = _closure(resources, [bare(kind) for kind in wanted])
        self.note = ", ".join(show(resource.type) for resource in self._order)
        self.names: dict[Any, str] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to open."""
        return bool(self._order)

    @property
    def types(self) -> frozenset[Any]:
        """The types that can be asked for."""
        return self._resources.types

    def reference(self, writer: Writer, kind: Any) -> str:
        """Return the expression for the resource *kind* within the plan."""
        kind = bare(kind)
        if kind is Call:
            return "call"
        if kind is Principal:
            return "call.principal"
        if self._resources[kind].scope == "app":
            return app_reference(writer, kind)
        return self.names[kind]

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write one ``async with`` or assignment for each resource, each inside those it needs."""
        self._emit(writer, inner, 0)

    def _emit(self, writer: Writer, inner: Callable[[], None], index: int) -> None:
        if index == len(self._order):
            inner()
            return
        resource = self._order[index]
        name = self.names[resource.type] = f"resource_{index + 1}"
        arguments = ", ".join(f"{need}={self.reference(writer, kind)}" for need, kind in resource.needs)
        if resource.kind is Kind.GENERATOR:
            opener = writer.bind(f"open_{show(resource.type)}", _managed(resource))
            with writer.block(f"async with {opener}({arguments}) as {name}:"):
                self._emit(writer, inner, index + 1)
            return
        maker = writer.bind(f"make_{show(resource.type)}", resource.factory)
        wait = "await " if resource.kind is Kind.COROUTINE else ""
        writer.line(f"{name} = {wait}{maker}({arguments})")
        self._emit(writer, inner, index + 1)


def app_reference(writer: Writer, kind: Any) -> str:
    """Return the name under which the plan finds the app-scoped resource *kind* once it has started."""
    for name, value in writer.namespace.items():
        if isinstance(value, AppResource) and value.type == kind:
            return name
    return writer.bind(show(kind), AppResource(kind))


def show(kind: Any) -> str:
    """Return a short name for the type *kind*."""
    return kind.__qualname__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def _closure(resources: Resources, wanted: Iterable[Any]) -> tuple[Resource, ...]:
    """Return the call-scoped resources behind *wanted*, each after those it needs."""
    needed: set[Any] = set()
    pending = [kind for kind in wanted if kind not in (Call, Principal)]
    while pending:
        kind = pending.pop()
        resource = resources[kind]
        if kind in needed or resource.scope == "app":
            continue
        needed.add(kind)
        pending.extend(need for _, need in resource.needs if need not in (Call, Principal))
    return tuple(resource for resource in resources.order() if resource.type in needed)


def _managed(resource: Resource) -> Callable[..., contextlib.AbstractAsyncContextManager[Any]]:
    factory = resource.factory
    if resource.kind is Kind.GENERATOR:
        return contextlib.asynccontextmanager(factory)

    @contextlib.asynccontextmanager
    async def plain(**arguments: Any) -> AsyncGenerator[Any]:
        value = factory(**arguments)
        yield await value if resource.kind is Kind.COROUTINE else value

    return plain


def _describe(factory: Callable[..., Any], scope: Scope, provides: Any) -> Resource:
    name = getattr(factory, "__qualname__", repr(factory))
    if scope not in ("app", "call"):
        raise DeclarationError(f"resource {name}: scope={scope!r} is neither 'app' nor 'call'.")
    is_class = isinstance(factory, type)
    target = factory.__init__ if is_class else factory
    try:
        hints = get_type_hints(target)
    except NameError as error:
        raise DeclarationError(f"resource {name}: a type cannot be resolved: {error}.") from None
    kind, made = (Kind.PLAIN, factory) if is_class else _made(factory, hints.get("return"), name)
    needs = []
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue  # what has a default is the factory's own business
        if parameter.name not in hints:
            raise DeclarationError(f"resource {name}: parameter {parameter.name!r} has no type; annotate it.")
        needs.append((parameter.name, _without_none(bare(hints[parameter.name]))))
    return Resource(provides if provides is not None else made, factory, scope, kind, tuple(needs))


def _limit(resource: Resource, name: str, value: float | str) -> float:
    try:
        result = seconds(value)
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"{resource.where}: {name}={value!r} is not possible: {error}") from None
    if not 0 < result < float("inf"):
        raise DeclarationError(f"{resource.where}: {name}={value!r} must be a finite time, more than 0 s.")
    return result


def _made(factory: Callable[..., Any], result: Any, name: str) -> tuple[Kind, Any]:
    if inspect.isasyncgenfunction(factory):
        if get_origin(result) not in (AsyncIterator, AsyncGenerator) or not get_args(result):
            raise DeclarationError(f"resource {name}: say what it yields, as in '-> AsyncIterator[Engine]'.")
        return Kind.GENERATOR, get_args(result)[0]
    if inspect.isgeneratorfunction(factory):
        raise DeclarationError(f"resource {name}: write 'async def'; Seawall runs asynchronous generators only.")
    if result is None or result is type(None):
        raise DeclarationError(f"resource {name}: say what it makes, as in '-> Engine'.")
    if inspect.iscoroutinefunction(factory):
        return Kind.COROUTINE, result
    if get_origin(result) is Awaitable:
        return Kind.COROUTINE, get_args(result)[0]
    return Kind.PLAIN, result


def _without_none(hint: Any) -> Any:
    members = [member for member in union_members(hint) if member is not type(None)]
    return members[0] if len(members) == 1 else hint
