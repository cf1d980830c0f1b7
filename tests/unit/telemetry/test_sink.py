from __future__ import annotations

import fcntl
import io
import logging
import os
import signal
from pathlib import Path

import pytest
from pydantic import SecretStr

import seawall.telemetry.logs.sink as sink_module
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


def written_by_processes(number, lines, *, alone=True):
    """Return what *number* processes write to one pipe, *lines* of one letter at a time; the first single ones."""
    reader, writer = os.pipe()
    children = []
    for letter in b"abcdefgh"[:number]:
        child = os.fork()
        if child == 0:
            os.close(reader)
            sink = Sink(writer)
            if not alone:
                sink._lock = lambda: False
            each = 1 if letter == ord("a") else lines
            for _ in range(20 * lines // each):
                sink.write((bytes([letter]) * 299 + b"\n") * each, each)
                if each == 1:
                    sink.flush(30)
            os._exit(not sink.flush(30))
        children.append(child)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        written = file.read().splitlines(keepends=True)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * number
    return written


FORKS = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@FORKS
def test_lines_of_several_processes_in_one_pipe_stay_whole():
    written = written_by_processes(4, 500)
    assert len(written) == 4 * 20 * 500
    assert {(len(line), len(set(line))) for line in written} == {(300, 2)}


@FORKS
def test_without_the_lock_they_do_not():
    assert any(len(set(line)) > 2 for line in written_by_processes(4, 500, alone=False))


@FORKS
def test_a_process_that_is_stopped_with_the_lock_holds_others_up_for_a_while_only(monkeypatch):
    monkeypatch.setattr(sink_module, "_TRIES", 20)
    reader, writer = os.pipe()
    holds, held = os.pipe()
    child = os.fork()
    if child == 0:
        fcntl.lockf(writer, fcntl.LOCK_EX)
        os.write(held, b"x")
        signal.pause()
        os._exit(0)
    try:
        assert os.read(holds, 1) == b"x"
        sink = Sink(writer)
        sink.write(b"x" * 999 + b"\n")
        assert sink.flush(5)
        assert os.read(reader, 2000) == b"x" * 999 + b"\n"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for descriptor in (reader, writer, holds, held):
            os.close(descriptor)
