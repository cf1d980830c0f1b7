"""Settings for services under test: the defaults and what a test changes, nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from seawall import Service
from seawall.settings import HttpSettings, OperationsSettings, ServiceSettings, Settings

__all__ = ["service", "settings"]


def settings(
    *,
    operations: Mapping[str, Mapping[str, Any]] | None = None,
    environment: Literal["production", "development"] = "production",
    docs: bool = False,
    **http: Any,
) -> Settings:
    """Return settings with *http* laid over the defaults of ``[http]``."""
    return Settings(
        http=HttpSettings(**http),
        service=ServiceSettings(environment=environment, docs=docs),
        operations=OperationsSettings(overrides=operations or {}),
    )


def service(name: str = "test", *, http: Mapping[str, Any] | None = None, **options: Any) -> Service:
    """Return a service with the default settings, and *http* laid over them."""
    options.setdefault("settings", settings(**(http or {})))
    return Service(name, **options)
