"""A service that cannot work: nothing provides the shelf."""

from seawall import Service

service = Service("broken")


class Shelf:
    """Where books stand."""


@service.get("/books/{title}")
async def read_book(title: str, shelf: Shelf) -> str:
    """Ask for a resource that nobody registered."""
    return title
