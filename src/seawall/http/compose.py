"""Composes the plans of a service's routes and mounts from fragments, for one carrier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seawall.clock import Clock
from seawall.http.answers import Answer, Failures
from seawall.http.arguments import Arguments, Bind
from seawall.http.asgi import AsgiCarrier, Exchange
from seawall.http.binding import Source
from seawall.http.checks import Checks
from seawall.http.compression_asgi import Compression
from seawall.http.deliver import Deliver
from seawall.http.encoding import Encode, Invoke, returns_response
from seawall.http.forms import FormLimits
from seawall.http.mounts import Mount, Mounted, already_sent
from seawall.http.route import Route
from seawall.http.surface import Settle
from seawall.http.versions import Versions, farewell_fields
from seawall.operation import Operation, Policy
from seawall.plan import CodeCache, Deadline, Deadlines, Fragment, Plan, compile_plan
from seawall.resources import CallResources, Resources

__all__ = ["Composer"]

VARY_ACCEPT: tuple[bytes, bytes] = (b"vary", b"accept")


async def _nothing() -> None:
    """Stand for the operation where a plan has none."""


@dataclass(frozen=True, slots=True)
class Composer:
    """Everything the plans of one service share.

    Args:
        exchange: What every exchange shares.
        edge: The fragments at the outer edge, the same for every plan.
        failures: Turns errors into answers.
        resources: What operations take.
        deadlines: The tables of running calls.
        clock: What time it is.
        codes: Compiled code.
        forms: How much a form may hold.
        max_query_fields: How many fields a query may have.
        versions: How callers name versions; None where there are none.
    """

    exchange: Exchange
    edge: Sequence[Fragment]
    failures: Failures
    resources: Resources
    deadlines: Deadlines
    clock: Clock
    codes: CodeCache
    forms: FormLimits
    max_query_fields: int
    versions: Versions | None

    def route(self, route: Route) -> Plan:
        """Compile the plan of one route."""
        carrier = AsgiCarrier(self.exchange)
        arguments = Arguments()
        encode = Encode(route)
        checks = [check for bound in route.bounds for check in bound.checks]
        wanted = [bound.parameter.type for bound in route.bounds if bound.source is Source.RESOURCE]
        wanted += [kind for check in checks for _, kind in check.resources]
        held = CallResources(self.resources, wanted)
        deliver = Deliver(self.exchange.compressor if route.policy.compress else None)
        fragments: list[Fragment] = [
            carrier.receive(
                route.operation.name,
                empty=encode.empty,
                base=self._base(route),
                compress=route.policy.compress,
                deliver=deliver if returns_response(route.operation.returns) else None,
            ),
            Answer(self.failures),
            *self.edge,
            *route.policy.guards,
            Bind(route, carrier, arguments, self.forms, self.max_query_fields),
            Checks(route, arguments, held),
            encode,
            Invoke(route, arguments),
        ]
        if held:
            fragments.append(held)
        if route.policy.timeout is not None:
            fragments.append(Deadline(self.deadlines.table(route.policy.timeout), self.clock))
        return self._compile(route.operation, route.policy, fragments, route)

    def mount(self, mount: Mount) -> Plan:
        """Compile the plan of one mounted application."""
        if mount.policy.compress and self.exchange.compressor is not None:
            mount = Mount(mount.prefix, Compression(mount.app, self.exchange.compressor), mount.policy, mount.name)
        base = [*self.exchange.base, *farewell_fields(mount.policy)]
        fragments: list[Fragment] = [
            AsgiCarrier(self.exchange).receive(mount.name, empty=False, compress=False, deliver=already_sent),
            Answer(self.failures),
            *self.edge,
            *mount.policy.guards,
            Mounted(mount, base),
        ]
        if mount.policy.timeout is not None:
            fragments.append(Deadline(self.deadlines.table(mount.policy.timeout), self.clock))
        return self._compile(Operation(mount.name, _nothing, (), None), mount.policy, fragments, mount)

    def fallback(self, policy: Policy) -> Plan:
        """Compile the plan that answers what has no route."""
        fragments: Iterable[Fragment] = [
            AsgiCarrier(self.exchange).receive("", empty=True, compress=False),
            Answer(self.failures),
            *self.edge,
            Settle(),
        ]
        return self._compile(Operation("", _nothing, (), None), policy, fragments, None)

    def _base(self, route: Route) -> tuple[tuple[bytes, bytes], ...]:
        vary = [VARY_ACCEPT]
        if route.version is not None and self.versions is not None and self.versions.vary is not None:
            vary.append((b"vary", self.versions.vary))
        return (*vary, *farewell_fields(route.policy))

    def _compile(self, operation: Operation, policy: Policy, fragments: Iterable[Fragment], route: Any) -> Plan:
        return compile_plan(
            operation,
            policy,
            carrier=AsgiCarrier.name,
            signature=AsgiCarrier.signature,
            fragments=fragments,
            codes=self.codes,
            route=route,
        )
