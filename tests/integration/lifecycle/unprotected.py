"""``seawall`` with the drain taken out: the answers say nothing, and connections without a request are closed at once.

What a server does that stops listening and closes what is idle. The control of `test_rolling.py`.
"""

from __future__ import annotations

import sys

import seawall.drain
import seawall.granian
from seawall.cli import main
from seawall.protocol import BoundedProtocol
from seawall.wire import WireProtocol

seawall.drain.NEWCOMER_SECONDS = 0.0


def say_nothing(cls: type[BoundedProtocol]) -> None:
    """Leave the answers as they are."""


BoundedProtocol.begin_drain = WireProtocol.begin_drain = classmethod(say_nothing)
BoundedProtocol.farewell = lambda self: None
seawall.granian.NEWCOMER_SECONDS = 0.0
seawall.granian.Calls._last = lambda self, send: send
seawall.granian.Listening.accept_no_more = lambda self: None

if __name__ == "__main__":
    sys.exit(main())
