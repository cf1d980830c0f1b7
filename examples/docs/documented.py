"""An operation, and everything its document takes from it."""

from typing import Annotated

from msgspec import Meta, Struct

from seawall import Conflict, Service

# region: document
service = Service(
    "library",
    title="The library",
    version="2.1.0",
    description="Books, and who has them.",
)


class NewLoan(Struct):
    """What a reader asks for.

    Attributes:
        title: The title, as it stands on the spine.
    """

    title: str
    days: Annotated[int, Meta(ge=1, le=30, description="For how many days.", examples=[14])] = 14


class Loan(Struct):
    """A book in somebody's hands."""

    number: int
    title: str


class LentOut(Conflict):
    """Somebody else has the book."""

    type = "urn:problem-type:library:lent-out"
    title = "Lent out"


@service.post("/readers/{reader}/loans", status=201, tags=["loans"], problems=[LentOut])
async def borrow(reader: str, loan: NewLoan) -> Loan:
    """Borrow a book.

    A reader keeps it for 14 days, unless told otherwise.

    Args:
        reader: The number on the reader's card.
        loan: What to borrow.

    Returns:
        The loan, with its number.

    Raises:
        LentOut: Another reader has the book until its day comes.

    Example:
        {"title": "Emma", "days": 7}

    Example response:
        {"number": 12, "title": "Emma"}
    """
    return Loan(12, loan.title)


@service.get("/health", documented=False)
async def health() -> str:
    """Stand in no document."""
    return "well"


# endregion
