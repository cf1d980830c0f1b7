"""The fragments that keep callers within their rates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import ClassVar

from seawall.limit import ALMOST, SLACK, STATE, Limits, QuickCheck, Rate, groups
from seawall.operation import Policy
from seawall.plan.places import Place
from seawall.plan.writer import Writer
from seawall.problems import Problem, TooManyRequests

__all__ = ["RateLimit", "rate_limits"]


def rate_limits(limits: Callable[[], Limits]) -> Callable[[Policy], Iterable[RateLimit]]:
    """Return the source of this capability: the limits that a policy asks for.

    Args:
        limits: Returns the service's limits; asked for when there is a policy with a rate.
    """

    def source(policy: Policy) -> Iterable[RateLimit]:
        for group in groups(policy.rate):
            yield RateLimit(limits(), group)

    return source


class RateLimit:
    """Takes from the caller's allowance, or refuses the call.

    Rates by address stand before authentication, all others behind it. Those of one key and one cost are one atomic
    step; of several steps the first may have counted a call that a later one refuses.
    """

    name = "limit"
    problems: ClassVar[tuple[type[Problem], ...]] = (TooManyRequests,)

    def __init__(self, limits: Limits, rates: list[tuple[int, Rate]]) -> None:
        self._limits = limits
        self._rates = rates
        self.place = Place.CLIENT_LIMIT if rates[0][1].key == "address" else Place.PRINCIPAL_LIMIT

    @property
    def note(self) -> str:
        """The rates, whose they are, and where they are counted."""
        key = self._rates[0][1].key
        who = key if isinstance(key, str) else getattr(key, "__qualname__", "function")
        return f"{', '.join(rate.label for _, rate in self._rates)} by {who}, in {self._limits.name}"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the lines that take."""
        check = self._limits.check(writer.subject.operation, self._rates)
        if isinstance(check, QuickCheck):
            self._emit_quick(writer, check)
        else:
            name = writer.bind("take_allowance", check.run)
            writer.line(f"await {name}(call)" if check.waits else f"{name}(call)")
        inner()

    def _emit_quick(self, writer: Writer, check: QuickCheck) -> None:
        now = writer.now or f"{writer.bind('monotonic', self._limits.clock.monotonic)}()"
        if check.key is None:
            by_address = writer.bind("by_address", check.by_address)
            writer.lines("who = call.principal", f"who = {by_address}(call) if who is None else who.subject")
        else:
            writer.line(f"who = {writer.bind('whose_allowance', check.key)}(call)")
        with ExitStack() as stack:
            if check.key not in {None, check.by_address}:
                stack.enter_context(writer.block("if who is not None:"))
            writer.line(f"allowance = {writer.bind('take_allowance', check.take)}(who, {now})")
            with writer.block(f"if allowance < {-SLACK}:"):
                writer.line(f"raise {writer.bind('used_up', check.refuse)}(call, allowance)")
            if check.policy is not None:
                self._emit_fields(writer, check)

    def _emit_fields(self, writer: Writer, check: QuickCheck) -> None:
        form, policy = writer.bind("allowance_form", check.state), writer.bind("allowance_policy", check.policy)
        units = f"int((allowance + {SLACK}) * {writer.bind('allowance_rate', check.rate)})"
        seconds = f"int({writer.bind('allowance_whole', check.tolerance)} - allowance + {ALMOST})"
        writer.line(f"allowance = ({STATE!r}, {form} % ({units}, {seconds}))")
        with writer.block("if call.fields is None:"):
            writer.line(f"call.fields = [{policy}, allowance]")
        with writer.block("else:"):
            writer.line(f"call.fields += ({policy}, allowance)")
