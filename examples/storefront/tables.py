"""The tables, with the rules the database itself keeps.

The indexes are those of the lists callers read: each is sorted by what the list is sorted by and then by
id, so that a page costs the same wherever in the list it lies.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from storefront.types import OrderStatus

__all__ = ["accounts", "derived", "metadata", "order_lines", "orders", "payments", "products", "shipments", "users"]


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, given and returned in UTC; SQLite has no type that keeps the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn *value* to UTC, so that text compares as time does."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Say that *value* is in UTC where the database could not."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


# PostgreSQL sorts text by the database's locale unless told otherwise; code points sort alike everywhere.
_Key = Text().with_variant(Text(collation="C"), "postgresql")

_STATUSES = ", ".join(f"'{status}'" for status in OrderStatus)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("length(name) > 0", "name_given"),
    Index(None, "created_at", "id"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("password", String(200), nullable=False),
)

products = Table(
    "products",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sku", String(40), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("name_key", _Key, nullable=False),
    Column("description", Text, nullable=False),
    Column("search_text", Text, nullable=False),
    Column("category", String(80), nullable=False),
    Column("price", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("stock", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("price >= 0", "price_not_negative"),
    CheckConstraint("stock >= 0", "stock_not_negative"),
    CheckConstraint("length(currency) = 3", "currency_code"),
    Index(None, "name_key", "id"),
    Index(None, "price", "id"),
    Index(None, "created_at", "id"),
    Index(None, "category", "created_at", "id"),
)

orders = Table(
    "orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("customer_id", ForeignKey("users.id"), nullable=False),
    Column("status", String(12), nullable=False),
    Column("placed_at", UtcDateTime, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("reference", String(80), nullable=True, unique=True),
    CheckConstraint(f"status IN ({_STATUSES})", "status_known"),
    CheckConstraint("total >= 0", "total_not_negative"),
    Index(None, "placed_at", "id"),
    Index(None, "customer_id", "placed_at", "id"),
    Index(None, "status", "placed_at", "id"),
)

order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("product_id", ForeignKey("products.id"), nullable=False, index=True),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", Integer, nullable=False),
    UniqueConstraint("order_id", "product_id"),
    CheckConstraint("quantity > 0", "quantity_positive"),
    CheckConstraint("unit_price >= 0", "unit_price_not_negative"),
)

payments = Table(
    "payments",
    metadata,
    Column("order_id", ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("charge_id", String(80), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("card", String(80), nullable=False),
    Column("paid_at", UtcDateTime, nullable=False),
)

shipments = Table(
    "shipments",
    metadata,
    Column("order_id", ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("shipment_id", String(80), nullable=False),
    Column("shipped_at", UtcDateTime, nullable=False),
)


def derived(name: str, description: str, sku: str) -> dict[str, str]:
    """Return the columns of a product that follow from its others.

    ``name_key`` is what names are sorted by, ``search_text`` where the words of a search are looked for; case
    counts in neither, in any language.
    """
    return {
        "name_key": name.casefold(),
        "search_text": f"{name}\n{description}\n{sku}".casefold(),
    }
