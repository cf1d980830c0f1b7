"""The plans of a service's operations for typed arguments, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seawall.call import Call, Principal
from seawall.http.arguments import unauthorized
from seawall.http.compose import Composer, needs_of
from seawall.operation import MISSING, Operation, Policy, bare, union_members
from seawall.plan import Fragment, Plan, Writer, compile_plan, takes_arguments
from seawall.plan.direct import SIGNATURE, DirectCall, DirectReceive
from seawall.resources import CallResources

__all__ = ["DirectPlans", "key_of"]


class DirectPlans(Mapping[str, Plan]):
    """The plans of operations for typed arguments, by name; each is compiled when it is first asked for.

    Few operations are ever called from inside, and a service of a thousand should not wait for them.
    """

    def __init__(
        self, offered: Mapping[str, tuple[Operation, Policy]], composer: Composer, values: Mapping[Any, Any]
    ) -> None:
        self._offered = offered
        self._composer = composer
        self._values = values
        self._plans: dict[str, Plan] = {}

    def __getitem__(self, name: str) -> Plan:
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = self._compile(*self._offered[name])
            plan.provide(self._values)
        return plan

    def __iter__(self) -> Iterator[str]:
        return iter(self._offered)

    def __len__(self) -> int:
        return len(self._offered)

    def compiled(self) -> Iterable[Plan]:
        """Return the plans that have been asked for."""
        return self._plans.values()

    def _compile(self, operation: Operation, policy: Policy) -> Plan:
        composer, resources = self._composer, self._composer.resources
        taken = {
            parameter.name: bare(parameter.type)
            for parameter in operation.parameters
            if bare(parameter.type) in resources.types or _member(parameter.type) in (Call, Principal)
        }
        guards = list(composer.guards(policy))
        wanted = [kind for kind in taken.values() if kind in resources.types]
        held = CallResources(resources, [*wanted, *needs_of(guards, operation, resources)])

        def reference(writer: Writer, kind: Any) -> str:
            if kind is Principal:
                return f"{writer.bind('required_principal', required_principal)}(call)"
            if kind in resources.types:
                return held.reference(writer, kind)
            return "call" if _member(kind) is Call else "call.principal"

        def references(writer: Writer) -> dict[str, str]:
            return {name: reference(writer, kind) for name, kind in taken.items()}

        defaults = {parameter.name: parameter.default for parameter in operation.parameters}

        def placed(guard: Fragment) -> Fragment:
            if not takes_arguments(guard):
                return guard
            needs = guard.taken(operation, resources.types)

            def expression(writer: Writer, name: str, what: str, kind: Any) -> str:
                if what in ("principal", "call"):
                    return "call.principal" if what == "principal" else "call"
                if what == "resource" or name in taken:
                    return held.reference(writer, kind)
                key = writer.bind(f"name_{name}", name)
                if defaults[name] is MISSING:
                    return f"arguments[{key}]"
                return f"arguments.get({key}, {writer.bind(f'default_{name}', defaults[name])})"

            return guard.with_arguments(
                lambda writer: {name: expression(writer, name, what, kind) for name, (what, kind) in needs.items()}
            )

        fragments: list[Fragment] = [
            DirectReceive(operation.name, composer.exchange.request_ids, composer.exchange.monotonic),
            *map(placed, guards),
            DirectCall(operation, references),
        ]
        if held:
            fragments.append(held)
        return compile_plan(
            operation, policy, carrier="direct", signature=SIGNATURE, fragments=fragments, codes=composer.codes
        )


def required_principal(call: Call) -> Principal:
    """Return who calls, for an operation that must know.

    Raises:
        Unauthorized: Nobody has established it.
    """
    if call.principal is None:
        raise unauthorized()
    return call.principal


def _member(hint: Any) -> Any:
    """Return the one type besides None in *hint*, or None where there are several."""
    members = [member for member in union_members(bare(hint)) if member is not type(None)]
    return members[0] if len(members) == 1 else None


def key_of(operation: Operation) -> str:
    """Return what *operation* is called by: its name, and its version where it has one."""
    return operation.name if operation.version is None else f"{operation.name}@{operation.version}"
