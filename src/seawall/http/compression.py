"""Compression of answers: zstd (RFC 8878, 9659), brotli (RFC 7932) and gzip (RFC 1952).

Levels are for answers made per request, where time counts as much as size. Measured on one core with JSON of
a product list (compressed size as a share of the body, and time):

========  ============  ============  =============
coding    4 KiB         32 KiB        256 KiB
========  ============  ============  =============
zstd 1    30 %   13 µs  24 %   62 µs  23 %   0.7 ms
zstd 3    29 %   13 µs  23 %   69 µs  22 %   0.9 ms
zstd 5    28 %   24 µs  23 %  177 µs  20 %   3.0 ms
br 1      32 %   20 µs  27 %   90 µs  24 %   0.7 ms
br 4      29 %   50 µs  24 %  240 µs  23 %   2.7 ms
br 5      26 %   59 µs  22 %  510 µs  21 %   4.9 ms
gzip 1    33 %   18 µs  27 %   92 µs  27 %   1.6 ms
gzip 4    30 %   24 µs  24 %  173 µs  22 %   2.7 ms
gzip 6    29 %   30 µs  22 %  602 µs  19 %   8.0 ms
========  ============  ============  =============

So: zstd 3 (as small as gzip 4 in half to a third of its time, hence the first choice), brotli 4 and gzip 4
(the next level costs up to twice the time for at most a tenth less). A stream holds about 0.1 MiB (gzip),
0.6 MiB (brotli) or 0.8 MiB (zstd) after its first chunk.

Whoever compresses secrets together with input an attacker chooses, over TLS, shows him their length (BREACH):
such operations switch compression off in their policy.
"""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from seawall.http.negotiation import Negotiator, negotiate_encoding
from seawall.problems import ConfigurationError

__all__ = [
    "MIN_BYTES",
    "THREAD_BYTES",
    "Compressor",
    "StreamCompressor",
    "available_encodings",
    "compressible",
]

THREAD_BYTES = 64 * 1024
"""From this many bytes on a body belongs into a thread: below it no coding holds up the event loop for a
millisecond.

All three codecs release the interpreter's lock while they work.
"""
MIN_BYTES = 1024
"""Smaller bodies are sent as they are: they fit into one packet either way."""

ZSTD_LEVEL = 3
BROTLI_QUALITY = 4
GZIP_LEVEL = 4
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # 16 asks zlib for the gzip container

_PACKAGES = {"zstd": "zstandard", "br": "brotli"}
_ENCODINGS = ("zstd", "br", "gzip")

_ESSENCE = re.compile(rb"[ \t]*([0-9a-z!#$&^_.+-]+/[0-9a-z!#$&^_.+-]+)[ \t]*(?:;|$)", re.IGNORECASE)
_STREAMED = b"text/event-stream"  # proxies and browsers wait for a compressor's blocks; events must not
_COMPRESSIBLE = frozenset(
    {
        b"application/javascript",
        b"application/json",
        b"application/manifest+json",
        b"application/msgpack",
        b"application/vnd.msgpack",
        b"application/vnd.ms-fontobject",
        b"application/wasm",
        b"application/x-javascript",
        b"application/x-msgpack",
        b"application/x-ndjson",
        b"application/x-www-form-urlencoded",
        b"application/xml",
        b"application/yaml",
        b"font/otf",
        b"font/ttf",
        b"image/bmp",
        b"image/svg+xml",
        b"image/x-icon",
    }
)
_COMPRESSIBLE_SUFFIXES = (b"+json", b"+xml", b"+yaml", b"+json-seq")


class StreamCompressor(Protocol):
    """Compresses one body that comes in pieces. Not for two threads at once."""

    def feed(self, chunk: bytes, *, flush: bool = True) -> bytes:
        """Take a piece and return what can be sent.

        With *flush* the receiver can decode everything fed so far; without, the coding may keep some back for
        a smaller result. An empty piece returns nothing.
        """
        ...

    def finish(self) -> bytes:
        """Return the rest; nothing may be fed afterwards."""
        ...


def available_encodings() -> tuple[str, ...]:
    """Return the codings whose packages are installed, the preferred one first; ``gzip`` always is."""
    return tuple(name for name in _ENCODINGS if name not in _PACKAGES or find_spec(_PACKAGES[name]) is not None)


def compressible(content_type: bytes) -> bool:
    """Whether compressing a body of this Content-Type is worth it.

    Text, JSON, XML, JavaScript, SVG and the like; not what is compressed already (images, video, archives,
    WOFF), not event streams, and not what is unknown.
    """
    if content_type == b"application/json":
        return True
    match = _ESSENCE.match(content_type)
    if match is None:
        return False
    essence = match[1].lower()
    if essence in _COMPRESSIBLE:
        return True
    return (essence.startswith(b"text/") and essence != _STREAMED) or essence.endswith(_COMPRESSIBLE_SUFFIXES)


class Compressor:
    """Compresses whole bodies and streams with the codings that are installed.

    Args:
        min_bytes: Smaller bodies are not worth it; for the caller to compare with.
        encodings: Codings in order of preference, of ``zstd``, ``br`` and ``gzip``; default all installed
            ones.

    Raises:
        ConfigurationError: A coding is unknown or its package is not installed, or *min_bytes* is negative.

    `negotiator` chooses among them: ``compressor.negotiator.cache.get(accept_encoding)`` is one look-up.
    """

    __slots__ = ("_streams", "_whole", "encodings", "min_bytes", "negotiator")

    def __init__(self, min_bytes: int = MIN_BYTES, encodings: Iterable[str] | None = None) -> None:
        if min_bytes < 0:
            raise ConfigurationError(f"compression from {min_bytes} bytes on: give zero or more")
        self.min_bytes = min_bytes
        self.encodings = available_encodings() if encodings is None else tuple(encodings)
        self._whole: dict[str, Callable[[bytes], bytes]] = {}
        self._streams: dict[str, Callable[[], StreamCompressor]] = {}
        for encoding in self.encodings:
            self._whole[encoding], self._streams[encoding] = _load(encoding)
        self.negotiator = Negotiator(self.encodings, negotiate_encoding)

    def compress(self, body: bytes, encoding: str) -> bytes:
        """Compress a whole body; safe in any thread.

        Raises:
            KeyError: *encoding* is not one of `encodings`.
        """
        return self._whole[encoding](body)

    def compressor(self, encoding: str) -> StreamCompressor:
        """Return a new compressor for one streamed body.

        Raises:
            KeyError: *encoding* is not one of `encodings`.
        """
        return self._streams[encoding]()


def _load(encoding: str) -> tuple[Callable[[bytes], bytes], Callable[[], StreamCompressor]]:
    """Import a coding's package and return its function for whole bodies and its factory for streams."""
    if encoding == "gzip":
        return _gzip, _Gzip
    if encoding not in _PACKAGES:
        raise ConfigurationError(f"content coding {encoding!r} is unknown: choose among {', '.join(_ENCODINGS)}")
    try:
        package: Any = import_module(_PACKAGES[encoding])
    except ImportError:
        raise ConfigurationError(
            f"content coding {encoding!r} needs the package {_PACKAGES[encoding]!r}: install 'seawall[compression]'"
        ) from None
    return _load_brotli(package) if encoding == "br" else _load_zstd(package)


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, GZIP_LEVEL, _GZIP_WINDOW)


class _Gzip:
    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)

    def feed(self, chunk: bytes, *, flush: bool = True) -> bytes:
        if not chunk:
            return b""
        out = self._stream.compress(chunk)
        return out + self._stream.flush(zlib.Z_SYNC_FLUSH) if flush else out

    def finish(self) -> bytes:
        return self._stream.flush()


def _load_brotli(package: Any) -> tuple[Callable[[bytes], bytes], Callable[[], StreamCompressor]]:
    def compress(body: bytes) -> bytes:
        result: bytes = package.compress(body, quality=BROTLI_QUALITY)
        return result

    class Brotli:
        __slots__ = ("_stream",)

        def __init__(self) -> None:
            self._stream = package.Compressor(quality=BROTLI_QUALITY)

        def feed(self, chunk: bytes, *, flush: bool = True) -> bytes:
            if not chunk:
                return b""
            out: bytes = self._stream.process(chunk)
            return out + self._stream.flush() if flush else out

        def finish(self) -> bytes:
            rest: bytes = self._stream.finish()
            return rest

    return compress, Brotli


def _load_zstd(package: Any) -> tuple[Callable[[bytes], bytes], Callable[[], StreamCompressor]]:
    # A compressor's context costs 9 µs to build and must not be used by two threads at once: one for each
    # thread.
    local = threading.local()
    flush_block = package.COMPRESSOBJ_FLUSH_BLOCK

    def compress(body: bytes) -> bytes:
        try:
            whole = local.compress
        except AttributeError:
            whole = local.compress = package.ZstdCompressor(level=ZSTD_LEVEL).compress
        result: bytes = whole(body)
        return result

    class Zstd:
        __slots__ = ("_stream",)

        def __init__(self) -> None:
            # Level 3 keeps to a window of 2 MiB; RFC 9659 allows 8.
            self._stream = package.ZstdCompressor(level=ZSTD_LEVEL).compressobj()

        def feed(self, chunk: bytes, *, flush: bool = True) -> bytes:
            if not chunk:
                return b""
            out: bytes = self._stream.compress(chunk)
            return out + self._stream.flush(flush_block) if flush else out

        def finish(self) -> bytes:
            rest: bytes = self._stream.flush()
            return rest

    return compress, Zstd
