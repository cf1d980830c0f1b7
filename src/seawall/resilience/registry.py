"""The policies of one service, by name: made once, shared by all who call the same target, readable and switchable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast

from seawall.clock import Clock, Random
from seawall.problems import DeclarationError
from seawall.resilience.breaker_engine import BreakerEngine, BreakerSnapshot
from seawall.resilience.counting import EventCounts
from seawall.resilience.engine import Engine, Policy
from seawall.resilience.environment import Environment
from seawall.resilience.events import Hook, log_events
from seawall.resilience.pipeline import Pipeline
from seawall.resilience.shared import SharedBreakerEngine, Switch

__all__ = ["Position", "Resilience"]

E = TypeVar("E", bound=Engine)
Position = Literal["open", "closed", "auto"]
"""What a breaker can be put to by hand; with ``auto`` it decides by itself again."""
_SHARED: Mapping[Position, Switch] = {"open": "forced-open", "closed": "forced-closed", "auto": "closed"}


class Resilience:
    """Every policy at work in one service.

    It is nobody's global: make one, and let the service own it as a resource.

    Args:
        clock: What time it is; the machine's by default.
        random: Chance; the machine's by default.
        hooks: Who is told of events; `log_events` by default.
    """

    def __init__(
        self, clock: Clock | None = None, random: Random | None = None, hooks: Sequence[Hook] = (log_events,)
    ) -> None:
        self.environment = Environment(clock, random, hooks)
        self.counts = EventCounts()
        """How often its policies did what; a service shows them among its metrics."""
        self.environment.hooks.append(self.counts)
        self._engines: dict[tuple[type, str], tuple[Any, Engine]] = {}
        self._pipelines: dict[str, Pipeline] = {}

    def on_event(self, hook: Hook) -> Hook:
        """Tell *hook* of every event from now on; usable as a decorator."""
        self.environment.hooks.append(hook)
        return hook

    def engine(self, name: str, policy: Policy[E]) -> E:
        """Return the policy at work for *name*, the same one each time.

        Args:
            name: Whom it guards calls to.
            policy: `Breaker`, `Retry`, `Timeout`, `Bulkhead`, `Hedge`, `Fallback`, `RateLimit`, `AdaptiveLimit` …

        Raises:
            DeclarationError: There is one of this kind and name already, with other settings.
        """
        if not name:
            raise DeclarationError(f"a policy needs a name, not {name!r}: write whom it guards calls to.")
        key = (type(policy), name)
        if key in self._engines:
            known, made = self._engines[key]
            if known != policy:
                raise DeclarationError(
                    f"{type(policy).__name__} {name!r} exists already with other settings: {known!r}; take that one, "
                    "or another name."
                )
            return cast("E", made)
        engine = policy.engine(name, self.environment)
        self._engines[key] = policy, engine
        return engine

    def pipeline(self, name: str, *policies: Policy[Any] | Engine) -> Pipeline:
        """Return a pipeline of *policies*, the outermost first.

        Policies become engines under the pipeline's name; engines are taken as they are, so that pipelines to one
        target can share a breaker.

        Raises:
            DeclarationError: There is a pipeline of this name already, or the policies cannot stand together.
        """
        if name in self._pipelines:
            raise DeclarationError(f"pipeline {name!r} exists already; take it from `pipelines`, or another name.")
        pipeline = Pipeline(name, self._at_work(name, policies))
        self._pipelines[name] = pipeline
        return pipeline

    @property
    def pipelines(self) -> Mapping[str, Pipeline]:
        """Every pipeline, by name."""
        return MappingProxyType(self._pipelines)

    @property
    def engines(self) -> Sequence[Engine]:
        """Every policy at work."""
        return [engine for _, engine in self._engines.values()]

    @property
    def breakers(self) -> Mapping[str, BreakerEngine]:
        """Every breaker of this process, by name: to be read (`snapshot`) and switched (`force_open`, `reset`)."""
        return {engine.name: engine for engine in self.engines if isinstance(engine, BreakerEngine)}

    @property
    def shared_breakers(self) -> Mapping[str, SharedBreakerEngine]:
        """Every breaker that is shared with other processes, by name."""
        return {engine.name: engine for engine in self.engines if isinstance(engine, SharedBreakerEngine)}

    def states(self) -> Mapping[str, str]:
        """Return every breaker's state by its name; of a shared one, as this process last heard of it."""
        own = {name: breaker.state for name, breaker in self.breakers.items()}
        return {**own, **{name: breaker.known for name, breaker in self.shared_breakers.items()}}

    async def switch(self, name: str, to: Position) -> str:
        """Put the breaker *name* to ``open`` or ``closed``, or let it decide by itself again (``auto``).

        That holds in this process; of a shared breaker, in all of them.

        Returns:
            The state it is in now.

        Raises:
            KeyError: There is no such breaker.
            StoreUnavailable: The store of a shared one does not answer.
        """
        shared = self.shared_breakers.get(name)
        if shared is not None:
            await shared.switch(_SHARED[to])
            return shared.known
        breaker = self.breakers[name]
        {"open": breaker.force_open, "closed": breaker.force_closed, "auto": breaker.reset}[to]()
        return breaker.state

    def snapshots(self) -> Sequence[BreakerSnapshot]:
        """Return how every breaker stands now."""
        return [breaker.snapshot() for breaker in self.breakers.values()]

    def _at_work(self, name: str, policies: Sequence[Policy[Any] | Engine]) -> Sequence[Engine]:
        engines: list[Engine] = []
        timeouts = 0
        for policy in policies:
            if isinstance(policy, Engine):
                engines.append(policy)
                continue
            if not hasattr(policy, "engine"):
                raise DeclarationError(f"pipeline {name!r}: {policy!r} is no policy; write Timeout(2), Breaker(), …")
            # A pipeline may hold two time limits, one for all attempts and one for each.
            own = name
            if type(policy).__name__ == "Timeout":
                timeouts += 1
                own = name if timeouts == 1 else f"{name} (each attempt)"
            engines.append(self.engine(own, policy))
        return engines
