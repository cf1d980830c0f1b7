"""What tests of services need: a client in memory, time that jumps, chance that is scripted, fixtures."""

from seawall.testing.client import client
from seawall.testing.clock import ManualClock, ManualRandom
from seawall.testing.fake_server import FakeReply, FakeRequest, FakeServer, Fault
from seawall.testing.leaks import Deadlocked, Leaked, no_leaks

__all__ = [
    "Deadlocked",
    "FakeReply",
    "FakeRequest",
    "FakeServer",
    "Fault",
    "Leaked",
    "ManualClock",
    "ManualRandom",
    "client",
    "no_leaks",
]
