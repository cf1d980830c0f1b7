"""Problems: answers other than success."""

from __future__ import annotations

import json

from seawall import Conflict, FieldError, InvalidInput, NotFound, Problem, Service, pointer

service = Service("wallet")


# region: own
class OutOfCredit(Conflict):
    """The wallet holds less than that."""

    type = "urn:problem-type:wallet:out-of-credit"
    title = "Out of credit"


@service.post("/wallets/{owner}/withdrawals/{amount}", problems=[OutOfCredit])
async def withdraw(owner: str, amount: int) -> int:
    """Take money out of a wallet."""
    if amount > 30:
        raise OutOfCredit(f"{owner} has 30 and wants {amount}.", balance=30, accounts=["main"])
    return 30 - amount


# endregion


# region: status
class Teapot(Problem):
    """A status that Seawall has no class for."""

    status = 418
    type = "urn:problem-type:wallet:teapot"
    title = "I am a teapot"


@service.get("/coffee")
async def coffee() -> str:
    """Refuse to make coffee, and say when to come back."""
    raise Teapot(headers={"Retry-After": "3600"})


# endregion


# region: errors
@service.post("/transfers")
async def transfer(amounts: list[dict[str, int]]) -> None:
    """Refuse what is wrong, each with its place."""
    errors = [
        FieldError("An amount must not be negative.", pointer(number, name))
        for number, item in enumerate(amounts)
        for name, amount in item.items()
        if amount < 0
    ]
    if errors:
        raise InvalidInput("The transfers cannot be made.", errors=errors)


# endregion


# region: translate
@service.translate(json.JSONDecodeError)
def unreadable(error: json.JSONDecodeError) -> Problem:
    """Answer 404 where what is stored cannot be read."""
    return NotFound(f"What is stored there cannot be read (line {error.lineno}).")


@service.get("/notes/{number}")
async def read_note(number: int) -> dict[str, str]:
    """Read what somebody stored."""
    note: dict[str, str] = json.loads('{"text": "fine"}' if number == 1 else "{")
    return note


# endregion


# region: bug
@service.get("/bug")
async def bug() -> int:
    """Fail in a way nobody foresaw."""
    return 1 // 0


# endregion
