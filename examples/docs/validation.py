"""Three places for rules: the type, the value as a whole, and what only the service knows."""

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct

from seawall import Check, FieldError, Service, pointer

service = Service("bookings")


# region: meta
Email = Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
Guests = Annotated[int, Meta(ge=1, le=8)]


class Booking(Struct):
    """A stay in a room."""

    room: str
    email: Email
    guests: Guests
    arrival: date
    departure: date

    # endregion
    # region: whole
    def __post_init__(self) -> None:
        """Check what two fields say together."""
        if self.departure <= self.arrival:
            raise ValueError("Departure must be after arrival.")

    # endregion


# region: check
class Rooms:
    """Knows the rooms and how many each one takes."""

    def __init__(self) -> None:
        self.beds = {"attic": 2, "garden": 4}

    async def beds_in(self, room: str) -> int | None:
        """Ask the database, in earnest."""
        return self.beds.get(room)


service.resource(Rooms)


async def room_has_beds(booking: Booking, rooms: Rooms) -> list[FieldError]:
    """Say what is wrong with the room; nothing if all is well."""
    beds = await rooms.beds_in(booking.room)
    if beds is None:
        return [FieldError("There is no such room.", pointer("room"))]
    if beds < booking.guests:
        return [FieldError(f"This room has {beds} beds.", pointer("guests"))]
    return []


@service.post("/bookings", status=201)
async def book(booking: Annotated[Booking, Check(room_has_beds)]) -> Booking:
    """Book a room."""
    return booking


# endregion


# region: parameter
def is_open(day: date) -> FieldError | None:
    """Refuse a day on which the house is closed."""
    return FieldError("We are closed on Mondays.") if day.weekday() == 0 else None


@service.get("/days/{day}")
async def read_day(day: Annotated[date, Check(is_open)]) -> str:
    """Say that the house is open."""
    return f"Open on {day:%A}."


# endregion
