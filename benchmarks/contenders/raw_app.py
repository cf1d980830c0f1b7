"""A hand-written ASGI function: the flattest Python an expert would write on this server.

It is the measure for Seawall, and does what Seawall does for the bytes of an answer: request id, `vary`,
`nosniff`, content length, media type and body limit of a POST, typed decoding, range checks, problems
(RFC 9457) for whatever is refused.
"""

import os
import re
from itertools import count
from urllib.parse import unquote_plus

import msgspec

from benchmarks.contenders.orders import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MIN_LIMIT,
    NewOrder,
    place_order,
    view_order,
)

MAX_BODY = 1024 * 1024  # bytes

encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(NewOrder).decode

request_id_prefix = os.urandom(4).hex().encode()
next_request_number = count(1).__next__

JSON = b"application/json"
JSON_TYPE = (b"content-type", JSON)
PROBLEM_TYPE = (b"content-type", b"application/problem+json")
VARY = (b"vary", b"accept")
NOSNIFF = (b"x-content-type-options", b"nosniff")
PREFIX = "/orders/"


async def app(scope, receive, send):
    if scope["type"] != "http":
        await _lifespan(receive, send)
        return
    path = scope["path"]
    method = scope["method"]

    if path.startswith(PREFIX):
        if method != "GET":
            await _refuse(send, 405, "Method not allowed", allow=b"GET")
            return
        segment = path[8:]
        if not segment.isdecimal():
            if "/" in segment or not segment:
                await _refuse(send, 404, "Not found")
            else:
                await _refuse(send, 422, "Not valid", pointer="order_id", detail="Expected `int`")
            return
        limit = DEFAULT_LIMIT
        q = None
        query = scope["query_string"]
        if query:
            for pair in query.split(b"&"):
                name, _, value = pair.partition(b"=")
                if name == b"limit":
                    try:
                        limit = int(value)
                    except ValueError:
                        await _refuse(send, 422, "Not valid", pointer="limit", detail="Expected `int`")
                        return
                    if not MIN_LIMIT <= limit <= MAX_LIMIT:
                        await _refuse(send, 422, "Not valid", pointer="limit", detail="Expected 1 to 100")
                        return
                elif name == b"q":
                    q = value.decode("latin-1")
                    if "%" in q or "+" in q:
                        q = unquote_plus(q)
        body = encode(view_order(int(segment), limit, q))
        status = 200

    elif path == "/orders":
        if method != "POST":
            await _refuse(send, 405, "Method not allowed", allow=b"POST")
            return
        for name, value in scope["headers"]:
            if name == b"content-type":
                if value != JSON and value.split(b";")[0].strip().lower() != JSON:
                    await _refuse(send, 415, "Unsupported media type")
                    return
                break
        else:
            await _refuse(send, 415, "Unsupported media type")
            return
        message = await receive()
        payload = message.get("body", b"")
        if message.get("more_body"):
            payload = await _read_rest(receive, payload)
            if payload is None:
                return
        if len(payload) > MAX_BODY:
            await _refuse(send, 413, "Content too large")
            return
        try:
            order = decode_order(payload)
        except msgspec.ValidationError as error:
            detail, _, where = str(error).partition(" - at `$")
            await _refuse(send, 422, "Not valid", pointer=_json_pointer(where), detail=detail)
            return
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            await _refuse(send, 400, "Malformed JSON", detail=str(error))
            return
        body = encode(place_order(order))
        status = 201

    else:
        await _refuse(send, 404, "Not found")
        return

    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                JSON_TYPE,
                (b"content-length", b"%d" % len(body)),
                (b"x-request-id", b"%b%08x" % (request_id_prefix, next_request_number())),
                VARY,
                NOSNIFF,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _read_rest(receive, first):
    """Read a body that came in several messages; None when the client has gone away."""
    payload = bytearray(first)
    while len(payload) <= MAX_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        payload += message.get("body", b"")
        if not message.get("more_body"):
            break
    return bytes(payload)


async def _refuse(send, status, title, *, pointer=None, detail=None, allow=None):
    problem = {"type": "about:blank", "title": title, "status": status}
    if pointer is not None:
        problem["errors"] = [{"pointer": pointer, "detail": detail}]
    elif detail is not None:
        problem["detail"] = detail
    body = encode(problem)
    headers = [
        PROBLEM_TYPE,
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", b"%b%08x" % (request_id_prefix, next_request_number())),
        VARY,
        NOSNIFF,
    ]
    if allow is not None:
        headers.append((b"allow", allow))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _json_pointer(where):
    """Turn msgspec's `.lines[0].sku` into the JSON Pointer (RFC 6901) `/lines/0/sku`."""
    return "".join("/" + part for part in re.findall(r"[^.\[\]`]+", where))


async def _lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
