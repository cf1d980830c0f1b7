"""``seawall plan``: what stands around each operation, and the code that was compiled for it."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seawall.cli.report import CommandError
from seawall.cli.target import load_service
from seawall.cli.terminal import console, duration, write_json
from seawall.operation import Policy

if TYPE_CHECKING:
    from rich.console import Console

    from seawall.assembly import Built
    from seawall.plan import Plan
    from seawall.settings import Settings

__all__ = ["PolicyValue", "describe_plan", "policy_values", "show_plans"]

CARRIERS = ("asgi", "wire", "direct")


@dataclasses.dataclass(frozen=True, slots=True)
class PolicyValue:
    """One option of an effective policy.

    Args:
        name: Its name.
        value: Its value.
        default: What it would be if nobody had said anything: neither service, group, operation nor configuration.
    """

    name: str
    value: Any
    default: Any

    @property
    def changed(self) -> bool:
        """Whether somebody said something."""
        return bool(self.value != self.default)


def show_plans(target: str, operation: str | None, carrier: str, *, source: bool, as_json: bool) -> None:
    """Print the plans of the service that *target* names.

    Args:
        target: The service.
        operation: One operation; all by default.
        carrier: What the plans are compiled for.
        source: Whether to print the generated code.
        as_json: Whether to write JSON.

    Raises:
        CommandError: There is no such service, operation or carrier.
        ConfigurationError: The service cannot be compiled.
    """
    service = load_service(target)
    plans = _chosen(service.build(), operation, carrier)
    base = base_policy(service.settings)
    if as_json:
        write_json([describe_plan(plan, base, source=source) for plan in plans])
        return
    out = console()
    for number, plan in enumerate(plans):
        if number:
            out.print()
        _print(out, plan, base, source=source)


def base_policy(settings: Settings) -> Policy:
    """Return the policy of an operation nobody has said anything about."""
    http = settings.http
    return Policy(timeout=http.timeout, max_body=http.max_body, compress=http.compress)


def _chosen(built: Built, operation: str | None, carrier: str) -> Sequence[Plan]:
    if carrier not in CARRIERS:
        raise CommandError(f"there is no carrier {carrier!r}; there are {', '.join(CARRIERS)}.", usage=True)
    if carrier == "wire":
        built.use_wire()  # otherwise the server does, once it serves
    by_carrier: dict[str, Sequence[Plan]] = {
        "asgi": built.plans,
        "wire": built.wires,
        "direct": tuple(built.direct.values()),
    }
    plans = by_carrier[carrier]
    if operation is None:
        return plans
    found = [plan for plan in plans if plan.name == operation]
    if found:
        return found
    if operation in built.direct:
        other = "asgi" if any(plan.name == operation for plan in built.plans) else "direct"
        raise CommandError(
            f"operation {operation!r} has no plan for the carrier {carrier}.",
            f"See the one it has: --carrier {other}",
        )
    names = [plan.name for plan in plans]
    close = difflib.get_close_matches(operation, names, 1)
    raise CommandError(
        f"there is no operation {operation!r}.",
        f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(names) or 'none'}",
    )


def policy_values(policy: Policy, base: Policy) -> list[PolicyValue]:
    """Return the options of *policy* beside what they are by default."""
    return [
        PolicyValue(field.name, _plain(getattr(policy, field.name)), _plain(getattr(base, field.name)))
        for field in dataclasses.fields(Policy)
        if field.name != "guards"
    ]


def describe_plan(plan: Plan, base: Policy, *, source: bool) -> dict[str, Any]:
    """Return *plan*, ready for JSON."""
    route = plan.route
    described: dict[str, Any] = {
        "operation": plan.name,
        "carrier": plan.carrier,
        "method": getattr(route, "method", None),
        "path": getattr(route, "path", None),
        "steps": [
            {"name": step.name, "place": step.place.name.lower(), "order": int(step.place), "note": step.note}
            for step in plan.steps
        ],
        "policy": {
            value.name: {"value": value.value, "changed": value.changed} for value in policy_values(plan.policy, base)
        },
    }
    if source:
        described["source"] = plan.source
    return described


def _print(out: Console, plan: Plan, base: Policy, *, source: bool) -> None:
    from rich.table import Table  # noqa: PLC0415 - needed for people only
    from rich.text import Text  # noqa: PLC0415 - as above

    title = Text(plan.name or "(everything else)", style="bold")
    if hasattr(plan.route, "method"):
        title.append(f"  {plan.route.method} {plan.route.path}", style="cyan")
    title.append(f"  {plan.carrier}", style="dim")
    out.print(title)

    steps = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
    steps.add_column(justify="right", style="dim")
    steps.add_column()
    steps.add_column(style="dim")
    steps.add_column(overflow="fold")
    for number, step in enumerate(plan.steps, 1):
        steps.add_row(str(number), Text(step.name), step.place.name.lower(), Text(step.note, style="dim"))
    out.print(steps)

    line = Text("  policy  ", style="dim")
    said = [value for value in policy_values(plan.policy, base) if value.changed or value.name not in _ONCE_SAID]
    for index, value in enumerate(said):
        if index:
            line.append(", ")
        line.append(f"{value.name}={_worded(value)}", style="bold yellow" if value.changed else "")
        if value.changed:
            line.append(f" (default {_worded(dataclasses.replace(value, value=value.default))})", style="dim")
    out.print(line)
    if source:
        _print_source(out, plan)


_ONCE_SAID = frozenset({"auth", "roles", "scopes", "allow", "public", "deny_by_default"})
"""Options that are shown where somebody said something: most services have none of them."""


def _plain(value: Any) -> Any:
    """Return a policy's value as JSON can say it: sets as lists, schemes and predicates by their names."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [getattr(item, "name", str(item)) for item in value]
    if callable(value):
        return str(getattr(value, "__qualname__", value))
    return value


def _worded(value: PolicyValue) -> str:
    if value.name == "timeout":
        return duration(value.value)
    if value.name == "max_body":
        return f"{value.value} B"
    if value.value is None:
        return "none"
    if isinstance(value.value, list):
        return ", ".join(value.value) or "none"
    return "yes" if value.value is True else "no" if value.value is False else str(value.value)


def _print_source(out: Console, plan: Plan) -> None:
    if not out.is_terminal:
        sys.stdout.write(f"\n{plan.source}")
        return
    from rich.syntax import Syntax  # noqa: PLC0415 - Pygments takes a while to import

    out.print()
    out.print(
        Syntax(plan.source, "python", theme="ansi_dark", line_numbers=True, word_wrap=True, background_color="default")
    )
