"""Bodies: every kind of type, every error with its JSON Pointer, unknown fields and duplicate keys by policy."""

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from msgspec import Meta

from seawall import Body, FieldError, InvalidInput
from support.exchange import JSON, MSGPACK, exchange
from support.settings import service

pytestmark = pytest.mark.anyio


class SLine(msgspec.Struct):
    sku: str
    quantity: Annotated[int, Meta(ge=1)]


class SOrder(msgspec.Struct):
    customer_id: int
    lines: list[SLine]
    note: str | None = None


class StrictLine(msgspec.Struct, forbid_unknown_fields=True):
    sku: str
    quantity: Annotated[int, Meta(ge=1)]


class StrictOrder(msgspec.Struct, forbid_unknown_fields=True):
    customer_id: int
    lines: list[StrictLine]
    note: str | None = None


@dataclasses.dataclass
class DLine:
    sku: str
    quantity: Annotated[int, Meta(ge=1)]


@dataclasses.dataclass
class DOrder:
    customer_id: int
    lines: list[DLine]
    note: str | None = None


@attrs.define
class ALine:
    sku: str
    quantity: Annotated[int, Meta(ge=1)]


@attrs.define
class AOrder:
    customer_id: int
    lines: list[ALine]
    note: str | None = None


class TLine(TypedDict):
    sku: str
    quantity: Annotated[int, Meta(ge=1)]


class TOrder(TypedDict):
    customer_id: int
    lines: list[TLine]
    note: NotRequired[str | None]


class PLine(pydantic.BaseModel):
    sku: str
    quantity: Annotated[int, pydantic.Field(ge=1, strict=True)]


class POrder(pydantic.BaseModel):
    customer_id: Annotated[int, pydantic.Field(strict=True)]
    lines: list[PLine]
    note: str | None = None


KINDS = [SOrder, StrictOrder, DOrder, AOrder, TOrder, POrder]
PLAIN = [SOrder, DOrder, AOrder, TOrder, POrder]
GOOD = {"customer_id": 1, "lines": [{"sku": "a", "quantity": 2}], "note": "n"}


def taking(hint: Any, **options: Any) -> tuple[Any, list[Any]]:
    app, seen = service(), []

    async def create(order: Any) -> None:
        seen.append(order)

    create.__annotations__["order"] = hint
    app.post("/orders", **options)(create)
    return app, seen


@pytest.mark.parametrize("media", ["json", "msgpack"])
@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_type_is_read(kind, media):
    app, seen = taking(kind)
    body, headers = (msgspec.json.encode(GOOD), JSON) if media == "json" else (msgspec.msgpack.encode(GOOD), MSGPACK)
    assert (await exchange(app, "POST", "/orders", body=body, headers=headers)).status == 204
    origin = dict if kind is TOrder else kind
    assert type(seen[0]) is origin
    line = seen[0]["lines"][0] if kind is TOrder else seen[0].lines[0]
    assert (line["quantity"] if kind is TOrder else line.quantity) == 2


@pytest.mark.parametrize("media", ["json", "msgpack"])
@pytest.mark.parametrize("kind", KINDS)
async def test_everything_wrong_is_said_at_once_each_with_its_pointer(kind, media):
    app, seen = taking(kind)
    wrong = {
        "customer_id": "1",
        "lines": [{"sku": "a", "quantity": 0}, {"quantity": 1}, {"sku": "c", "quantity": 1, "price": 1}],
        "coupon": "x",
    }
    body, headers = (msgspec.json.encode(wrong), JSON) if media == "json" else (msgspec.msgpack.encode(wrong), MSGPACK)
    answer = await exchange(app, "POST", "/orders", body=body, headers=headers)
    assert answer.status == 422
    assert seen == []
    if kind is POrder and media == "msgpack":
        assert "/customer_id" in answer.errors
    assert set(answer.errors) == {
        "/customer_id",
        "/lines/0/quantity",
        "/lines/1/sku",
        "/lines/2/price",
        "/coupon",
    }
    assert answer.errors["/coupon"] == "This field is not known."
    assert answer.json()["detail"] == "5 values are wrong."


@pytest.mark.parametrize("kind", PLAIN)
async def test_unknown_fields_are_refused_or_ignored_by_policy(kind):
    extra = {**GOOD, "coupon": 1, "lines": [{"sku": "a", "quantity": 1, "x": 1}]}
    app, seen = taking(kind)
    answer = await exchange(app, "POST", "/orders", json=extra)
    assert set(answer.errors) == {"/coupon", "/lines/0/x"}
    assert seen == []
    app, seen = taking(kind, unknown_fields="ignore")
    assert (await exchange(app, "POST", "/orders", json=extra)).status == 204
    assert len(seen) == 1


async def test_a_struct_that_forbids_unknown_fields_does_so_whatever_the_policy():
    app, _ = taking(StrictOrder, unknown_fields="ignore")
    answer = await exchange(app, "POST", "/orders", json={**GOOD, "coupon": 1})
    assert answer.errors == {"/coupon": "This field is not known."}


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    sku: str


async def test_a_model_that_allows_unknown_fields_gets_them():
    app, seen = taking(Open)
    assert (await exchange(app, "POST", "/orders", json={"sku": "a", "x": 1})).status == 204
    assert seen[0].model_extra == {"x": 1}


class Aliased(pydantic.BaseModel):
    unit_price: Decimal = pydantic.Field(alias="unitPrice")


class Renamed(msgspec.Struct, rename="camel"):
    unit_price: Decimal


@pytest.mark.parametrize("kind", [Aliased, Renamed])
async def test_renamed_fields_are_known_by_their_name_on_the_wire(kind):
    app, seen = taking(kind)
    assert (await exchange(app, "POST", "/orders", json={"unitPrice": "1.50"})).status == 204
    assert seen[0].unit_price == Decimal("1.50")
    assert set((await exchange(app, "POST", "/orders", json={})).errors) == {"/unitPrice"}
    assert "/unitPrice" in (await exchange(app, "POST", "/orders", json={"unitPrice": "x"})).errors


@pytest.mark.parametrize(
    "hint",
    [
        list[SLine],
        Sequence[SLine],
        tuple[SLine, ...],
        list[SLine] | None,
        list[DLine],
        list[PLine],
        Annotated[list[SLine], Meta(max_length=3)],
    ],
)
async def test_lists_of_types_with_fields_are_bodies(hint):
    app, seen = taking(hint)
    assert (await exchange(app, "POST", "/orders", json=[{"sku": "a", "quantity": 1}])).status == 204
    assert seen[0][0].sku == "a"
    wrong = [{"sku": "a", "quantity": 1}, {"sku": "a", "quantity": 1, "x": 1}]
    assert set((await exchange(app, "POST", "/orders", json=wrong)).errors) == {"/1/x"}
    wrong = [{"sku": "a", "quantity": 1}, {"sku": "a", "quantity": "2x"}]
    answer = await exchange(app, "POST", "/orders", json=wrong)
    assert all(place.startswith("/1") for place in answer.errors)
    assert answer.status == 422


@pytest.mark.parametrize("hint", [dict[str, SLine], Mapping[str, SLine]])
async def test_mappings_are_bodies(hint):
    app, seen = taking(Annotated[hint, Body()])
    assert (await exchange(app, "POST", "/orders", json={"a/b": {"sku": "a", "quantity": 1}})).status == 204
    assert seen[0]["a/b"].sku == "a"
    answer = await exchange(app, "POST", "/orders", json={"a/b": {"sku": "a", "quantity": 0, "x": 1}})
    assert set(answer.errors) == {"/a~1b/quantity", "/a~1b/x"}


class Card(msgspec.Struct, tag="card"):
    number: str


class Transfer(msgspec.Struct, tag="transfer"):
    iban: str
    amount: int = 1


async def test_a_tagged_union_is_read_by_its_tag():
    app, seen = taking(Card | Transfer)
    assert (await exchange(app, "POST", "/orders", json={"type": "transfer", "iban": "x"})).status == 204
    assert seen == [Transfer("x")]
    assert (await exchange(app, "POST", "/orders", json={"type": "card", "number": "1", "iban": "x"})).errors == {
        "/iban": "This field is not known."
    }
    assert set((await exchange(app, "POST", "/orders", json={"type": "transfer", "amount": "x"})).errors) == {
        "/iban",
        "/amount",
    }


@pytest.mark.parametrize("tag", ["cash", 1, None, [], {}, [[]]])
async def test_a_tag_that_is_none_is_refused(tag):
    app, seen = taking(Card | Transfer)
    answer = await exchange(app, "POST", "/orders", json={"type": tag, "iban": "x"})
    assert (answer.status, list(answer.errors), seen) == (422, ["/type"], [])


class Wrapper(msgspec.Struct):
    models: list[PLine]
    one: PLine | None = None
    kind: Literal["a", "b"] = "a"


async def test_models_inside_structs_and_lists():
    app, seen = taking(Wrapper)
    value = {"models": [{"sku": "a", "quantity": 1}], "one": {"sku": "b", "quantity": 2}}
    assert (await exchange(app, "POST", "/orders", json=value)).status == 204
    assert seen[0].models == [PLine(sku="a", quantity=1)]
    wrong = {"models": [{"sku": "a", "quantity": 1}, {"sku": 5, "quantity": 0, "x": 1}], "kind": "c"}
    answer = await exchange(app, "POST", "/orders", json=wrong)
    assert answer.status == 422
    assert {"/models/1/sku", "/models/1/quantity", "/models/1/x", "/kind"} == set(answer.errors)


class Tree(msgspec.Struct):
    name: str
    children: list["Tree"] = []


async def test_a_recursive_type_is_searched_to_its_depth():
    app, _ = taking(Tree)
    value: Any = {"name": 1, "x": 1}
    for _ in range(5):
        value = {"name": "n", "children": [value]}
    answer = await exchange(app, "POST", "/orders", json=value)
    deep = "/children/0" * 5
    assert set(answer.errors) == {f"{deep}/name", f"{deep}/x"}


@pytest.mark.parametrize(
    ("hint", "value", "errors"),
    [
        (SOrder, 5, {""}),
        (SOrder, [], {""}),
        (SOrder, None, {""}),
        (SOrder, "text", {""}),
        (DOrder, 5, {""}),
        (TOrder, [], {""}),
        (POrder, 5, {""}),
        (SOrder, {"customer_id": None, "lines": {}}, {"/customer_id", "/lines"}),
        (SOrder, {"customer_id": 1.5, "lines": [1, None]}, {"/customer_id", "/lines/0", "/lines/1"}),
        (SOrder, {"customer_id": True, "lines": []}, {"/customer_id"}),
        (SOrder, {}, {"/customer_id", "/lines"}),
        (list[SLine], {}, {""}),
        (dict[str, int], {"a": "x", "b": 1, "~c/d": None}, {"/a", "/~0c~1d"}),
    ],
)
async def test_a_body_of_the_wrong_form_is_refused_where_it_is_wrong(hint, value, errors):
    app, _ = taking(Annotated[hint, Body()])
    body = msgspec.json.encode(value)
    answer = await exchange(app, "POST", "/orders", body=body, headers=JSON)
    assert answer.status == 422
    assert set(answer.errors) == errors


async def test_no_more_errors_than_a_person_reads():
    app, _ = taking(list[SLine])
    answer = await exchange(app, "POST", "/orders", json=[{} for _ in range(900)])
    assert answer.status == 422
    assert len(answer.json()["errors"]) <= 50
    answer = await exchange(app, "POST", "/orders", json=[{"sku": "a", "quantity": 1, "x": 1} for _ in range(900)])
    assert len(answer.json()["errors"]) <= 50
    answer = await exchange(app, "POST", "/orders", json=[{"sku": "a", "quantity": 1}] * 2000 + [{}])
    assert set(answer.errors) <= {"/2000/sku", "/2000/quantity"}


MALFORMED = [
    b"{",
    b'{"customer_id": 1,}',
    b"nope",
    b"NaN",
    b'{"customer_id": NaN, "lines": []}',
    b'{"customer_id": Infinity, "lines": []}',
    b'{"customer_id": 1, "lines": []} x',
    b'{"note": "\xff"}',
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"customer_id": 01}',
    b"{'customer_id': 1}",
    b'{"note": "\\ud800"}',
]


@pytest.mark.parametrize("kind", [*KINDS, Annotated[Any, Body()], dict[str, Any], Tree])
@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:24]))
async def test_a_malformed_body_is_a_400(kind, body):
    app, seen = taking(kind)
    answer = await exchange(app, "POST", "/orders", body=body, headers=JSON)
    assert (answer.status, answer.json()["type"]) == (400, "urn:problem-type:seawall:malformed-body"), answer.body
    assert answer.json()["detail"]
    assert seen == []


@pytest.mark.parametrize("kind", [*KINDS, Annotated[Any, Body()]])
@pytest.mark.parametrize("body", [b"\xc1", b"\x81\xa1a", b"\x91" * 100_000, b"\xa1\xff", b"\x80\x80"])
async def test_malformed_messagepack_is_a_400(kind, body):
    app, seen = taking(kind)
    answer = await exchange(app, "POST", "/orders", body=body, headers=MSGPACK)
    assert (answer.status, seen) == (400, []), answer.body


async def test_a_recursive_value_deeper_than_the_interpreter_is_a_400():
    app, _ = taking(Tree)
    depth = 5000
    body = b'{"name":"n","children":[' * depth + b"]}" * depth
    assert (await exchange(app, "POST", "/orders", body=body, headers=JSON)).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/json, application/json"}, 415),
        ({"content-type": "nonsense"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ({"content-type": "application/json", "content-encoding": "identity"}, 204),
        ({"content-type": "application/json"}, 204),
        ({"content-type": "Application/JSON;charset=UTF-8"}, 204),
        ({"content-type": "application/vnd.shop+json"}, 204),
    ],
)
async def test_the_media_type_decides_who_reads(headers, status):
    app, _ = taking(SOrder)
    answer = await exchange(app, "POST", "/orders", body=msgspec.json.encode(GOOD), headers=headers)
    assert answer.status == status
    if status == 415:
        assert {"accept", "accept-encoding"} & set(answer.headers)


async def test_a_missing_body_is_refused_and_an_optional_one_is_its_default():
    app, _ = taking(SOrder)
    for headers in ({}, JSON):
        answer = await exchange(app, "POST", "/orders", headers=headers)
        assert (answer.status, answer.errors) == (400, {"": "A body is required."})
    app, seen = service(), []

    @app.post("/maybe")
    async def maybe(order: SOrder | None = None) -> None:
        seen.append(order)

    assert (await exchange(app, "POST", "/maybe")).status == 204
    assert (await exchange(app, "POST", "/maybe", json=GOOD)).status == 204
    assert seen[0] is None
    assert seen[1].customer_id == 1


async def test_bytes_are_taken_as_they_come():
    app, seen = service(), []

    @app.put("/blob/{name}")
    async def put(name: str, blob: Annotated[bytes, Body()]) -> None:
        seen.append(blob)

    assert (await exchange(app, "PUT", "/blob/a", body=[b"\xff\x00", b"", b"1"])).status == 204
    assert seen == [b"\xff\x001"]


@pytest.mark.parametrize("kind", [*KINDS, Annotated[Any, Body()]])
async def test_duplicate_keys_are_refused_where_they_stand_or_the_last_counts(kind):
    body = b'{"customer_id":1,"lines":[{"sku":"a","quantity":1,"sku":"b"}],"note":"x","note":"y"}'
    app, seen = taking(kind)
    assert (await exchange(app, "POST", "/orders", body=body, headers=JSON)).status == 204
    app, seen = taking(kind, duplicate_keys="refuse")
    answer = await exchange(app, "POST", "/orders", body=body, headers=JSON)
    assert (answer.status, answer.json()["type"]) == (400, "urn:problem-type:seawall:malformed-body")
    assert set(answer.errors) == {"/note", "/lines/0/sku"}
    assert seen == []
    assert (await exchange(app, "POST", "/orders", json=GOOD)).status == 204


class Rule(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be more than high")


class Ruled(msgspec.Struct):
    rules: list[Rule]


async def test_a_rule_across_fields_names_the_value_it_belongs_to():
    app, _ = taking(Ruled)
    answer = await exchange(app, "POST", "/orders", json={"rules": [{"low": 1, "high": 2}, {"low": 2, "high": 1}]})
    assert (answer.status, list(answer.errors)) == (422, ["/rules/1"])
    assert "low must not be more than high" in answer.errors["/rules/1"].lower()


async def test_an_operation_may_raise_the_same_problem_with_places_of_its_own():
    app = service()

    @app.post("/orders")
    async def create(order: SOrder) -> None:
        raise InvalidInput("Sold out.", errors=[FieldError("There is none left.", "/lines/0/sku")])

    answer = await exchange(app, "POST", "/orders", json=GOOD)
    assert (answer.status, answer.errors) == (422, {"/lines/0/sku": "There is none left."})


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_other_methods_with_a_body(method):
    app, seen = service(), []

    @app.route(method, "/orders/{order_id}")
    async def change(order_id: int, order: SOrder, dry_run: bool = False) -> None:
        seen.append((order_id, order.customer_id, dry_run))

    assert (await exchange(app, method, "/orders/5", "dry_run=true", json=GOOD)).status == 204
    assert seen == [(5, 1, True)]


async def test_a_delete_takes_a_body_only_when_told_so():
    app, seen = service(), []

    @app.delete("/orders")
    async def remove(order: Annotated[SOrder, Body()]) -> None:
        seen.append(order.customer_id)

    assert (await exchange(app, "DELETE", "/orders", json=GOOD)).status == 204
    assert seen == [1]


@pytest.mark.parametrize("kind", [SOrder, StrictOrder, DOrder, TOrder])
@pytest.mark.parametrize("policy", [{}, {"unknown_fields": "ignore"}, {"duplicate_keys": "refuse"}])
async def test_an_integer_may_be_written_as_a_whole_float(kind, policy):
    app, seen = taking(kind, **policy)
    body = b'{"customer_id": 1.0, "lines": [{"sku": "a", "quantity": 2e0}]}'
    assert (await exchange(app, "POST", "/orders", body=body, headers=JSON)).status == 204
    line = seen[0]["lines"][0] if kind is TOrder else seen[0].lines[0]
    quantity = line["quantity"] if kind is TOrder else line.quantity
    assert (quantity, type(quantity)) == (2, int)
    body = b'{"customer_id": 1.0, "lines": [{"sku": 1, "quantity": 0.0}, {"sku": "a", "quantity": 2.5}]}'
    answer = await exchange(app, "POST", "/orders", body=body, headers=JSON)
    assert set(answer.errors) == {"/lines/0/sku", "/lines/0/quantity", "/lines/1/quantity"}


async def test_a_whole_float_opens_no_way_around_the_policy():
    app, _ = taking(SOrder, duplicate_keys="refuse")
    body = b'{"customer_id": 1.0, "lines": [], "lines": []}'
    answer = await exchange(app, "POST", "/orders", body=body, headers=JSON)
    assert (answer.status, set(answer.errors)) == (400, {"/lines"})
    body = b'{"customer_id": 1.0, "lines": [], "coupon": 1}'
    assert set((await exchange(app, "POST", "/orders", body=body, headers=JSON)).errors) == {"/coupon"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", [{}, {"unknown_fields": "ignore"}, {"duplicate_keys": "refuse"}])
@pytest.mark.parametrize(
    "first", [b'{"customer_id": 1.5, "lines": ', b'{"customer_id": 1.0, "lines": ', b'{"customer_id": "x", "lines": ']
)
@pytest.mark.parametrize("rest", [b"[", b"[" * 100_000, b"\xff", b"nope", b"[}", b'"\xff"}', b"[]} x", b'"\\ud800"}'])
async def test_what_is_malformed_behind_a_wrong_value_is_a_400(kind, policy, first, rest):
    app, seen = taking(kind, **policy)
    answer = await exchange(app, "POST", "/orders", body=first + rest, headers=JSON)
    assert (answer.status, answer.json()["type"]) == (400, "urn:problem-type:seawall:malformed-body"), answer.body
    assert seen == []
