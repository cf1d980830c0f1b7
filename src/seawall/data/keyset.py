"""Reading long lists in pages, by keyset: a page starts after the last row of the one before.

Unlike an offset, that costs the same on every page, and rows that come or go meanwhile neither repeat nor hide others
(M. Winand, "We need tool support for keyset pagination", use-the-index-luke.com/no-offset). The place is told by a
cursor: the keys of the last row, with a mark that ties them to the search they belong to. The mark finds mistakes and
meddling; a cursor opens nothing that the search itself does not, so it needs no secret, but can have one.
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
from sqlalchemy import ColumnElement, Row, Select, and_, or_, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import QueryableAttribute

from seawall.data.problems import InvalidCursor
from seawall.problems import DeclarationError, FieldError, InvalidInput

__all__ = ["AnyRow", "AnySelect", "Key", "Keyset", "KeysetPage", "decode_cursor", "encode_cursor", "mark"]

AnySelect: TypeAlias = Select[*tuple[Any, ...]]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]
PLAIN_MARK, SIGNED_MARK = 6, 16  # bytes


@dataclass(frozen=True, slots=True)
class Key:
    """One column a list is sorted by.

    Args:
        column: The column; it may not be NULL, since nothing comes after NULL.
        type: Its type with its constraints, so that no forged value reaches the database.
        descending: Whether the greatest comes first.
    """

    column: ColumnElement[Any] | QueryableAttribute[Any]
    type: Any
    descending: bool = False


@dataclass(frozen=True, slots=True)
class KeysetPage:
    """The rows of one page, and the cursor of the next one, if there is one."""

    rows: Sequence[AnyRow]
    next: str | None


class Keyset:
    """What a list is sorted by: the last key must be unique, so that the order is one and the same every time.

    ::

        by_price = Keyset(Key(Product.price, Cents), Key(Product.id, Id))
        page = await by_price.page(session, select(Product), limit=20, cursor=cursor, search={"q": q})

    Args:
        keys: The columns.
        secret: Signs cursors, where callers should not make their own.
        problem: What a wrong cursor is answered with; must be made of a detail and ``errors``.

    Raises:
        DeclarationError: There is no key, or one may be NULL.
    """

    def __init__(self, *keys: Key, secret: bytes = b"", problem: type[InvalidInput] = InvalidCursor) -> None:
        if not keys:
            raise DeclarationError("keyset: it has no key; name the columns, the last of them unique.")
        for key in keys:
            if getattr(key.column, "nullable", False):
                raise DeclarationError(
                    f"keyset: column {key.column.key!r} may be NULL, and nothing comes after NULL; make it NOT NULL, "
                    "or sort by an expression such as coalesce()."
                )
        self.keys = keys
        self.problem = problem
        self._secret = secret

    def apply(self, statement: AnySelect, after: Sequence[Any] | None) -> AnySelect:
        """Return *statement* sorted, and starting after the row with the keys *after*, if there are any."""
        if after is not None:
            statement = statement.where(self._beyond(after))
        return statement.order_by(*(k.column.desc() if k.descending else k.column.asc() for k in self.keys))

    async def page(
        self,
        connection: AsyncConnection | AsyncSession,
        statement: AnySelect,
        *,
        limit: int,
        cursor: str | None = None,
        search: Any = None,
    ) -> KeysetPage:
        """Return one page.

        Args:
            connection: Where to ask.
            statement: What to list; the keys must be among its columns, or of its one entity.
            limit: Most rows of the page.
            cursor: Where it begins: `KeysetPage.next` of the page before.
            search: What was searched for, and the name of the order where there are several: anything JSON can hold.
                A cursor of another search is refused.

        Raises:
            InvalidCursor: The cursor was not given out for this search.
        """
        types = [key.type for key in self.keys]
        after = None if cursor is None else decode_cursor(cursor, types, search, self._secret, self.problem)
        # One row more than asked for tells whether there is another page, without counting the list.
        rows = (await connection.execute(self.apply(statement, after).limit(limit + 1))).all()
        if len(rows) <= limit:
            return KeysetPage(rows, None)
        rows = rows[:limit]
        return KeysetPage(rows, encode_cursor([_value(rows[-1], k) for k in self.keys], search, self._secret))

    def _beyond(self, after: Sequence[Any]) -> ColumnElement[bool]:
        columns: list[Any] = [key.column for key in self.keys]
        if len({key.descending for key in self.keys}) == 1:  # one comparison of rows, which an index answers
            row, place = tuple_(*columns), tuple_(*after, types=[column.type for column in columns])
            return row < place if self.keys[0].descending else row > place
        return or_(
            *(
                and_(
                    *(column == value for column, value in zip(columns[:index], after, strict=False)),
                    columns[index] < after[index] if key.descending else columns[index] > after[index],
                )
                for index, key in enumerate(self.keys)
            )
        )


def encode_cursor(values: Sequence[Any], search: Any = None, secret: bytes = b"") -> str:
    """Return the cursor that continues *search* after the row with the keys *values*."""
    place = msgspec.json.encode([mark(values, search, secret), *values])
    return base64.urlsafe_b64encode(place).rstrip(b"=").decode("ascii")


def decode_cursor(
    cursor: str,
    types: Sequence[Any],
    search: Any = None,
    secret: bytes = b"",
    problem: type[InvalidInput] = InvalidCursor,
) -> tuple[Any, ...]:
    """Return the keys of the row after which *cursor* continues *search*.

    Raises:
        InvalidCursor: It was damaged, or given out for another search or order; or what *problem* says.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = base64.b64decode(padded, altchars=b"-_", validate=True)
        form: Any = tuple.__class_getitem__((str, *types))
        _, *found = msgspec.json.decode(place, type=form)
        values = tuple(value.astimezone(UTC) if isinstance(value, datetime) else value for value in found)
        # It is valid if it is what would be given out, to the letter: no second way to write it is accepted.
        genuine = encode_cursor(values, search, secret) == cursor
    except (UnicodeError, binascii.Error, msgspec.DecodeError, OverflowError):
        genuine, values = False, ()
    if not genuine:
        fix = (
            "Send 'next' of the page before, unchanged, with the same filters and sort; "
            "or no cursor, to begin at the first page."
        )
        error = FieldError(detail=fix, parameter="cursor", location="query")
        raise problem("The cursor does not belong to this search.", errors=[error])
    return values


def mark(values: Sequence[Any], search: Any = None, secret: bytes = b"") -> str:
    """Return what ties *values* to *search*."""
    content = msgspec.json.encode([type(search).__name__, search, *values])
    size = SIGNED_MARK if secret else PLAIN_MARK
    return hashlib.blake2b(content, digest_size=size, key=secret[:64]).hexdigest()


def _value(row: AnyRow, key: Key) -> Any:
    mapping = row._mapping  # noqa: SLF001 - SQLAlchemy's documented name for it
    return mapping[key.column] if key.column in mapping else getattr(row[0], str(key.column.key))
