"""Where parameters come from."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct
from starlette.datastructures import UploadFile

from seawall import Body, Call, Cookie, Form, Header, Query, Service

service = Service("parameters")


# region: path
@service.get("/accounts/{account}/days/{day}")
async def read_day(account: UUID, day: date) -> dict[str, str]:
    """Take both from the path."""
    return {"account": account.hex, "weekday": f"{day:%A}"}


@service.get("/files/{path:path}")
async def read_file(path: str) -> dict[str, str]:
    """Take the rest of the path, slashes included."""
    return {"path": path}


# endregion


# region: query
class Sort(StrEnum):
    """How results are sorted."""

    NAME = "name"
    PRICE = "price"


@service.get("/search")
async def search(
    q: Annotated[str, Meta(min_length=2, max_length=40)],
    sort: Sort = Sort.NAME,
    limit: Annotated[int, Meta(ge=1, le=100)] = 20,
    below: Decimal | None = None,
    tag: tuple[str, ...] = (),
) -> dict[str, object]:
    """Take everything from the query."""
    return {"q": q, "sort": sort, "limit": limit, "below": below, "tags": tag}


# endregion


# region: group
class Filter(Struct):
    """Several parameters that belong together."""

    status: str | None = None
    tag: list[str] = []
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


@service.get("/orders")
async def find_orders(found: Annotated[Filter, Query()]) -> Filter:
    """Take ?status=…&tag=…&tag=…&limit=… as one value."""
    return found


# endregion


# region: header
@service.get("/me")
async def read_me(
    x_tenant: Annotated[str, Header()],
    language: Annotated[str, Header("Accept-Language")] = "en",
    theme: Annotated[str, Cookie()] = "light",
) -> dict[str, str]:
    """Take X-Tenant, Accept-Language and the cookie 'theme'."""
    return {"tenant": x_tenant, "language": language, "theme": theme}


# endregion


# region: body
class Address(Struct, forbid_unknown_fields=True):
    """Where somebody lives."""

    street: str
    city: Annotated[str, Meta(min_length=1, max_length=60)]


class Customer(Struct, forbid_unknown_fields=True):
    """Who buys."""

    name: str
    born: date
    address: Address
    phones: list[str] = []


@service.put("/customers/{number}")
async def save_customer(number: int, customer: Customer) -> Customer:
    """Take a type with fields from the body."""
    return customer


@service.post("/numbers")
async def add_up(numbers: Annotated[list[int], Body()]) -> int:
    """Take a body that is no object: say so with Body()."""
    return sum(numbers)


@service.post("/raw")
async def take_bytes(data: Annotated[bytes, Body()]) -> int:
    """Take the body as it came, whatever its media type."""
    return len(data)


# endregion


# region: form
class Photo(Struct):
    """A form with a file."""

    title: Annotated[str, Meta(max_length=60)]
    year: int
    file: UploadFile
    tags: list[str] = []


@service.post("/photos", status=201, max_body="5 MiB")
async def add_photo(photo: Annotated[Photo, Form()]) -> dict[str, object]:
    """Take fields and files from a form."""
    content = await photo.file.read()
    return {"title": photo.title, "year": photo.year, "name": photo.file.filename, "bytes": len(content)}


# endregion


# region: call
@service.get("/whoami")
async def who_am_i(call: Call) -> dict[str, str | None]:
    """Take the call itself."""
    return {"request": call.request_id, "client": call.client, "agent": call.header("User-Agent")}


# endregion
