"""Two versions of an API, told apart by the path."""

from msgspec import Struct

from seawall import Service, Versions


class Name(Struct):
    """A name in one piece."""

    name: str


class FullName(Struct):
    """A name in two pieces."""

    given: str
    family: str


# region: versions
service = Service("people", versions=Versions(by="path"))

v1 = service.group(version="1", deprecated="2026-03-01", sunset="2027-03-01", successor="/v2/people")
v2 = service.group(version="2")


@v1.get("/people/{number}")
async def read_person(number: int) -> Name:
    """Return somebody's name."""
    return Name("Ada Lovelace")


@v2.get("/people/{number}", name="read_person")
async def read_person_in_pieces(number: int) -> FullName:
    """Return somebody's names."""
    return FullName("Ada", "Lovelace")


@service.get("/health")
async def health() -> str:
    """Belong to no version."""
    return "well"


# endregion
