"""The routes a service has of itself: its API document and the page that shows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Protocol

import msgspec
from starlette.responses import Response

from seawall.http.parameters import Header
from seawall.http.reference import PAGE_TYPE, assets, page, page_policy
from seawall.problems import NotFound

__all__ = ["DocumentSource", "Documented", "document_handlers"]

Handler = Callable[..., Awaitable[Response]]


class Documented(Protocol):
    """What a document can be made of."""

    def document(self, version: str | None) -> dict[str, Any]:
        """Return the OpenAPI document of one version, or of everything."""
        ...

    def index(self) -> dict[str, Any]:
        """Return what leads to the documents of every version."""
        ...


class DocumentSource:
    """Stands for the compiled service in its own document's plan, which is compiled before the service is."""

    built: Documented

    def document(self, version: str | None) -> dict[str, Any]:
        """Return the OpenAPI document of one version, or of everything."""
        return self.built.document(version)

    def index(self) -> dict[str, Any]:
        """Return what leads to the documents of every version."""
        return self.built.index()


@dataclass(frozen=True)
class _Documents:
    """Documents and page, made when they are first asked for."""

    source: Documented
    title: str
    versions: tuple[str, ...]

    @cached_property
    def bodies(self) -> dict[str | None, tuple[bytes, str]]:
        """Document and entity tag, by version."""
        return {}

    @cached_property
    def assets(self) -> Any:
        """What the page loads."""
        return assets()

    def body(self, version: str | None) -> tuple[bytes, str]:
        """Return the document of *version* and its entity tag."""
        if version not in self.bodies:
            made = self.source.index() if version is None and self.versions else self.source.document(version)
            body = msgspec.json.encode(made)
            self.bodies[version] = body, _etag(body)
        return self.bodies[version]


def document_handlers(
    source: Documented, title: str, versions: tuple[str, ...], accept: str
) -> list[tuple[str, Handler]]:
    """Return paths and functions of the document and its page.

    Args:
        source: What the document is made of.
        title: The service's title.
        versions: Versions that have documents of their own; the first is the one the page shows.
        accept: What the page asks for when an operation is tried.
    """
    documents = _Documents(source, title, versions)

    async def openapi_document(if_none_match: Annotated[str | None, Header()] = None) -> Response:
        return _answer(*documents.body(None), "application/json", if_none_match)

    async def openapi_document_of(version: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        if version not in versions:
            raise NotFound(f"There is no document of version {version!r}; there is {', '.join(versions)}.")
        return _answer(*documents.body(version), "application/json", if_none_match)

    async def openapi_page(if_none_match: Annotated[str | None, Header()] = None) -> Response:
        url = f"openapi/{versions[0]}" if versions else "openapi.json"
        body = page(title, url, assets_url="docs/assets", names=documents.assets, accept=accept)
        headers = {
            "content-security-policy": page_policy(),
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",
        }
        response = _answer(body, _etag(body), PAGE_TYPE, if_none_match)
        response.headers.update(headers)
        return response

    async def openapi_page_asset(name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        asset = documents.assets.get(name)
        if asset is None:
            raise NotFound(f"The page has no asset {name!r}.")
        response = _answer(asset.content, asset.etag, asset.content_type, if_none_match)
        response.headers["cache-control"] = asset.cache_control
        return response

    handlers: list[tuple[str, Handler]] = [
        ("/openapi.json", openapi_document),
        ("/docs", openapi_page),
        ("/docs/assets/{name}", openapi_page_asset),
    ]
    if versions:
        handlers.append(("/openapi/{version}", openapi_document_of))
    return handlers


def _etag(body: bytes) -> str:
    return f'"{sha256(body).hexdigest()[:32]}"'


def _answer(body: bytes, etag: str, media_type: str, if_none_match: str | None) -> Response:
    # A compressed answer carries the tag in its weak form; If-None-Match compares weakly (RFC 9110 §13.1.2).
    known = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    if etag in known or known == ["*"]:
        return Response(status_code=304, headers={"etag": etag, "cache-control": "no-cache"})
    return Response(body, headers={"etag": etag, "cache-control": "no-cache"}, media_type=media_type)
