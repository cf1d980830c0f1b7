from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.units import duration_text, seconds, size, size_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", 30),
        ("0", 0),
        ("30s", 30),
        ("500ms", 0.5),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("2m", 120),
        ("2 min", 120),
        ("1.5h", 5400),
        ("1d", 86400),
        (" 7 s ", 7),
        (2, 2),
        (0.25, 0.25),
    ],
)
def test_durations(text, expected):
    result = seconds(text)
    assert result == expected
    assert type(result) is float


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 MiB", 1024**2),
        ("512KiB", 512 * 1024),
        ("10MB", 10_000_000),
        ("3 kB", 3000),
        ("3KB", 3000),
        ("1.5 GiB", 3 * 1024**3 // 2),
        ("2TB", 2 * 10**12),
        ("17 B", 17),
        ("0", 0),
        ("999999999999999999 TiB", 999999999999999999 * 1024**4),
        (1024, 1024),
    ],
)
def test_sizes(text, expected):
    result = size(text)
    assert result == expected
    assert type(result) is int


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "s", "-1s", "+1s", "1e3", "1,5s", "1_000", "1m30s", "٣", "1 fortnight", "0x10", ".5s", "9" * 19),
        *(True, None, -1, float("nan"), float("inf"), [1]),
    ],
)
def test_what_is_no_duration(value):
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(value)


@pytest.mark.parametrize("value", ["", "1.3 KiB", "0.5", "-1", "1 Mb", "10M", "ten", True, None, -1, 1.0, b"1"])
def test_what_is_no_size(value):
    with pytest.raises(ValueError, match="is not a size"):
        size(value)


def test_the_message_helps():
    with pytest.raises(ValueError, match=r"unknown unit 'mb', did you mean 'MB'\?"):
        size("10 mb")
    with pytest.raises(ValueError, match=r"the units are .*KiB"):
        size("10 M")
    with pytest.raises(ValueError, match=r"unknown unit 'S', did you mean 's'\?"):
        seconds("3S")
    with pytest.raises(ValueError, match="…") as caught:
        seconds("1" * 10_000_000)
    assert len(str(caught.value)) < 200


@given(st.integers(min_value=0, max_value=10**17))
def test_sizes_are_read_back(value):
    assert size(size_text(value)) == value


@given(st.integers(min_value=0, max_value=10**15))
def test_durations_are_read_back(milliseconds):
    assert seconds(duration_text(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0s"), (0.5, "500ms"), (90, "90s"), (120, "2m"), (7200, "2h"), (86400, "1d"), (1.5, "1.5s")]
)
def test_durations_in_words(value, text):
    assert duration_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (1000, "1000 B"), (1024, "1 KiB"), (1024**2 + 1024, "1025 KiB"), (1024**4, "1 TiB")]
)
def test_sizes_in_words(value, text):
    assert size_text(value) == text
