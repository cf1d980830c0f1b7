"""A service that pages of another origin may call, behind a proxy."""

from seawall import Call, Service

service = Service("pages")


@service.get("/me")
async def read_me(call: Call) -> str | None:
    """Return the address of the caller."""
    return call.client
