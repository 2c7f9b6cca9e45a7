"""How durations, sizes and percentiles are written: text to numbers and back, without loss."""

import re
from decimal import Decimal

from config.errors import ConfigError

DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h))+$"
SIZE_PATTERN = r"^\d+(\.\d+)?(B|kB|MB|GB|KiB|MiB|GiB)$"
PERCENTILE_PATTERN = r"^(mean|[pP]\d+(\.\d+)?|\d+(\.\d+)?%)$"

_MS_PER_UNIT = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BYTES_PER_UNIT = {
    "GiB": 2**30,
    "MiB": 2**20,
    "KiB": 2**10,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_NUMBER = r"(\d+(?:\.\d+)?)"
_AMOUNT = re.compile(_NUMBER + r"\s*([^\W\d]*)\s*", re.ASCII)
_BARE = re.compile(r"[+-]?[\d_.]+(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_PERCENTILE = re.compile(rf"p{_NUMBER}|{_NUMBER}\s*%", re.ASCII | re.IGNORECASE)
# Longer than any real setting, and short enough for exact arithmetic.
_MAX_LENGTH = 64
_LEAST_PERCENT, _ALL_PERCENT = 50, 100
_YEAR_MS = 366 * 24 * 3_600_000


def duration_s(text: str) -> float:
    """Return the seconds that a duration such as `300ms`, `30s`, `1.5h` or `1m30s` stands for.

    Raises:
        ConfigError: If there is no unit, the unit is unknown, or it is longer than a year.

    Example:
        >>> duration_s("300ms"), duration_s("1m30s"), duration_s("0s")
        (0.3, 90.0, 0.0)
        >>> duration_s("300")
        Traceback (most recent call last):
        ...
        config.errors.ConfigError: 300 has no unit; write 300ms or 300s
    """
    found = text.strip()
    if _BARE.fullmatch(found):
        raise ConfigError(f"{quoted(found)} has no unit", hint=_with_units(found))
    parts = _amounts(found)
    if not parts:
        raise ConfigError(
            f"'{quoted(found)}' is not a duration", hint="write for example 300ms, 30s, 5m or 1h"
        )
    for _, unit in parts:
        _require_unit(found, unit, allowed=("ms", "s", "m", "h"))
    total_ms = sum(Decimal(number) * _MS_PER_UNIT[unit] for number, unit in parts)
    if total_ms > _YEAR_MS:
        raise ConfigError(f"'{quoted(found)}' is longer than a year", hint="write a shorter duration")
    return float(total_ms / 1000)


def format_duration(seconds: float) -> str:
    """Return a duration as a user would write it; `duration_s` reads it back exactly.

    Example:
        >>> [format_duration(x) for x in (0.3, 30.0, 90.0, 1800.0, 7200.0, 0.0, 2.5)]
        ['300ms', '30s', '90s', '30m', '2h', '0s', '2.5s']
    """
    exact_ms = Decimal(repr(seconds)) * 1000
    if 0 < exact_ms < _MS_PER_UNIT["s"]:
        return f"{_plain(exact_ms)}ms"
    for unit in ("h", "m"):
        if exact_ms > _MS_PER_UNIT["m"] and exact_ms % _MS_PER_UNIT[unit] == 0:
            return f"{_plain(exact_ms / _MS_PER_UNIT[unit])}{unit}"
    return f"{_plain(exact_ms / 1000)}s"


def size_bytes(text: str) -> int:
    """Return the bytes that a size such as `8MiB`, `64 KiB`, `1.5GB` or `1024` stands for.

    Raises:
        ConfigError: If it is not a size or its unit is unknown.

    Example:
        >>> size_bytes("8MiB"), size_bytes("1.5kB"), size_bytes("1024")
        (8388608, 1500, 1024)
    """
    found = text.strip()
    parts = _amounts(found)
    if len(parts) != 1:
        raise ConfigError(f"'{quoted(found)}' is not a size", hint="write for example 8MiB, 64KiB or 1048576")
    number, unit = parts[0]
    _require_unit(found, unit or "B", allowed=tuple(_BYTES_PER_UNIT))
    return int(Decimal(number) * _BYTES_PER_UNIT[unit or "B"])


def format_size(size: int) -> str:
    """Return a size as a user would write it; `size_bytes` reads it back exactly.

    Example:
        >>> [format_size(x) for x in (8388608, 65536, 1000, 0)]
        ['8MiB', '64KiB', '1000B', '0B']
    """
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES_PER_UNIT[unit] == 0:
            return f"{size // _BYTES_PER_UNIT[unit]}{unit}"
    return f"{size}B"


def percentile_ratio(text: str) -> float | None:
    """Return the share of requests that `p95` or `95%` stands for, and None for `mean`.

    Raises:
        ConfigError: If it is neither, or not between 50 and 100.

    Example:
        >>> percentile_ratio("p95"), percentile_ratio("99.9%"), percentile_ratio("mean")
        (0.95, 0.999, None)
    """
    found = text.strip()
    if found.lower() == "mean":
        return None
    match = _PERCENTILE.fullmatch(found[:_MAX_LENGTH])
    if match is None:
        raise ConfigError(
            f"'{quoted(found)}' is not a percentile", hint="write mean, or for example p95 or 95%"
        )
    percent = Decimal(match[1] or match[2])
    if not _LEAST_PERCENT <= percent < _ALL_PERCENT:
        raise ConfigError(
            f"'{quoted(found)}' is out of range",
            hint="a percentile is at least p50 and below p100, for example p95",
        )
    return float(percent / 100)


def format_percentile(ratio: float | None) -> str:
    """Return a percentile as a user would write it.

    Example:
        >>> format_percentile(0.95), format_percentile(0.999), format_percentile(None)
        ('p95', 'p99.9', 'mean')
    """
    return "mean" if ratio is None else f"p{_plain(Decimal(repr(ratio)) * 100)}"


def quoted(text: str) -> str:
    r"""Return user text cut to a length that fits one line, control characters escaped.

    Example:
        >>> quoted("a\nb"), quoted("x" * 100)[-4:]
        ('a\\nb', 'xxx…')
    """
    escaped = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:_MAX_LENGTH]
    )
    return escaped if len(text) <= _MAX_LENGTH else f"{escaped[: _MAX_LENGTH - 1]}…"


def _amounts(text: str) -> list[tuple[str, str]]:
    """Split `1m30s` into pairs of number and unit; empty if it is anything else."""
    parts: list[tuple[str, str]] = []
    position = 0
    while position < min(len(text), _MAX_LENGTH):
        match = _AMOUNT.match(text, position)
        if match is None:
            return []
        parts.append((match[1], match[2]))
        position = match.end()
    return parts if position == len(text) else []


def _require_unit(text: str, unit: str, *, allowed: tuple[str, ...]) -> None:
    if unit in allowed:
        return
    near = next((known for known in allowed if known.lower() == unit.lower()), None)
    listed = f"use {', '.join(allowed[:-1])} or {allowed[-1]}"
    hint = f"write {text[:_MAX_LENGTH].replace(unit, near)}" if near and unit else listed
    raise ConfigError(f"'{quoted(text)}' has the unknown unit '{quoted(unit)}'", hint=hint)


def _with_units(number: str) -> str:
    if number.startswith("-"):
        return "a duration is not negative and has a unit, for example 30s"
    if not number.strip("+0."):
        return "write 0s"
    return f"write {quoted(number)}ms or {quoted(number)}s"


def _plain(number: Decimal) -> str:
    """Return a decimal without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
