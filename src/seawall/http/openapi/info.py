"""What a document says about the service as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seawall.problems import ConfigurationError

__all__ = ["Contact", "Info", "Licence", "Server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Whom to ask about the service."""

    name: str | None = None
    url: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """The licence of the API.

    Args:
        name: Its name.
        identifier: Its SPDX expression; not together with *url*.
        url: Where to read it.

    Raises:
        ConfigurationError: Both *identifier* and *url* are given.
    """

    name: str
    identifier: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if self.identifier is not None and self.url is not None:
            raise ConfigurationError(
                f"licence {self.name!r} has identifier {self.identifier!r} and url {self.url!r}: OpenAPI "
                "allows one of them; drop the other"
            )


@dataclass(frozen=True, slots=True)
class Server:
    """Where the service can be reached: a URL (relative ones are relative to the document)."""

    url: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """The head of a document.

    Args:
        title: The name of the service.
        version: The version of the API.
        summary: One line about it.
        description: More about it, in CommonMark.
        terms_of_service: The URL of the terms.
        contact: Whom to ask.
        licence: Under which licence it may be used.
        servers: Where it can be reached; empty means where the document came from.
        tags: Descriptions of tags, by name.
    """

    title: str
    version: str
    summary: str | None = None
    description: str | None = None
    terms_of_service: str | None = None
    contact: Contact | None = None
    licence: Licence | None = None
    servers: tuple[Server, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the OpenAPI Info Object."""
        contact, licence = self.contact, self.licence
        return given(
            title=self.title,
            summary=self.summary,
            description=self.description,
            termsOfService=self.terms_of_service,
            contact=contact and given(name=contact.name, url=contact.url, email=contact.email),
            license=licence and given(name=licence.name, identifier=licence.identifier, url=licence.url),
            version=self.version,
        )


def given(**members: Any) -> dict[str, Any]:
    """Return the members that are not None, an empty text or an empty collection."""
    return {name: value for name, value in members.items() if value not in (None, "", [], {}, ())}
