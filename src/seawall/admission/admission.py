"""Admission: the gate of a service, and those of operations that have one of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seawall.admission.baseline import Baseline
from seawall.admission.gate import PRIORITIES, Gate, GateOptions
from seawall.admission.gradient import GradientOptions
from seawall.admission.state import AdmissionState
from seawall.call import Call
from seawall.clock import Clock, Random

__all__ = ["Admission", "AdmissionOptions"]

PATIENCE = 0.75
"""How much of the time that calls may have waited is for waiting in a queue; the rest is for answering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionOptions:
    """How a service admits; see `seawall.settings.AdmissionSettings` for what each option means."""

    enabled: bool = True
    limit: int = 0
    min_limit: int = 16
    max_limit: int = 1000
    tolerance: float = 1.05
    remeasure: float = 10.0
    queue: int = 256
    queue_wait: float = 0.02
    harmful_wait: float = 0.5
    priority_header: str = ""
    priority_claim: str = ""
    fair_by: Literal["credential", "address"] = "credential"


class Admission:
    """The gates of one service. They outlive a recompilation, and what they have found out with them.

    Args:
        clock: What time it is.
        random: Chance.
        options: How it admits.
    """

    def __init__(self, clock: Clock, random: Random, options: AdmissionOptions) -> None:
        self.options = options
        self._clock = clock
        self._random = random
        self._field = b""
        self._running = False
        self._baselines: dict[tuple[str, str], Baseline] = {}
        self._bulkheads: dict[str, Gate] = {}
        self.gate = Gate(
            clock,
            random,
            self._gate_options("admission", options.limit),
            priority=self._by_header,
            caller=self._by_field,
        )
        self.configure(options)

    def configure(self, options: AdmissionOptions) -> None:
        """Admit by *options* from now on."""
        self.options = options
        self._field = options.priority_header.lower().encode()
        self.gate.configure(self._gate_options("admission", options.limit))
        for gate in self._bulkheads.values():
            gate.configure(self._gate_options("bulkhead", gate.options.limit))
        if self._running:
            self.stop()
            self.start()

    def start(self) -> None:
        """Watch the event loop, from which calls come from now on."""
        self._running = True
        if self.options.enabled:
            self.gate.watch_lag(self.options.queue_wait)

    def stop(self) -> None:
        """Take timers back."""
        self._running = False
        for gate in (self.gate, *self._bulkheads.values()):
            gate.close()

    def baseline(self, operation: str) -> Baseline:
        """Return what the service's gate knows of an operation."""
        return self._baseline(self.gate, "", operation)

    def bulkhead(self, operation: str, concurrency: int | Literal["adaptive"]) -> tuple[Gate, Baseline]:
        """Return the gate of one operation, and what it knows of it."""
        options = self._gate_options("bulkhead", 0 if concurrency == "adaptive" else concurrency)
        gate = self._bulkheads.get(operation)
        if gate is None:
            gate = self._bulkheads[operation] = Gate(
                self._clock, self._random, options, priority=self._by_claim, caller=_by_principal
            )
        else:
            gate.configure(options)
        return gate, self._baseline(gate, "bulkhead", operation)

    def state(self) -> AdmissionState:
        """Return what all gates are doing."""
        lag = self.gate.lag
        return AdmissionState(
            self.gate.state if self.options.enabled else None,
            {name: gate.state for name, gate in self._bulkheads.items()},
            lag.latest if lag is not None else 0.0,
        )

    def _baseline(self, gate: Gate, kind: str, operation: str) -> Baseline:
        found = self._baselines.get((kind, operation))
        if found is None:
            found = self._baselines[kind, operation] = Baseline()
            gate.baselines.append(found)
        return found

    def _gate_options(self, name: str, limit: int) -> GateOptions:
        options = self.options
        gradient = GradientOptions(
            least=min(options.min_limit, options.max_limit),
            most=options.max_limit,
            tolerance=options.tolerance,
            remeasure=options.remeasure,
        )
        return GateOptions(
            name=name,
            limit=limit,
            gradient=gradient,
            queue=options.queue,
            wait=PATIENCE * options.queue_wait,
            harm=options.harmful_wait,
        )

    def _by_header(self, call: Call) -> str | None:
        if not self._field:
            return None
        value = call.metadata.get(self._field, b"").decode("latin-1").strip().lower()
        return value if value in PRIORITIES else None

    def _by_claim(self, call: Call) -> str | None:
        if self.options.priority_claim and call.principal is not None:
            value = call.principal.claims.get(self.options.priority_claim)
            if value in PRIORITIES:
                return str(value)
        return self._by_header(call)

    def _by_field(self, call: Call) -> object:
        if self.options.fair_by == "credential":
            credential = call.metadata.get(b"authorization")
            if credential is not None:
                return credential
        return call.client


def _by_principal(call: Call) -> object:
    return call.principal.subject if call.principal is not None else call.client
