"""Limits: the store a service counts in, and the checks its plans make of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from seawall.call import Call
from seawall.clock import Clock
from seawall.host import Host
from seawall.limit.fields import Fields, OneField, too_many, whole
from seawall.limit.keys import Addresses, KeyOf, key_of
from seawall.limit.memory import MemoryStore
from seawall.limit.rate import Rate
from seawall.limit.remote import OnOutage, Remote
from seawall.limit.rule import Calendar, Rule, refused, rule_of
from seawall.limit.store import LocalStore, RemoteStore
from seawall.problems import ConfigurationError, TooManyRequests

__all__ = ["Check", "LimitOptions", "Limits", "QuickCheck", "groups"]

StoreName = Literal["auto", "memory", "shared", "redis"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """How a service limits; see `seawall.settings.LimitSettings` for what each option means."""

    store: StoreName = "auto"
    redis_url: str | None = None
    on_outage: OnOutage = "local"
    timeout: float = 0.08
    retry: float = 1.0
    max_keys: int = 100_000
    ipv6_prefix: int = 64
    lease: int = 0
    lease_seconds: float = 1.0
    fields: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """What a plan calls.

    Args:
        run: Returns for a call that may go on; raises `TooManyRequests` (or `Unavailable`) for one that may not.
        waits: Whether it has to be awaited.
        note: The rates, for people.
    """

    run: Callable[[Call], Awaitable[None] | None]
    waits: bool
    note: str


@dataclass(frozen=True, slots=True)
class QuickCheck:
    """What a plan calls where one rule flows in this process's memory: it writes the rest of the check out.

    Args:
        key: Whose allowance it is; None for the principal's own, which the plan finds itself.
        by_address: The key of a call without a principal.
        take: Takes from the allowance, at the present time; returns what is left, in seconds.
        refuse: Returns the problem for a call that may not go on, of which it tells the caller.
        policy: The field that says what the rule is; None where callers are told nothing.
        state: The value of the field that says what is left: of how many units and seconds.
        rate: Units in a second.
        tolerance: Seconds ahead of now that a caller may be.
    """

    key: KeyOf | None
    by_address: KeyOf
    take: Callable[[str, float], float]
    refuse: Callable[[Call, float], TooManyRequests]
    policy: tuple[bytes, bytes] | None
    state: bytes
    rate: float
    tolerance: float


class Limits:
    """The limits of one service. They outlive a recompilation, and what was counted with them.

    Args:
        clock: What time it is.
        host: The place of this process among those that serve the service.
        options: How it limits.
        redis: Returns what makes clients of Redis (`seawall.data.redis.connect`); asked for where that is the store.

    Raises:
        ConfigurationError: The store cannot be had.
    """

    def __init__(
        self, clock: Clock, host: Host, options: LimitOptions, redis: Callable[[], Callable[[], Any]] | None = None
    ) -> None:
        self.options = options
        self.name = _choose(options, host)
        self.clock = clock
        self.calendar = Calendar(clock.time)
        self._addresses = Addresses(options.ipv6_prefix)
        self.local: LocalStore | None = None
        self.remote: Remote | None = None
        if self.name == "redis":
            local = MemoryStore(clock, options.max_keys)
            assert redis is not None  # noqa: S101 - whoever names Redis can reach it
            self.remote = Remote(_redis(options, clock, redis()), local, clock, options.on_outage, options.retry)
        elif self.name == "shared":
            from seawall.limit.shared import SharedStore  # noqa: PLC0415 - where there are workers

            self.local = SharedStore(host.arena, clock, options.max_keys)
        else:
            self.local = MemoryStore(clock, options.max_keys)

    def configure(self, options: LimitOptions) -> None:
        """Use those of *options* that may change while the service runs."""
        self.options = replace(self.options, on_outage=options.on_outage, fields=options.fields)
        if self.remote is not None:
            self.remote.on_outage = options.on_outage

    def check(self, scope: str, rates: Sequence[tuple[int, Rate]]) -> Check | QuickCheck:
        """Return the check of rates that have the same key and the same cost, each with its number in its policy."""
        first = rates[0][1]
        rules = tuple(rule_of(rate, scope, index) for index, rate in rates)
        key, cost = key_of(first.key, self._addresses), first.cost
        note = ", ".join(rule.label for rule in rules)
        if self.remote is not None:
            return Check(self._remotely(self.remote, rules, key, cost), waits=True, note=note)
        assert self.local is not None  # noqa: S101 - there is one of the two
        if isinstance(self.local, MemoryStore) and len(rules) == 1 and not rules[0].window and not callable(cost):
            whose = None if first.key == "principal" else key
            return self._quickly(self.local, rules[0], whose, cost)
        return Check(self._locally(self.local, rules, key, cost), waits=False, note=note)

    async def close(self) -> None:
        """Close connections; they are made again when they are needed."""
        if self.remote is not None:
            await self.remote.store.close()

    def _quickly(self, store: MemoryStore, rule: Rule, key: KeyOf | None, cost: int) -> QuickCheck:
        field, calendar, tell = OneField(rule), self.calendar, self.options.fields

        def refuse(call: Call, left: float) -> TooManyRequests:
            call.fields = [*(call.fields or ()), field.policy, field.state(left + cost * rule.interval)]
            return too_many((rule,), (left,), cost, calendar)

        return QuickCheck(
            key, self._addresses, store.taker(rule, cost), refuse,
            field.policy if tell else None, field.form, field.rate, rule.tolerance,
        )  # fmt: skip

    def _locally(
        self, store: LocalStore, rules: tuple[Rule, ...], key: KeyOf, cost: int | Callable[[Call], int]
    ) -> Callable[[Call], None]:
        settle = self._settle(rules)

        def check(call: Call) -> None:
            who = key(call)
            if who is None:
                return
            units = _units(cost, call)
            if units:
                settle(call, store.take(rules, who, units), units)

        return check

    def _remotely(
        self, store: Remote, rules: tuple[Rule, ...], key: KeyOf, cost: int | Callable[[Call], int]
    ) -> Callable[[Call], Awaitable[None]]:
        settle = self._settle(rules)

        async def check(call: Call) -> None:
            who = key(call)
            if who is None:
                return
            units = _units(cost, call)
            if units:
                lefts = await store.take(rules, who, units)
                if lefts is not None:
                    settle(call, lefts, units)

        return check

    def _settle(self, rules: tuple[Rule, ...]) -> Callable[[Call, Sequence[float], int], None]:
        fields, calendar, tell = Fields(rules, self.calendar), self.calendar, self.options.fields

        def settle(call: Call, lefts: Sequence[float], units: int) -> None:
            if not refused(lefts):
                if tell:
                    fields.add(call, lefts)
                return
            fields.add(call, whole(rules, lefts, units))
            raise too_many(rules, lefts, units, calendar)

        return settle


def groups(rates: Iterable[Rate]) -> list[list[tuple[int, Rate]]]:
    """Return *rates* with their numbers, those of one key and one cost together: these are taken from in one step."""
    found: dict[object, list[tuple[int, Rate]]] = {}
    for index, rate in enumerate(rates):
        found.setdefault((rate.key, rate.cost), []).append((index, rate))
    return list(found.values())


def _units(cost: int | Callable[[Call], int], call: Call) -> int:
    if not callable(cost):
        return cost
    units = cost(call)
    if type(units) is not int or units < 0:
        name = getattr(cost, "__qualname__", "cost")
        raise ValueError(f"rate: {name} returned {units!r}; a call costs a whole number of 0 or more")
    return units


def _choose(options: LimitOptions, host: Host) -> Literal["memory", "shared", "redis"]:
    if options.store != "auto":
        if options.store == "redis" and not options.redis_url:
            raise ConfigurationError(
                'limit.store = "redis": there is no address; set SEAWALL_REDIS_URL=redis://HOST:6379/0, '
                "or choose another store."
            )
        return options.store
    if options.redis_url:
        return "redis"
    return "shared" if host.slots > 1 else "memory"


def _redis(options: LimitOptions, clock: Clock, make: Callable[[], Any]) -> RemoteStore:
    from seawall.limit.redis import RedisStore  # noqa: PLC0415 - an extra

    store = RedisStore(make, options.timeout)
    if options.lease > 1:
        from seawall.limit.lease import LeasedStore  # noqa: PLC0415 - by setting

        return LeasedStore(store, clock, options.lease, options.lease_seconds, options.max_keys)
    return store
