"""Several processes that serve one service: started, watched, replaced and ended by one that serves nothing itself.

The supervisor binds the sockets and never imports the service. Workers are new processes, not forks: they inherit the
sockets, the shared memory and one end of a pipe, and nothing else. `Crew` decides, `Supervisor` does, `Station` is
the worker's side.
"""

from __future__ import annotations

from seawall.workers.channel import Failed
from seawall.workers.station import Place, Station
from seawall.workers.supervisor import Commands, Supervisor

__all__ = ["Commands", "Failed", "Place", "Station", "Supervisor"]
