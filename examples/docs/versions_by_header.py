"""Two versions of an API, told apart by a header field."""

from seawall import Service, Versions

# region: versions
service = Service("people", versions=Versions(by="header", default="1"))


@service.get("/people/{number}", version="1")
async def read_person(number: int) -> str:
    """Answer callers who send API-Version: 1, or nothing."""
    return "Ada Lovelace"


@service.get("/people/{number}", version="2", name="read_person")
async def read_person_in_pieces(number: int) -> list[str]:
    """Answer callers who send API-Version: 2."""
    return ["Ada", "Lovelace"]


# endregion
