"""What the how-tos say, tried on the examples they show."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Annotated, Any

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient
from msgspec import Struct
from starlette.responses import StreamingResponse

from seawall import (
    Call,
    Check,
    ConfigurationError,
    DeclarationError,
    FieldError,
    Form,
    Guard,
    NotFound,
    Place,
    Principal,
    Service,
    current_call,
    fan_out,
)
from seawall.settings import HttpSettings, ServiceSettings, Settings
from seawall.testing.client import client

pytestmark = pytest.mark.anyio
Example = Callable[[str], ModuleType]


# -- operations


async def test_the_inner_policy_wins(example: Example) -> None:
    service = example("operations.py").service
    limits = {route.operation.name: route.policy.timeout for route in service.build().routes}
    assert limits == {"list_books": 2, "read_book": 0.5, "lend": 5, "waive_fee": 5, "statistics": 5}
    policies = {route.operation.name: route.policy for route in service.build().routes}
    assert policies["lend"].max_body == 4096
    assert policies["lend"].unknown_fields == "ignore"
    assert policies["waive_fee"].max_body == 1024


async def test_an_inner_call_keeps_request_id_and_principal() -> None:
    service = Service("inner", settings=Settings())

    @service.operation("inner")
    async def inner(call: Call, principal: Principal) -> tuple[str, str, str]:
        return call.request_id, call.operation, principal.subject

    @service.get("/outer")
    async def outer(call: Call) -> list[Any]:
        call.principal = Principal("ann")
        return [call.request_id, await service.call("inner"), current_call().operation]

    async with client(service) as http:
        request_id, found, operation = (await http.get("/outer")).json()
    assert found == [request_id, "inner", "ann"]
    assert operation == "outer"


async def test_configuration_wins_over_code(example: Example) -> None:
    built = example("configured/library.py").service.build()
    limits = {route.operation.name: route.policy.timeout for route in built.routes}
    assert limits == {"read_rules": 5, "write_report": 60}
    assert {route.policy.max_body for route in built.routes} == {64 * 1024}


async def test_a_literal_segment_wins_and_an_empty_one_is_none() -> None:
    service = Service("paths", settings=Settings())

    @service.get("/orders/{order_id}")
    async def read(order_id: str) -> str:
        return order_id

    @service.get("/orders/latest")
    async def latest() -> str:
        return "the latest"

    async with client(service) as http:
        assert (await http.get("/orders/latest")).json() == "the latest"
        assert (await http.get("/orders/7")).json() == "7"
        assert (await http.get("/orders/")).status_code == 404
        assert (await http.get("/orders/7/")).status_code == 404


# -- parameters


async def test_parameters(example: Example) -> None:
    async with client(example("parameters.py").service) as http:
        assert (await http.get("/files/a/b%2Fc/d.txt")).json() == {"path": "a/b/c/d.txt"}
        found = await http.get("/search?q=tea&nonsense=1&limit=7")
        assert found.json() == {"q": "tea", "sort": "name", "limit": 7, "below": None, "tags": []}
        assert (await http.get("/search?q=tea&limit=1&limit=2")).status_code == 422
        assert (await http.get("/search?q=tea&tag=a&tag=b")).json()["tags"] == ["a", "b"]
        assert (await http.post("/numbers", content=b"[1]")).status_code == 415
        assert (await http.post("/numbers", content=b"[1]", headers={"content-type": "text/plain"})).status_code == 415
        coded = {"content-type": "application/json", "content-encoding": "gzip"}
        assert (await http.post("/numbers", content=b"[1]", headers=coded)).status_code == 415
        packed = await http.post(
            "/numbers", content=msgspec.msgpack.encode([1, 2]), headers={"content-type": "application/msgpack"}
        )
        assert packed.json() == 3
        assert (await http.post("/raw", content=b"\xff\x00")).json() == 2
        assert (await http.get("/whoami", headers={"x-request-id": "mine"})).json()["request"] == "mine"
        assert (await http.get("/whoami", headers={"x-request-id": "m i n e"})).json()["request"] != "m i n e"


@pytest.mark.parametrize("kind", ["struct", "dataclass", "attrs", "typeddict", "pydantic"])
async def test_every_kind_of_type_is_a_body(example: Example, kind: str) -> None:
    async with client(example("kinds.py").service) as http:
        assert (await http.post(f"/{kind}", json={"x": 1, "y": 2})).json() == {"x": 1, "y": 2}
        assert (await http.post(f"/{kind}", json={"x": 1})).status_code == 200
        wrong = await http.post(f"/{kind}", json={"x": 1, "y": -1})
        assert [error["pointer"] for error in wrong.json()["errors"]] == ["/y"]
        unknown = await http.post(f"/{kind}", json={"x": 1, "z": 1})
        assert unknown.json()["errors"] == [{"detail": "This field is not known.", "pointer": "/z"}]


async def test_duplicate_keys() -> None:
    service = Service("keys", settings=Settings())

    @service.post("/last")
    async def last(body: dict[str, int]) -> int:
        return body["a"]

    @service.post("/refuse", duplicate_keys="refuse")
    async def refuse(body: dict[str, int]) -> int:
        return body["a"]

    headers = {"content-type": "application/json"}
    async with client(service) as http:
        assert (await http.post("/last", content=b'{"a": 1, "a": 2}', headers=headers)).json() == 2
        answer = await http.post("/refuse", content=b'{"a": 1, "a": 2}', headers=headers)
        assert answer.status_code == 400
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/a"]


# -- validation


async def test_checks_of_several_parameters_come_together() -> None:
    service = Service("checks", settings=Settings())

    def not_negative(value: int) -> FieldError | None:
        return FieldError("It is negative.") if value < 0 else None

    async def even(value: int) -> list[FieldError]:
        return [FieldError("It is odd.")] if value % 2 else []

    @service.get("/both")
    async def both(
        first: Annotated[int, Check(not_negative), Check(even)], second: Annotated[int, Check(not_negative)]
    ) -> int:
        return first + second

    async with client(service) as http:
        answer = await http.get("/both?first=-1&second=-2")
        assert (await http.get("/both?first=2&second=1")).json() == 3
    assert [error["parameter"] for error in answer.json()["errors"]] == ["first", "first", "second"]


async def test_a_check_runs_only_when_types_are_right(example: Example) -> None:
    module = example("validation.py")
    asked: list[str] = []

    class Rooms(module.Rooms):
        async def beds_in(self, room: str) -> int | None:
            asked.append(room)
            return None

    booking = {"room": "attic", "email": "a@b", "guests": 2, "arrival": "2026-07-14", "departure": "2026-07-16"}
    with module.service.override(module.Rooms, Rooms()):
        async with client(module.service) as http:
            assert (await http.post("/bookings", json={**booking, "guests": 9})).status_code == 422
            assert asked == []
            assert (await http.post("/bookings", json=booking)).status_code == 422
    assert asked == ["attic"]


# -- answers


async def test_answers(example: Example) -> None:
    async with client(example("replies.py").service) as http:
        assert (await http.post("/sessions")).status_code == 201
        gone = await http.delete("/sessions/ann")
        assert (gone.status_code, gone.content) == (204, b"")
        visit = await http.post("/visits?again=true")
        assert (visit.status_code, visit.headers["location"]) == (200, "/visits/7")
        assert len(visit.headers.get_list("set-cookie")) == 2
        packed = await http.get("/quota", headers={"accept": "application/msgpack"})
        assert msgspec.msgpack.decode(packed.content) == 42
        assert packed.headers["x-quota"] == "42"
        part = await http.get("/licence", headers={"range": "bytes=0-6"})
        assert (part.status_code, part.text) == (206, "Do with")
        assert (await http.get("/count?to=2")).text == "0\n1\n"
        head = await http.head("/quota")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "2")
        assert (await http.request("OPTIONS", "/quota")).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_a_stream_is_sent_after_the_plan_and_its_deadline() -> None:
    service = Service("streams", settings=Settings())
    log: list[str] = []

    class Held:
        pass

    @service.resource(scope="call")
    async def held() -> AsyncIterator[Held]:
        yield Held()
        log.append("closed")

    @service.get("/stream", timeout="20ms")
    async def stream(held: Held) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            log.append("streaming")
            await asyncio.sleep(0.1)
            yield "whole"

        return StreamingResponse(parts())

    async with client(service) as http:
        assert (await http.get("/stream")).text == "whole"
    assert log == ["closed", "streaming"]


# -- problems


async def test_an_unexpected_error_says_nothing_in_production(example: Example) -> None:
    service = example("own_problems.py").service
    async with client(service) as http:
        answer = await http.get("/bug")
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text


async def test_an_unexpected_error_shows_its_traceback_in_development(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWALL_SERVICE_ENVIRONMENT", "development")
    async with client(example("own_problems.py").service) as http:
        answer = await http.get("/bug")
        page = await http.get("/bug", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert "ZeroDivisionError" in "".join(answer.json()["traceback"])
    assert page.headers["content-type"].startswith("text/html")
    assert "ZeroDivisionError" in page.text


async def test_the_first_problem_of_a_group_is_the_answer() -> None:
    service = Service("groups", settings=Settings())

    @service.get("/group")
    async def group() -> int:
        raise ExceptionGroup("several", [NotFound("first"), NotFound("second")])

    async with client(service) as http:
        assert (await http.get("/group")).json()["detail"] == "first"


# -- resources


async def test_resources_open_and_close_in_order(example: Example) -> None:
    module = example("lifetimes.py")
    async with client(module.service) as http:
        assert module.log == ["pool opened"]
        assert (await http.get("/orders/count")).json() == 7
        assert (await http.get("/orders/fail")).status_code == 500
    assert module.log == ["pool opened", "begin", "commit", "begin", "roll back", "pool closed"]


async def test_a_call_scoped_resource_closes_before_the_answer(example: Example) -> None:
    module = example("lifetimes.py")
    service = module.service
    seen: list[str] = []

    async def send(message: Any) -> None:
        seen.append(message["type"])
        module.log.append("answer")

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/orders/count",
        "raw_path": b"/orders/count",
        "query_string": b"",
        "headers": [],
        "client": None,
        "scheme": "http",
    }
    async with service.running():
        await service.asgi(scope, receive, send)
    assert module.log[1:4] == ["begin", "commit", "answer"]


async def test_a_commit_that_fails_is_the_answer() -> None:
    service = Service("commit", settings=Settings())

    class Session:
        pass

    @service.resource(scope="call")
    async def session() -> AsyncIterator[Session]:
        yield Session()
        raise NotFound("The commit failed.")

    @service.get("/x")
    async def read(session: Session) -> int:
        return 1

    async with client(service) as http:
        assert (await http.get("/x")).json()["detail"] == "The commit failed."


async def test_protocols_and_new_types_are_resources(example: Example) -> None:
    module = example("protocols.py")
    async with client(module.service) as http:
        assert (await http.post("/letters/ann")).status_code == 204
        assert module.service.resources.values[module.Mailer].sent == [("ann", "Hello")]
        assert (await http.get("/letters")).json() == [0, 0]


async def test_an_impossible_graph_stops_the_start() -> None:
    service = Service("graph", settings=Settings())

    class A:
        pass

    class B:
        def __init__(self, a: A) -> None:
            self.a = a

    service.resource(B)
    with pytest.raises(DeclarationError, match="nothing provides 'a'"):
        service.build()
    service.resource(scope="call")(A)
    with pytest.raises(DeclarationError, match="only as long as one call"):
        service.build()


async def test_override_ends_with_its_block(example: Example) -> None:
    module = example("tutorial/shop.py")
    async with client(module.service) as http:
        order = {"customer": "Ann", "lines": [{"sku": "mug", "quantity": 1}]}
        with module.service.override(module.Shop, module.Shop({"mug": 0})):
            assert (await http.post("/orders", json=order)).status_code == 409
        assert (await http.post("/orders", json=order)).status_code == 201


# -- deadlines


async def test_deadlines(example: Example) -> None:
    async with client(example("deadlines.py").service) as http:
        assert (await http.get("/slow")).json()["type"] == "urn:problem-type:seawall:deadline-exceeded"
        assert (await http.get("/left")).json() is True
        assert (await http.get("/dashboard")).json() == {"users": 3, "orders": 14, "products": 15}
        assert (await http.get("/broken")).status_code == 404
        assert (await http.get("/late")).status_code == 504
        assert (await http.get("/stock/tea")).json() == {"sku": "tea", "asked with": "grpc-timeout"}
        assert (await http.post("/payments")).json() == "paid"
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("fan_out")] == []


async def test_a_call_that_went_on_after_a_failed_part_is_still_answered_at_its_deadline() -> None:
    service = Service("late", settings=Settings())

    async def fail() -> int:
        await asyncio.sleep(0)
        raise NotFound("no")

    @service.get("/late", timeout="50ms")
    async def late() -> int:
        try:
            await fan_out(dict, wrong=fail(), slow=asyncio.sleep(3600))
        except NotFound:
            await asyncio.sleep(3600)
        return 1

    async with client(service) as http:
        assert (await http.get("/late")).status_code == 504


async def test_swallowing_the_cancellation_does_not_help() -> None:
    service = Service("stubborn", settings=Settings())

    @service.get("/stubborn", timeout="50ms")
    async def stubborn() -> int:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return 1
        return 2

    async with client(service) as http:
        assert (await http.get("/stubborn")).status_code == 504


# -- guards


async def test_guards(example: Example) -> None:
    module = example("own_guards.py")
    ann, bob = {"x-api-key": "k-1"}, {"x-api-key": "k-2"}
    async with client(module.service) as http:
        assert (await http.get("/me")).status_code == 401
        assert (await http.get("/me", headers=bob)).json() == "bob"
        assert (await http.get("/drafts", headers=bob)).status_code == 403
        assert (await http.get("/drafts", headers=ann)).json() == ["On sea walls"]
        replaced = await http.delete("/drafts/1", headers=ann)
        assert replaced.json()["detail"] == "This takes the role 'owner'."
    names = {plan.name: [step.name for step in plan.steps] for plan in module.service.build().plans}
    order = [name for name in names["list_drafts"] if name in {"api-key", "role", "bind", "deadline", "at-once"}]
    assert order == ["api-key", "role", "bind", "deadline", "at-once"]


async def test_the_order_is_the_same_for_every_carrier(example: Example) -> None:
    built = example("own_guards.py").service.build()
    built.use_wire()
    plans = [plan for plan in (*built.plans, *built.wires, built.direct["list_drafts"]) if plan.name == "list_drafts"]
    assert sorted(plan.carrier for plan in plans) == ["asgi", "direct", "wire"]
    for plan in plans:
        names = [step.name for step in plan.steps]
        assert [name for name in names if name in {"api-key", "role", "at-once"}] == ["api-key", "role", "at-once"]
        assert [step.place for step in plan.steps] == sorted(step.place for step in plan.steps)


async def test_a_guard_gives_back_what_it_took(example: Example) -> None:
    guard = example("own_guards.py").AtOnce(1)
    service = Service("release", settings=Settings(), guards=[guard])

    @service.get("/ok")
    async def fine() -> int:
        return sum(guard.running.values())

    @service.get("/bad")
    async def bad() -> int:
        raise RuntimeError

    @service.get("/late", timeout="20ms")
    async def late() -> int:
        await asyncio.sleep(3600)
        return 1

    async with client(service) as http:
        assert (await http.get("/ok")).json() == 1
        assert (await http.get("/bad")).status_code == 500
        assert (await http.get("/late")).status_code == 504
        assert sum(guard.running.values()) == 0
        slow, refused = await asyncio.gather(http.get("/late"), http.get("/ok"))
        assert (slow.status_code, refused.status_code) == (504, 503)


@pytest.mark.parametrize("place", [place for place in Place if not Place.ARRIVE <= place < Place.RESOURCES])
async def test_a_guard_stands_only_where_guards_may(place: Place) -> None:
    with pytest.raises(DeclarationError, match="not for guards"):
        type("Wrong", (Guard,), {"name": "wrong", "place": place})


# -- versions


async def test_versions(example: Example) -> None:
    async with client(example("versions_by_path.py").service) as http:
        old = await http.get("/v1/people/1")
        assert old.headers["deprecation"] == "@1772323200"
        assert old.headers["sunset"] == "Mon, 01 Mar 2027 00:00:00 GMT"
        assert old.headers["link"] == '</v2/people>; rel="successor-version"'
        assert "deprecation" not in (await http.get("/v2/people/1")).headers
        assert set((await http.get("/openapi.json")).json()["paths"]) == {
            "/v1/people/{number}",
            "/v2/people/{number}",
            "/health",
        }
    async with client(example("versions_by_header.py").service) as http:
        assert (await http.get("/people/1")).json() == "Ada Lovelace"
        assert (await http.get("/people/1", headers={"api-version": "2"})).json() == ["Ada", "Lovelace"]
        unknown = await http.get("/people/1", headers={"api-version": "3"})
        assert (unknown.status_code, unknown.json()["versions"]) == (400, ["1", "2"])
        assert {item["version"] for item in (await http.get("/openapi.json")).json()["documents"]} == {"1", "2"}
        assert (await http.get("/openapi/2")).json()["openapi"].startswith("3.1")
    async with client(example("versions_by_media.py").service) as http:
        second = await http.get("/people/1", headers={"accept": "application/json; version=2"})
        assert second.json() == ["Ada", "Lovelace"]
        assert (await http.get("/people/1", headers={"accept": "application/json; version=3"})).status_code == 406
        assert (await http.get("/people/1")).status_code == 400


# -- openapi


async def test_the_document_takes_everything_from_its_place(example: Example) -> None:
    service = example("documented.py").service
    async with client(service) as http:
        document = (await http.get("/openapi.json")).json()
        page = await http.get("/docs")
        assert (await http.get("/health")).json() == "well"
    assert document["info"] == {"title": "The library", "version": "2.1.0", "description": "Books, and who has them."}
    assert set(document["paths"]) == {"/readers/{reader}/loans"}
    borrow = document["paths"]["/readers/{reader}/loans"]["post"]
    assert (borrow["operationId"], borrow["summary"], borrow["tags"]) == ("borrow", "Borrow a book.", ["loans"])
    assert borrow["description"] == "A reader keeps it for 14 days, unless told otherwise."
    assert borrow["parameters"][0]["description"] == "The number on the reader's card."
    content = borrow["requestBody"]["content"]["application/json"]
    assert content["example"] == {"title": "Emma", "days": 7}
    made = borrow["responses"]["201"]
    assert made["description"] == "The loan, with its number."
    assert made["content"]["application/json"]["example"] == {"number": 12, "title": "Emma"}
    assert "Another reader has the book" in borrow["responses"]["409"]["description"]
    loan = document["components"]["schemas"]["NewLoan"]["properties"]
    assert loan["days"]["description"] == "For how many days."
    assert loan["title"]["description"] == "The title, as it stands on the spine."
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_documents_can_be_switched_off_and_replaced() -> None:
    service = Service("none", settings=Settings(service=ServiceSettings(docs=False)))

    @service.get("/x")
    async def x() -> int:
        return 1

    async with client(service) as http:
        assert (await http.get("/docs")).status_code == 404
        assert (await http.get("/openapi.json")).status_code == 404
    own = Service("own", settings=Settings())

    @own.get("/docs")
    async def docs() -> str:
        return "mine"

    async with client(own) as http:
        assert (await http.get("/docs")).json() == "mine"


# -- browsers and proxies


async def test_the_edge(example: Example) -> None:
    service = example("edge/pages.py").service
    shop = {"origin": "https://shop.example.com"}
    asked = {"access-control-request-method": "GET"}
    forwarded = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    async with service.running():
        near = AsyncClient(transport=ASGITransport(service, client=("10.0.0.7", 1)), base_url="http://api.example.com")
        far = AsyncClient(transport=ASGITransport(service, client=("192.0.2.1", 1)), base_url="http://api.example.com")
        async with near, far:
            assert (await near.get("/me", headers=forwarded)).json() == "203.0.113.9"
            assert (await far.get("/me", headers=forwarded)).json() == "192.0.2.1"
            granted = await far.get("/me", headers=shop)
            assert granted.headers["access-control-allow-origin"] == "https://shop.example.com"
            assert granted.headers["access-control-allow-credentials"] == "true"
            assert "access-control-allow-methods" in (await far.options("/me", headers={**shop, **asked})).headers
            stranger = await far.options("/me", headers={"origin": "https://elsewhere.example", **asked})
            assert not [name for name in stranger.headers if name.startswith("access-control")]
            assert (await far.get("/me", headers={"host": "other.example.com"})).status_code == 421
            assert (await far.get("/me", headers={"host": "db.internal:8443"})).status_code == 200
            assert granted.headers["x-content-type-options"] == "nosniff"
            assert "strict-transport-security" not in granted.headers
            safe = await far.get(f"https://{granted.request.url.host}/me", headers=shop)
            assert safe.headers["strict-transport-security"] == "max-age=31536000"


async def test_security_headers_can_be_switched_off() -> None:
    service = Service("bare", settings=Settings(http=HttpSettings(security_headers=False)))

    @service.get("/x")
    async def x() -> int:
        return 1

    async with client(service) as http:
        assert "x-content-type-options" not in (await http.get("/x")).headers


async def test_every_origin_with_credentials_is_refused() -> None:
    with pytest.raises(Exception, match="every page on the web"):
        HttpSettings(cors_origins=("*",), cors_credentials=True)


# -- compression


async def test_compression(example: Example) -> None:
    async with client(example("large_answers.py").service) as http:
        async with http.stream("GET", "/words", headers={"accept-encoding": "gzip"}) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert msgspec.json.decode(gzip.decompress(raw)) == ["sea wall"] * 500
        small = await http.get("/words?count=3", headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in small.headers
        secret = await http.get("/account", headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in secret.headers
        best = await http.get("/words", headers={"accept-encoding": "gzip, br, zstd"})
        assert best.headers["content-encoding"] == "zstd"
        assert (await http.get("/words", headers={"accept-encoding": "identity"})).json() == ["sea wall"] * 500


# -- limits


async def test_what_is_too_much_is_refused() -> None:
    limits = HttpSettings(
        max_path_bytes=20,
        max_query_bytes=30,
        max_query_fields=3,
        max_header_count=8,
        max_body=100,
        max_form_fields=2,
        max_form_files=1,
    )
    service = Service("limits", settings=Settings(http=limits))

    @service.post("/take")
    async def take(body: list[dict[str, int]]) -> int:
        return len(body)

    @service.get("/find")
    async def find(a: int = 0) -> int:
        return a

    class Fields(Struct):
        a: int = 0

    @service.post("/form", max_body=2000)
    async def form(fields: Annotated[Fields, Form()]) -> int:
        return fields.a

    async with client(service) as http:
        assert (await http.get("/find?a=1")).status_code == 200
        assert (await http.get("/" + "x" * 30)).status_code == 414
        assert (await http.get("/find?a=1&" + "x" * 30)).status_code == 414
        assert (await http.get("/find?a=1&b=1&c=1&d=1")).status_code == 400
        assert (await http.get("/find", headers={f"x-{number}": "1" for number in range(9)})).status_code == 431
        assert (await http.post("/take", json=[{"a": 1}] * 50)).status_code == 413
        assert (await http.post("/form", data={"a": "1", "b": "1", "c": "1"})).status_code == 413
        files = dict.fromkeys("ab", ("x", b"1"))
        assert (await http.post("/form", files=files)).status_code == 413
        deep = b"[" * 40 + b"]" * 40
        assert (await http.post("/take", content=deep, headers={"content-type": "application/json"})).status_code < 500


async def test_a_body_that_is_nested_too_deep_is_malformed() -> None:
    service = Service("deep", settings=Settings())

    @service.post("/any")
    async def take(body: dict[str, Any]) -> int:
        return 1

    body = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    async with client(service) as http:
        answer = await http.post("/any", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400


# -- mounts


async def test_mounts(example: Example) -> None:
    module = example("mounts.py")
    key = {"x-key": "sesame"}
    async with client(module.service) as http:
        assert module.log == ["legacy started"]
        item = await http.get("/legacy/items/7", headers=key)
        assert item.json() == {"number": 7, "request": item.headers["x-request-id"]}
        assert (await http.get("/legacy/items/7")).json()["type"] == "urn:problem-type:seawall:unauthorized"
        assert "loc" in (await http.get("/legacy/items/seven", headers=key)).json()["detail"][0]
        assert (await http.get("/clock/now", headers=key)).text == "noon"
        assert (await http.get("/assets/style.css", headers={"range": "bytes=0-3"})).text == "body"
        assert (await http.get("/assets/../mounts.py")).status_code == 404
        for path in ("/hello", "/nowhere", "/assets/style.css"):
            assert (await http.get(path)).headers["x-signed-by"] == "the harbour master"
    assert module.log == ["legacy started", "legacy stopped"]


@pytest.mark.parametrize(("key", "kinds"), [(b"sesame", ["websocket.accept", "websocket.send"]), (b"guess", [])])
async def test_a_websocket_passes_the_guards_of_its_mount(example: Example, key: bytes, kinds: list[str]) -> None:
    service = example("mounts.py").service
    incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "ahoy"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/clock/echo",
        "raw_path": b"/clock/echo",
        "query_string": b"",
        "headers": [(b"x-key", key)],
        "client": None,
        "scheme": "ws",
        "subprotocols": [],
    }
    async with service.running():
        await service(scope, receive, send)
    assert [message["type"] for message in sent] == [*kinds, "websocket.close"]


async def test_a_websocket_for_another_host_is_refused() -> None:
    service = Service("hosts", settings=Settings(http=HttpSettings(trusted_hosts=("example.com",))))
    reached: list[str] = []
    sent: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    service.mount("/ws", app)
    scope = {
        "type": "websocket",
        "path": "/ws",
        "raw_path": b"/ws",
        "query_string": b"",
        "headers": [(b"host", b"elsewhere.example")],
        "client": None,
        "scheme": "ws",
    }
    await service(scope, receive, send)
    assert (reached, sent) == ([], ["websocket.close"])


async def test_moving_from_fastapi(example: Example) -> None:
    async with client(example("fastapi_twin/moving.py").service) as http:
        assert (await http.get("/health")).json() == "well"
        assert (await http.get("/items/1")).json() == {"name": "tea", "price": 400}


async def test_what_differs_from_fastapi(example: Example) -> None:
    new = {"name": "a", "price": 1}
    before = ASGITransport(example("fastapi_twin/before.py").app)
    async with (
        AsyncClient(transport=before, base_url="http://old") as old,
        client(example("fastapi_twin/after.py").service) as http,
    ):
        both = [(await each.get("/items/1")).json() for each in (old, http)]
        assert both[0] == both[1]
        assert [(await each.post("/items", json=new)).status_code for each in (old, http)] == [201, 201]
        extra = {**new, "colour": "blue"}
        assert [(await each.post("/items", json=extra)).status_code for each in (old, http)] == [201, 422]
        assert [(await each.get("/items/1/")).status_code for each in (old, http)] == [307, 404]
        assert [(await each.post("/items", content=b"{}")).status_code for each in (old, http)] == [422, 415]
        text = {"accept": "text/html"}
        assert [(await each.get("/items/1", headers=text)).status_code for each in (old, http)] == [200, 406]
        number = {"name": "a", "price": "1"}
        assert [(await each.post("/items", json=number)).status_code for each in (old, http)] == [201, 422]


def test_an_ordinary_function_is_refused() -> None:
    service = Service("sync", settings=Settings())

    def read() -> int:
        return 1

    with pytest.raises(DeclarationError, match="write 'async def read"):
        service.get("/x")(read)  # type: ignore[type-var]


# -- settings


async def test_own_settings(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBRARY_SHELF", "C")
    async with client(example("configured/library.py").service) as http:
        assert (await http.get("/rules")).json() == {"shelf": "C", "days": 21}


async def test_wrong_settings_stop_the_start(example: Example) -> None:
    with pytest.raises(ConfigurationError, match="3 settings are wrong"):
        example("configured/wrong/anything.py").service.build()


async def test_reload(example: Example, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "seawall.toml"
    file.write_text('[http]\ntimeout = "10s"\n')
    service = example("hello.py").service
    monkeypatch.setenv("SEAWALL_CONFIG", str(file))
    async with client(service):
        assert service.build().routes[0].policy.timeout == 10
        file.write_text('[http]\ntimeout = "3s"\n[server]\nport = 9000\n[operations.hello]\nmax_body = 7\n')
        applied, waiting = service.reload()
        assert {change.name for change in applied} == {"http.timeout", "operations.hello.max_body"}
        assert {change.name for change in waiting} == {"server.port"}
        policy = service.build().routes[0].policy
        assert (policy.timeout, policy.max_body) == (3, 7)
        file.write_text('[http]\ntimeout = "soon"\n')
        with pytest.raises(ConfigurationError):
            service.reload()
        assert service.build().routes[0].policy.timeout == 3
        file.write_text('[operations.helo]\ntimeout = "1s"\n')
        with pytest.raises(ConfigurationError, match="did you mean 'hello'"):
            service.reload()
        assert service.build().routes[0].policy.timeout == 3


# -- direct calls


async def test_a_direct_call_takes_arguments_as_they_are_and_raises_problems(example: Example) -> None:
    module = example("tutorial/shop.py")
    async with module.service.running():
        order = module.NewOrder("", [module.Line("tea", 1)])
        assert (await module.service.call("place_order", order=order)).value.id == 1
        with pytest.raises(module.NoSuchOrder):
            await module.service.call("read_order", number=7)
