"""A trace becomes intervals as in Dynamo, and none of them vanish."""

import gzip
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from planner.forecasting.trace import read_trace
from predictors.base import LoadInterval


def mooncake(at_ms: float, isl: object = 100, osl: object = 10) -> dict[str, object]:
    return {"timestamp": at_ms, "input_length": isl, "output_length": osl, "hash_ids": [1, 2]}


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


def test_intervals_equal_those_of_dynamo_where_it_has_any(shared_dir: Path, tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = json.loads(
        (shared_dir / "golden" / "dynamo-090.json").read_text(encoding="utf-8")
    )["trace_cases"]
    for case in cases:
        path = write(tmp_path / "trace.jsonl", *case["records_timestamp_ms"])
        interval_s = case["interval_s"]

        found = read_trace(path, interval_s=interval_s, keep_end=True)

        first_s = case["intervals"][0]["interval_start"]
        expected = {
            (one["interval_start"] - first_s) // interval_s: LoadInterval(
                arrivals_rps=one["request_count"] / interval_s,
                isl_tokens=one["avg_isl"],
                osl_tokens=one["avg_osl"],
            )
            for one in case["intervals"]
        }
        assert len(found) == max(expected) + 1
        assert all(
            interval == expected.get(index, LoadInterval(arrivals_rps=0.0))
            for index, interval in enumerate(found)
        )


def test_the_interval_in_which_the_trace_ends_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", mooncake(0), mooncake(31_000), mooncake(95_000))

    assert [one.arrivals_rps for one in read_trace(path, interval_s=30.0)] == [1 / 30, 1 / 30, 0.0]
    assert len(read_trace(path, interval_s=30.0, keep_end=True)) == 4
    assert len(read_trace(path, interval_s=3600.0)) == 1


def test_the_order_of_lines_and_gzip_change_nothing(tmp_path: Path) -> None:
    records = [mooncake(at_ms, isl=at_ms / 10) for at_ms in (0, 4000, 61_000, 62_000, 200_000)]
    plain = write(tmp_path / "plain.jsonl", *records)
    mixed = tmp_path / "mixed"
    mixed.write_bytes(gzip.compress(write(tmp_path / "m", *reversed(records)).read_bytes()))

    assert read_trace(plain, interval_s=30.0) == read_trace(mixed, interval_s=30.0)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_trace_may_come_through_a_pipe(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    line = b'{"timestamp": 0, "input_length": 7, "output_length": 3}\n'
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with ThreadPoolExecutor(max_workers=1) as writer:
        writer.submit(pipe.write_bytes, pack(line * 2))
        (interval,) = read_trace(pipe, interval_s=1.0)

    assert (interval.arrivals_rps, interval.isl_tokens) == (2.0, 7.0)


def test_a_trace_may_begin_at_any_time(tmp_path: Path) -> None:
    base_ms = 1_700_000_010_000
    path = write(tmp_path / "t", *(mooncake(base_ms + at_ms) for at_ms in (0, 30_000, 60_000)))

    assert [one.arrivals_rps for one in read_trace(path, interval_s=30.0)] == [1 / 30] * 2


def event(at_ms: int, **request: object) -> dict[str, object]:
    return {
        "schema": "dynamo.request.trace.v1",
        "event_type": "request_end",
        "event_time_unix_ms": at_ms,
        "request": request,
    }


def test_request_events_of_dynamo_count_when_they_were_received(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t",
        event(99_000, request_received_ms=1000, output_tokens=7, replay={"input_length": 64}),
        {"timestamp": 5, "event": event(45_000, output_tokens=9, input_tokens=32)},
        event(46_000),
        {"schema": "dynamo.request.trace.v1", "event_type": "tool_end", "event_time_unix_ms": 10**15},
        event(70_000),
    )

    found = read_trace(path, interval_s=30.0)

    assert found == (
        LoadInterval(arrivals_rps=1 / 30, isl_tokens=64.0, osl_tokens=7.0),
        LoadInterval(arrivals_rps=2 / 30, isl_tokens=32.0, osl_tokens=9.0),
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("{", "t:2: is not JSON: '{", id="cut"),
        pytest.param("[" * 100_000, "t:2: is not JSON", id="deep"),
        pytest.param("[1]", "t:2: is not a JSON object: '[1]'", id="list"),
        pytest.param('{"timestamp": 5, "input_length": 1}', "t:2: there is no output_length", id="lacking"),
        pytest.param('{"input_length": 1, "output_length": 1}', "t:2: there is no timestamp", id="timeless"),
        pytest.param(json.dumps(mooncake(-1)), "t:2: timestamp is -1, not a number from 0 on", id="negative"),
        pytest.param(json.dumps(mooncake(float("nan"))), "t:2: timestamp is NaN", id="nan"),
        pytest.param(json.dumps(mooncake(10**400)), "t:2: timestamp is 1000", id="huge"),
        pytest.param(json.dumps(mooncake(1, isl="9")), 't:2: input_length is "9"', id="text"),
        pytest.param(json.dumps(mooncake(1, osl=True)), "t:2: output_length is true", id="bool"),
        pytest.param(json.dumps(mooncake(1, osl=None)), "t:2: output_length is null", id="null"),
        pytest.param(json.dumps(event(1, output_tokens=-2)), "request.output_tokens is -2", id="event"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "t"
    path.write_text(f"{json.dumps(mooncake(0))}\n{line}\n", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        read_trace(path, interval_s=30.0)

    assert f"{tmp_path}/{says}" in str(caught.value) or says in str(caught.value)
    assert 'expected {"timestamp": 27482' in str(caught.value)
    assert len(str(caught.value)) < 400


def test_clocks_that_are_mixed_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "t", mooncake(0), mooncake(1_700_000_000_000))

    with pytest.raises(ConfigError, match=r"spans 56,666,667 intervals of 30 s, more than 1,100,000"):
        read_trace(path, interval_s=30.0)


def test_a_file_that_is_no_trace_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n\n", encoding="utf-8")
    packed = gzip.compress(b"\n".join(json.dumps(mooncake(n)).encode() for n in range(2000)))
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "spoiled.gz").write_bytes(packed[:40] + b"\x00" * 40 + packed[80:])

    for name, says in (
        ("empty", "empty: holds no request"),
        ("absent", "absent: cannot be read: No such file or directory"),
        ("cut.gz", "cut.gz: cannot be read after line"),
        ("spoiled.gz", "spoiled.gz"),
        (".", "cannot be read: Is a directory"),
    ):
        with pytest.raises(ConfigError, match=says):
            read_trace(tmp_path / name, interval_s=30.0)


@pytest.mark.parametrize("interval_s", [0.0, -1.0, float("inf"), float("nan")])
def test_an_interval_is_a_positive_time(tmp_path: Path, interval_s: float) -> None:
    with pytest.raises(ConfigError, match="the interval is"):
        read_trace(write(tmp_path / "t", mooncake(0)), interval_s=interval_s)


@pytest.mark.parametrize(
    ("name", "intervals", "requests"),
    [("azure2023_code", 114, 8819), ("azure2023_conv", 116, 19366), ("mooncake_conversation", 117, 12031)],
)
def test_recorded_traces_are_read_whole(shared_dir: Path, name: str, intervals: int, requests: int) -> None:
    path = shared_dir / "traces" / f"{name}.jsonl.gz"

    kept = read_trace(path, interval_s=30.0, keep_end=True)

    assert len(read_trace(path, interval_s=30.0)) == intervals
    assert sum((one.arrivals_rps or 0.0) * 30.0 for one in kept) == pytest.approx(requests)
