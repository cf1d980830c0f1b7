"""Typed settings: the environment over ``seawall.toml`` over defaults.

Importing this imports pydantic, which is slow; the rest of Seawall imports it where it starts a service.

An application adds its own to the same file and environment with `AppSettings`.
"""

from __future__ import annotations

from seawall.settings.admission import AdmissionSettings
from seawall.settings.auth import AuthSettings
from seawall.settings.cache import CacheSettings
from seawall.settings.changes import Change, changes, reloaded
from seawall.settings.client import ClientSettings
from seawall.settings.data import DatabaseSettings, RedisSettings
from seawall.settings.document import document
from seawall.settings.errors import SettingsError
from seawall.settings.limit import LimitSettings
from seawall.settings.loading import Settings, load
from seawall.settings.operations import OperationsSettings
from seawall.settings.own import HttpSettings, LogSettings, ServerSettings, ServiceSettings
from seawall.settings.profiling import ProfilingSettings
from seawall.settings.table import AppSettings, Reloadable, Seconds, Size, Variable, WholeSeconds
from seawall.settings.telemetry import TelemetrySettings

__all__ = [
    "AdmissionSettings",
    "AppSettings",
    "AuthSettings",
    "CacheSettings",
    "Change",
    "ClientSettings",
    "DatabaseSettings",
    "HttpSettings",
    "LimitSettings",
    "LogSettings",
    "OperationsSettings",
    "ProfilingSettings",
    "RedisSettings",
    "Reloadable",
    "Seconds",
    "ServerSettings",
    "ServiceSettings",
    "Settings",
    "SettingsError",
    "Size",
    "TelemetrySettings",
    "Variable",
    "WholeSeconds",
    "changes",
    "document",
    "load",
    "reloaded",
]
