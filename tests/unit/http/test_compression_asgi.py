"""Compression of mounted apps, message by message."""

from __future__ import annotations

import gzip
import threading

import pytest

from seawall.http.compression import THREAD_BYTES, Compressor
from seawall.http.compression_asgi import Compression

pytestmark = pytest.mark.anyio

BODY = b'{"name": "a product of some length"}' * 100
JSON = (b"content-type", b"application/json")


async def run(messages, *, accept=b"gzip", method="GET", request=(), compressor=None):
    """Serve one request with an app that sends *messages*; return what reached the server."""
    sent = []

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    headers = [*request, *([(b"accept-encoding", accept)] if accept is not None else [])]
    scope = {"type": "http", "method": method, "headers": headers}
    await Compression(app, compressor)(scope, receive, send)
    return sent


def answer(*headers, body=BODY, status=200):
    return [
        {"type": "http.response.start", "status": status, "headers": list(headers)},
        {"type": "http.response.body", "body": body},
    ]


async def test_whole_answer():
    start, body = await run(
        answer(JSON, (b"Content-Length", b"3600"), (b"ETag", b'"v1"'), (b"accept-ranges", b"bytes"))
    )
    assert gzip.decompress(body["body"]) == BODY
    assert start["headers"] == [
        JSON,
        (b"etag", b'W/"v1"'),
        (b"vary", b"Accept-Encoding"),
        (b"content-encoding", b"gzip"),
        (b"content-length", b"%d" % len(body["body"])),
    ]


async def test_the_apps_own_messages_stay_as_they_are():
    messages = answer(JSON, (b"etag", b'"v1"'))
    await run(messages)
    assert messages == answer(JSON, (b"etag", b'"v1"'))


async def test_preferred_coding():
    start, _ = await run(answer(JSON), accept=b"gzip, br, zstd")
    assert (b"content-encoding", b"zstd") in start["headers"]


async def test_several_accept_encoding_lines_are_one_list():
    start, _ = await run(answer(JSON), accept=b"br", request=[(b"accept-encoding", b"gzip;q=0.5")])
    assert (b"content-encoding", b"br") in start["headers"]


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ([JSON, (b"content-encoding", b"br")], 200, BODY),
        ([JSON, (b"cache-control", b"public, No-Transform")], 200, BODY),
        ([JSON], 204, b""),
        ([JSON], 205, b""),
        ([JSON, (b"content-digest", b"sha-256=:x:")], 200, BODY),
        ([JSON], 200, b"{}"),
        ([JSON, (b"content-length", b"2")], 200, b"{}"),
        ([(b"content-type", b"image/png")], 200, BODY),
        ([(b"content-type", b"text/event-stream")], 200, BODY),
        ([], 200, BODY),
    ],
)
async def test_left_alone(headers, status, body):
    messages = answer(*headers, body=body, status=status)
    assert await run(messages) == messages


async def test_errors_are_compressed_too():
    start, body = await run(answer(JSON, status=500))
    assert start["status"] == 500
    assert gzip.decompress(body["body"]) == BODY


@pytest.mark.parametrize("accept", [None, b"", b"identity", b"deflate", b"*;q=0", b"identity;q=0"])
async def test_plain_answers_say_that_they_might_differ(accept):
    messages = answer(JSON, (b"etag", b'"v1"'), (b"content-length", b"3600"))
    assert await run(messages, accept=accept) == answer(
        JSON, (b"etag", b'"v1"'), (b"content-length", b"3600"), (b"vary", b"Accept-Encoding")
    )


async def test_head_is_not_compressed():
    start, body = await run(answer(JSON, (b"content-length", b"3600"), body=b""), method="HEAD")
    assert start["headers"] == [JSON, (b"content-length", b"3600"), (b"vary", b"Accept-Encoding")]
    assert body["body"] == b""


@pytest.mark.parametrize("vary", [b"*", b"accept-encoding", b"Origin, Accept-Encoding"])
async def test_vary_is_not_said_twice(vary):
    start, _ = await run(answer(JSON, (b"vary", vary)))
    assert [value for name, value in start["headers"] if name == b"vary"] == [vary]


async def test_vary_is_added_to_another():
    start, _ = await run(answer(JSON, (b"vary", b"Origin")))
    assert [value for name, value in start["headers"] if name == b"vary"] == [b"Origin", b"Accept-Encoding"]


async def test_weak_tags_stay():
    start, _ = await run(answer(JSON, (b"etag", b'W/"v1"')))
    assert (b"etag", b'W/"v1"') in start["headers"]


async def test_not_modified_carries_the_tag_the_client_was_given():
    messages = answer((b"etag", b'"v1"'), status=304, body=b"")
    start, _ = await run(messages, request=[(b"if-none-match", b'W/"v1"')])
    assert start["headers"] == [(b"etag", b'W/"v1"'), (b"vary", b"Accept-Encoding")]
    start, _ = await run(messages, request=[(b"if-none-match", b'"v1"')])
    assert start["headers"] == [(b"etag", b'"v1"'), (b"vary", b"Accept-Encoding")]


async def test_a_part_varies_as_the_whole_does():
    part = (b"content-range", b"bytes 0-9/100")
    start, body = await run(answer(JSON, part, body=BODY, status=206))
    assert start["headers"] == [JSON, part, (b"vary", b"Accept-Encoding")]
    assert body["body"] == BODY
    image = (b"content-type", b"image/png")
    start, _ = await run(answer(image, part, body=BODY, status=206))
    assert start["headers"] == [image, part]


async def test_a_body_that_does_not_shrink_is_sent_as_it_is():
    import os

    noise = os.urandom(2000)
    start, body = await run(answer(JSON, body=noise))
    assert body["body"] == noise
    assert start["headers"] == [JSON, (b"vary", b"Accept-Encoding")]


async def test_streams_arrive_piece_by_piece():
    import zlib

    pieces = [b"first " * 10, b"", b"second " * 10, b"third"]
    messages = [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"9999")],
        },
        *({"type": "http.response.body", "body": piece, "more_body": True} for piece in pieces),
        {"type": "http.response.body"},
    ]
    start, *bodies = await run(messages)
    assert (b"content-encoding", b"gzip") in start["headers"]
    assert b"content-length" not in dict(start["headers"])
    decoder = zlib.decompressobj(31)
    assert [decoder.decompress(body["body"]) for body in bodies] == [
        b"first " * 10,
        b"second " * 10,
        b"third",
        b"",
    ]
    assert decoder.eof
    assert [body.get("more_body", False) for body in bodies] == [True, True, True, False]


async def test_stream_that_ends_with_content():
    messages = [
        {"type": "http.response.start", "status": 200, "headers": [JSON]},
        {"type": "http.response.body", "body": b"[1,", "more_body": True},
        {"type": "http.response.body", "body": b"2]", "more_body": False},
    ]
    _, *bodies = await run(messages)
    assert gzip.decompress(b"".join(body["body"] for body in bodies)) == b"[1,2]"


async def test_short_stream_of_known_length_is_left_alone():
    messages = [
        {"type": "http.response.start", "status": 200, "headers": [JSON, (b"content-length", b"2")]},
        {"type": "http.response.body", "body": b"[", "more_body": True},
        {"type": "http.response.body", "body": b"]"},
    ]
    assert await run(messages) == messages


@pytest.mark.parametrize(("size", "elsewhere"), [(THREAD_BYTES - 1, False), (THREAD_BYTES, True)])
@pytest.mark.parametrize("streamed", [False, True])
async def test_large_bodies_are_compressed_in_a_thread(size, elsewhere, streamed):
    compressor = Compressor(encodings=["gzip"])
    threads = []
    whole, stream = compressor._whole["gzip"], compressor._streams["gzip"]

    def compress(body):
        threads.append(threading.current_thread())
        return whole(body)

    class Spy:
        def __init__(self):
            self.inner = stream()
            self.finish = self.inner.finish

        def feed(self, chunk, *, flush=True):
            if chunk:
                threads.append(threading.current_thread())
            return self.inner.feed(chunk, flush=flush)

    compressor._whole["gzip"], compressor._streams["gzip"] = compress, Spy
    messages = answer(JSON, body=b"x" * size)
    if streamed:
        messages[1]["more_body"] = True
        messages.append({"type": "http.response.body"})
    _, *bodies = await run(messages, compressor=compressor)
    assert gzip.decompress(b"".join(body["body"] for body in bodies)) == b"x" * size
    assert [thread is not threading.current_thread() for thread in threads] == [elsewhere]


async def test_other_messages_pass_in_order():
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>"]}
    start = {"type": "http.response.start", "status": 200, "headers": [JSON], "trailers": True}
    path = {"type": "http.response.pathsend", "path": "file"}
    assert await run([hint, start, path]) == [hint, start, path]


async def test_an_app_that_never_sends_a_body_is_seen_as_it_is():
    start = {"type": "http.response.start", "status": 200, "headers": [JSON]}
    assert await run([start]) == [start]


async def test_other_scopes_pass():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    await Compression(app)({"type": "websocket"}, 1, 2)
    assert seen == [({"type": "websocket"}, 1, 2)]
