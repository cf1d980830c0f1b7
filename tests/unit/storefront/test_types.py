from __future__ import annotations

import msgspec
import pytest

from storefront import types
from storefront.dashboard import Dashboard
from storefront.types import (
    NewOrder,
    NewOrderLine,
    NewProduct,
    NewUser,
    Order,
    OrderSearch,
    Page,
    Product,
    ProductPatch,
    ProductSearch,
    User,
    UserSearch,
)

USER = {"email": "ada@example.com", "name": "Ada Lovelace"}
PRODUCT = {"sku": "LMP-0042", "name": "Desk Lamp", "category": "Lighting", "price": 4_900}
ORDER = {"customer_id": 1, "lines": [{"product_id": 1, "quantity": 2}, {"product_id": 2, "quantity": 1}]}


@pytest.mark.parametrize(("kind", "value"), [(NewUser, USER), (NewProduct, PRODUCT), (NewOrder, ORDER)])
def test_accepts_what_is_right(kind, value):
    made = msgspec.convert(value, kind)
    assert {name: msgspec.to_builtins(made)[name] for name in value} == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (NewUser, USER),
        (NewProduct, PRODUCT),
        (NewOrder, ORDER),
        (NewOrderLine, ORDER["lines"][0]),
        (ProductPatch, {"price": 1}),
        (ProductSearch, {}),
        (OrderSearch, {}),
        (UserSearch, {}),
    ],
)
def test_refuses_unknown_fields(kind, value):
    with pytest.raises(msgspec.ValidationError, match="unknown field `surprise`"):
        msgspec.convert({**value, "surprise": 1}, kind)


@pytest.mark.parametrize(
    ("kind", "base", "field", "bad"),
    [
        *((NewUser, USER, "name", bad) for bad in ("", " ", "a\x00b", "a\n", "a\tb", "a" * 201, 7, None)),
        *((NewUser, USER, "email", bad) for bad in ("", "ada", "ada@", "ada@host", "a b@c.de", "a@b.c\n", "a@b..c")),
        (NewUser, USER, "email", "a" * 250 + "@b.de"),
        *((NewProduct, PRODUCT, "sku", bad) for bad in ("", "lmp", "A--B", "-A", "A\n", "A" * 41)),
        *((NewProduct, PRODUCT, "price", bad) for bad in (-1, 100_000_001, 1.5, "1", True)),
        *((NewProduct, PRODUCT, "currency", bad) for bad in ("usd", "US", "USDX", "USD\n")),
        *((NewProduct, PRODUCT, "category", bad) for bad in ("", "  ")),
        *((NewProduct, PRODUCT, "description", bad) for bad in ("a\x00", "a\x07", "a" * 2_001)),
        *((NewProduct, PRODUCT, "stock", bad) for bad in (-1, 1_000_001)),
        *((NewOrder, ORDER, "customer_id", bad) for bad in (0, -1, 2**31, 2**70)),
        *((NewOrder, ORDER, "lines", bad) for bad in ([], [{"product_id": 1, "quantity": 0}], [{"product_id": 1}])),
        (NewOrder, ORDER, "lines", [{"product_id": number, "quantity": 1} for number in range(1, 102)]),
        *((ProductPatch, {}, "name", bad) for bad in ("", " ", None)),
        *((ProductSearch, {}, "limit", bad) for bad in (0, 101, "20")),
        *((ProductSearch, {}, "sort", bad) for bad in ("", "Name", "+name")),
        (ProductSearch, {}, "q", "a\x00"),
        *((OrderSearch, {}, "placed_from", bad) for bad in ("2026-01-01", "2026-01-01T00:00:00", "soon")),
        (OrderSearch, {}, "status", "lost"),
    ],
)
def test_refuses_what_is_wrong(kind, base, field, bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**base, field: bad}, kind)


@pytest.mark.parametrize("email", ["stanisław.wójcik@example.pl", "o'brien+shop@mail.example.co.uk", "a@b.c"])
def test_accepts_addresses_people_have(email):
    assert msgspec.convert({**USER, "email": email}, NewUser).email == email


def test_descriptions_have_paragraphs():
    assert msgspec.convert({**PRODUCT, "description": "One.\n\nTwo:\ta tab."}, NewProduct)


def test_an_order_names_each_product_once():
    lines = [{"product_id": product, "quantity": 1} for product in (5, 6, 5)]
    with pytest.raises(msgspec.ValidationError, match="lines 0 and 2 both order product 5"):
        msgspec.convert({**ORDER, "lines": lines}, NewOrder)


def test_a_patch_changes_something():
    with pytest.raises(msgspec.ValidationError, match="nothing to change"):
        msgspec.convert({}, ProductPatch)
    assert msgspec.convert({"stock": 0, "price": 1}, ProductPatch).changes() == {
        "stock": 0,
        "price": 1,
    }


def test_a_price_range_is_a_range():
    assert msgspec.convert({"min_price": 5, "max_price": 5}, ProductSearch)
    with pytest.raises(msgspec.ValidationError, match=r"min_price \(6\) is more than max_price \(5\)"):
        msgspec.convert({"min_price": 6, "max_price": 5}, ProductSearch)


def test_a_time_span_is_a_span():
    moments = {"placed_from": "2026-01-01T00:00:00Z", "placed_before": "2026-01-01T00:00:00+00:00"}
    with pytest.raises(msgspec.ValidationError, match="placed_from must be earlier"):
        msgspec.convert(moments, OrderSearch)
    # Later on the clock, but earlier in time:
    assert msgspec.convert({**moments, "placed_from": "2026-01-01T00:30:00+01:00"}, OrderSearch)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
@pytest.mark.parametrize("field", ["placed_from", "placed_before"])
def test_moments_outside_the_calendar_are_refused(field, moment):
    with pytest.raises(msgspec.ValidationError, match=f"{field} is outside the years 1 to 9999"):
        msgspec.convert({field: moment}, OrderSearch)


def test_every_type_has_a_schema():
    kinds = [
        User,
        NewUser,
        Product,
        NewProduct,
        ProductPatch,
        Order,
        NewOrder,
        Page[Product],
        Page[Order],
        Dashboard,
    ]
    schemas, components = msgspec.json.schema_components(kinds)
    assert len(schemas) == len(kinds)
    assert {"OrderLine", "OrderStatus", "UserStats", "OrderStats", "ProductStats"} <= components.keys()
    described = [name for name, schema in components.items() if schema.get("description")]
    assert sorted(described) == sorted(components), "every type says what it is"


def test_every_struct_is_frozen():
    structs = [item for item in vars(types).values() if isinstance(item, type) and issubclass(item, msgspec.Struct)]
    mutable = [item.__name__ for item in structs if item is not msgspec.Struct and not item.__struct_config__.frozen]
    assert len(structs) > 15
    assert mutable == []
