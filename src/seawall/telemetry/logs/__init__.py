"""Structured logs that stop nothing: one form for every line of the process, one access line for each call."""

from seawall.telemetry.logs.redaction import HIDDEN, Secret
from seawall.telemetry.logs.setup import LogFormat, choose_format, configure, flush, quieter_server, set_level

__all__ = ["HIDDEN", "LogFormat", "Secret", "choose_format", "configure", "flush", "quieter_server", "set_level"]
