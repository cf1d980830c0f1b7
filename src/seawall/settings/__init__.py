"""Typed settings: the environment over ``seawall.toml`` over defaults.

Importing this imports pydantic, which is slow; the rest of Seawall imports it where it starts a service.

An application adds its own to the same file and environment with `AppSettings`.
"""

from __future__ import annotations

from seawall.settings.changes import Change, changes, reloaded
from seawall.settings.client import ClientSettings
from seawall.settings.document import document
from seawall.settings.errors import SettingsError
from seawall.settings.loading import Settings, load
from seawall.settings.operations import OperationsSettings
from seawall.settings.own import HttpSettings, LogSettings, ServerSettings, ServiceSettings
from seawall.settings.table import AppSettings, Reloadable, Seconds, Size, Variable, WholeSeconds

__all__ = [
    "AppSettings",
    "Change",
    "ClientSettings",
    "HttpSettings",
    "LogSettings",
    "OperationsSettings",
    "Reloadable",
    "Seconds",
    "ServerSettings",
    "ServiceSettings",
    "Settings",
    "SettingsError",
    "Size",
    "Variable",
    "WholeSeconds",
    "changes",
    "document",
    "load",
    "reloaded",
]
