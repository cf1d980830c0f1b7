"""What tests of services need: a client in memory, time that jumps, chance that is scripted, fixtures."""

from seawall.testing.client import client
from seawall.testing.clock import ManualClock, ManualRandom

__all__ = ["ManualClock", "ManualRandom", "client"]
