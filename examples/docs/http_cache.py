"""Answers that say themselves how long they are good, and changes that are about what was read."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.responses import HTMLResponse

from seawall import Call, Header, Reply, Service, check_preconditions
from seawall.cache import CachePolicy

service = Service("magazine")


class Article(msgspec.Struct):
    """What is read."""

    text: str
    version: int = 1


ARTICLES = {"tea": Article("Boil water.")}


# region: reads
@service.get("/articles/{slug}", cache=CachePolicy(None))
async def read_article(
    slug: str, if_none_match: Annotated[str | None, Header("if-none-match")] = None
) -> Reply[Article | None]:
    """Return an article, or say that the one that is kept is still good."""
    article = ARTICLES[slug]
    etag = f'"{article.version}"'
    said = {"ETag": etag, "Cache-Control": "max-age=60, stale-while-revalidate=30, stale-if-error=3600"}
    if if_none_match == etag:
        return Reply(None, status=304, headers=said)
    return Reply(article, headers=said)


@service.get("/", cache="5m")
async def front_page() -> HTMLResponse:
    """Return a page."""
    return HTMLResponse("".join(f"<h1>{slug}</h1>" for slug in ARTICLES))


# endregion


# region: changes
@service.put("/articles/{slug}")
async def write_article(slug: str, text: str, call: Call) -> None:
    """Change an article, if it is still the one that was read."""
    article = ARTICLES[slug]
    check_preconditions(call, etag=f'"{article.version}"', required=True)
    ARTICLES[slug] = Article(text, article.version + 1)


# endregion
