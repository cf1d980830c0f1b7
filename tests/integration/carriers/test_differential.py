"""Both carriers give the same answers to the same bytes, whole, in pieces, one after another, and malformed.

What differs by nature is taken out before comparing: dates and request ids.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.server import serve

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SEED = int(os.environ.get("SEAWALL_TEST_SEED", "20261123"))
FULL = os.environ.get("SEAWALL_FAULTS") == "full"
"""Whether the grammar is tried ten times as often."""
QUIET = 0.35
"""Seconds without a byte after which an answer is taken to be over."""
SILENT = 2.0
"""Seconds without any byte after which there is taken to be none: a busy machine answers late."""

ID = b"X-Request-ID: fixed-1\r\n"
HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"


def request(method: str, target: str, *fields: bytes, body: bytes = b"", version: str = "1.1") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return f"{method} {target} HTTP/{version}\r\n".encode() + HOST + ID + b"".join(fields) + length + b"\r\n" + body


ORDER = b'{"customer":7,"lines":[{"sku":"a","quantity":2},{"sku":"b"}]}'
CHUNKED = b"Transfer-Encoding: chunked\r\n"

CASES: dict[str, bytes] = {
    "get": request("GET", "/items/7?limit=2&tag=a&tag=b"),
    "get wrong": request("GET", "/items/x?limit=99"),
    "get repeated": request("GET", "/items/7?limit=2&limit=3"),
    "get bad query": request("GET", "/items/7?limit=%ff"),
    "get escaped": request("GET", "/text/a%2Fb/c/d%20e"),
    "get not utf-8": request("GET", "/text/%ff/c"),
    "get static escaped": request("GET", "/%66ixed"),
    "get headers": request("GET", "/fixed", b"User-Agent: me\r\n", b"Cookie: pot=1; lid=2\r\n"),
    "get cookies twice": request("GET", "/fixed", b"Cookie: a=1\r\n", b"Cookie: pot=2\r\n"),
    "get large": request("GET", "/large"),
    "get compressed": request("GET", "/large", b"Accept-Encoding: gzip\r\n"),
    "get late": request("GET", "/slow"),
    "get too late": request("GET", "/slow?seconds=5"),
    "get broken": request("GET", "/broken"),
    "get plain": request("GET", "/plain"),
    "get msgpack": request("GET", "/items/7", b"Accept: application/msgpack\r\n"),
    "get html": request("GET", "/items/7", b"Accept: text/html\r\n"),
    "get nothing": request("GET", "/nothing"),
    "get slash": request("GET", "/fixed/"),
    "get absolute": request("GET", "http://localhost/items/7"),
    "get fragment": request("GET", "/items/7#part"),
    "get with body": request("GET", "/items/7", body=b"unexpected"),
    "get 1.0": request("GET", "/items/7", version="1.0"),
    "get 1.0 kept": request("GET", "/items/7", b"Connection: keep-alive\r\n", version="1.0"),
    "get close": request("GET", "/items/7", b"Connection: close\r\n"),
    "get many fields": request("GET", "/items/7", *[b"X-%d: 1\r\n" % n for n in range(120)]),
    "get long path": request("GET", "/text/" + "a" * 4200 + "/b"),
    "get long query": request("GET", "/items/7?q=" + "a" * 8300),
    "head": request("HEAD", "/items/7"),
    "options": request("OPTIONS", "/items/7"),
    "options star": request("OPTIONS", "*"),
    "put": request("PUT", "/items/7"),
    "strange method": request("BREW", "/items/7"),
    "delete": request("DELETE", "/items/7"),
    "post": request("POST", "/orders", JSON, body=ORDER),
    "post conflict": request("POST", "/orders", JSON, body=b'{"customer":409}'),
    "post wrong": request("POST", "/orders", JSON, body=b'{"customer":"x","lines":[{"sku":""},{"quantity":0}],"y":1}'),
    "post malformed": request("POST", "/orders", JSON, body=b'{"customer":'),
    "post not utf-8": request("POST", "/orders", JSON, body=b'{"customer":"\xff"}'),
    "post deep": request("POST", "/orders", JSON, body=b"[" * 1900),
    "post no body": request("POST", "/orders", JSON),
    "post no type": request("POST", "/orders", body=ORDER),
    "post xml": request("POST", "/orders", b"Content-Type: text/xml\r\n", body=b"<a/>"),
    "post coded": request("POST", "/orders", JSON, b"Content-Encoding: gzip\r\n", body=ORDER),
    "post too large": request("POST", "/orders", JSON, body=b" " * 2001),
    "post at the limit": request("POST", "/orders", JSON, body=ORDER + b" " * (2000 - len(ORDER))),
    "post chunked": request("POST", "/orders", JSON, CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(ORDER), ORDER),
    "post chunked too large": request("POST", "/orders", JSON, CHUNKED) + b"7d1\r\n" + b" " * 2001 + b"\r\n0\r\n\r\n",
    "post expect": request("POST", "/orders", JSON, b"Expect: 100-continue\r\n", body=ORDER),
    "post form": request("POST", "/login", b"Content-Type: application/x-www-form-urlencoded\r\n", body=b"user=me"),
    "two lengths": request("POST", "/orders", JSON, b"Content-Length: 5\r\n", body=ORDER),
    "length and chunked": request("POST", "/orders", JSON, CHUNKED, body=b"0\r\n\r\n"),
    "length not a number": request("POST", "/orders", JSON, b"Content-Length: x\r\n") + ORDER,
    "folded field": request("GET", "/items/7", b"X-A: 1\r\n 2\r\n"),
    "bare line feed": request("GET", "/items/7").replace(b"\r\n", b"\n"),
    "space before colon": request("GET", "/items/7", b"X-A : 1\r\n"),
    "bad chunk": request("POST", "/orders", JSON, CHUNKED) + b"zz\r\nabc\r\n",
    "not http": b"hello there\r\n\r\n",
    "upgrade": request("GET", "/items/7", b"Connection: Upgrade\r\n", b"Upgrade: h2c\r\n"),
}
PIPELINES: dict[str, list[str]] = {
    "wire, wire": ["get", "get"],
    "wire, asgi, wire": ["get", "plain", "get"],
    "slow first": ["get late", "get", "get nothing", "post"],
    "asgi first": ["post chunked", "get", "head", "post"],
    "close in between": ["get", "get close", "get"],
    "malformed last": ["get late", "get", "not http"],
    "too late, then more": ["get too late", "get", "post form", "get large"],
    "many": ["get", "post", "get wrong", "delete", "get compressed"] * 8,
}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Serve the same service on both carriers."""
    # A storm is sent on purpose, and which of its calls are too many is not the same for both.
    settings = {"SEAWALL_SERVER_KEEP_ALIVE": "60", "SEAWALL_ADMISSION_ENABLED": "no"}
    logs = tmp_path_factory.mktemp("carriers")
    with ExitStack() as stack:
        wire, asgi = (
            stack.enter_context(
                serve("carried_app:service", HERE, logs / carrier, SEAWALL_SERVER_CARRIER=carrier, **settings)
            ).port
            for carrier in ("wire", "asgi")
        )
        yield wire, asgi


async def answer(port: int, *pieces: bytes, quiet: float = QUIET, pause: float = 0.002) -> bytes:
    """Send *pieces*, a moment apart, and return everything that comes back, ``CLOSED`` at its end if it was closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    try:
        for index, piece in enumerate(pieces):
            if index:
                await asyncio.sleep(pause)
            writer.write(piece)
            await writer.drain()
        while True:
            try:
                data = await asyncio.wait_for(reader.read(65536), quiet if received else SILENT)
            except TimeoutError:
                return received
            if not data:
                return received + b"CLOSED"
            received += data
    except ConnectionError:
        return received + b"CLOSED"
    finally:
        writer.close()


def same(raw: bytes) -> bytes:
    """Take out what differs by nature."""
    raw = re.sub(rb"date: [^\r]+\r\n", b"", raw)
    raw = re.sub(rb"x-request-id: (?!fixed-1)[^\r]+\r\n", b"", raw)
    with_id = rb'content-length: \d+(?=(?:(?!HTTP/1).)*"request_id":"(?!fixed-1))'
    raw = re.sub(with_id, b"content-length: N", raw, flags=re.DOTALL)
    return re.sub(rb'"request_id":"(?!fixed-1)[^"]+"', b"", raw)


async def compare(
    ports: tuple[int, int], *pieces: bytes, quiet: float = QUIET, times: int = 1, pause: float = 0.002
) -> bytes:
    """Send *pieces* to both, and fail unless they answer the same; return the answer of ``wire``.

    An answer given before a request was complete can end its connection while the rest is on its way, and what is wrong
    with that rest is noticed or not. Over both carriers alike it is chance which comes first, so where it can come to
    that they are asked several *times*, and one answer that both have given is enough.
    """
    given: tuple[set[bytes], set[bytes]] = (set(), set())
    wire = b""
    for _ in range(times):
        wire, asgi = await asyncio.gather(*(answer(port, *pieces, quiet=quiet, pause=pause) for port in ports))
        given[0].add(same(wire))
        given[1].add(same(asgi))
        if given[0] & given[1]:
            return wire
    sent = [re.sub(rb" {40,}", b" ... ", piece) for piece in pieces]
    raise AssertionError(f"{given[0]!r} by wire, {given[1]!r} by asgi, for {sent}")


@pytest.mark.parametrize("name", CASES)
async def test_one_request(ports: tuple[int, int], name: str) -> None:
    received = await compare(ports, CASES[name])
    assert received.startswith(b"HTTP/1.1 "), received


KEPT = {"get": CASES["get"], "post": CASES["post"], "fixed": request("GET", "/items/7")}
"""What a connection repeats before something else comes: the wire carrier knows these heads then."""


@pytest.mark.parametrize("kept", KEPT)
async def test_after_requests_that_repeat(ports: tuple[int, int], kept: str) -> None:
    """Each case as the second, third and fourth request of a connection that has repeated another before."""
    gate = asyncio.Semaphore(30)

    async def one(name: str, before: int) -> None:
        async with gate:
            # A moment between them: pieces that come together are no requests that come one by one.
            pieces = [*[KEPT[kept]] * before, CASES[name], KEPT[kept]]
            await compare(ports, *pieces, times=6, pause=0.03)

    async with asyncio.TaskGroup() as group:
        for name in CASES:
            for before in (1, 2, 3):
                group.create_task(one(name, before))


async def test_each_case_three_times(ports: tuple[int, int]) -> None:
    """What repeats itself is answered as it was the first time, whatever it is."""
    gate = asyncio.Semaphore(30)

    async def one(name: str) -> None:
        async with gate:
            await compare(ports, *[CASES[name]] * 3, times=6, pause=0.03)

    async with asyncio.TaskGroup() as group:
        for name in CASES:
            group.create_task(one(name))


@pytest.mark.parametrize("name", PIPELINES)
async def test_pipelined_requests(ports: tuple[int, int], name: str) -> None:
    names = [case if case in CASES else f"get {case}" for case in PIPELINES[name]]
    received = await compare(ports, b"".join(CASES[case] for case in names), quiet=0.7)
    # What is no HTTP ends the connection, once the good requests before it have been answered.
    assert len(re.findall(rb"HTTP/1\.1 \d", received)) == len(names) or "close" in name
    assert received.endswith(b"CLOSED") == ("malformed" in name or "close" in name)


@pytest.mark.parametrize("name", ["get", "post", "post chunked", "post wrong", "get escaped"])
async def test_split_at_every_byte(ports: tuple[int, int], name: str) -> None:
    raw = CASES[name]
    whole = same(await answer(ports[0], raw))
    gate = asyncio.Semaphore(40)

    async def split(at: int) -> None:
        async with gate:
            for port in ports:
                assert same(await answer(port, raw[:at], raw[at:], quiet=0.2)) == whole, f"split at {at}"

    async with asyncio.TaskGroup() as group:
        for at in range(1, len(raw)):
            group.create_task(split(at))


async def test_each_byte_by_itself(ports: tuple[int, int]) -> None:
    await compare(ports, *[bytes([byte]) for byte in CASES["post"]])


async def test_fuzzed_requests(ports: tuple[int, int]) -> None:
    """Mutations of good requests: whatever is made of them, both make the same."""
    print(f"SEAWALL_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    gate = asyncio.Semaphore(30)
    lively = [name for name in CASES if "late" not in name]

    async def one(raw: bytes) -> None:
        async with gate:
            await compare(ports, raw)

    async with asyncio.TaskGroup() as group:
        for _ in range(400):
            raw = bytearray(CASES[chance.choice(lively)])
            for _ in range(chance.choice((1, 1, 2, 5))):
                mutate(raw, chance)
            group.create_task(one(bytes(raw)))


def mutate(raw: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(raw))
    kind = chance.randrange(5)
    if kind == 0:
        raw[at] = chance.randrange(256)
    elif kind == 1:
        del raw[at : at + chance.randrange(1, 4)]
        raw.extend(b"x" * (not raw))
    elif kind == 2:
        raw[at:at] = chance.choice((b"\r\n", b"\n", b" ", b"\x00", b":", b"%", b"%2f", b"\xff", b"Host: b\r\n"))
    elif kind == 3:
        end = min(len(raw), at + chance.randrange(1, 60))
        raw[at:at] = raw[at:end]
    else:
        other = chance.choice(list(CASES.values()))
        raw[at:] = other[chance.randrange(len(other)) :] or b"\r\n"


METHODS = ("GET", "POST", "DELETE", "HEAD", "PUT", "OPTIONS", "get", "BREW", "PRI", "CONNECT")
TARGETS = (
    "/items/7",
    "/items/x?limit=2",
    "/fixed",
    "/orders",
    "/login",
    "/plain",
    "/nothing",
    "*",
    "//",
    "/%",
    "/%2e%2e",
)
TARGETS += (
    "http://localhost/items/7",
    "http://other/items/7",
    "localhost:80",
    "/items/7#f",
    "/text/%ff/b",
    "/large?size=9",
)
VERSIONS = ("1.1",) * 12 + ("1.0", "0.9", "1.2", "2.0", "1.1 ", "11")
ENDS = (b"\r\n",) * 30 + (b"\n", b"\r", b"\r\r\n", b" \r\n", b"\r\n ")
FIELDS = (
    (HOST,) * 12 + (b"Host: other\r\n", b"Host:\r\n", b"Host: a, b\r\n", b""),
    (b"",) * 6 + (b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
    (b"",) * 4 + (JSON, JSON, JSON, b"Content-Type: text/xml\r\n", b"Content-Type : application/json\r\n"),
    (b"",) * 8
    + (b"Expect: 100-continue\r\n", b"Expect: 200-ok\r\n", b"Cookie: pot=1\r\n", b"Accept-Encoding: gzip\r\n"),
    (b"",) * 8 + (b"X-A: \x00\r\n", b"X-A: \xff\r\n", b"X A: 1\r\n", b": 1\r\n", b"X-A\r\n", b"X-A: 1\r\n 2\r\n"),
)
CODINGS = ("chunked",) * 8 + (
    "Chunked",
    "chunked, identity",
    "identity",
    "gzip, chunked",
    "chunked, chunked",
    "",
    "xchunked",
)
SIZES = (b"%x", b"%X", b"0%x", b"%x;a=b", b'%x;a="b"') * 3 + (b"%x ", b"+%x", b"0x%x", b"-%x", b"%xg", b"%x;a\n")
BODIES = (ORDER, b"{}", b"[1", b"", b"user=me", b" " * 2001, b"GET /items/7 HTTP/1.1\r\n" + HOST + b"\r\n")
SEEDS = tuple(SEED + number for number in range(40 if FULL else 4))


def made(chance: random.Random) -> bytes:
    """Return one request by a grammar of right parts and, here and there, a wrong one."""
    end = chance.choice(ENDS)
    method = chance.choice(METHODS[:6] * 4 + METHODS)
    head = f"{method} {chance.choice(TARGETS)} HTTP/{chance.choice(VERSIONS)}".encode()
    head += end + b"".join(chance.choice(choices) for choices in FIELDS) + ID
    body = chance.choice(BODIES)
    kind = chance.randrange(8)
    if kind < 3:
        return head + chance.choice(ENDS[-8:])
    if kind < 6:
        length = chance.choice((b"%d",) * 9 + (b"+%d", b"%d ", b" %d", b"0%d", b"%d, %d", b"-%d", b"%dx"))
        # An operation that reads no body answers before it is complete over asgi only: see decision 13.
        number = max(0, len(body) + chance.choice((0,) * 9 + (-1, 1 if method == "POST" else 0)))
        text = length.replace(b"%d", b"%d" % number)
        twice = chance.randrange(12) == 0
        return head + (b"Content-Length: " + text + b"\r\n") * (1 + twice) + b"\r\n" + body
    head += b"Transfer-Encoding: " + chance.choice(CODINGS).encode() + b"\r\n"
    head += b"Content-Length: 5\r\n" * (chance.randrange(10) == 0) + b"\r\n"
    cut = chance.randrange(len(body) + 1)
    pieces = b"".join(
        chance.choice(SIZES) % len(piece) + b"\r\n" + piece + chance.choice(ENDS)
        for piece in (body[:cut], body[cut:])
        if piece
    )
    return head + pieces + b"0\r\n" + chance.choice((b"", b"", b"X-T: 1\r\n", b"Content-Length: 1\r\n")) + b"\r\n"


@pytest.mark.parametrize("seed", SEEDS)
async def test_requests_by_a_grammar(ports: tuple[int, int], seed: int) -> None:
    """One to four of them on a connection, whole or cut into pieces: both make the same of all."""
    print(f"SEAWALL_TEST_SEED={SEED}, seed {seed}")
    chance = random.Random(seed)
    gate = asyncio.Semaphore(30)

    async def one(pieces: list[bytes]) -> None:
        async with gate:
            await compare(ports, *pieces, times=6)

    async with asyncio.TaskGroup() as group:
        for _ in range(150):
            raw = b"".join(made(chance) for _ in range(chance.choice((1, 1, 1, 2, 3, 4))))
            cuts = sorted(chance.randrange(1, len(raw)) for _ in range(chance.choice((0, 0, 1, 2, 8))))
            places = [0, *cuts, len(raw)]
            pieces = [raw[a:b] for a, b in itertools.pairwise(places) if a < b]
            group.create_task(one(pieces))
