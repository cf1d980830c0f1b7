"""Every operation of the store over HTTP, in memory: what it answers, and how it refuses."""

from __future__ import annotations

import msgspec
import pytest

pytestmark = pytest.mark.anyio

ADA = {"email": "ada@example.com", "name": "Ada Lovelace"}
LAMP = {"sku": "LMP-1", "name": "Harbour Lamp", "category": "Lighting", "price": 12_905, "stock": 3}


def problem(answer, status, kind):
    """Checks that the answer is a problem of that kind, and returns where its errors are."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"].rpartition(":")[2] == kind
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document["title"]
    return {error.get("pointer", error.get("parameter")): error["detail"] for error in document.get("errors", ())}


async def create(http, path, value):
    answer = await http.post(path, json=value)
    assert answer.status_code == 201, answer.text
    assert (await http.get(answer.headers["location"])).json() == answer.json()
    return answer.json()


async def test_a_user_is_created_and_read(http):
    made = await create(http, "/users", ADA)
    assert {name: made[name] for name in ADA} == ADA
    assert made["created_at"].endswith("Z")


async def test_what_is_wrong_with_a_user(http):
    await create(http, "/users", ADA)
    assert problem(await http.post("/users", json=ADA | {"email": "ADA@example.com"}), 409, "email-taken") == {}
    places = problem(await http.post("/users", json={"email": "ada", "nickname": "A"}), 422, "invalid-input")
    assert set(places) == {"/email", "/name", "/nickname"}
    assert set(problem(await http.post("/users", json=ADA | {"name": "  "}), 422, "invalid-input")) == {"/name"}
    problem(
        await http.post("/users", content=b"{", headers={"content-type": "application/json"}), 400, "malformed-body"
    )
    problem(
        await http.post("/users", content=b"a=b", headers={"content-type": "text/plain"}), 415, "unsupported-media-type"
    )
    problem(await http.post("/users", json=ADA | {"name": "A" * 17_000}), 413, "content-too-large")
    problem(await http.get("/users/2"), 404, "no-such-user")
    assert set(problem(await http.get("/users/two"), 422, "invalid-input")) == {"user_id"}
    assert set(problem(await http.get("/users/0"), 422, "invalid-input")) == {"user_id"}


async def test_a_product_from_beginning_to_end(http):
    made = await create(http, "/products", LAMP)
    place = f"/products/{made['id']}"
    assert (made["currency"], made["description"]) == ("USD", "")
    changed = await http.patch(place, json={"price": 100})
    assert changed.json() == made | {"price": 100}
    gone = await http.delete(place)
    assert (gone.status_code, gone.content) == (204, b"")
    for answer in (await http.get(place), await http.patch(place, json={"price": 1}), await http.delete(place)):
        problem(answer, 404, "no-such-product")
    assert (await http.get("/products")).json() == {"items": [], "next": None}
    problem(await http.post("/products", json=LAMP), 409, "sku-taken")


async def test_what_is_wrong_with_a_change(http):
    made = await create(http, "/products", LAMP)
    place = f"/products/{made['id']}"
    places = problem(await http.patch(place, json={}), 422, "invalid-input")
    assert places[""].startswith("nothing to change")
    assert set(problem(await http.patch(place, json={"price": -1, "stock": "3"}), 422, "invalid-input")) == {
        "/price",
        "/stock",
    }
    assert set(problem(await http.patch(place, json={"price": None}), 422, "invalid-input")) == {"/price"}
    assert (await http.get(place)).json() == made


async def test_an_integer_may_be_written_with_a_point(http):
    """As JSON Schema has it, and so the document says."""
    head = {"content-type": "application/json"}
    body = msgspec.json.encode(LAMP).replace(b"12905", b"12905.0")
    answer = await http.post("/products", content=body, headers=head)
    assert (answer.status_code, answer.json()["price"]) == (201, 12_905)
    places = problem(
        await http.post("/products", content=body.replace(b"12905.0", b"12905.5"), headers=head), 422, "invalid-input"
    )
    assert places == {"/price": "Expected `int`, got `float`."}


async def test_each_product_of_a_batch_has_its_own_result(http):
    await create(http, "/products", LAMP)
    news = [LAMP | {"sku": "B"}, LAMP, LAMP | {"sku": "A"}, LAMP | {"sku": "B"}]
    answer = await http.post("/product-batches", json={"products": news})
    assert answer.status_code == 200
    result = answer.json()
    assert (result["created"], result["refused"]) == (2, 2)
    assert [(item["result"], item["status"]) for item in result["results"]] == [
        ("created", 201),
        ("refused", 409),
        ("created", 201),
        ("refused", 409),
    ]
    assert (await http.get(result["results"][2]["location"])).json() == result["results"][2]["product"]
    assert result["results"][1]["type"] == "urn:problem-type:storefront:sku-taken"


async def test_a_batch_that_is_wrong_in_its_form_is_refused_whole(http):
    news = [LAMP, LAMP | {"sku": "a b"}, LAMP | {"sku": "C", "price": "1"}]
    places = problem(await http.post("/product-batches", json={"products": news}), 422, "invalid-input")
    assert set(places) == {"/products/1/sku", "/products/2/price"}
    many = [LAMP | {"sku": f"S-{number}"} for number in range(101)]
    assert set(problem(await http.post("/product-batches", json={"products": many}), 422, "invalid-input")) == {
        "/products"
    }
    assert (await http.get("/products")).json()["items"] == []


async def test_a_search_is_read_page_by_page(http):
    news = [LAMP | {"sku": f"S-{number}", "price": number} for number in range(7)]
    await http.post("/product-batches", json={"products": news})
    query = {"sort": "-price", "limit": "3", "max_price": "5"}
    prices = []
    for expected in (3, 3, 0):
        page = (await http.get("/products", params=query)).json()
        prices += [item["price"] for item in page["items"]]
        if page["next"] is None:
            break
        assert len(page["items"]) == expected
        query["cursor"] = page["next"]
    assert prices == [5, 4, 3, 2, 1, 0]
    problem(await http.get("/products", params=query | {"sort": "price"}), 422, "invalid-cursor")


async def test_what_is_wrong_with_a_search(http):
    query = "/products?limit=0&sort=colour&min_price=-1&in_stock=perhaps&cursor="
    assert set(problem(await http.get(query), 422, "invalid-input")) == {
        "limit",
        "sort",
        "min_price",
        "in_stock",
        "cursor",
    }
    assert set(problem(await http.get("/products?limit=1&limit=2"), 422, "invalid-input")) == {"limit"}
    problem(await http.get("/products?min_price=2&max_price=1"), 422, "invalid-input")
    for nothing in ("min_price=null", "category=", "in_stock=NULL"):
        problem(await http.get(f"/products?{nothing}"), 422, "invalid-input")
    assert (await http.get("/products?q=null")).status_code == 200
    assert set(problem(await http.get("/orders?placed_from=0.5"), 422, "invalid-input")) == {"placed_from"}
    assert set(problem(await http.get("/orders?status=lost&placed_before=today"), 422, "invalid-input")) == {
        "status",
        "placed_before",
    }


async def test_an_order_takes_stock_and_gives_it_back(http):
    user, lamp = await create(http, "/users", ADA), await create(http, "/products", LAMP)
    order = await create(
        http, "/orders", {"customer_id": user["id"], "lines": [{"product_id": lamp["id"], "quantity": 2}]}
    )
    assert (order["status"], order["total"]) == ("placed", 2 * 12_905)
    assert (await http.get(f"/products/{lamp['id']}")).json()["stock"] == 1
    found = await http.get("/orders", params={"customer_id": user["id"], "status": "placed"})
    assert found.json() == {"items": [order], "next": None}
    cancelled = await http.post(f"/orders/{order['id']}/cancellation")
    assert cancelled.json() == order | {"status": "cancelled"}
    assert (await http.get(f"/products/{lamp['id']}")).json()["stock"] == 3
    problem(await http.post(f"/orders/{order['id']}/cancellation"), 409, "not-cancellable")


async def test_what_is_wrong_with_an_order(http):
    user, lamp = await create(http, "/users", ADA), await create(http, "/products", LAMP)
    line = {"product_id": lamp["id"], "quantity": 4}
    order = {"customer_id": user["id"], "lines": [line]}
    assert problem(await http.post("/orders", json=order), 409, "out-of-stock") == {
        "/lines/0/quantity": "4 ordered, 3 left."
    }
    wrong = {"customer_id": 99, "lines": [line, {"product_id": 98, "quantity": 1}]}
    assert set(problem(await http.post("/orders", json=wrong), 422, "invalid-input")) == {
        "/customer_id",
        "/lines/1/product_id",
    }
    assert set(problem(await http.post("/orders", json=order | {"lines": []}), 422, "invalid-input")) == {"/lines"}
    problem(await http.post("/orders", json=order | {"lines": [line, line]}), 422, "invalid-input")
    twice = b'{"customer_id": 1, "customer_id": 1, "lines": [{"product_id": 1, "quantity": 1}]}'
    answer = await http.post("/orders", content=twice, headers={"content-type": "application/json"})
    assert set(problem(answer, 400, "malformed-body")) == {"/customer_id"}
    problem(await http.get("/orders/1"), 404, "no-such-order")
    problem(await http.post("/orders/1/cancellation"), 404, "no-such-order")
    assert problem(await http.get("/orders?customer_id=99"), 422, "invalid-input") == {
        "customer_id": "There is no user 99."
    }


async def test_the_dashboard_counts(http):
    user, lamp = await create(http, "/users", ADA), await create(http, "/products", LAMP)
    await create(http, "/orders", {"customer_id": user["id"], "lines": [{"product_id": lamp["id"], "quantity": 3}]})
    shown = (await http.get("/dashboard")).json()
    assert shown["user_stats"] == {"total": 1, "with_orders": 1}
    assert shown["order_stats"]["revenue"] == [{"currency": "USD", "orders": 1, "total": 38_715, "average": 38_715}]
    assert shown["product_stats"]["out_of_stock"] == 1
    assert shown["payment_stats"] == {"charges": 0, "references": 0, "refunds": 0, "declined": 0}
    assert shown["exchange_rates"]["rates"]["USD"] == 1
    assert shown["missing"] == []


async def test_what_is_deprecated_says_so(http):
    lamp = await create(http, "/products", LAMP)
    answer = await http.get(f"/items/{lamp['id']}")
    assert answer.json() == {"id": lamp["id"], "title": "Harbour Lamp", "price": "129.05 USD"}
    assert answer.headers["deprecation"] == "@1772323200"
    assert answer.headers["sunset"] == "Mon, 01 Mar 2027 00:00:00 GMT"
    assert answer.headers["link"] == '</products>; rel="successor-version"'


async def test_what_changes_all_the_time_is_kept_by_no_cache(http):
    await create(http, "/products", LAMP)
    for path in ("/products", "/products/99", "/products/x", "/orders", "/dashboard"):
        assert (await http.get(path)).headers.get_list("cache-control") == ["no-store"], path


async def test_methods(http):
    for method, path, allowed in (
        ("PUT", "/orders", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/products/1", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("GET", "/product-batches", "OPTIONS, POST"),
        ("DELETE", "/dashboard", "GET, HEAD, OPTIONS"),
    ):
        answer = await http.request(method, path)
        problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == allowed
        assert (await http.options(path)).headers["allow"] == allowed
    problem(await http.get("/nowhere"), 404, "not-found")
    seen, head = await http.get("/dashboard"), await http.head("/dashboard")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == seen.headers["content-length"]


async def test_messagepack_both_ways(http):
    kind = {"content-type": "application/msgpack", "accept": "application/msgpack"}
    made = await http.post("/products", content=msgspec.msgpack.encode(LAMP), headers=kind)
    assert (made.status_code, made.headers["content-type"]) == (201, "application/msgpack")
    assert msgspec.msgpack.decode(made.content)["sku"] == "LMP-1"
    problem(await http.get("/products", headers={"accept": "image/png"}), 406, "not-acceptable")


async def test_the_page_and_what_belongs_to_it(http):
    page = await http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    again = await http.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path, kind in (("/static/style.css", "text/css; charset=utf-8"), ("/static/icon.svg", "image/svg+xml")):
        assert path in page.text
        assert (await http.get(path)).headers["content-type"] == kind
    for path in ("/docs", "/openapi.json"):
        assert f'href="{path}"' in page.text
        assert (await http.get(path)).status_code == 200


async def test_the_document_has_every_operation_with_its_problems(http):
    document = (await http.get("/openapi.json")).json()
    operations = {
        operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()
    }
    assert set(operations) == {
        *("create_user", "read_user", "search_users"),
        *("create_product", "create_products", "read_product", "change_product", "retire_product", "search_products"),
        *("create_order", "read_order", "search_orders", "cancel_order", "read_dashboard", "read_item"),
        *("pay_order", "ship_order", "read_delivery_cost", "read_price"),
        *("log_in", "renew", "make_key", "list_keys", "revoke_key", "read_identity"),
    }
    public = {name for name, operation in operations.items() if "security" not in operation}
    assert public == {"create_user", "read_product", "search_products", "read_item", "read_price", "log_in", "renew"}
    assert operations["read_item"]["deprecated"] is True
    assert {"201", "400", "409", "413", "415", "422"} <= set(operations["create_order"]["responses"])
    body = operations["create_user"]["requestBody"]["content"]["application/json"]
    assert body["example"] == ADA
    patch = operations["change_product"]["requestBody"]["content"]["application/json"]["schema"]
    assert patch["minProperties"] == 1
