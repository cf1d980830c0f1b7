"""Entries of the shared tier: smaller where that pays, readable by those who wrote another format, bounded."""

from typing import Any

import msgspec
import pytest

from seawall.cache import Cache
from seawall.cache.cache import CacheOptions
from seawall.cache.codec import COMPRESSED, PLAIN, Codec, Stored, pack
from seawall.cache.compression import Compression
from seawall.cache.memory import MemoryStore

pytestmark = pytest.mark.anyio


class Chance:
    def random(self):
        return 0.0

    def getrandbits(self, bits, /):
        return 1


def stored(value, **changes):
    entry = Stored(PLAIN, 10.0, 20.0, 0.5, [b"v"], msgspec.Raw(msgspec.msgpack.encode(value)), b"j", 3)
    return msgspec.structs.replace(entry, **changes)


VALUES = [
    ("x" * 5000, str),
    (b"x" * 5000, bytes),
    (b"short", bytes),
    ([{"sku": "lamp", "price": number} for number in range(100)], list[dict[str, str | int]]),
    (None, int | None),
    (["x" * 5000], Any),
]


@pytest.mark.parametrize(("value", "kind"), VALUES)
@pytest.mark.parametrize("least", [0, 1000])
def test_what_is_packed_is_opened(value, kind, least):
    data = pack(stored(value), Compression(least, 100_000))
    entry, opened = Codec(kind).open(data, Compression(0, 100_000))
    assert opened == value
    assert (entry.fresh_until, entry.took, entry.versions, entry.journal, entry.number) == (10.0, 0.5, [b"v"], b"j", 3)
    large = len(msgspec.msgpack.encode(value)) >= 1000
    assert entry.format == (COMPRESSED if least and large else PLAIN)
    assert (len(data) < 600) == (not large or bool(least))


def test_what_does_not_shrink_is_kept_as_it_is():
    noise = b"".join(hash((number, "noise")).to_bytes(8, "big", signed=True) for number in range(1000))
    assert Compression(100, 100_000).shrink(noise) is None


@pytest.mark.parametrize(("value", "kind"), VALUES)
def test_an_entry_of_the_first_release_is_still_read(value, kind):
    old = msgspec.msgpack.encode([1, 10.0, 20.0, 0.5, [b"v"], value])
    entry, opened = Codec(kind).open(old, Compression(1000, 100_000))
    assert opened == value
    assert (entry.journal, entry.number) == (b"", 0)


def test_a_later_release_may_add_fields():
    more = msgspec.msgpack.encode([1, 10.0, 20.0, 0.5, [b"v"], "value", b"j", 3, "something", {}])
    assert Codec(str).open(more, Compression(0, 1000))[1] == "value"


def _bomb(claimed=None):
    import zstandard

    small = zstandard.ZstdCompressor(level=3).compress(bytes(50_000_000))
    if claimed is None:
        return small
    return zstandard.ZstdCompressor(level=3, write_content_size=False).compress(bytes(50_000_000))


POISON = {
    "nothing": b"",
    "no MessagePack": b"\xc1\xff",
    "no entry": msgspec.msgpack.encode({"a": 1}),
    "too short": msgspec.msgpack.encode([1, 10.0]),
    "another format": pack(stored("x", format=3), Compression(0, 1000)),
    "no format": msgspec.msgpack.encode(["1", 10.0, 20.0, 0.5, [], "x"]),
    "another shape": pack(stored({"a": 1}), Compression(0, 1000)),
    "a string that is no text": msgspec.msgpack.encode([1, 10.0, 20.0, 0.5, [], "x"])[:-1] + b"\xff",
    "said to be compressed": pack(stored("x" * 100, format=COMPRESSED), Compression(0, 1000)),
    "compressed nonsense": pack(stored(b"nonsense", format=COMPRESSED), Compression(0, 1000)),
    "compressed and empty": pack(stored(b"", format=COMPRESSED), Compression(0, 1000)),
    "more than is kept": pack(stored("x" * 50_000), Compression(100, 100_000)),
    "a bomb": pack(stored(_bomb(), format=COMPRESSED), Compression(0, 1000)),
    "a bomb of unsaid size": pack(stored(_bomb(0), format=COMPRESSED), Compression(0, 1000)),
    "deep nesting": msgspec.msgpack.encode([1, 10.0, 20.0, 0.5, []])[:-1] + b"\x90" + b"\x91" * 100_000,
}


@pytest.mark.parametrize("data", POISON.values(), ids=POISON.keys())
def test_poison_is_a_valueerror(data):
    with pytest.raises(ValueError):  # noqa: PT011 - what it says differs
        Codec(str).open(data, Compression(1000, 1000))


@pytest.mark.parametrize("least", [0, 100])
def test_every_cut_and_many_mixed_up_bytes_are_noticed(least):
    codec, compression = Codec(list[str]), Compression(least, 10_000)
    value = [f"value {number}" for number in range(60)]
    data = pack(stored(value), compression)
    assert codec.open(data, compression)[1] == value
    for cut in range(len(data) - 4 if least else len(data) - 6):
        with pytest.raises(ValueError):  # noqa: PT011 - as above
            codec.open(data[:cut], compression)
    if not least:
        return
    start = data.index(b"\x28\xb5\x2f\xfd")  # of the frame: its checksum tells what happens behind it
    for at in range(start, len(data) - 4):
        mixed = bytearray(data)
        mixed[at] ^= 0x55
        try:
            got = codec.open(bytes(mixed), compression)[1]
        except ValueError:
            continue
        assert got == value, at  # a byte that says nothing about the content


async def _poisoned(clock, spoil):
    store, calls = MemoryStore(clock), []

    async def load() -> list[str]:
        calls.append(1)
        return ["x" * 100] * 100

    def make():
        return Cache(clock, Chance(), CacheOptions(), store)

    await make().get_or_load("a", load, 60)
    ((name, (data, until)),) = store._data.items()
    store._data[name] = spoil(data), until
    other = make()
    assert await other.get_or_load("a", load, 60) == ["x" * 100] * 100
    clean = make()
    await clean.get_or_load("a", load, 60)
    return len(calls), other.counts.poisoned, clean.counts.poisoned


@pytest.mark.parametrize("data", POISON.values(), ids=POISON.keys())
async def test_poison_is_a_miss_counted_and_replaced(manual_clock, data):
    loads, poisoned, after = await _poisoned(manual_clock, lambda _: data)
    assert loads == 2
    assert poisoned >= 1
    assert after == 0


async def test_a_good_entry_is_none(manual_clock):
    assert await _poisoned(manual_clock, lambda data: data) == (1, 0, 0)


async def test_what_is_sent_and_received_is_counted(manual_clock):
    store = MemoryStore(manual_clock)

    async def load() -> str:
        return "x" * 5000

    one, two = (Cache(manual_clock, Chance(), CacheOptions(), store) for _ in range(2))
    await one.get_or_load("a", load, 60)
    await two.get_or_load("a", load, 60)
    ((data, _),) = store._data.values()
    assert one.counts.encoded_bytes == 5003
    assert one.counts.sent_bytes == two.counts.received_bytes == len(data) < 200
    none = Cache(manual_clock, Chance(), CacheOptions(compress_from=0), MemoryStore(manual_clock))
    await none.get_or_load("a", load, 60)
    assert none.counts.sent_bytes > 5000
