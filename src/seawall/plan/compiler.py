"""Compiles the fragments around one operation into one flat coroutine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from seawall.operation import Operation, Policy
from seawall.plan.code import CodeCache, put
from seawall.plan.guards import Fragment
from seawall.plan.places import Place
from seawall.plan.writer import Subject, Writer

__all__ = ["Plan", "Step", "compile_plan"]


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One fragment of a plan, for people to read."""

    name: str
    place: Place
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The guards, binding, call and encoding of one operation, compiled for one carrier.

    Args:
        name: The operation's name.
        carrier: What it is compiled for: ``asgi``, ``direct`` or ``wire``.
        steps: Its fragments in their order.
        policy: The effective policy.
        source: The generated source.
        run: The coroutine function.
        namespace: What `run` refers to, by name.
        resources: Which names of the namespace stand for which resource types.
        route: What the transport knows the operation by, if anything.
    """

    name: str
    carrier: str
    steps: tuple[Step, ...]
    policy: Policy
    source: str
    run: Callable[..., Any]
    namespace: dict[str, Any]
    resources: tuple[tuple[str, Any], ...] = ()
    route: Any = None

    def provide(self, values: Mapping[Any, Any]) -> None:
        """Put app-scoped resources, by their types, where `run` finds them once they have started."""
        for name, kind in self.resources:
            if kind in values:
                self.namespace[name] = values[kind]
                put(self.run, name, values[kind])


def compile_plan(
    operation: Operation,
    policy: Policy,
    *,
    carrier: str,
    signature: str,
    fragments: Iterable[Fragment],
    codes: CodeCache,
    route: Any = None,
    method: str = "",
    path: str = "",
) -> Plan:
    """Nest *fragments* by their place and compile them into one coroutine.

    Fragments of one place keep the order they are given in.

    Args:
        operation: What the plan is for.
        policy: Its effective policy, kept for people to read.
        carrier: The name of what hands the calls over.
        signature: The parameters of the coroutine, as source.
        fragments: Everything around the operation, and the call itself (at `Place.OPERATION`).
        codes: Where compiled code is shared.
        route: What the transport knows the operation by.
        method: The one HTTP method it is for, if there is one.
        path: The template of its path, if it has one.
    """
    ordered = sorted(fragments, key=lambda fragment: fragment.place)
    writer = Writer(Subject(operation.name, carrier, method, path))
    with writer.block(f"async def plan({signature}):"):
        _nest(writer, ordered)
    source = codes.one(writer.source)
    run = codes.function(source, "plan", f"{operation.name or 'fallback'} ({carrier})", writer.namespace)
    resources = tuple((name, value.type) for name, value in writer.namespace.items() if isinstance(value, AppResource))
    steps = tuple(Step(fragment.name, fragment.place, getattr(fragment, "note", "")) for fragment in ordered)
    return Plan(operation.name, carrier, steps, policy, source, run, writer.namespace, resources, route)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class AppResource:
    """Stands in a plan's namespace for an app-scoped resource that has not started yet."""

    type: Any

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(
            f"resource {self.type!r} has not started: the service must be started (its ASGI lifespan run) before calls."
        )


def _nest(writer: Writer, fragments: Sequence[Fragment]) -> None:
    def emit(index: int) -> None:
        if index < len(fragments):
            fragments[index].emit(writer, lambda: emit(index + 1))

    emit(0)
