"""What is chosen is what saves errors, and of equals what costs least."""

import pytest

from planner.forecasting.evaluation import Score
from planner.forecasting.verdict import Standing, judge, together


def score(error: float, *, last: float = 1.0, scored: int = 90) -> Score:
    return Score(
        scored=scored,
        mean_actual=10.0,
        mean_error=error,
        mean_last_error=last,
        bias=0.0,
        sized_loss=0.1,
        covered_ratio=0.9,
        central_ratio=0.9,
        calibrated_ratio=1.0,
    )


def standing(*errors: float, fit_s: float = 0.001) -> Standing:
    return Standing(scores=tuple(score(error) for error in errors), fit_s=fit_s)


LAST = standing(1.0, 1.0, fit_s=1e-5)


def test_loads_count_alike_however_large_their_errors() -> None:
    large = score(200.0, last=100.0)
    small = score(0.5, last=1.0)

    assert Standing(scores=(large, small), fit_s=0.0).relative_error == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("others", "chosen", "why"),
    [
        pytest.param(
            {"kalman": standing(0.8, 0.8)},
            "kalman",
            "choose kalman: its error is 20 % less than that of the last value",
            id="better",
        ),
        pytest.param(
            {"kalman": standing(0.80, 0.80), "arima": standing(0.79, 0.79, fit_s=0.2)},
            "kalman",
            "choose kalman: its error is 20 % less than that of the last value, and arima, with 21 %, is "
            "hardly better and costs more",
            id="as good and cheaper",
        ),
        pytest.param(
            {"kalman": standing(0.9, 0.9), "arima": standing(0.6, 0.6, fit_s=0.2)},
            "arima",
            "choose arima: its error is 40 % less than that of the last value",
            id="much better and dearer",
        ),
        pytest.param(
            {"kalman": standing(0.97, 0.97)},
            "constant",
            "choose constant: the last value is as good, kalman saves only 3 % of its error",
            id="hardly better",
        ),
        pytest.param(
            {"kalman": standing(1.1, 1.3), "arima": standing(1.2, 1.2)},
            "constant",
            "choose constant: no other is better than the last value; the next, kalman, errs 20 % more",
            id="worse",
        ),
        pytest.param(
            {"arima": Standing(scores=(score(0.5), None), fit_s=0.1)},
            "constant",
            "choose constant: nothing else was scored on all loads; arima could not be scored everywhere",
            id="not scored",
        ),
        pytest.param(
            {"kalman": Standing(scores=(score(0.5, scored=12), score(0.5)), fit_s=0.1)},
            "kalman",
            "choose kalman: its error is 50 % less than that of the last value; 12 scored intervals are "
            "few, so take it as a hint",
            id="few",
        ),
    ],
)
def test_the_choice_and_its_reason(others: dict[str, Standing], chosen: str, why: str) -> None:
    verdict = judge({"constant": LAST, **others})

    assert (verdict.predictor, verdict.why) == (chosen, why)


def test_the_last_value_is_chosen_even_where_it_was_not_asked_for() -> None:
    verdict = judge({"kalman": standing(1.2)})

    assert (verdict.predictor, verdict.relative_error) == ("constant", 1.0)


def test_a_load_without_any_error_of_the_last_value_decides_nothing() -> None:
    verdict = judge({"kalman": Standing(scores=(score(0.1, last=0.0),), fit_s=0.0)})

    assert verdict.predictor is None


@pytest.mark.parametrize(
    ("loads", "intervals", "horizons", "words"),
    [
        pytest.param(1, 1, 1, "", id="one row"),
        pytest.param(1, 1, 2, "over both horizons together", id="two horizons"),
        pytest.param(3, 1, 1, "over all 3 loads together", id="three loads"),
        pytest.param(1, 2, 2, "over all intervals and horizons together", id="two tables"),
        pytest.param(2, 2, 2, "over all loads, intervals and horizons together", id="all"),
    ],
)
def test_what_is_averaged_is_told(loads: int, intervals: int, horizons: int, words: str) -> None:
    assert together(loads=loads, intervals=intervals, horizons=horizons) == words


def test_a_verdict_against_the_best_of_one_row_says_that_it_is_over_both() -> None:
    better_later = standing(1.03, 0.99)

    verdict = judge({"constant": LAST, "prophet": better_later}, over="over both horizons together")

    assert verdict.why == (
        "choose constant: over both horizons together, no other is better than the last value; the next, "
        "prophet, errs 1 % more"
    )
