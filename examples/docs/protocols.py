"""A resource that is asked for by a protocol, and two of one class."""

from __future__ import annotations

from typing import NewType, Protocol

from seawall import Service

service = Service("protocols")


# region: provides
class Mailer(Protocol):
    """What operations need to know of it."""

    async def send(self, to: str, text: str) -> None:
        """Send a letter."""


class Postman:
    """One way to do it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    async def send(self, to: str, text: str) -> None:
        """Remember the letter."""
        self.sent.append((to, text))


@service.resource(provides=Mailer)
def mailer() -> Postman:
    """Provide the protocol, not the class."""
    return Postman()


@service.post("/letters/{to}")
async def write(to: str, mailer: Mailer) -> None:
    """Send a letter."""
    await mailer.send(to, "Hello")


# endregion

# region: newtype
Reader = NewType("Reader", Postman)
Writer = NewType("Writer", Postman)


@service.resource
def reader() -> Reader:
    """Two of one class are told apart by types of their own."""
    return Reader(Postman())


@service.resource
def writer() -> Writer:
    """The second one."""
    return Writer(Postman())


# endregion


@service.get("/letters")
async def count_letters(reader: Reader, writer: Writer) -> list[int]:
    """Count what each has sent."""
    return [len(reader.sent), len(writer.sent)]
