"""Compression of whole bodies and streams."""

from __future__ import annotations

import builtins
import gzip
import importlib
import json
from concurrent.futures import ThreadPoolExecutor

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from seawall.http import compression
from seawall.http.compression import Compressor, available_encodings, compressible
from seawall.problems import ConfigurationError

CODINGS = ("zstd", "br", "gzip")
BODY = json.dumps([{"id": number, "name": f"product {number}"} for number in range(500)]).encode()


def decode(data, encoding):
    if encoding == "gzip":
        return gzip.decompress(data)
    if encoding == "br":
        return brotli.decompress(data)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def partial(data, encoding):
    """Decode what has arrived of a stream that has not ended."""
    if encoding == "gzip":
        import zlib

        return zlib.decompressobj(31).decompress(data)
    if encoding == "br":
        return brotli.Decompressor().process(data)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def test_all_codings_are_installed_here():
    assert available_encodings() == CODINGS
    assert Compressor().encodings == CODINGS


@pytest.mark.parametrize("encoding", CODINGS)
def test_whole_bodies(encoding):
    compressor = Compressor()
    compressed = compressor.compress(BODY, encoding)
    assert decode(compressed, encoding) == BODY
    assert len(compressed) < len(BODY) / 4
    assert compressor.compress(BODY, encoding) == compressed
    assert decode(compressor.compress(b"", encoding), encoding) == b""


@pytest.mark.parametrize("encoding", CODINGS)
def test_streams_can_be_decoded_after_every_piece(encoding):
    stream = Compressor().compressor(encoding)
    sent = fed = b""
    for start in range(0, len(BODY), 1000):
        piece = BODY[start : start + 1000]
        sent += stream.feed(piece)
        fed += piece
        assert partial(sent, encoding) == fed
    assert stream.feed(b"") == b""
    sent += stream.finish()
    assert decode(sent, encoding) == BODY


@pytest.mark.parametrize("encoding", CODINGS)
def test_streams_without_flushes_are_smaller(encoding):
    def send(*, flush):
        stream = Compressor().compressor(encoding)
        pieces = [BODY[start : start + 100] for start in range(0, len(BODY), 100)]
        return b"".join(stream.feed(piece, flush=flush) for piece in pieces) + stream.finish()

    assert decode(send(flush=False), encoding) == BODY
    assert len(send(flush=False)) < len(send(flush=True))


@pytest.mark.parametrize("encoding", CODINGS)
def test_empty_stream(encoding):
    assert decode(Compressor().compressor(encoding).finish(), encoding) == b""


def test_bodies_are_compressed_in_several_threads_at_once():
    compressor = Compressor()
    bodies = [BODY * 20 + b"%d" % number for number in range(24)]
    with ThreadPoolExecutor(4) as threads:
        for body, compressed in zip(
            bodies, threads.map(lambda body: compressor.compress(body, "zstd"), bodies), strict=True
        ):
            assert decode(compressed, "zstd") == body


@given(st.lists(st.binary(max_size=300), max_size=6), st.sampled_from(CODINGS), st.booleans())
def test_what_is_compressed_is_decoded(pieces, encoding, flush):
    compressor = Compressor()
    stream = compressor.compressor(encoding)
    streamed = b"".join(stream.feed(piece, flush=flush) for piece in pieces) + stream.finish()
    body = b"".join(pieces)
    assert decode(streamed, encoding) == body
    assert decode(compressor.compress(body, encoding), encoding) == body


def test_zstd_keeps_to_the_window_of_rfc_9659():
    parameters = zstandard.get_frame_parameters(Compressor().compressor("zstd").feed(BODY))
    assert parameters.window_size <= 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"application/problem+json", True),
        (b"application/atom+xml", True),
        (b"application/xml", True),
        (b"application/javascript", True),
        (b"text/html; charset=utf-8", True),
        (b"text/css", True),
        (b"TEXT/PLAIN", True),
        (b"image/svg+xml", True),
        (b"application/x-ndjson", True),
        (b"application/msgpack", True),
        (b"text/event-stream", False),
        (b"text/event-stream; charset=utf-8", False),
        (b"image/png", False),
        (b"image/webp", False),
        (b"video/mp4", False),
        (b"audio/mpeg", False),
        (b"application/zip", False),
        (b"application/gzip", False),
        (b"application/pdf", False),
        (b"application/octet-stream", False),
        (b"application/grpc+proto", False),
        (b"font/woff2", False),
        (b"", False),
        (b"text", False),
        (b"text/", False),
        (b"\xff/\xff", False),
    ],
)
def test_compressible(content_type, expected):
    assert compressible(content_type) is expected


@given(st.binary(max_size=60))
def test_compressible_never_raises(content_type):
    assert compressible(content_type) in {True, False}


def test_chosen_encodings_and_their_order():
    compressor = Compressor(encodings=("gzip", "br"))
    assert compressor.negotiator(b"br, gzip, zstd") == "gzip"
    assert compressor.negotiator(b"zstd") == "identity"
    with pytest.raises(KeyError):
        compressor.compress(b"x", "zstd")


def test_wrong_configuration_stops_the_start():
    with pytest.raises(ConfigurationError, match="'deflate' is unknown: choose among zstd, br, gzip"):
        Compressor(encodings=["deflate"])
    with pytest.raises(ConfigurationError, match="-1 bytes"):
        Compressor(min_bytes=-1)


def test_missing_package_is_named_with_its_extra(monkeypatch):
    def missing(name, *_):
        raise ImportError(name)

    monkeypatch.setattr(compression, "import_module", missing)
    with pytest.raises(ConfigurationError, match=r"needs the package 'zstandard': install 'seawall\[compression\]'"):
        Compressor(encodings=["zstd"])
    assert Compressor(encodings=["gzip"]).compress(BODY, "gzip")


def test_without_packages_gzip_remains(monkeypatch):
    monkeypatch.setattr(compression, "find_spec", lambda _: None)
    assert Compressor().encodings == ("gzip",)


def test_packages_are_not_imported_before_they_are_needed(monkeypatch):
    real = builtins.__import__

    def guarded(name, *args, **kwargs):
        assert name not in {"brotli", "zstandard"}
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    specification = importlib.util.find_spec("seawall.http.compression")
    fresh = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(fresh)
    assert fresh.Compressor(encodings=["gzip"]).encodings == ("gzip",)
