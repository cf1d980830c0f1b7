"""An application on its way: what has moved is the service's, the rest is still FastAPI's."""

from before import app

from seawall import Service

service = Service("items")
service.mount("/", app, timeout=30)


@service.get("/health")
async def health() -> str:
    """The first operation that has moved."""
    return "well"
