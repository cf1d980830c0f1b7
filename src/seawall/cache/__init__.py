"""What was found out once is not found out again: two tiers, one load for all who wait, tags; and cached answers."""

from seawall.cache.batched import Batched, batched
from seawall.cache.cache import Cache
from seawall.cache.cached import cached
from seawall.cache.counts import Counts
from seawall.cache.keep import Keep
from seawall.cache.policy import CachePolicy

__all__ = ["Batched", "Cache", "CachePolicy", "Counts", "Keep", "batched", "cached"]
