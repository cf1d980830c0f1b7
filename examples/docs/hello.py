"""The smallest service."""

from seawall import Service

service = Service("hello")


@service.get("/hello/{name}")
async def hello(name: str, times: int = 1) -> dict[str, str]:
    """Greet somebody."""
    return {"message": " ".join([f"Hello, {name}!"] * times)}
