"""Clients of a service: they tell trusted targets about the call that is being served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seawall.call import current
from seawall.client import Client, Trusted, attempt_number
from seawall.telemetry import inject

if TYPE_CHECKING:
    from seawall.service import Service

__all__ = ["client_of"]

_NOTHING: Mapping[str, str] = {}


def client_of(service: Service, name: str, url: str, **options: Any) -> Client:
    """Return a client by the settings and the clock of *service*; see `Service.client`.

    Raises:
        DeclarationError: The URL is none of a target.
    """
    settings = options.pop("settings") or service.settings.client
    if options.get("propagate") is None:
        told = options.get("destinations") is None and Trusted(settings.trusted).includes(url)
        options["propagate"] = (_place, attempt_number, service.deadline_headers) if told else ()
    return Client(name, url, settings=settings, clock=service.clock, **options)


def _place() -> Mapping[str, str]:
    """Return the id of the call being served and its place in its trace: within its span, where it has one."""
    call = current.get(None)
    if call is None:
        return _NOTHING
    fields = {"x-request-id": call.request_id}
    inject(fields)
    return fields
