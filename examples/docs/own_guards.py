"""Guards of one's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from seawall import Call, Forbidden, Guard, Place, Principal, Problem, Service, Unauthorized, Unavailable

# region: authenticate
KEYS = {"k-1": Principal("ann", roles=frozenset({"editor"})), "k-2": Principal("bob")}


class ApiKey(Guard):
    """Knows callers by a key in a header field."""

    name = "api-key"
    place = Place.AUTHENTICATE
    problems: ClassVar[tuple[type[Problem], ...]] = (Unauthorized,)
    security: ClassVar[Mapping[str, Any] | None] = {"type": "apiKey", "in": "header", "name": "X-API-Key"}

    async def check(self, call: Call) -> None:
        """Put the caller into the call, or refuse."""
        principal = KEYS.get(call.header("X-API-Key") or "")
        if principal is None:
            raise Unauthorized("Send a key in X-API-Key.", headers={"WWW-Authenticate": "ApiKey"})
        call.principal = principal


class Role(Guard):
    """Lets callers of one role pass."""

    name = "role"
    place = Place.AUTHORISE
    problems: ClassVar[tuple[type[Problem], ...]] = (Forbidden,)

    def __init__(self, role: str) -> None:
        self.role = role

    async def check(self, call: Call) -> None:
        """Refuse who has not the role."""
        if call.principal is None or self.role not in call.principal.roles:
            raise Forbidden(f"This takes the role {self.role!r}.")


# endregion


# region: release
class AtOnce(Guard):
    """Lets each caller have so many calls at once."""

    name = "at-once"
    place = Place.BULKHEAD
    problems: ClassVar[tuple[type[Problem], ...]] = (Unavailable,)

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = Counter[str | None]()

    async def check(self, call: Call) -> None:
        """Take a place, or refuse."""
        if self.running[call.client] >= self.limit:
            raise Unavailable("Wait for your other calls to end.", headers={"Retry-After": "1"})
        self.running[call.client] += 1

    async def release(self, call: Call, error: BaseException | None) -> None:
        """Give the place back, however the call ended."""
        self.running[call.client] -= 1
        if not self.running[call.client]:
            del self.running[call.client]


# endregion

# region: use
service = Service("articles", guards=[ApiKey()])
drafts = service.group("/drafts", guards=[Role("editor"), AtOnce(2)])


@service.get("/me")
async def read_me(principal: Principal) -> str:
    """Say who calls."""
    return principal.subject


@drafts.get("/")
async def list_drafts() -> list[str]:
    """For editors only."""
    return ["On sea walls"]


@drafts.delete("/{number}", guards=[Role("owner")])
async def delete_draft(number: int) -> None:
    """For owners only: a guard of the same name replaces the outer one."""


# endregion
