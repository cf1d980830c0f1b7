"""API keys: made, used, listed, taken back."""

from __future__ import annotations

from msgspec import Struct

from seawall import NotFound, Principal, Service
from seawall.auth import ApiKeys, KeyScheme
from seawall.auth.memory import MemoryApiKeys

# region: keys
store = MemoryApiKeys()
keys = ApiKeys(store, label="shop")
service = Service("shop", auth=KeyScheme(store))


class NewKey(Struct):
    """What a key is for."""

    name: str
    days: int = 90


class MadeKey(Struct):
    """A key, shown this once."""

    key: str
    prefix: str


@service.post("/keys", status=201, scopes={"keys"})
async def make_key(new: NewKey, principal: Principal) -> MadeKey:
    """Make a key that may read."""
    made, kept = await keys.create(principal.subject, name=new.name, scopes={"read"}, seconds=new.days * 86_400)
    return MadeKey(made, kept.prefix)


@service.delete("/keys/{prefix}", scopes={"keys"})
async def revoke_key(prefix: str, principal: Principal) -> None:
    """Take one of one's own keys back."""
    if not await keys.revoke(prefix, subject=principal.subject):
        raise NotFound("There is no such key.")


@service.get("/stock", scopes={"read"})
async def stock() -> int:
    """Return how much there is."""
    return 7


# endregion
