"""`setpoint forecast` says which predictor suits a load, and every mistake in one line."""

import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

CHEAP = ("--predictor", "constant,kalman")


class Answered(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Answered]


def trace(path: Path, *rates_rps: float, minutes: int = 60, seed: int = 1) -> Path:
    """Write arrivals whose rate goes through these values, one after the other, in equal parts."""
    noise = random.Random(seed)
    lines, at_s = [], 0.0
    while at_s < minutes * 60.0:
        rate_rps = rates_rps[int(at_s / (minutes * 60.0) * len(rates_rps))]
        at_s += noise.expovariate(rate_rps)
        record = {
            "timestamp": int(at_s * 1000),
            "input_length": 900 + noise.randrange(200),
            "output_length": 50,
        }
        lines.append(json.dumps(record))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def noisy(tmp_path: Path) -> str:
    """A load that is noise around one level, which a filter forecasts better than the last value."""
    return str(trace(tmp_path / "noisy.jsonl", 1.0))


def answer(setpoint: Run, *arguments: str) -> dict[str, Any]:
    answered = setpoint("forecast", *arguments, "-o", "json")
    assert answered.code == 0, answered.err
    found: dict[str, Any] = json.loads(answered.out)
    return found


def test_a_filter_is_chosen_where_the_load_is_noise_around_a_level(setpoint: Run, noisy: str) -> None:
    found = answer(setpoint, noisy, *CHEAP, "--horizon", "1m")

    assert found["verdict"]["predictor"] == "kalman"
    assert found["verdict"]["error_vs_last_ratio"] < 0.95
    assert re.fullmatch(r"choose kalman: its error is \d+ % less than that .*", found["verdict"]["why"])


def test_the_last_value_is_chosen_where_the_level_wanders(setpoint: Run, tmp_path: Path) -> None:
    wanders = trace(tmp_path / "t", *(30.0 + 25.0 * math.sin(step * 1.9) for step in range(30)), minutes=90)

    found = answer(setpoint, str(wanders), *CHEAP, "--interval", "1m")

    assert found["verdict"]["predictor"] == "constant"
    assert found["verdict"]["why"].startswith(
        "choose constant: over both horizons together, no other is better than the last value; the next"
    )


def test_every_interval_horizon_and_predictor_is_scored(setpoint: Run, noisy: str) -> None:
    found = answer(
        setpoint, noisy, *CHEAP, "--interval", "30s,1m", "--interval", "3m", "--horizon", "5m,1m,5m"
    )

    assert [load["interval_s"] for load in found["loads"]] == [30.0, 60.0, 180.0]
    assert [load["intervals"] for load in found["loads"]] == [120, 60, 20]
    for load, steps in zip(found["loads"], ((2, 10), (1, 5), (1, 2)), strict=True):
        assert [result["predictor"] for result in load["results"]] == ["constant", "kalman"]
        for result in load["results"]:
            assert tuple(one["steps"] for one in result["horizons"]) == steps
            assert result["peak_memory_bytes"] > 5e6
            assert 0.0 <= result["fit_median_s"] <= result["fit_max_s"] < 10.0
        assert load["results"][0]["horizons"][0]["error_vs_last_ratio"] == 1.0
        assert "20 % more" not in found["verdict"]["why"]
    assert ": over all intervals and horizons together, " in found["verdict"]["why"]
    assert "scored intervals are few" in found["verdict"]["why"]


def test_settings_reach_the_predictors(setpoint: Run, noisy: str, tmp_path: Path) -> None:
    file = tmp_path / "setpoint.yaml"
    file.write_text("interval: 1m\nforecast: {kalman_r: 500}\n", encoding="utf-8")
    kalman = (noisy, "--predictor", "kalman")

    def error(*arguments: str) -> float:
        load = answer(setpoint, *kalman, *arguments)["loads"][0]
        assert load["interval_s"] == 60.0
        ratio: float = load["results"][0]["horizons"][0]["error_vs_last_ratio"]
        return ratio

    errors = {
        error("--interval", "1m"),
        error("-c", str(file)),
        error("-c", str(file), "--set", "forecast.log1p=true"),
    }

    assert len(errors) == 3


def test_only_the_last_of_a_trace_may_be_asked_for(setpoint: Run, noisy: str) -> None:
    found = answer(setpoint, noisy, "--predictor", "constant", "--last", "20m")

    assert found["loads"][0]["intervals"] == 40


@pytest.mark.parametrize("series", ["isl", "osl"])
def test_lengths_can_be_forecast_too(setpoint: Run, noisy: str, series: str) -> None:
    found = answer(setpoint, noisy, *CHEAP, "--series", series)

    actual = {"isl": 1000.0, "osl": 50.0}[series]
    horizons = [one for result in found["loads"][0]["results"] for one in result["horizons"]]
    assert found["errors_in"] == "tokens"
    assert all(one["mean_actual"] == pytest.approx(actual, rel=0.02) for one in horizons)


def test_the_table_marks_the_best_and_ends_with_what_to_choose(setpoint: Run, noisy: str) -> None:
    answered = setpoint("forecast", noisy, *CHEAP, "--horizon", "1m")

    rows = [line for line in answered.out.splitlines() if line.startswith(("constant ", "kalman "))]
    assert answered.code == 0
    assert [row.split()[0] for row in rows] == ["constant", "kalman"]
    assert [row.endswith("best") for row in rows] == [False, True]
    assert "noisy.jsonl: arrivals at 30 s, 120 intervals, " in answered.out
    assert "● what came, ─ kalman's forecast of 1 min before" in " ".join(answered.out.split())
    assert "Choose kalman: its error is " in answered.out
    assert "nan" not in answered.out


def test_the_table_fits_a_narrow_terminal(setpoint: Run, noisy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    answered = setpoint("forecast", noisy, *CHEAP, "--interval", "3m", "--horizon", "5m,59m")

    lines = answered.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.endswith("too short")] == ["constant", "kalman"]
    assert "100%?" in answered.out or "%? " in answered.out


def test_a_predictor_that_takes_too_long_costs_its_own_row_only(setpoint: Run, noisy: str) -> None:
    answered = setpoint("forecast", noisy, "--predictor", "kalman", "--limit", "1ms")

    assert answered.code == 1
    assert "- kalman: took longer than 1ms\n" in answered.out
    assert answered.out.rstrip().endswith("Nothing can be told: no predictor was scored on all loads.")


MISTAKES = {
    "no load": ((), "no load is given to forecast; name a trace of requests, or give --prometheus http"),
    "two places": (("{trace}", "--prometheus", "http://127.0.0.1:1"), "--prometheus: a trace is given too"),
    "a file that is not there": (("absent",), "absent: cannot be read: No such file or directory"),
    "no unit": (("{trace}", "--interval", "30"), "--interval: 30 has no unit; write 30ms or 30s"),
    "nothing between commas": (("{trace}", "--horizon", "1m,,5m"), "--horizon: '' is not a duration"),
    "an unknown predictor": (("{trace}", "--predictor", "kalmn"), "did you mean 'kalman'?"),
    "an unknown series": (("{trace}", "--series", "load"), "'load' is not one of 'arrivals', 'isl', 'osl'"),
    "an unknown setting": (("{trace}", "--set", "forecast.log1=true"), "did you mean forecast.log1p?"),
    "too few": (
        ("{trace}", "--interval", "10m"),
        "noisy.jsonl: 6 intervals of 600 s with known arrivals are too few to judge by, expected 10 or more",
    ),
}


@pytest.mark.parametrize(("arguments", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_that_says_what_to_do(
    setpoint: Run, noisy: str, arguments: tuple[str, ...], says: str
) -> None:
    answered = setpoint("forecast", *(argument.format(trace=noisy) for argument in arguments))

    assert answered.code == 2
    assert answered.out == ""
    assert answered.err.count("\n") == 1
    assert says in answered.err


def test_a_bad_line_of_a_trace_is_named(setpoint: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"timestamp": 0, "input_length": 1, "output_length": 1}\nnonsense\n', encoding="utf-8")

    answered = setpoint("forecast", str(path))

    assert answered.code == 2
    assert answered.err.startswith(f"error: {path}:2: is not JSON: 'nonsense'; expected {{")


def test_prometheus_that_does_not_answer_is_a_failure(setpoint: Run) -> None:
    answered = setpoint("forecast", "--prometheus", "http://127.0.0.1:1", "--last", "1h")

    assert answered.code == 1
    assert answered.err.startswith("error: cannot reach http://127.0.0.1:1/")
