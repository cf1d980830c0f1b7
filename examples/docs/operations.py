"""Operations, groups and policies."""

from seawall import NotFound, Service

# region: levels
service = Service("library", timeout=5)

books = service.group("/books", tags=["books"], timeout=2)


@books.get("/")
async def list_books() -> list[str]:
    """Two seconds, from the group."""
    return ["Emma", "Persuasion"]


@books.get("/{title}", timeout="500ms")
async def read_book(title: str) -> dict[str, str]:
    """Half a second, its own."""
    if title not in ("Emma", "Persuasion"):
        raise NotFound(f"There is no book {title!r}.")
    return {"title": title}


@service.post("/loans", status=201, max_body="4 KiB", unknown_fields="ignore")
async def lend(loan: dict[str, str]) -> dict[str, str]:
    """Five seconds, from the service."""
    return loan


# endregion


# region: nested
members = service.group("/members/{member}", tags=["members"])
fees = members.group("/fees", tags=["money"], max_body="1 KiB")


@fees.delete("/{fee}")
async def waive_fee(member: str, fee: int) -> None:
    """Answer DELETE /members/ann/fees/3 with 204."""


# endregion


# region: unrouted
@service.operation("count_books", timeout=1)
async def count_books(minimum: int = 0) -> int:
    """Count the books; there is no route that leads here."""
    return max(minimum, len(await list_books()))


@service.get("/statistics")
async def statistics() -> dict[str, int]:
    """Call the other operation, under its own policy."""
    return {"books": await service.call("count_books", minimum=1)}


# endregion
