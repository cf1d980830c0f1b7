from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from seawall.telemetry.logs.redaction import HIDDEN, Secret, hide, without_credentials
from seawall.telemetry.logs.setup import LineHandler
from seawall.telemetry.logs.sink import Sink, SinkCounts


def test_what_is_queued_is_written_in_order(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        sink = Sink(file.fileno())
        for number in range(1000):
            sink.write(b"%d\n" % number)
        assert sink.flush(5)
    assert path.read_bytes() == b"".join(b"%d\n" % number for number in range(1000))
    assert sink.counts == SinkCounts()


def test_a_pipe_nobody_reads_blocks_nobody_and_what_is_lost_is_counted():
    reader, writer = os.pipe()
    sink = Sink(writer, limit=100_000)
    for _ in range(500):
        sink.write(b"x" * 999 + b"\n")
    assert not sink.flush(0.05)
    assert 300 < sink.counts.dropped < 500
    read = 0
    while read < (500 - sink.counts.dropped) * 1000:
        read += len(os.read(reader, 65536))
    assert sink.flush(5)
    os.close(reader)
    sink.write(b"lost\n", 3)  # the pipe is closed now
    assert sink.flush(5)
    assert sink.counts.failed == 3
    os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_counted():
    with Path("/dev/full").open("wb", buffering=0) as full:
        sink = Sink(full.fileno())
        sink.write(b"one\ntwo\n", 2)
        assert sink.flush(5)
        assert sink.counts.failed == 2


def test_a_closed_buffer_and_a_line_that_cannot_be_formatted_fail_nobody():
    class Broken:
        def __str__(self):
            raise RuntimeError("no")

    out = io.StringIO()
    handler = LineHandler(out, is_json=True)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.Logger("shop")  # noqa: LOG001 - one that nothing else hears of
    logger.addHandler(handler)
    logger.info("%s", Broken())
    assert "could not be formatted: RuntimeError" in out.getvalue()
    out.close()
    logger.info("lost")
    assert handler.counts == SinkCounts(0, 2)


def test_a_secret_shows_itself_only_when_asked():
    secret = Secret("hunter2")
    assert f"{secret} {secret!r} {secret!s} %s" % secret == f"{HIDDEN} {HIDDEN} {HIDDEN} {HIDDEN}"
    assert (secret.reveal(), secret == Secret("hunter2"), len(secret)) == ("hunter2", True, 7)
    assert not isinstance(secret, str)


def test_what_is_secret_is_struck_out_however_deep():
    import msgspec

    class Account(msgspec.Struct):
        name: str
        password: str

    value = {
        "account": [Account("ann", "hunter2")],
        "inner": {"inner": {"api_key": "hunter2", "plain": SecretStr("hunter2"), "own": Secret("hunter2")}},
        "url": "postgresql://ann:hunter2@db/shop",
        "raw": b"hunter2",
    }
    shown = hide(value)
    assert "hunter2" not in repr(shown)
    assert shown["account"] == [{"name": "ann", "password": HIDDEN}]
    assert shown["url"] == f"postgresql://ann:{HIDDEN}@db/shop"
    deep: dict = {}
    deep["deep"] = deep
    assert "dict" in repr(hide(deep))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:hunter2@cache:6379/0", f"redis://:{HIDDEN}@cache:6379/0"),
        ("see http://example.com/a:b@c", "see http://example.com/a:b@c"),
        ("no url: a:b@c", "no url: a:b@c"),
    ],
)
def test_passwords_in_urls_are_struck_out(text, shown):
    assert without_credentials(text) == shown
