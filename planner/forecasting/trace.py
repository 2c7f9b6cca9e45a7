"""What load did a recorded trace of requests carry, interval by interval?

Two forms are read, plain or gzipped, one JSON object a line:

- Mooncake's: `timestamp` in milliseconds since the trace's start, `input_length` and `output_length` in
  tokens. Other fields, such as `hash_ids`, are ignored.
- Dynamo's `dynamo.request.trace.v1` events: a `request_end` counts at `request.request_received_ms`, or
  else at `event_time_unix_ms`; other events are ignored. They may be wrapped as `{"event": ...}`.

A request belongs to the interval ⌊timestamp / 1000 / interval⌋, as in Dynamo 0.9.0. Unlike there, intervals
without a request stay: they are idle, not absent, and without them time would jump. And the interval in which
the trace ends is left out, since it was cut short and its load would look like a fall.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from config.errors import ConfigError
from predictors.base import LoadInterval

_GZIP = b"\x1f\x8b"
_LONGEST_LINE = 16 * 2**20
# A year of half minutes; more is a trace that mixes two clocks, and would fill the memory.
_MOST_INTERVALS = 1_100_000
_MS_PER_S = 1000.0
_SHOWN = 40
# Beyond this a float is no longer exact; no time in milliseconds and no count of tokens is larger.
_LARGEST = 2**53
_EXAMPLE = 'expected {"timestamp": 27482, "input_length": 6955, "output_length": 52}, times in milliseconds'
_EVENT = "dynamo.request.trace.v1"
# What reading a file that is cut, spoiled or not text raises.
_UNREADABLE = (OSError, EOFError, zlib.error)

_Record = Mapping[str, object]


def read_trace(path: Path, *, interval_s: float, keep_end: bool = False) -> tuple[LoadInterval, ...]:
    """Read a trace as the load of successive intervals, oldest first.

    The order of the lines does not matter. Memory grows with the intervals, not with the requests.

    Args:
        path: The file; gzip is recognized by its content.
        interval_s: Length of an interval, positive.
        keep_end: Keep the interval of the last request, although the trace ends within it. One that is the
            only one is always kept.

    Returns:
        Every interval from that of the first request on. An interval without requests has arrivals of 0 and
        no lengths.

    Raises:
        ConfigError: If the file cannot be read, holds no request, or a line is not a request; the text names
            the file and the line.
    """
    sums = _Sums(path, interval_s=interval_s)
    for number, line in _lines(path):
        if line.strip():
            sums.add(_record(path, number, line), number=number)
    intervals = sums.intervals()
    return intervals if keep_end or len(intervals) == 1 else intervals[:-1]


class _Sums:
    """Requests and tokens of each interval that had any."""

    __slots__ = ("_interval_s", "_path", "_sums")

    def __init__(self, path: Path, *, interval_s: float) -> None:
        if not 0.0 < interval_s < math.inf:
            raise ConfigError(
                f"the interval is {interval_s} s", key="interval", hint="give a positive duration"
            )
        self._path, self._interval_s = path, interval_s
        self._sums: dict[int, _Sum] = {}

    def add(self, record: _Record, *, number: int) -> None:
        """Count a request; an event of another kind is none."""
        request = _Request(self._path, number, record)
        if not request.is_request:
            return
        index = math.floor(request.received_ms() / (self._interval_s * _MS_PER_S))
        self._sums.setdefault(index, _Sum()).add(isl=request.isl_tokens(), osl=request.osl_tokens())

    def intervals(self) -> tuple[LoadInterval, ...]:
        if not self._sums:
            raise ConfigError("holds no request", key=str(self._path), hint=_EXAMPLE)
        first, last = min(self._sums), max(self._sums)
        if last - first >= _MOST_INTERVALS:
            raise ConfigError(
                f"spans {last - first + 1:,} intervals of {self._interval_s:g} s, more than "
                f"{_MOST_INTERVALS:,}",
                key=str(self._path),
                hint="timestamps are milliseconds of one clock; choose a longer interval if it is that long",
            )
        idle = _Sum()
        return tuple(self._sums.get(index, idle).over(self._interval_s) for index in range(first, last + 1))


class _Sum:
    """Requests of one interval, and the tokens of those that tell them."""

    __slots__ = ("_isl", "_osl", "_requests")

    def __init__(self) -> None:
        self._requests = 0
        self._isl, self._osl = _Mean(), _Mean()

    def add(self, *, isl: float | None, osl: float | None) -> None:
        self._requests += 1
        self._isl.add(isl)
        self._osl.add(osl)

    def over(self, interval_s: float) -> LoadInterval:
        return LoadInterval(
            arrivals_rps=self._requests / interval_s, isl_tokens=self._isl.mean, osl_tokens=self._osl.mean
        )


class _Mean:
    __slots__ = ("_count", "_total")

    def __init__(self) -> None:
        self._count, self._total = 0, 0.0

    def add(self, value: float | None) -> None:
        if value is not None:
            self._count += 1
            self._total += value

    @property
    def mean(self) -> float | None:
        return self._total / self._count if self._count else None


class _Request:
    """One line's record, in either form."""

    __slots__ = ("_event", "_number", "_path", "_record")

    def __init__(self, path: Path, number: int, record: _Record) -> None:
        self._path, self._number = path, number
        wrapped = record.get("event")
        self._record = wrapped if isinstance(wrapped, dict) else record
        self._event = self._record.get("schema") == _EVENT

    @property
    def is_request(self) -> bool:
        return not self._event or self._record.get("event_type") == "request_end"

    def received_ms(self) -> float:
        if not self._event:
            return self._required("timestamp")
        received_ms = _inside(self._record, "request", "request_received_ms")
        if received_ms is None:
            return self._required("event_time_unix_ms")
        return self._number_of("request.request_received_ms", received_ms)

    def isl_tokens(self) -> float | None:
        if not self._event:
            return self._required("input_length")
        replayed = _inside(self._record, "request", "replay", "input_length")
        found = _inside(self._record, "request", "input_tokens") if replayed is None else replayed
        return None if found is None else self._number_of("request.replay.input_length", found)

    def osl_tokens(self) -> float | None:
        if not self._event:
            return self._required("output_length")
        found = _inside(self._record, "request", "output_tokens")
        return None if found is None else self._number_of("request.output_tokens", found)

    def _required(self, name: str) -> float:
        if name not in self._record:
            raise _bad(self._path, self._number, f"there is no {name}")
        return self._number_of(name, self._record[name])

    def _number_of(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
            shown = json.dumps(value, default=str)[:_SHOWN]
            raise _bad(self._path, self._number, f"{name} is {shown}, not a number from 0 on")
        return float(value)


def _inside(record: object, *names: str) -> object:
    for name in names:
        record = record.get(name) if isinstance(record, dict) else None
    return record


def _record(path: Path, number: int, line: bytes) -> _Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise _bad(path, number, f"is not JSON: {_begin(line)}") from None
    if not isinstance(record, dict):
        raise _bad(path, number, f"is not a JSON object: {_begin(line)}")
    return record


def _begin(line: bytes) -> str:
    return repr(line[:_SHOWN].decode(errors="replace").strip())


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise _bad(path, number, f"is longer than {_LONGEST_LINE // 2**20} MiB")
                yield number, line
    except _UNREADABLE as error:
        raise _unreadable(path, number, error) from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    # What a pipe holds can be read only once.
    with path.open("rb") as file:
        if file.peek(len(_GZIP))[: len(_GZIP)] != _GZIP:
            yield file
            return
        with gzip.open(file, "rb") as unzipped:
            yield unzipped


def _bad(path: Path, number: int, problem: str) -> ConfigError:
    return ConfigError(problem, key=f"{path}:{number}", hint=_EXAMPLE)


def _unreadable(path: Path, number: int, error: Exception) -> ConfigError:
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    after = f" after line {number}" if number else ""
    return ConfigError(
        f"cannot be read{after}: {why}",
        key=str(path),
        hint="give a trace of requests as JSON lines, plain or gzipped",
    )
