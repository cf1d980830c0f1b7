"""Makes the capabilities of a service by its settings: limits, cache, admission, identity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seawall.admission import Admission, AdmissionOptions
from seawall.limit import LimitOptions
from seawall.limit import Limits as RateLimits
from seawall.operation import Policy
from seawall.plan import Fragment

if TYPE_CHECKING:
    from seawall.auth.guards import Authentication
    from seawall.cache import Cache
    from seawall.service import Service
    from seawall.settings import Settings

__all__ = ["Identity", "configure_guards", "make_admission", "make_cache", "make_limits"]


@dataclass(slots=True)
class Identity:
    """The source of the guards that know callers, made when a policy first asks for one."""

    service: Service
    made: Authentication | None = None

    def guards(self, policy: Policy) -> Iterable[Fragment]:
        """Return what *policy* asks for."""
        if not policy.closed:
            return ()
        if self.made is None:
            from seawall.auth.guards import Authentication  # noqa: PLC0415 - services without callers do without
            from seawall.auth.scheme import Attached  # noqa: PLC0415 - as above

            service = self.service
            self.made = Authentication(Attached(service.name, service.clock, service.settings.auth))
        return self.made.guards(policy)

    def background(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Return what schemes run beside the calls."""
        for scheme in self.made.schemes.values() if self.made else ():
            yield from scheme.background()


def make_limits(service: Service) -> RateLimits:
    """Return the limits that the settings of *service* describe.

    Raises:
        ConfigurationError: The store cannot be had.
    """
    timeout = service.settings.limit.timeout
    return RateLimits(
        service.clock, service.host, _limit_options(service.settings), lambda: _redis_within(service, timeout)
    )


def make_cache(service: Service) -> Cache:
    """Return the cache that the settings of *service* describe.

    Raises:
        ConfigurationError: The shared tier cannot be had, or a library is missing.
    """
    from seawall.cache.cache import Cache, CacheOptions  # noqa: PLC0415 - for services that keep something
    from seawall.cache.gauges import show_cache  # noqa: PLC0415 - as above
    from seawall.cache.redis import RedisStore  # noqa: PLC0415 - as above

    settings = service.settings
    options = CacheOptions(**settings.cache.model_dump())
    shared = None
    if options.store == "redis" or (options.store == "auto" and "url" in settings.redis.model_fields_set):
        shared = RedisStore(_redis_within(service, options.timeout), service.name)
    cache = Cache(service.clock, service.random, options, shared)
    show_cache(service.metrics, cache)
    return cache


def _redis_within(service: Service, timeout: float) -> Callable[[], Any]:
    """Return what makes clients of the settings' Redis whose every wait has *timeout* seconds.

    Raises:
        ConfigurationError: The address cannot be used, or the driver is not installed.
    """
    from seawall.data.redis import connect  # noqa: PLC0415 - an extra

    settings = service.settings.redis
    waits = dict.fromkeys(("timeout", "connect_timeout", "pool_wait"), timeout)
    bounded = settings.model_copy(update={**waits, "retries": min(1, settings.retries)})
    connect(bounded)  # what is wrong with the address is said now
    return lambda: connect(bounded, name=service.name)


def make_admission(service: Service) -> Admission:
    """Return the admission that the settings of *service* describe."""
    return Admission(service.clock, service.random, _admission_options(service.settings))


def configure_guards(service: Service) -> None:
    """Let guards that outlive a recompilation work by the present settings."""
    service.admission.configure(_admission_options(service.settings))
    if service.counts_attempts or any(item.get("rate") is not None for item in _options(service)):
        service.limits.configure(_limit_options(service.settings))


def _options(service: Service) -> Iterator[Mapping[str, Any]]:
    """Return all policy options that were written anywhere."""
    yield service.policy_options
    for declaration in service.declarations:
        yield from declaration.chain
    yield from (options for _, options in service.unrouted)
    yield from (mount.options for mount in service.mounts)
    yield from service.settings.operations.overrides.values()


def _limit_options(settings: Settings) -> LimitOptions:
    redis = settings.redis
    # Its default is for those who ask for Redis; nobody who names no address wants his calls counted there.
    url = redis.url if "url" in redis.model_fields_set else None
    return LimitOptions(**settings.limit.model_dump(), redis_url=url)


def _admission_options(settings: Settings) -> AdmissionOptions:
    return AdmissionOptions(**settings.admission.model_dump())
