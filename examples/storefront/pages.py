"""The page at the root: what there is, and where to begin."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from storefront.service import Caching, service

__all__ = ["index"]

_FOLDER = Path(__file__).parent / "static"
_FILES = StaticFiles(directory=_FOLDER)
_PAGE_FIELDS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


@service.get("/", documented=False, public=True, guards=[Caching("no-cache")])
async def index(request: Request) -> Response:
    """Return the page."""
    page = await _FILES.get_response("index.html", request.scope)
    page.headers.update(_PAGE_FIELDS)
    return page


service.static("/static", _FOLDER, public=True, guards=[Caching("no-cache")])
