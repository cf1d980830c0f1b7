"""Two versions of an API, told apart by the media type."""

from seawall import Service, Versions

# region: versions
service = Service("people", versions=Versions(by="media"))


@service.get("/people/{number}", version="1")
async def read_person(number: int) -> str:
    """Answer Accept: application/json; version=1."""
    return "Ada Lovelace"


@service.get("/people/{number}", version="2", name="read_person")
async def read_person_in_pieces(number: int) -> list[str]:
    """Answer Accept: application/json; version=2."""
    return ["Ada", "Lovelace"]


# endregion
