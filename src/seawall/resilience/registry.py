"""The policies of one service, by name: made once, shared by all who call the same target, readable and switchable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, cast

from seawall.clock import Clock, Random
from seawall.problems import DeclarationError
from seawall.resilience.breaker_engine import BreakerEngine, BreakerSnapshot
from seawall.resilience.engine import Engine, Policy
from seawall.resilience.environment import Environment
from seawall.resilience.events import Hook, log_events
from seawall.resilience.pipeline import Pipeline

__all__ = ["Resilience"]

E = TypeVar("E", bound=Engine)


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
