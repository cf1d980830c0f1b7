"""Reading long lists in pages, by keyset: a page starts after the last row of the one before.

Unlike an offset, that costs the same on every page, and rows that come or go meanwhile neither repeat nor
hide others. The place is told by a cursor: the sort key and id of the last row, with a mark that ties them
to the search they belong to. The mark finds mistakes and meddling; it is no secret, since a cursor opens
nothing that the search itself does not.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, Row, Select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from seawall.problems import FieldError
from storefront.problems import InvalidCursor
from storefront.types import Id, PageRequest

__all__ = ["AnyRow", "AnySelect", "Ordering", "decode_cursor", "encode_cursor", "fetch_page"]

Key: TypeAlias = str | int | datetime
AnySelect: TypeAlias = Select[*tuple[Any, ...]]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Ordering:
    """What a list is sorted by; the id decides between rows whose key is the same.

    Args:
        key: The column sorted by.
        id: The table's primary key.
        type: The type of the key with its constraints, so that no forged one reaches the database.
        descending: Whether the greatest comes first.
    """

    key: ColumnElement[Any]
    id: ColumnElement[Any]
    type: Any
    descending: bool = False

    def apply(self, statement: Select[*tuple[Any, ...]], after: tuple[Key, int] | None) -> Select[*tuple[Any, ...]]:
        """Return *statement* sorted, and starting after the row with that key and id if there is one."""
        if after is not None:
            row, place = tuple_(self.key, self.id), tuple_(*after, types=[self.key.type, self.id.type])
            statement = statement.where(row < place if self.descending else row > place)
        columns = (self.key, self.id)
        return statement.order_by(*(column.desc() if self.descending else column.asc() for column in columns))


async def fetch_page(
    connection: AsyncConnection, statement: AnySelect, ordering: Ordering, search: PageRequest
) -> tuple[Sequence[AnyRow], str | None]:
    """Return the rows of the page that *search* asks for, and the cursor of the next page, if any.

    Raises:
        InvalidCursor: The cursor was not given out for this search.
    """
    after = None if search.cursor is None else decode_cursor(search.cursor, search, ordering.type)
    # One row more than asked for tells whether there is another page, without counting the list.
    rows = (await connection.execute(ordering.apply(statement, after).limit(search.limit + 1))).all()
    if len(rows) <= search.limit:
        return rows, None
    rows = rows[: search.limit]
    return rows, encode_cursor(search, rows[-1]._mapping[ordering.key], rows[-1]._mapping[ordering.id])  # noqa: SLF001


def encode_cursor(search: PageRequest, key: Key, row_id: int) -> str:
    """Return the cursor that continues *search* after the row with that *key* and *row_id*."""
    place = msgspec.json.encode([_mark(search, key, row_id), row_id, key])
    return base64.urlsafe_b64encode(place).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str, search: PageRequest, key_type: Any) -> tuple[Key, int]:
    """Return the key and id of the row after which *cursor* continues *search*.

    Raises:
        InvalidCursor: It was damaged, or given out for another search or sort.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = base64.b64decode(padded, altchars=b"-_", validate=True)
        _, row_id, key = msgspec.json.decode(place, type=tuple[str, Id, key_type])
        if isinstance(key, datetime):
            key = key.astimezone(UTC)
        # It is valid if it is what would be given out, to the letter: no second way to write it is accepted.
        genuine = encode_cursor(search, key, row_id) == cursor
    except (UnicodeError, binascii.Error, msgspec.DecodeError, OverflowError):
        raise _invalid() from None
    if not genuine:
        raise _invalid()
    return key, row_id


def _invalid() -> InvalidCursor:
    fix = (
        "Send 'next' of the page before, unchanged, with the same filters and sort; "
        "or no cursor, to begin at the first page."
    )
    error = FieldError(detail=fix, parameter="cursor", location="query")
    return InvalidCursor("The cursor does not belong to this search.", errors=[error])


def _mark(search: PageRequest, key: Key, row_id: int) -> str:
    # The page's size is the caller's to change on the way; everything else must stay.
    wanted = msgspec.to_builtins(msgspec.structs.replace(search, cursor=None, limit=1))
    content = msgspec.json.encode([type(search).__name__, wanted, key, row_id])
    return hashlib.blake2b(content, digest_size=6).hexdigest()
