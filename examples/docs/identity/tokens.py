"""Bearer tokens: the whole service is closed, but for what says that it is public."""

# region: service
from seawall import Principal, Service
from seawall.auth import BearerTokens

service = Service("shop", auth=BearerTokens())


@service.get("/me")
async def me(principal: Principal) -> str:
    """Return who calls."""
    return principal.subject


@service.get("/products", public=True)
async def products() -> list[str]:
    """Return what there is, to everybody."""
    return ["tea"]


# endregion


# region: several
from seawall.auth import ANONYMOUS, KeyScheme  # noqa: E402
from seawall.auth.memory import MemoryApiKeys  # noqa: E402

tokens, keys = BearerTokens(), KeyScheme(MemoryApiKeys())


@service.get("/prices", auth=[tokens, keys])
async def prices(principal: Principal) -> str:
    """Return the prices for whoever calls, with a token or an API key."""
    return f"those for {principal.subject}"


@service.get("/greeting", auth=[tokens, ANONYMOUS])
async def greeting(principal: Principal | None) -> str:
    """Greet; a caller need not be known, but a bad token is refused all the same."""
    return f"Hello, {principal.subject if principal else 'stranger'}"


# endregion
