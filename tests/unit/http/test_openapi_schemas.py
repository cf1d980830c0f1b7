"""Schemas of types: what they allow is what is read and what is sent."""

import dataclasses
import enum
import uuid
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from seawall.http.bodies import BodyReader, enc_hook
from seawall.http.openapi.schemas import Schemas
from seawall.http.openapi.usage import Mode, type_name
from seawall.operation import Policy
from seawall.problems import DeclarationError, Problem

T = TypeVar("T")
IN, OUT, STRICT = Mode.INPUT, Mode.OUTPUT, Mode.STRICT
Word = Literal["a", "b"] | None


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Point(msgspec.Struct):
    x: int
    y: Annotated[int, msgspec.Meta(ge=0, lt=10)] = 0


class Circle(msgspec.Struct, tag="circle"):
    radius: float


class Square(msgspec.Struct, tag="square"):
    side: float


class Page(msgspec.Struct, Generic[T]):
    items: list[T]
    following: str | None = None


@dataclasses.dataclass
class Line:
    """A line.

    Args:
        start: Where it starts.
    """

    start: Point
    width: float = 1.0
    labels: list[str] = dataclasses.field(default_factory=list)


@attrs.define
class Address:
    street: str
    city: str = "Bergen"


class Options(TypedDict):
    colour: str
    depth: NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Money(msgspec.Struct):
    amount: Decimal
    when: datetime
    day: date
    at: time
    long: timedelta
    id: uuid.UUID
    raw: bytes = b""
    naive: Annotated[datetime | None, msgspec.Meta(description="Local.")] = None


class Tree(msgspec.Struct):
    value: int
    children: "list[Tree]" = []


class Everything(msgspec.Struct):
    point: Point
    line: Line
    address: Address
    options: Options
    pair: Pair
    shape: Circle | Square
    maybe: Circle | Square | None
    page: Page[Page[Point]]
    level: Level
    word: Word
    either: int | str
    numbers: set[int]
    fixed: tuple[int, str]
    names: dict[str, Point]
    counts: dict[int, int]
    codes: dict[Annotated[str, msgspec.Meta(pattern="^[a-z]+$")], int]
    anything: Any
    tree: Tree


class Reading(pydantic.BaseModel):
    """A reading."""

    value: int = pydantic.Field(ge=0, description="What was read.")
    note: str | None = None

    @pydantic.computed_field
    def double(self) -> int:
        return self.value * 2


class Series(pydantic.BaseModel):
    readings: list[Reading]


class Report(msgspec.Struct):
    series: Series
    title: str = ""


def schema_of(hint: Any, mode: Mode, *others: tuple[Any, Mode]) -> tuple[dict[str, Any], Schemas]:
    schemas = Schemas([(hint, mode), *others])
    return schemas.schema(hint, mode), schemas


def errors(hint: Any, mode: Mode, value: Any) -> list[str]:
    schema, schemas = schema_of(hint, mode)
    whole = {**schema, "components": {"schemas": schemas.components}}
    Draft202012Validator.check_schema(whole)
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def component(hint: Any, mode: Mode = IN) -> dict[str, Any]:
    schema, schemas = schema_of(hint, mode)
    return schemas.components[schema["$ref"].rpartition("/")[2]]


EVERYTHING = Everything(
    point=Point(1),
    line=Line(Point(1, 2)),
    address=Address("Main"),
    options={"colour": "red"},
    pair=Pair(1),
    shape=Circle(1.5),
    maybe=None,
    page=Page([Page([Point(3)])]),
    level=Level.HIGH,
    word=None,
    either="x",
    numbers={1},
    fixed=(1, "a"),
    names={"a": Point(1)},
    counts={1: 2},
    codes={"ab": 1},
    anything=[1, {}],
    tree=Tree(1, [Tree(2)]),
)


@pytest.mark.parametrize("mode", [IN, OUT, STRICT])
def test_every_kind_of_type_in_a_valid_document(mode: Mode) -> None:
    types = [Everything, Report, Money, list[Reading], Page[Series | None], dict[str, Level]]
    schemas = Schemas((hint, mode) for hint in types)
    content = {str(number): {"schema": schemas.schema(hint, mode)} for number, hint in enumerate(types)}
    whole = {
        "openapi": "3.1.1",
        "info": {"title": "t", "version": "1"},
        "paths": {"/": {"get": {"responses": {"200": {"description": "d", "content": content}}}}},
        "components": {"schemas": schemas.components},
    }
    OpenAPIV31SpecValidator(whole).validate()
    for schema in schemas.components.values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "value",
    [
        EVERYTHING,
        Money(
            Decimal("1.50"),
            datetime.fromisoformat("2026-01-02T03:04:05Z"),
            date(2026, 1, 2),
            time(1, 2),
            timedelta(days=1, seconds=5),
            uuid.UUID(int=1),
        ),
        Report(Series(readings=[Reading(value=1)])),
        Page([Level.LOW]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_sent_is_valid_both_ways(value: Any) -> None:
    hint = Page[Level] if isinstance(value, Page) else type(value)
    sent = msgspec.json.decode(msgspec.json.encode(value, enc_hook=enc_hook))
    assert errors(hint, OUT, sent) == []
    if not isinstance(value, Report):  # computed fields are sent and not received
        assert errors(hint, STRICT, sent) == []


@pytest.mark.parametrize("policy", [Policy(), Policy(unknown_fields="ignore")], ids=["refuse", "ignore"])
@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Point, {"x": 1}),
        (Point, {"x": 1, "y": 9}),
        (Point, {"x": 1, "y": 10}),
        (Point, {"x": "1"}),
        (Point, {}),
        (Point, {"x": 1, "z": 1}),
        (Line, {"start": {"x": 1}}),
        (Line, {"start": {"x": 1, "z": 1}}),
        (Line, {"start": {"x": 1}, "labels": None}),
        (Address, {"street": "a"}),
        (Address, {"street": "a", "zip": 1}),
        (Options, {"colour": "red"}),
        (Options, {"depth": 1}),
        (Pair, [1]),
        (Pair, [1, "a", 2]),
        (Circle | Square, {"type": "circle", "radius": 1}),
        (Circle | Square, {"type": "square", "radius": 1}),
        (Circle | Square, {"type": "other", "radius": 1}),
        (Circle | Square | None, None),
        (Page[Point], {"items": [{"x": 1}], "following": None}),
        (Page[Point], {"items": [{}]}),
        (Tree, {"value": 1, "children": [{"value": 2, "children": []}]}),
        (Tree, {"value": 1, "children": [{"value": "2"}]}),
        (Word, None),
        (Word, "c"),
        (Level, "low"),
        (Level, "LOW"),
        (tuple[int, str], [1, "a"]),
        (tuple[int, str], [1]),
        (list[set[int]], [[1, 1]]),
        (dict[str, Point], {"a": {"x": 1}}),
        (dict[str, Point], {"a": {"x": 1, "z": 2}}),
        (dict[Annotated[str, msgspec.Meta(pattern="^[a-z]+$")], int], {"A": 1}),
        (Decimal, "1.5"),
        (Decimal, 1.5),
        (Decimal, "one"),
        (Decimal, True),
        (Reading, {"value": 1}),
        (Reading, {"value": -1}),
        (Reading, {"value": 1, "other": 1}),
        (Series, {"readings": [{"value": 1, "other": 1}]}),
        (Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)], []),
        (Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)], [1, 2]),
    ],
)
def test_what_the_schema_allows_is_what_is_read(hint: Any, value: Any, policy: Policy) -> None:
    reader = BodyReader(hint, policy)
    decode = reader.readers[b"application/json"]
    body = msgspec.json.encode(value)
    try:
        decode(body)
        read = True
    except (Problem, msgspec.ValidationError):
        read = False
    mode = STRICT if policy.unknown_fields == "refuse" else IN
    assert (errors(hint, mode, value) == []) is read


def test_a_file_of_msgspec_says_the_same_where_it_can() -> None:
    hints = [Point, Circle, Page[Point], Tree, Address, Options, dict[str, Point], list[int], int | str, Pair]
    schemas = Schemas((hint, IN) for hint in hints)
    theirs, _ = msgspec.json.schema_components(hints, ref_template="{name}")
    _, components = msgspec.json.schema_components(hints, ref_template="#/components/schemas/{name}")
    for hint, their in zip(hints, theirs, strict=True):
        if "$ref" in their:
            (name,) = [name for name in schemas.components if name == type_name(hint)]
            expected = dict(components[their["$ref"]])
            if not expected.get("required", True):
                del expected["required"]
            ours = schemas.components[name]
            if "type" in expected.get("properties", {}):  # a tag: one value of an enum, or a constant
                expected["properties"]["type"] = {"const": "circle"}
            if hint is Page[Point]:
                ours = {**ours, "properties": None}
                expected["properties"] = None
            assert ours == expected
    assert schemas.schema(list[int], IN) == theirs[hints.index(list[int])]
    assert schemas.schema(int | str, IN) == theirs[hints.index(int | str)]


def test_what_has_a_default_may_be_left_out_and_is_always_sent() -> None:
    class Sparse(msgspec.Struct, omit_defaults=True):
        a: int = 1

    class Unset(msgspec.Struct):
        a: int | msgspec.UnsetType = msgspec.UNSET

    assert component(Point, IN)["required"] == ["x"]
    assert component(Point, OUT)["required"] == ["x", "y"]
    assert component(Line, OUT)["required"] == ["start", "width", "labels"]
    assert component(Line, OUT)["properties"]["labels"]["default"] == []
    assert "required" not in component(Sparse, OUT)
    assert "required" not in component(Unset, OUT)
    assert component(Options, OUT)["required"] == ["colour"]


def test_unknown_fields_are_refused_all_the_way_down() -> None:
    schemas = Schemas([(Line, STRICT)])
    assert schemas.components["Line"]["additionalProperties"] is False
    assert schemas.components["Point"]["additionalProperties"] is False
    assert "additionalProperties" not in component(Line, IN)
    assert "additionalProperties" not in component(Line, OUT)


def test_a_type_that_goes_both_ways_is_one_component() -> None:
    schema, schemas = schema_of(Line, OUT, (Line, STRICT))
    assert list(schemas.components) == ["Line", "Point"]
    assert schema == schemas.schema(Line, STRICT)
    assert schemas.components["Point"]["required"] == ["x"]


def test_strict_here_and_lenient_there_are_two() -> None:
    strict, schemas = schema_of(Line, STRICT, (Point, IN), (Line, IN), (Level, IN), (Level, STRICT))
    assert list(schemas.components) == ["Level", "Line", "LineStrict", "Point", "PointStrict"]
    assert strict == {"$ref": "#/components/schemas/LineStrict"}
    properties = schemas.components["LineStrict"]["properties"]
    assert properties["start"]["$ref"] == "#/components/schemas/PointStrict"


def test_descriptions_come_from_docstrings_and_meta() -> None:
    line = component(Line)
    assert line["description"] == "A line."
    assert line["properties"]["start"]["description"] == "Where it starts."
    assert component(Money)["properties"]["naive"]["description"] == "Local."
    assert "description" not in component(Address)
    assert "description" not in component(Pair)


def test_formats() -> None:
    assert {name: schema.get("format") for name, schema in component(Money)["properties"].items()} == {
        "amount": "decimal",
        "when": "date-time",
        "day": "date",
        "at": "time-local",
        "long": "duration",
        "id": "uuid",
        "raw": None,
        "naive": None,
    }
    assert component(Money)["properties"]["amount"]["type"] == ["string", "number"]
    assert component(Money, OUT)["properties"]["amount"]["type"] == "string"
    naive = Annotated[datetime, msgspec.Meta(tz=False)]
    assert schema_of(naive, IN)[0] == {"type": "string", "format": "date-time-local"}
    assert component(Money)["properties"]["raw"]["contentEncoding"] == "base64"


def test_tagged_unions_say_what_tells_them_apart() -> None:
    schema, _ = schema_of(Circle | Square, IN)
    assert schema == {
        "oneOf": [{"$ref": "#/components/schemas/Circle"}, {"$ref": "#/components/schemas/Square"}],
        "discriminator": {
            "propertyName": "type",
            "mapping": {"circle": "#/components/schemas/Circle", "square": "#/components/schemas/Square"},
        },
    }
    numbered = [msgspec.defstruct(name, [], tag=number) for number, name in enumerate("AB")]
    assert "discriminator" not in schema_of(numbered[0] | numbered[1], IN)[0]


def test_names_of_generics_and_of_namesakes() -> None:
    _, schemas = schema_of(Page[Page[Point | None]], OUT)
    assert list(schemas.components) == ["Page_Page_Point_or_None", "Page_Point_or_None", "Point"]
    assert schemas.components["Page_Point_or_None"]["title"] == "Page[Point | None]"
    other = msgspec.defstruct("Point", [("z", int)], module="elsewhere")
    _, schemas = schema_of(Point, OUT, (other, OUT))
    assert len(schemas.components) == 2
    assert "elsewhere.Point" in schemas.components
    twin = msgspec.defstruct("Point", [("w", int)], module="elsewhere")
    _, schemas = schema_of(Point, OUT, (other, OUT), (twin, OUT))
    assert {"elsewhere.Point", "elsewhere.Point_2"} < set(schemas.components)


def test_pydantic_models_stand_among_the_others() -> None:
    schemas = Schemas([(Report, OUT), (Report, STRICT)])
    assert list(schemas.components) == ["Reading", "ReadingInput", "Report", "Series", "SeriesInput"]
    assert "double" in schemas.components["Reading"]["properties"]
    assert "double" not in schemas.components["ReadingInput"]["properties"]
    assert schemas.components["ReadingInput"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas.components["Reading"]
    assert schemas.components["SeriesInput"]["properties"]["readings"]["items"] == {
        "$ref": "#/components/schemas/ReadingInput"
    }


def test_a_model_and_a_struct_of_one_name() -> None:
    struct = msgspec.defstruct("Series", [("a", int)])
    schemas = Schemas([(struct, OUT), (Series, OUT)])
    assert schemas.schema(struct, OUT) == {"$ref": "#/components/schemas/Series"}
    assert schemas.schema(Series, OUT) == {"$ref": "#/components/schemas/SeriesModel"}
    assert schemas.components["SeriesModel"]["properties"]["readings"]


def test_array_like_structs_are_arrays() -> None:
    struct = msgspec.defstruct("Row", [("a", int), ("b", str, "x")], array_like=True, tag="row")
    assert component(struct) == {
        "title": "Row",
        "type": "array",
        "prefixItems": [{"const": "row"}, {"type": "integer"}, {"type": "string", "default": "x"}],
        "minItems": 2,
    }


def test_text_has_no_null_and_decimals_are_text() -> None:
    assert schema_of(int | None, Mode.TEXT)[0] == {"type": "integer"}
    assert schema_of(Decimal, Mode.TEXT)[0]["type"] == "string"
    assert schema_of(Sequence[int], Mode.TEXT)[0] == {"type": "array", "items": {"type": "integer"}}


def test_a_type_of_ones_own_needs_a_schema() -> None:
    class Own:
        pass

    with pytest.raises(DeclarationError, match=r"Own.*extra_json_schema"):
        schema_of(Own, IN)
    described = Annotated[Own, msgspec.Meta(extra_json_schema={"type": "string", "format": "own"})]
    assert schema_of(described, IN)[0] == {"type": "string", "format": "own"}
    hooked = Schemas([(Own, IN)], lambda _: {"type": "number"})
    assert hooked.schema(Own, IN) == {"type": "number"}
