"""Who may: roles, scopes, predicates."""

from __future__ import annotations

from seawall import Principal, Service
from seawall.auth import BearerTokens, authenticated

# region: rules
service = Service("shop", auth=BearerTokens(), deny_by_default=True)
staff = service.group("/admin", roles={"staff", "owner"})


@staff.get("/reports")
async def reports() -> str:
    """Return the reports: to callers with one of the roles."""
    return "all of them"


@service.get("/export", scopes={"orders:read", "customers:read"})
async def export() -> str:
    """Return everything: to credentials that were granted all of the scopes."""
    return "everything"


@service.get("/me", allow=authenticated)
async def me(principal: Principal) -> str:
    """Return who calls: to everybody who is known."""
    return principal.subject


@service.get("/forgotten")
async def forgotten() -> str:
    """Say nothing of who may: nobody may, since the service denies by default."""
    return "never"


# endregion


# region: owner
class Orders:
    """Orders, and whose they are."""

    def __init__(self) -> None:
        self._owners = {1: "ann", 2: "bob"}

    async def owner(self, order_id: int) -> str | None:
        """Return whose order it is."""
        return self._owners.get(order_id)


service.resource(Orders)


async def owns_order(principal: Principal, order_id: int, orders: Orders) -> bool:
    """Let in whoever the order belongs to."""
    return await orders.owner(order_id) == principal.subject


@service.get("/orders/{order_id}", allow=owns_order)
async def read_order(order_id: int) -> str:
    """Return an order, to its owner."""
    return f"order {order_id}"


# endregion
