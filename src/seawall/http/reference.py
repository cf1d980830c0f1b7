"""The reference page: the API document to read and to try, from the service alone.

The page and everything it loads come from the service; nothing is fetched from elsewhere, no inline script
runs, and a strict Content-Security-Policy holds it to that. The interface is Swagger UI, kept in ``assets/``
with its licence; ``docs/decisions/0010-reference-page.md`` says why.

The names of the assets carry a hash of their content, so they may be cached for ever.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType
from urllib.parse import quote, urlsplit

from seawall.http.security_headers import content_security_policy

__all__ = ["ASSETS_URL", "PAGE_TYPE", "Asset", "assets", "page", "page_policy"]

ASSETS_URL = "/docs/assets"
"""Where the page looks for its assets unless it is told otherwise."""
PAGE_TYPE = "text/html; charset=utf-8"
"""The media type of the page."""

_SCRIPTS = ("swagger-ui-bundle.js", "reference.js")
_STYLES = ("swagger-ui.css", "reference.css")
_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the page loads.

    Args:
        name: Its name, with a hash of the content in it.
        content: The file.
        content_type: Its media type.
        etag: A strong entity tag (RFC 9110 §8.8.3), quotes included.
        cache_control: For ever: another content has another name.
    """

    name: str
    content: bytes
    content_type: str
    etag: str
    cache_control: str = "max-age=31536000, immutable"


def assets() -> Mapping[str, Asset]:
    """Read the assets of the page: name → asset, in the order in which the page loads them.

    They are two megabytes; keep what this returns.
    """
    return MappingProxyType({asset.name: asset for asset in map(_asset, (*_STYLES, *_SCRIPTS))})


def page(
    title: str,
    openapi_url: str,
    *,
    assets_url: str = ASSETS_URL,
    names: Iterable[str] | None = None,
    accept: str = "application/json",
) -> bytes:
    """Return the page as HTML in UTF-8.

    Args:
        title: The name of the service.
        openapi_url: Where the document is; relative URLs are relative to the page.
        assets_url: Where the assets are, without a slash at the end.
        names: The names of `assets`, to spare reading them again.
        accept: The ``Accept`` of operations that are tried, unless another media type is chosen there.
    """
    loaded = list(assets() if names is None else names)
    base = html.escape(assets_url)
    styles = "".join(f'<link rel="stylesheet" href="{base}/{name}">\n' for name in loaded if name.endswith(".css"))
    scripts = "".join(f'<script defer src="{base}/{name}"></script>\n' for name in loaded if name.endswith(".js"))
    icon = _file("favicon.svg").decode().strip()
    name, document, accept = html.escape(title), html.escape(openapi_url), html.escape(accept)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name} · API reference</title>
<link rel="icon" type="image/svg+xml" href="data:image/svg+xml,{quote(icon)}">
{styles}{scripts}</head>
<body>
<header class="bar">{icon}<strong>{name}</strong>
<a href="{document}">OpenAPI document</a><button type="button" id="theme">Dark</button></header>
<main id="reference" data-openapi="{document}" data-accept="{accept}"></main>
<noscript>This page needs JavaScript; the <a href="{document}">OpenAPI document</a> says the same.</noscript>
</body>
</html>
""".encode()


def page_policy(servers: Iterable[str] = ()) -> str:
    """Return the Content-Security-Policy of the page.

    Args:
        servers: The URLs of the servers in the document: those at other origins may be tried from the page.

    Raises:
        ConfigurationError: A URL of an origin that no policy can name.
    """
    origins = [f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, servers) if parts.scheme and parts.netloc]
    return content_security_policy(connect=tuple(dict.fromkeys(origins)))


def _asset(name: str) -> Asset:
    content = _file(name)
    digest = sha256(content).hexdigest()
    stem, _, suffix = name.rpartition(".")
    return Asset(f"{stem}.{digest[:12]}.{suffix}", content, _TYPES[suffix], f'"{digest[:32]}"')


def _file(name: str) -> bytes:
    return files("seawall.http").joinpath("assets", name).read_bytes()
