"""Durations, sizes and percentiles as users write them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.units import (
    duration_s,
    format_duration,
    format_percentile,
    format_size,
    percentile_ratio,
    size_bytes,
)


@given(st.floats(min_value=0.0, max_value=3e7, allow_nan=False))
def test_a_duration_reads_back_as_it_was_formatted(seconds: float) -> None:
    assert duration_s(format_duration(seconds)) == seconds


@given(st.integers(min_value=0, max_value=2**50))
def test_a_size_reads_back_as_it_was_formatted(size: int) -> None:
    assert size_bytes(format_size(size)) == size


@given(st.integers(min_value=5000, max_value=9999))
def test_a_percentile_reads_back_as_it_was_formatted(hundredths: int) -> None:
    ratio = hundredths / 10000

    assert percentile_ratio(format_percentile(ratio)) == pytest.approx(ratio, abs=1e-12)


def _refusal(read: Callable[[str], object], text: str) -> str:
    try:
        read(text)
    except ConfigError as error:
        return str(error)
    return ""


@given(st.text())
def test_any_other_text_is_refused_on_one_line(text: str) -> None:
    refusals = [_refusal(read, text) for read in (duration_s, size_bytes, percentile_ratio)]

    assert all(refusal.isprintable() and len(refusal) < 400 for refusal in refusals)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300ms", 0.3),
        (" 2.5 s ", 2.5),
        ("1h30m", 5400.0),
        ("0ms", 0.0),
        ("1m 30s", 90.0),
        ("366h", 1317600.0),
    ],
)
def test_a_duration_is_its_amounts_together(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("300", "300 has no unit; write 300ms or 300s"),
        ("2.5", "2.5 has no unit; write 2.5ms or 2.5s"),
        ("0", "0 has no unit; write 0s"),
        ("-3", "-3 has no unit; a duration is not negative and has a unit, for example 30s"),
        ("-3s", "'-3s' is not a duration; write for example 300ms, 30s, 5m or 1h"),
        ("5d", "'5d' has the unknown unit 'd'; use ms, s, m or h"),
        ("5us", "'5us' has the unknown unit 'us'; use ms, s, m or h"),
        ("5S", "'5S' has the unknown unit 'S'; write 5s"),
        ("1m30", "'1m30' has the unknown unit ''; use ms, s, m or h"),
        ("", "'' is not a duration; write for example 300ms, 30s, 5m or 1h"),
        ("9" * 100 + "s", "9…' is longer than a year"),
        ("٣s", "'٣s' is not a duration"),
    ],
)
def test_a_broken_duration_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        duration_s(text)

    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["p49", "p100", "0%", "100%", "p", "%", "95", "0.95", "p95.", "pp95"])
def test_a_broken_percentile_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="p95"):
        percentile_ratio(text)
