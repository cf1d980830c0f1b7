"""Answers that are worth compressing, and one that must not be."""

from seawall import Service

service = Service("large")


# region: compress
@service.get("/words")
async def words(count: int = 500) -> list[str]:
    """Compressed for clients that accept it."""
    return ["sea wall"] * count


@service.get("/account", compress=False)
async def account(echo: str = "") -> dict[str, str]:
    """Never compressed: it holds a secret beside what the caller sent (BREACH)."""
    return {"token": "s3cr3t" * 200, "echo": echo}


# endregion
