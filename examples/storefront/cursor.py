"""The shop's lists in pages: Seawall's keyset, and what a page of the shop is asked for with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection

from seawall.data import keyset
from seawall.data.keyset import AnyRow, AnySelect, Key, Keyset
from storefront.problems import InvalidCursor
from storefront.types import Id, PageRequest

__all__ = ["AnyRow", "AnySelect", "Ordering", "decode_cursor", "encode_cursor", "fetch_page"]

KeyValue: TypeAlias = str | int | datetime


class Ordering(Keyset):
    """What a list is sorted by; the id decides between rows whose key is the same.

    Args:
        key: The column sorted by.
        number: The table's primary key.
        kind: The type of the key with its constraints, so that no forged one reaches the database.
        descending: Whether the greatest comes first.
    """

    def __init__(
        self, key: ColumnElement[Any], number: ColumnElement[Any], kind: Any, *, descending: bool = False
    ) -> None:
        super().__init__(Key(key, kind, descending), Key(number, Id, descending), problem=InvalidCursor)


async def fetch_page(
    connection: AsyncConnection, statement: AnySelect, ordering: Keyset, search: PageRequest
) -> tuple[Sequence[AnyRow], str | None]:
    """Return the rows of the page that *search* asks for, and the cursor of the next page, if any.

    Raises:
        InvalidCursor: The cursor was not given out for this search.
    """
    page = await ordering.page(connection, statement, limit=search.limit, cursor=search.cursor, search=_wanted(search))
    return page.rows, page.next


def encode_cursor(search: PageRequest, key: KeyValue, row_id: int) -> str:
    """Return the cursor that continues *search* after the row with that *key* and *row_id*."""
    return keyset.encode_cursor([key, row_id], _wanted(search))


def decode_cursor(cursor: str, search: PageRequest, key_type: Any) -> tuple[KeyValue, int]:
    """Return the key and id of the row after which *cursor* continues *search*.

    Raises:
        InvalidCursor: It was damaged, or given out for another search or sort.
    """
    key, row_id = keyset.decode_cursor(cursor, [key_type, Id], _wanted(search), problem=InvalidCursor)
    return key, row_id


def _mark(search: PageRequest, key: KeyValue, row_id: int) -> str:
    return keyset.mark([key, row_id], _wanted(search))


def _wanted(search: PageRequest) -> PageRequest:
    # The page's size is the caller's to change on the way; everything else must stay.
    return msgspec.structs.replace(search, cursor=None, limit=1)
