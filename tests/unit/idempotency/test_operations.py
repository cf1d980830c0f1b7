"""Idempotent operations over ASGI, with records in memory."""

import asyncio
import re

import pytest
from msgspec import Struct

from seawall import Call, Conflict, DeclarationError, Guard, Place, Principal, Reply, Unavailable
from seawall.idempotency import Idempotency, InvalidIdempotencyKey
from seawall.idempotency.keys import PATTERN, read_key
from seawall.settings import ServiceSettings, Settings
from support.exchange import exchange
from support.settings import service

pytestmark = pytest.mark.anyio


class New(Struct):
    amount: int


class Who(Guard):
    """Believes what a header field says."""

    name = "who"
    place = Place.AUTHENTICATE

    async def check(self, call: Call) -> None:
        call.principal = Principal(call.header("x-subject") or "ada")


class Shop:
    """A service that counts what it does."""

    def __init__(self, clock, idempotent=True) -> None:
        self.done = 0
        self.gate = None
        self.error = None
        self.app = service(clock=clock, settings=Settings(service=ServiceSettings(docs=False)))

        @self.app.post("/payments", status=201, idempotent=idempotent, guards=[Who()])
        async def pay(new: New) -> Reply[dict[str, int]]:
            self.done += 1
            number = self.done
            if self.gate is not None:
                await self.gate.wait()
            if self.error is not None:
                raise self.error
            return Reply({"number": number, "amount": new.amount}, headers={"X-Number": str(number)})

        @self.app.post("/notes", idempotent=idempotent)
        async def note() -> int:
            self.done += 1
            return self.done

    async def pay(self, key='"k1"', body=b'{"amount": 5}', query="", **fields):
        headers = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in fields.items()}
        if key is not None:
            headers["idempotency-key"] = key
        return await exchange(self.app, "POST", "/payments", query=query, headers=headers, body=body)


async def until(happened):
    for _ in range(1000):
        if happened():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


@pytest.fixture
def shop(manual_clock):
    return Shop(manual_clock)


async def test_the_same_request_is_done_once_and_answered_alike(shop):
    first, second = await shop.pay(), await shop.pay()
    assert shop.done == 1
    assert (first.status, first.body) == (second.status, second.body) == (201, b'{"number":1,"amount":5}')
    assert first.headers["x-number"] == second.headers["x-number"] == "1"
    assert first.headers["content-type"] == second.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


async def test_without_the_protection_it_is_done_again(manual_clock):
    shop = Shop(manual_clock, idempotent=False)
    assert [(await shop.pay()).status for _ in range(3)] == [201] * 3
    assert shop.done == 3


async def test_quotes_make_no_other_key(shop):
    await shop.pay('"k1"')
    assert (await shop.pay("k1")).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", [None, "", '""', '"a', "a b", "é", "x" * 256, '"a", "b"', "a,b"])
async def test_a_key_that_is_none_is_refused(shop, key):
    answer = await shop.pay(key)
    assert answer.status == 400
    assert answer.json()["type"] == "urn:problem-type:seawall:invalid-idempotency-key"
    assert shop.done == 0


async def test_a_key_that_need_not_be_sent(manual_clock):
    shop = Shop(manual_clock, Idempotency(required=False))
    assert [(await shop.pay(None)).status for _ in range(2)] == [201, 201]
    assert shop.done == 2


@pytest.mark.parametrize("other", [{"body": b'{"amount": 6}'}, {"query": "a=1"}, {"body": b'{"amount":5}'}])
async def test_another_request_with_the_key_is_refused(shop, other):
    await shop.pay()
    answer = await shop.pay(**other)
    assert answer.status == 422
    assert answer.json()["type"] == "urn:problem-type:seawall:idempotency-key-reused"
    assert shop.done == 1


async def test_keys_are_each_principals_own(shop):
    await shop.pay(x_subject="ada")
    answer = await shop.pay(x_subject="bob", body=b'{"amount": 7}')
    assert answer.status == 201
    assert answer.json() == {"number": 2, "amount": 7}


async def test_keys_are_each_operations_own(shop):
    await shop.pay()
    answer = await exchange(shop.app, "POST", "/notes", headers={"idempotency-key": "k1"})
    assert (answer.status, shop.done) == (200, 2)


async def test_strangers_are_told_apart_by_credentials_and_address(shop):
    async def note(client, **fields):
        headers = {"idempotency-key": "k1"} | fields
        return (await exchange(shop.app, "POST", "/notes", headers=headers, client=(client, 1))).json()

    assert [await note("192.0.2.1"), await note("192.0.2.2"), await note("192.0.2.1")] == [1, 2, 1]
    assert [await note("192.0.2.1", authorization="a"), await note("192.0.2.9", authorization="a")] == [3, 3]


async def test_in_flight_is_409(shop):
    shop.gate = asyncio.Event()
    first = asyncio.create_task(shop.pay())
    await until(lambda: shop.done)
    second = await shop.pay()
    shop.gate.set()
    assert second.status == 409
    assert second.headers["retry-after"] == "1"
    assert (await first).status == 201
    assert (await shop.pay()).headers["idempotency-replayed"] == "true"
    assert shop.done == 1


async def test_waiting_for_the_one_in_flight(manual_clock):
    shop = Shop(manual_clock, Idempotency(wait="5s"))
    shop.gate = asyncio.Event()
    calls = [asyncio.create_task(shop.pay()) for _ in range(20)]
    await until(lambda: shop.done)
    shop.gate.set()
    while not all(call.done() for call in calls):
        manual_clock.advance(0.1)
        await asyncio.sleep(0)
    assert {call.result().body for call in calls} == {b'{"number":1,"amount":5}'}
    assert shop.done == 1


async def test_an_error_of_the_operation_is_replayed(shop):
    shop.error = RuntimeError("broken")
    first = await shop.pay()
    shop.error = None
    second = await shop.pay()
    assert (first.status, second.status, shop.done) == (500, 500, 1)
    assert first.body == second.body
    assert second.headers["idempotency-replayed"] == "true"


async def test_a_problem_of_the_operation_is_replayed(shop):
    shop.error = Conflict("sold")
    assert [(await shop.pay()).status for _ in range(2)] == [409, 409]
    assert shop.done == 1


async def test_come_again_is_not_kept(shop):
    shop.error = Unavailable("soon")
    assert (await shop.pay()).status == 503
    shop.error = None
    assert (await shop.pay()).status == 201


async def test_failed_validation_is_not_kept(shop):
    assert (await shop.pay(body=b'{"amount": "x"}')).status == 422
    assert (await shop.pay()).status == 201


async def test_a_cancelled_call_lets_its_key_go(shop):
    shop.gate = asyncio.Event()
    first = asyncio.create_task(shop.pay())
    await until(lambda: shop.done)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    shop.gate = None
    assert (await shop.pay()).json()["number"] == 2


async def test_an_answer_is_forgotten_after_its_retention(manual_clock):
    shop = Shop(manual_clock, Idempotency(retention="1h"))
    await shop.pay()
    manual_clock.advance(3599)
    assert (await shop.pay()).json()["number"] == 1
    manual_clock.advance(2)
    assert (await shop.pay()).json()["number"] == 2


def test_only_post_and_patch(manual_clock):
    app = service(clock=manual_clock)

    @app.put("/x", idempotent=True)
    async def put() -> None: ...

    with pytest.raises(DeclarationError, match="PUT is idempotent by itself"):
        app.build()


def test_the_document_tells_of_the_key(shop):
    operation = shop.app.openapi()["paths"]["/payments"]["post"]
    (field,) = operation["parameters"]
    assert (field["name"], field["in"], field["required"]) == ("Idempotency-Key", "header", True)
    assert {"400", "409", "422"} <= set(operation["responses"])
    schema = field["schema"]
    for key in ('"k1"', "k1", r'"a \"b\" \\"', "8e03978e-40d5-43dd-bc93-6894a57f9324", '"a, b"'):
        assert re.search(schema["pattern"], key)
    for key in ("", '""', '"a', "a b", "a,b", "é", r'"\a"'):
        assert not re.search(schema["pattern"], key)


@pytest.mark.parametrize("character", [chr(code) for code in range(0x21, 0x7F)])
def test_the_document_says_which_keys_are_ones(character):
    for key in (character * 3, f'"{character}"'):
        try:
            read_key(key.encode())
        except InvalidIdempotencyKey:
            assert not re.search(PATTERN, key)
        else:
            assert re.search(PATTERN, key)
