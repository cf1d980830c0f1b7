"""What a document says of routes."""

import json
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, ClassVar

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.datastructures import UploadFile
from starlette.responses import Response

from seawall.call import Principal
from seawall.http.binding import bind
from seawall.http.openapi import Contact, Info, Licence, Server, document, index, versions_of
from seawall.http.parameters import Body, Check, Cookie, Form, Header, Query
from seawall.http.reply import Reply
from seawall.http.route import Route, parse_template
from seawall.http.versions import Versions
from seawall.operation import Policy, describe
from seawall.plan.guards import Guard
from seawall.plan.places import Place
from seawall.problems import (
    ConfigurationError,
    Conflict,
    DeclarationError,
    FieldError,
    Misdirected,
    NotFound,
    Unauthorized,
)

INFO = Info(title="Shop", version="1.0")


def route(
    path: str,
    function: Any,
    method: str = "GET",
    status: int = 200,
    *,
    version: str | None = None,
    name: str | None = None,
    **further: Any,
) -> Route:
    options = {key: further.pop(key) for key in list(further) if key not in Route.__dataclass_fields__}
    operation = describe(function, name=name, version=version)
    template = parse_template(path, operation.where)
    return Route(
        method=method,
        template=template,
        operation=operation,
        policy=Policy().merge(options, operation.where),
        bounds=bind(operation, method, template.names, frozenset()),
        status=status,
        version=version,
        **further,
    )


def valid(*routes: Route, info: Info = INFO, **options: Any) -> dict[str, Any]:
    result = document(info, routes, **options)
    OpenAPIV31SpecValidator(result).validate()
    assert json.loads(json.dumps(result)) == result
    return result


def follow(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        target: Any = whole
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        part = target
    return part


class Colour(Enum):
    """The colour.

    Attributes:
        RED: Warm.
        BLUE: Cool.
    """

    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class NewProduct(msgspec.Struct):
    """A product to be.

    Args:
        name: What it is called.
    """

    name: str
    price: Annotated[Decimal, msgspec.Meta(description="In euros.", examples=["19.90"])]
    colour: Colour = Colour.RED
    tags: list[str] = []


class Product(NewProduct, kw_only=True):
    id: int


class Filter(msgspec.Struct):
    """What to look for.

    Attributes:
        words: To be found in the name.
    """

    words: str | None = None
    tag: list[str] = []
    limit: Annotated[int, msgspec.Meta(ge=1, le=100, description="How many.")] = 20


async def read_product(product_id: int) -> Product:
    """Return a product.

    More about *it*.

    Args:
        product_id: Which one.

    Returns:
        The product as it is now.

    Raises:
        NotFound: There is no such product.
    """
    raise AssertionError


async def create_product(product: NewProduct) -> Reply[Product]:
    """Add a product.

    Example:
        {"name": "Lamp", "price": "19.90"}

    Example response:
        {"id": 7, "name": "Lamp", "price": "19.90"}
    """
    raise AssertionError


async def list_products(filter: Annotated[Filter, Query()]) -> list[Product]:  # noqa: A002
    """List products.

    Example:
        []
    """
    raise AssertionError


async def nothing() -> None:
    """Do nothing."""


def test_the_whole_of_a_small_service_is_valid_and_the_same_each_time() -> None:
    routes = [
        route("/products", list_products, tags=("products",)),
        route("/products", create_product, "POST", 201, tags=("products",)),
        route("/products/{product_id}", read_product, tags=("products",), problems=(NotFound,)),
    ]
    info = Info(
        title="Shop",
        version="1.0",
        summary="Sells",
        description="Sells things.",
        terms_of_service="https://example.org/terms",
        contact=Contact(name="Ann", email="ann@example.org"),
        licence=Licence(name="MIT", identifier="MIT"),
        servers=(Server("https://example.org", "Live"),),
        tags={"products": "What is sold.", "unused": "Not there."},
    )
    first = valid(*routes, info=info)
    assert json.dumps(first) == json.dumps(valid(*routes, info=info))
    assert first["openapi"].startswith("3.1.")
    assert list(first["paths"]) == ["/products", "/products/{product_id}"]
    assert list(first["paths"]["/products"]) == ["get", "post"]
    assert first["tags"] == [{"name": "products", "description": "What is sold."}]
    assert first["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert first["servers"] == [{"url": "https://example.org", "description": "Live"}]


def test_texts_come_from_the_docstring() -> None:
    whole = valid(route("/products/{product_id}", read_product, problems=(NotFound,)))
    operation = whole["paths"]["/products/{product_id}"]["get"]
    assert operation["operationId"] == "read_product"
    assert operation["summary"] == "Return a product."
    assert operation["description"] == "More about *it*."
    (parameter,) = operation["parameters"]
    assert parameter == {
        "name": "product_id",
        "in": "path",
        "description": "Which one.",
        "required": True,
        "schema": {"type": "integer"},
    }
    assert operation["responses"]["200"]["description"] == "The product as it is now."
    assert "There is no such product." in operation["responses"]["404"]["description"]


def test_examples_of_the_docstring_reach_body_and_answer() -> None:
    whole = valid(route("/products", create_product, "POST", 201), route("/products", list_products))
    post = whole["paths"]["/products"]["post"]
    for kind in ("application/json", "application/msgpack"):
        assert post["requestBody"]["content"][kind]["example"] == {"name": "Lamp", "price": "19.90"}
        assert post["responses"]["201"]["content"][kind]["example"]["id"] == 7
    get = whole["paths"]["/products"]["get"]
    assert get["responses"]["200"]["content"]["application/json"]["example"] == []
    assert "description" not in post


def test_an_example_that_is_not_json_stops_and_other_text_stays() -> None:
    async def wrong() -> None:
        """Be wrong.

        Example:
            {"a": }
        """

    async def text() -> None:
        """Be right.

        Example:
            Call it twice.
        """

    with pytest.raises(DeclarationError, match=r"wrong.*'Example:'.*not JSON"):
        document(INFO, [route("/", wrong)])
    assert "Call it twice." in valid(route("/", text))["paths"]["/"]["get"]["description"]


def test_a_query_with_fields_is_its_fields() -> None:
    whole = valid(route("/products", list_products))
    words, tag, limit = whole["paths"]["/products"]["get"]["parameters"]
    assert words == {
        "name": "words",
        "in": "query",
        "description": "To be found in the name.",
        "required": False,
        "schema": {"type": "string"},
    }
    assert (tag["style"], tag["explode"], tag["schema"]["type"]) == ("form", True, "array")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert limit["description"] == "How many."
    assert "Filter" not in whole["components"]["schemas"]


def test_headers_cookies_and_enums() -> None:
    async def see(
        *,
        x_tenant: Annotated[str, Header()],
        session: Annotated[str | None, Cookie()] = None,
        colour: Colour = Colour.BLUE,
        ids: Annotated[list[int], Header("X-Ids")] = [],  # noqa: B006
        size: Annotated[Size, msgspec.Meta(description="How big.", examples=[1])] = Size.SMALL,
        accept: Annotated[str, Header()] = "",
    ) -> None: ...

    whole = valid(route("/see", see))
    by_name = {item["name"]: item for item in whole["paths"]["/see"]["get"]["parameters"]}
    assert list(by_name) == ["x-tenant", "session", "colour", "X-Ids", "size"]  # OpenAPI ignores Accept
    assert (by_name["x-tenant"]["in"], by_name["x-tenant"]["required"]) == ("header", True)
    assert (by_name["session"]["in"], by_name["session"]["schema"]) == ("cookie", {"type": "string"})
    assert by_name["X-Ids"]["style"] == "simple"
    assert by_name["colour"]["schema"] == {"$ref": "#/components/schemas/Colour", "default": "blue"}
    assert by_name["size"]["description"] == "How big."
    assert by_name["size"]["examples"] == {"example1": {"value": 1}}
    colour = whole["components"]["schemas"]["Colour"]
    assert colour["enum"] == ["red", "blue"]
    assert colour["x-enumDescriptions"] == {"red": "Warm.", "blue": "Cool."}
    assert "- `red`: Warm." in colour["description"]
    assert whole["components"]["schemas"]["Size"]["type"] == "integer"


def test_forms_and_files_and_raw_bodies() -> None:
    class Login(msgspec.Struct):
        name: str
        age: int | None = None

    class Upload(msgspec.Struct):
        title: str
        file: UploadFile
        more: list[UploadFile] = []

    async def login(form: Annotated[Login, Form()]) -> None: ...
    async def upload(form: Annotated[Upload, Form()]) -> None: ...
    async def raw(data: Annotated[bytes, Body()]) -> None: ...

    whole = valid(
        route("/login", login, "POST", 204),
        route("/upload", upload, "POST", 204),
        route("/raw", raw, "PUT", 204),
    )
    paths = whole["paths"]
    assert list(paths["/login"]["post"]["requestBody"]["content"]) == [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ]
    assert list(paths["/upload"]["post"]["requestBody"]["content"]) == ["multipart/form-data"]
    fields = whole["components"]["schemas"]["Upload"]["properties"]
    assert fields["file"] == {
        "type": "string",
        "format": "binary",
        "contentMediaType": "application/octet-stream",
    }
    assert fields["more"]["items"] == fields["file"]
    assert paths["/raw"]["put"]["requestBody"]["content"] == {"*/*": {}}
    assert not {"400", "415", "422"} & set(paths["/raw"]["put"]["responses"])
    assert "413" in paths["/raw"]["put"]["responses"]
    assert {"400", "413", "415", "422"} <= set(paths["/login"]["post"]["responses"])


def test_only_problems_that_can_happen_are_listed() -> None:
    async def plain(name: str) -> str: ...
    async def words(q: str | None = None) -> str: ...
    async def many(q: list[str] = []) -> str: ...  # noqa: B006
    async def agent(user_agent: Annotated[str, Header()] = "") -> str: ...
    async def count(limit: int = 3) -> str: ...
    async def page() -> Response: ...

    general = {"200", "414", "431", "500"}
    answering = general | {"406"}

    def statuses(function: Any, path: str, method: str = "GET", **options: Any) -> set[str]:
        whole = valid(route(path, function, method, **{"timeout": None, **options}))
        (item,) = whole["paths"].values()
        return set(item[method.lower()]["responses"])

    assert statuses(nothing, "/") == general
    assert statuses(nothing, "/", timeout=2) == general | {"504"}
    assert statuses(plain, "/{name}") == answering
    assert statuses(plain, "/") == answering | {"400", "422"}
    assert statuses(words, "/") == answering | {"400", "422"}
    assert statuses(many, "/") == answering | {"400"}
    assert statuses(agent, "/") == answering
    assert statuses(count, "/") == answering | {"400", "422"}
    assert statuses(page, "/") == general
    assert statuses(read_product, "/{product_id}") == answering | {"422"}
    assert statuses(create_product, "/", "POST") == answering | {"400", "408", "413", "415", "422"}


def test_a_check_can_refuse_what_needs_no_conversion() -> None:
    def known(value: str) -> list[FieldError]:
        return []

    async def plain(name: Annotated[str, Check(known)]) -> str: ...

    assert "422" in valid(route("/{name}", plain))["paths"]["/{name}"]["get"]["responses"]


class Bearer(Guard):
    name = "bearer"
    place = Place.AUTHENTICATE
    problems = (Unauthorized,)
    security: ClassVar[dict[str, Any]] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class OtherBearer(Bearer):
    name = "bearer"
    security: ClassVar[dict[str, Any]] = {"type": "http", "scheme": "bearer"}


class Key(Guard):
    name = "api key"
    place = Place.AUTHENTICATE
    security: ClassVar[dict[str, Any]] = {"type": "apiKey", "in": "header", "name": "X-Key"}


def test_guards_bring_problems_and_security() -> None:
    whole = valid(
        route("/a", nothing, name="a", guards=[Bearer(), Key()]),
        route("/b", nothing, name="b", guards=[OtherBearer()]),
        route("/c", nothing, name="c"),
    )
    paths = whole["paths"]
    assert paths["/a"]["get"]["security"] == [{"bearer": [], "api_key": []}]
    assert paths["/b"]["get"]["security"] == [{"bearer_2": []}]
    assert "security" not in paths["/c"]["get"]
    assert whole["components"]["securitySchemes"]["bearer"] == Bearer.security
    refused = follow(whole, paths["/a"]["get"]["responses"]["401"])
    assert refused["headers"]["WWW-Authenticate"] == {"$ref": "#/components/headers/WWW-Authenticate"}
    assert "401" not in paths["/c"]["get"]["responses"]


class OutOfStock(Conflict):
    """409: there is not enough of it."""

    type = "urn:problem-type:shop:out-of-stock"
    title = "Out of stock"


class Closed(Conflict):
    type = "urn:problem-type:shop:closed"
    title = "Closed"


def test_problems_of_one_status_are_one_response() -> None:
    whole = valid(route("/", nothing, problems=(OutOfStock, Closed)))
    reference = whole["paths"]["/"]["get"]["responses"]["409"]
    assert reference == {"$ref": "#/components/responses/OutOfStockOrClosed"}
    response = follow(whole, reference)
    assert "urn:problem-type:shop:out-of-stock" in response["description"]
    assert "there is not enough of it." in response["description"]
    content = response["content"]["application/problem+json"]
    assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert content["examples"]["Closed"]["value"] == {
        "type": "urn:problem-type:shop:closed",
        "title": "Closed",
        "status": 409,
    }
    assert list(content["examples"]) == ["OutOfStock", "Closed"]


def test_every_answer_names_its_request() -> None:
    whole = valid(route("/products", create_product, "POST", 201))
    for response in whole["paths"]["/products"]["post"]["responses"].values():
        assert "X-Request-ID" in follow(whole, response)["headers"]


def test_location_only_where_a_reply_creates() -> None:
    async def plain() -> str: ...
    async def reply() -> Reply[str]: ...

    whole = valid(route("/a", plain, "POST", 201), route("/b", reply, "POST", 201), route("/c", reply))
    has = [
        "Location" in operation["responses"][status]["headers"]
        for path, method, status in (("/a", "post", "201"), ("/b", "post", "201"), ("/c", "get", "200"))
        for operation in (whole["paths"][path][method],)
    ]
    assert has == [False, True, False]


def test_no_content_where_nothing_is_returned() -> None:
    async def page() -> Response: ...
    async def maybe() -> Product | None: ...
    async def either() -> Product | Response: ...

    whole = valid(route("/a", nothing, "DELETE", 204), route("/b", page), route("/c", maybe), route("/d", either))
    assert "content" not in whole["paths"]["/a"]["delete"]["responses"]["204"]
    assert "content" not in whole["paths"]["/b"]["get"]["responses"]["200"]
    schema = whole["paths"]["/c"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"anyOf": [{"$ref": "#/components/schemas/Product"}, {"type": "null"}]}
    schema = whole["paths"]["/d"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Product"}


def test_deprecation_is_said_everywhere() -> None:
    whole = valid(
        route("/old", nothing, deprecated=date(2026, 1, 2), sunset="2027-03-04", successor="/new", name="old"),
        route("/odd", nothing, deprecated=True, name="odd"),
    )
    old = whole["paths"]["/old"]["get"]
    assert old["deprecated"] is True
    assert old["description"].endswith(
        "Deprecated since 2026-01-02. Expected to go away on 2027-03-04. Use `/new` instead."
    )
    for response in old["responses"].values():
        assert {"Deprecation", "Sunset", "Link"} <= set(follow(whole, response)["headers"])
    odd = whole["paths"]["/odd"]["get"]
    assert odd["deprecated"] is True
    assert "Deprecation" not in odd["responses"]["200"]["headers"]


def test_names_of_operations_are_unique() -> None:
    whole = valid(
        route("/v1/a", nothing, version="1"),
        route("/v2/a", nothing, version="2.1"),
        route("/b", nothing, name="b"),
        route("/c", nothing, name="c"),
        route("/d", nothing, name="c"),
        route("/e", nothing, name="c"),
        route("/f", nothing, name="c_get_2"),
    )
    names = [item["get"]["operationId"] for item in whole["paths"].values()]
    assert names == ["nothing_1", "nothing_2_1", "b", "c_get", "c_get_3", "c_get_4", "c_get_2"]


def test_one_document_for_each_version_where_they_share_paths() -> None:
    routes = [
        route("/a", nothing, version="1"),
        route("/a", create_product, version="2", method="POST"),
        route("/a", nothing, version="2"),
        route("/z", nothing, name="z"),
    ]
    with pytest.raises(DeclarationError, match=r"GET /a is 'nothing' of version '1' as well"):
        document(INFO, routes)
    assert versions_of(routes) == ("1", "2")
    one = valid(*routes, version="1")
    two = valid(*routes, version="2", versions=Versions(by="header"))
    assert list(one["paths"]["/a"]) == ["get"]
    assert set(two["paths"]["/a"]) == {"get", "post"}
    assert two["paths"]["/a"]["get"]["operationId"] == "nothing"
    (parameter,) = two["paths"]["/a"]["get"]["parameters"]
    assert (parameter["name"], parameter["required"]) == ("API-Version", True)
    assert parameter["schema"] == {"type": "string", "const": "2"}
    assert "400" in two["paths"]["/a"]["get"]["responses"]
    default = valid(*routes, version="2", versions=Versions(by="header", default="2"))
    assert default["paths"]["/a"]["get"]["parameters"][0]["required"] is False
    assert "parameters" not in two["paths"]["/z"]["get"]
    assert index(INFO, routes, "/openapi/{}.json".format) == {
        "title": "Shop",
        "documents": [
            {"version": "1", "url": "/openapi/1.json"},
            {"version": "2", "url": "/openapi/2.json"},
        ],
    }


def test_media_types_that_carry_a_version() -> None:
    whole = valid(route("/a", create_product, "POST", 201, version="2"), version="2", versions=Versions(by="media"))
    operation = whole["paths"]["/a"]["post"]
    assert list(operation["requestBody"]["content"]) == ["application/json", "application/msgpack"]
    assert list(operation["responses"]["201"]["content"]) == [
        "application/json; version=2",
        "application/msgpack; version=2",
    ]


def test_problems_any_operation_can_be_answered_with() -> None:
    whole = valid(route("/", nothing), problems=(Misdirected,))
    assert "421" in whole["paths"]["/"]["get"]["responses"]


def test_a_principal_that_must_be_known_means_401() -> None:
    async def mine(principal: Principal) -> str: ...
    async def anyone(principal: Principal | None) -> str: ...

    whole = valid(route("/a", mine), route("/b", anyone))
    assert "401" in whole["paths"]["/a"]["get"]["responses"]
    assert "401" not in whole["paths"]["/b"]["get"]["responses"]


def test_what_is_not_documented_is_left_out_and_tails_are_plain_names() -> None:
    async def read_file(path: str) -> str: ...

    whole = valid(route("/files/{path:path}", read_file), route("/hidden", nothing, documented=False))
    assert list(whole["paths"]) == ["/files/{path}"]


def test_a_licence_has_an_identifier_or_a_url() -> None:
    with pytest.raises(ConfigurationError, match="drop the other"):
        Licence(name="MIT", identifier="MIT", url="https://example.org")


def test_a_type_called_like_ours_is_refused() -> None:
    Problem = msgspec.defstruct("Problem", [("a", int)])

    async def read() -> Problem: ...

    with pytest.raises(DeclarationError, match="'Problem'"):
        document(INFO, [route("/", read)])
