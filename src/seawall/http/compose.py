"""Composes the plans of a service's routes and mounts from fragments, for one carrier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seawall.http.answers import Answer, Failures
from seawall.http.arguments import Arguments, Bind
from seawall.http.asgi import AsgiCarrier, Send
from seawall.http.binding import Source
from seawall.http.cache_rules import rules_of
from seawall.http.carrier import HttpCarrier
from seawall.http.checks import Checks
from seawall.http.compression_asgi import Compression
from seawall.http.deliver import Deliver
from seawall.http.edge import Cors, Hosts
from seawall.http.encoding import AllRepresentations, Encode, Invoke, is_response, returns_response
from seawall.http.exchange import AnswerForm, Exchange
from seawall.http.forgetting import Forgetting, overlap
from seawall.http.forms import FormLimits
from seawall.http.mounts import Mount, Mounted, already_sent
from seawall.http.response_cache import ResponseCache, Responses
from seawall.http.route import Route, Template
from seawall.http.surface import Settle
from seawall.http.versions import Versions, farewell_fields
from seawall.http.wire import WireCarrier
from seawall.operation import Operation, Policy
from seawall.plan import (
    CodeCache,
    Fragment,
    GuardSource,
    Place,
    Plan,
    Writer,
    compile_plan,
    depends_on_method,
    looks_at_request,
    takes_arguments,
)
from seawall.problems import DeclarationError
from seawall.resources import CallResources, Resources

__all__ = ["Composer"]

Fields = tuple[tuple[bytes, bytes], ...]

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
        sources: What contributes guards to plans.
        codes: Compiled code.
        forms: How much a form may hold.
        max_query_fields: How many fields a query may have.
        versions: How callers name versions; None where there are none.
        representations: How results are encoded.
        bases: Header fields of answers, one object for all that are equal.
        unlimited: Keeps the deadlines that callers bring where a policy has none; None if they cannot bring any.
        responses: Where answers are kept; None where no policy asks for that.
        cached: The paths whose answers are kept.
    """

    exchange: Exchange
    edge: Sequence[Fragment]
    failures: Failures
    resources: Resources
    sources: Sequence[GuardSource]
    codes: CodeCache
    forms: FormLimits
    max_query_fields: int
    versions: Versions | None
    representations: AllRepresentations = field(default_factory=AllRepresentations)
    bases: dict[Fields, Fields] = field(default_factory=dict)
    unlimited: Fragment | None = None
    responses: Responses | None = None
    cached: tuple[Template, ...] = ()

    def guards(self, policy: Policy) -> Iterator[Fragment]:
        """Return everything that *policy* asks to stand guard."""
        for source in self.sources:
            yield from source(policy)

    def route(self, route: Route) -> Plan:
        """Compile the plan of one route for ASGI."""
        return self._route(route, AsgiCarrier(self.exchange))

    def probe(self, route: Route) -> Plan:
        """Compile the plan of a route for those who run the service.

        Any host may be asked for, no page may read it, and being looked at is not recorded.
        """
        own = [fragment for fragment in self.edge if not isinstance(fragment, (Hosts, Cors))]
        return replace(self, edge=own, unlimited=None, sources=()).route(route)

    def wire(self, route: Route) -> Plan | None:
        """Compile the plan of one route for the server's own protocol class, or None for one that needs ASGI."""
        needs_asgi = own_response(route) or any(bound.source in (Source.REQUEST, Source.FORM) for bound in route.bounds)
        return None if needs_asgi else self._route(route, WireCarrier(self.exchange))

    def _route(self, route: Route, carrier: HttpCarrier) -> Plan:
        arguments = Arguments()
        by_media = self.versions is not None and self.versions.by == "media"
        encode = Encode(route, self.representations, route.version if by_media else None)
        checks = [check for bound in route.bounds for check in bound.checks]
        wanted = [bound.parameter.type for bound in route.bounds if bound.source is Source.RESOURCE]
        wanted += [kind for check in checks for _, kind in check.resources]
        guards = list(self.guards(route.policy))
        wanted += needs_of(guards, route.operation, self.resources)
        held = CallResources(self.resources, wanted)
        compressor = self.exchange.compressor if route.policy.compress else None
        answer = AnswerForm(
            operation=route.operation.name,
            base=self._base(route),
            empty=encode.empty or route.policy.cache is not None,  # a 304 has no body
            compressor=compressor,
            deliver=Deliver(compressor, self.failures) if own_response(route) else None,
            # Who takes the request itself may read messages at any time: they are not to be read by anybody else.
            cancels=route.policy.on_disconnect == "cancel"
            and all(bound.source is not Source.REQUEST for bound in route.bounds),
            kept=self.responses is not None and route.policy.cache is not None,
        )
        watch = carrier.watch(answer)
        fragments: list[Fragment] = [
            carrier.receive(answer),
            Answer(self.failures),
            *self.edge,
            *([] if watch is None else [watch]),
            *placed([self._on_request(guard, route, carrier) for guard in guards], route, arguments, held),
            Bind(route, carrier, arguments, self.forms, self.max_query_fields),
            encode,
            Invoke(route, arguments, held),
        ]
        if answer.deliver is not None:
            fragments.append(Send(self.exchange, answer.base, answer.deliver))
        if checks:
            fragments.append(Checks(route, arguments, held))
        if held:
            fragments.append(held)
        fragments += self._kept(route, encode)
        if route.policy.timeout is None and self.unlimited is not None:
            fragments.append(self.unlimited)
        return self._compile(route.operation, route.policy, fragments, route, carrier, (route.method, route.path))

    def _kept(self, route: Route, encode: Encode) -> Iterator[Fragment]:
        """Return what keeps the answers of *route*, or forgets those of its path."""
        if self.responses is None:
            return
        if route.policy.cache is not None:
            kinds = encode.representations()
            kept = (None, None) if kinds is None else (kinds.chosen, kinds.choose)
            yield ResponseCache(self.responses, rules_of(route), self._base(route), *kept)
        elif route.method not in ("GET", "HEAD", "OPTIONS"):
            own = any(overlap(route.template, cached) for cached in self.cached)
            yield Forgetting(self.responses, own=own, responds=own_response(route))

    def _on_request(self, guard: Fragment, route: Route, carrier: HttpCarrier) -> Fragment:
        if not looks_at_request(guard):
            return guard
        return guard.on_request(lambda writer: carrier.read_body(writer, route.policy.max_body), self.failures)

    def mount(self, mount: Mount) -> Plan:
        """Compile the plan of one mounted application.

        Raises:
            DeclarationError: Its policy has ``cache``: nothing is known of its answers.
        """
        if mount.policy.cache is not None:
            raise DeclarationError(f"mount {mount.name!r}: cache is for operations; write cache=None.")
        if mount.policy.compress and self.exchange.compressor is not None:
            mount = replace(mount, app=Compression(mount.app, self.exchange.compressor))
        carrier = AsgiCarrier(self.exchange)
        answer = AnswerForm(operation=mount.name, base=self.exchange.base, deliver=already_sent)
        fragments: list[Fragment] = [
            carrier.receive(answer),
            Answer(self.failures),
            *self.edge,
            *(
                on_method(guard, 'scope["method"] not in ("GET", "HEAD", "OPTIONS")')
                for guard in self.guards(mount.policy)
            ),
            Mounted(mount, [*self.exchange.base, *farewell_fields(mount.policy)]),
        ]
        operation = Operation(mount.name, _nothing, (), None)
        return self._compile(operation, mount.policy, fragments, mount, carrier, ("", f"{mount.prefix}/*"))

    def fallback(self, policy: Policy) -> Plan:
        """Compile the plan that answers what has no route."""
        carrier = AsgiCarrier(self.exchange)
        answer = AnswerForm(operation="", base=self.exchange.base, empty=True)
        # What is seen of every call is seen of these too; no guard of an operation stands in front of them.
        seen = [fragment for fragment in self.guards(policy) if fragment.place == Place.RECORD]
        fragments: list[Fragment] = [carrier.receive(answer), *seen, Answer(self.failures), *self.edge, Settle()]
        return self._compile(Operation("", _nothing, (), None), policy, fragments, None, carrier)

    def _base(self, route: Route) -> Fields:
        # A response of the operation's own has one representation, whatever the client accepts.
        whole = route.policy.cache is not None and is_response(route.operation.returns)
        vary = [] if whole else [VARY_ACCEPT]
        if route.version is not None and self.versions is not None and self.versions.vary is not None:
            vary.append((b"vary", self.versions.vary))
        base = (*self.exchange.base, *vary, *farewell_fields(route.policy))
        return self.bases.setdefault(base, base)

    def _compile(
        self,
        operation: Operation,
        policy: Policy,
        fragments: Sequence[Fragment],
        route: Any,
        carrier: HttpCarrier,
        request: tuple[str, str] = ("", ""),
    ) -> Plan:
        method, path = request
        return compile_plan(
            operation,
            policy,
            carrier=carrier.name,
            signature=carrier.signature,
            fragments=fragments,
            codes=self.codes,
            route=route,
            method=method,
            path=path,
        )


def own_response(route: Route) -> bool:
    """Return whether answers can be ASGI applications of their own; kept ones never are."""
    return route.policy.cache is None and returns_response(route.operation.returns)


def needs_of(guards: Sequence[Fragment], operation: Operation, resources: Resources) -> list[Any]:
    """Return the resource types that *guards* take beside the arguments of *operation*."""
    return [
        kind
        for guard in guards
        if takes_arguments(guard)
        for what, kind in guard.taken(operation, resources.types).values()
        if what == "resource"
    ]


def on_method(guard: Fragment, unsafe: str) -> Fragment:
    """Return *guard* as it stands where the expression *unsafe* says whether a call may change something."""
    return guard.on(unsafe) if depends_on_method(guard) else guard


def placed(guards: Sequence[Fragment], route: Route, arguments: Arguments, held: CallResources) -> Iterator[Fragment]:
    """Return *guards* as they stand in the plan of one route: those that look at arguments know where they are."""
    for guard in guards:
        if not takes_arguments(guard):
            yield on_method(guard, "False" if route.method in ("GET", "HEAD", "OPTIONS") else "True")
            continue
        taken = guard.taken(route.operation, held.types)

        def expressions(writer: Writer, taken: Any = taken) -> dict[str, str]:
            by_kind = {"principal": "call.principal", "call": "call"}
            return {
                name: by_kind.get(what)
                or (held.reference(writer, kind) if what == "resource" else arguments.expressions[name])
                for name, (what, kind) in taken.items()
            }

        yield guard.with_arguments(expressions)
