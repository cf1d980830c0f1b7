"""What is remembered of a head, and that no target is taken that the parser would not take as it stands."""

from __future__ import annotations

import httptools
import pytest

from seawall.repeated import MAX_FIELDS, MAX_HEAD, is_plain, learn

ROOM = 4096
HOST = b"Host: h\r\n"


class Parsed:
    """What httptools makes of some bytes."""

    def __init__(self, data):
        self.url, self.fields, self.body, self.complete, self.error = b"", [], b"", 0, None
        self.parser = httptools.HttpRequestParser(self)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.error = error

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.fields.append((name.lower(), value))

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.complete += 1


def learned(data, length=None, room=ROOM):
    parsed = Parsed(data)
    assert parsed.error is None
    size = len(parsed.body) if length is None else length
    return learn(parsed.parser.get_method(), data, parsed.fields, size, room)


def get(*fields, target=b"/a", version=b"1.1"):
    return b"GET %b HTTP/%b\r\n" % (target, version) + HOST + b"".join(fields) + b"\r\n"


def post(length, body, before=b"", after=b""):
    return b"POST /a HTTP/1.1\r\n" + HOST + before + b"Content-Length: " + length + b"\r\n" + after + b"\r\n" + body


def test_a_request_without_a_body_is_remembered_whole():
    known = learned(get(b"Accept: x\r\n"))
    assert (known.verb, known.method, known.begin) == (b"GET", b"GET ", 4)
    assert known.rest == b"HTTP/1.1\r\nHost: h\r\nAccept: x\r\n\r\n"
    assert known.size == 1 + len(known.rest)
    assert known.fields == [(b"host", b"h"), (b"accept", b"x")]
    assert known.headers == {b"host": b"h", b"accept": b"x"}
    assert known.tail is None


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length", b"CONTENT-LENGTH"])
@pytest.mark.parametrize("spaces", [b"", b" ", b"   ", b"\t"])
def test_a_request_with_a_body_is_remembered_around_its_length(name, spaces):
    head = b"POST /a HTTP/1.1\r\n" + HOST + name + b":" + spaces
    known = learned(head + b"3\r\nX: 1\r\n\r\nabc")
    assert known.rest == head.partition(b"/a ")[2]
    assert known.length == b"3"
    assert known.tail == b"\r\nX: 1\r\n\r\n"
    assert known.fields[known.at] == (b"content-length", b"3")


def test_other_lengths_leave_what_is_remembered_as_it_is():
    known = learned(post(b"3", b"abc", after=b"X: 1\r\n"))
    headers = known.headers.copy()
    assert known.other(b"17", headers) == [(b"host", b"h"), (b"content-length", b"17"), (b"x", b"1")]
    assert headers == {b"host": b"h", b"content-length": b"17", b"x": b"1"}
    assert known.fields == [(b"host", b"h"), (b"content-length", b"3"), (b"x", b"1")]
    assert known.headers[b"content-length"] == b"3"


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + get(),
        b"\n" + get(),
        get(version=b"1.0"),
        get() + b"\r\n",
        get() + b"GET ",
        get() + get(),
        post(b"03", b"abc"),
        post(b"3 ", b"abc"),
        post(b"00000000003", b"abc"),
        post(b"3", b"abc") + b"\r\n",
        post(b"3", b"abc") + post(b"3", b"abc"),
        get(b"X-Long: " + b"a" * MAX_HEAD + b"\r\n"),
        get(*[b"A: 1\r\n"] * MAX_FIELDS),
    ],
)
def test_what_is_not_one_ordinary_request_is_not_remembered(data):
    assert learned(data) is None


def test_a_part_of_a_request_is_not_remembered():
    data = post(b"3", b"abc")
    fields = [(b"host", b"h"), (b"content-length", b"3")]
    assert learn(b"POST", data, fields, 3, ROOM) is not None
    assert learn(b"POST", data[1:], fields, 3, ROOM) is None
    assert learn(b"POST", data[:-1], fields, 3, ROOM) is None
    assert learn(b"POST", data, fields, 2, ROOM) is None
    assert learn(b"PUT", data, fields, 3, ROOM) is None


def test_lengths_that_are_not_alone_are_not_remembered():
    data = post(b"3", b"abc", after=b"Content-Length: 3\r\n")  # the parser takes none of these
    fields = [(b"host", b"h"), (b"content-length", b"3"), (b"content-length", b"3")]
    assert learn(b"POST", data, fields, 3, ROOM) is None
    assert learn(b"POST", data, fields[:2], 3, ROOM) is None


def test_there_must_be_room_for_longer_lengths():
    data = post(b"3", b"abc")
    needed = len(data) - 3 - len(b"POST /a")
    assert learned(data, room=needed) is not None
    assert learned(data, room=needed - 1) is None


@pytest.mark.parametrize("place", [b"%b", b"%bx", b"/%b", b"/x%bx", b"/x?%b", b"/x?y=%bz", b"/x?a?%b"])
def test_every_byte_in_a_target(place):
    """What is plain, the parser takes as it stands, and it ends where the target ends."""
    plain = 0
    for byte in range(256):
        target = place % bytes([byte])
        if not target.isascii() or b" " in target or not is_plain(target.decode()):
            continue
        plain += 1
        parsed = Parsed(get(target=target))
        assert parsed.error is None, target
        assert (parsed.url, parsed.complete) == (target, 1)
        url = httptools.parse_url(target) if not target.startswith(b"//") else None
        if url is not None:
            path, _, query = target.partition(b"?")
            assert (url.path, url.query or b"") == (path, query)
    assert plain == (1 if place[:1] != b"/" else 93)  # printable ASCII but the space and "#"


@pytest.mark.parametrize(
    "target", ["", "*", "a", "http://h/a", "h:80", "?a", "/a#b", "/#", "/\t", "/\x7f", "/\x00", "/\n"]
)
def test_targets_that_are_not_plain(target):
    assert not is_plain(target)
