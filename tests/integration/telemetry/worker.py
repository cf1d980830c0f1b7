"""One of several workers of the shop: ``worker.py SLOT SLOTS ARENA SOCKET``."""

from __future__ import annotations

import sys

from shop import service

from seawall.endpoint import inherit
from seawall.host import Arena, Host
from seawall.server import serve
from seawall.telemetry import logs

slot, slots, arena, listener = map(int, sys.argv[1:])
service.host = Host(slot, slots, Arena(arena))
logs.configure("info", "json")
sys.exit(serve(service, service.settings, inherit([listener])))
