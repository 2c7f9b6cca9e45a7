import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Malformed
from config.policy import ForecastPolicy
from predictors.base import Forecast, LoadInterval, Quantile, SeriesForecast
from predictors.wire import Lesson, News, Task, lesson_of, line_of, news_of, task_of

NUMBERS = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)
READINGS = st.none() | NUMBERS
SERIES = st.builds(
    SeriesForecast,
    mean=NUMBERS,
    quantiles=st.lists(st.builds(Quantile, level_ratio=NUMBERS, value=NUMBERS), max_size=3).map(tuple),
    calibrated=st.booleans(),
)
FORECASTS = st.builds(
    Forecast,
    made_at_s=NUMBERS,
    horizon_s=NUMBERS,
    predictor=st.text(),
    arrivals_rps=SERIES,
    isl_tokens=st.none() | SERIES,
    osl_tokens=st.none() | SERIES,
    points=st.integers(min_value=0),
    late_intervals=st.integers(min_value=0),
)
INTERVALS = st.builds(LoadInterval, arrivals_rps=READINGS, isl_tokens=READINGS, osl_tokens=READINGS)
COUNTS = st.integers(min_value=0)


@given(
    st.builds(
        News,
        learned=COUNTS,
        is_answer=st.booleans(),
        path=st.lists(FORECASTS, max_size=2).map(tuple),
        failure=st.text(),
        trouble=st.text(),
    )
)
def test_news_read_back_equal(news: News) -> None:
    assert news_of(line_of(news)) == news


@given(
    st.builds(
        Lesson,
        learned=COUNTS,
        intervals=st.lists(INTERVALS, max_size=3).map(tuple),
        is_older=st.booleans(),
    )
)
def test_a_lesson_reads_back_equal_in_one_line(lesson: Lesson) -> None:
    line = line_of(lesson)

    assert lesson_of(line) == lesson
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("window_points", [None, 50])
def test_a_task_reads_back_equal(window_points: int | None) -> None:
    policy = ForecastPolicy(predictor="arima", levels=(0.1, 0.9), window_points=window_points, log1p=True)
    task = Task(policy=policy, further=20, limit_s=45.0, folder="/somewhere")

    assert task_of(line_of(task)) == task


def test_a_number_that_is_none_is_not_written() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        line_of(Lesson(learned=1, intervals=(LoadInterval(arrivals_rps=float("nan")),)))


NEWS = json.loads(line_of(News(learned=1)))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"some words of a library\n",
        b"[]\n",
        b'{"learned":1}\n',
        json.dumps({**NEWS, "learned": -1}).encode(),
        json.dumps({**NEWS, "learned": True}).encode(),
        json.dumps({**NEWS, "path": "none"}).encode(),
        json.dumps({**NEWS, "path": [1]}).encode(),
        json.dumps({**NEWS, "learned": float("nan")}).encode(),
    ],
    ids=["empty", "words", "list", "lacks", "negative", "bool", "text", "number", "nan"],
)
def test_a_line_that_is_no_news_is_refused(line: bytes) -> None:
    with pytest.raises(Malformed):
        news_of(line)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1", '"7"', "true"])
def test_a_forecast_of_no_number_is_refused(number: str) -> None:
    forecast = Forecast(
        made_at_s=0.0,
        horizon_s=30.0,
        predictor="arima",
        arrivals_rps=SeriesForecast(mean=12345.5),
        isl_tokens=None,
        osl_tokens=None,
        points=9,
    )
    line = line_of(News(learned=1, is_answer=True, path=(forecast,)))

    with pytest.raises(Malformed):
        news_of(line.replace(b"12345.5", number.encode()))
