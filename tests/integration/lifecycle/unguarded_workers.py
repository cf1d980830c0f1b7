"""``seawall`` whose supervisor starts dead workers again without ever waiting: the control of `test_workers.py`."""

from __future__ import annotations

import sys

from seawall.cli import main
from seawall.workers.restarts import Restarts


def at_once(self: Restarts, served: float | None) -> float:
    self.count += 1
    return 0.0


Restarts.died = at_once

if __name__ == "__main__":
    sys.exit(main())
