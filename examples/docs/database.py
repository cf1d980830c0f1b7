"""Notes in a database."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from seawall import NotFound, Service
from seawall.data import Database, Key, Keyset, ReadSession, Session, sql


# region: wiring
class Base(DeclarativeBase):
    """The tables."""


class Note(Base):
    """A note."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)


service = Service("notes")
sql(service, metadata=Base.metadata, duplicates=True)
# endregion


class NewNote(Struct):
    """What to note."""

    text: str


class Notes(Struct):
    """A page of notes."""

    texts: list[str]
    next: str | None


# region: session
@service.post("/notes", status=201, retry_serialization=3)
async def write_note(note: NewNote, session: Session) -> int:
    """Keep a note: it is committed before the answer is sent."""
    made = Note(text=note.text)
    session.add(made)
    await session.flush()
    return made.id


@service.get("/notes/{note_id}")
async def read_note(note_id: int, session: ReadSession) -> str:
    """Return a note, from a replica where there is one."""
    note = await session.get(Note, note_id)
    if note is None:
        raise NotFound(f"There is no note {note_id}.")
    return note.text


# endregion


# region: page
IN_ORDER = Keyset(Key(Note.text, str), Key(Note.id, int))


@service.get("/notes")
async def list_notes(session: ReadSession, cursor: Annotated[str, Meta(max_length=500)] | None = None) -> Notes:
    """Return a page of notes."""
    page = await IN_ORDER.page(session, select(Note), limit=20, cursor=cursor)
    return Notes([row[0].text for row in page.rows], page.next)


# endregion


# region: driver
@service.get("/fast/{note_id}")
async def read_note_fast(note_id: int, database: Database) -> Any:
    """Return a note by asyncpg's own connection, from the same pool."""
    async with database.driver(read=True) as connection:
        return await connection.fetchval("SELECT text FROM notes WHERE id = $1", note_id)


# endregion
