from collections.abc import Callable

import pytest

from predictors.base import Predictor, Quantile, SeriesForecast
from predictors.calibration import Calibrated
from predictors.constant import ConstantPredictor
from predictors.kalman import KalmanPredictor
from predictors.testing import Factory, PredictorConformance

LEVELS = (0.05, 0.5, 0.95)

FACTORIES: dict[str, Factory] = {
    "constant": ConstantPredictor,
    "kalman": KalmanPredictor,
    "kalman from the first point": lambda: KalmanPredictor(min_points=1),
    "kalman log1p": lambda: KalmanPredictor(log1p=True),
    "kalman without noise": lambda: KalmanPredictor(q_level=0.0, q_trend=0.0, r=0.0, min_points=1),
    "calibrated constant": lambda: Calibrated(ConstantPredictor(), levels=LEVELS, horizons=(1, 11)),
    "calibrated kalman": lambda: Calibrated(KalmanPredictor(log1p=True), levels=LEVELS, horizons=(2,)),
}


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES.keys())
@pytest.mark.parametrize("check", PredictorConformance().checks(), ids=lambda check: check.__name__)
def test_our_predictors_keep_every_promise(check: Callable[[Factory], None], factory: Factory) -> None:
    check(factory)


class Base:
    """A last-value predictor to break in one way each."""

    def __init__(self) -> None:
        self.last = 0.0
        self.asked = 0

    def observe(self, value: float | None) -> None:
        self.last = self.last if value is None else value

    def forecast(self, steps: int) -> SeriesForecast:
        self.asked += steps
        return SeriesForecast(mean=self.last)


class Negative(Base):
    def forecast(self, steps: int) -> SeriesForecast:
        return SeriesForecast(mean=self.last - steps)


class NotANumber(Base):
    def forecast(self, steps: int) -> SeriesForecast:
        return SeriesForecast(mean=float("nan") if steps > 1 else self.last)


class CrossedQuantiles(Base):
    def forecast(self, steps: int) -> SeriesForecast:
        crossed = (
            Quantile(level_ratio=0.5, value=self.last + steps),
            Quantile(level_ratio=0.9, value=self.last),
        )
        return SeriesForecast(mean=self.last, quantiles=crossed)


class LevelsInPercent(Base):
    def forecast(self, steps: int) -> SeriesForecast:
        return SeriesForecast(
            mean=self.last, quantiles=(Quantile(level_ratio=90.0 + steps, value=self.last),)
        )


class Fickle(Base):
    def forecast(self, steps: int) -> SeriesForecast:
        self.asked += steps
        return SeriesForecast(mean=self.last + self.asked)


class LearnsFromBeingAsked(Base):
    def observe(self, value: float | None) -> None:
        super().observe(value)
        self.last += self.asked


class TakesUnknownForZero(Base):
    def observe(self, value: float | None) -> None:
        self.last = value or 0.0


class Deaf(Base):
    def observe(self, value: float | None) -> None:
        del value


class Communal(Base):
    latest = 0.0

    def observe(self, value: float | None) -> None:
        Communal.latest = Communal.latest if value is None else value

    def forecast(self, steps: int) -> SeriesForecast:
        return SeriesForecast(mean=Communal.latest + 0.0 * steps)


class Numbered(Base):
    made = 0

    def __init__(self) -> None:
        super().__init__()
        Numbered.made += 1
        self.last = float(Numbered.made)


BROKEN: list[tuple[type[Predictor], str]] = [
    (Negative, "check_forecasts_are_usable"),
    (NotANumber, "check_forecasts_are_usable"),
    (CrossedQuantiles, "check_forecasts_are_usable"),
    (LevelsInPercent, "check_forecasts_are_usable"),
    (Fickle, "check_forecasts_repeat"),
    (LearnsFromBeingAsked, "check_asking_changes_nothing"),
    (Numbered, "check_state_is_rebuilt_from_history"),
    (Communal, "check_instances_share_nothing"),
    (TakesUnknownForZero, "check_unknown_is_not_zero"),
    (Deaf, "check_steady_load_is_learned"),
]


@pytest.mark.parametrize(("broken", "check"), BROKEN, ids=[broken.__name__ for broken, _ in BROKEN])
def test_a_broken_promise_is_found_by_its_check(broken: type[Predictor], check: str) -> None:
    suite = PredictorConformance()
    by_name = {method.__name__: method for method in suite.checks()}

    with pytest.raises(AssertionError, match="expected"):
        by_name[check](broken)
    with pytest.raises(AssertionError):
        suite.run_all(broken)


def test_every_check_is_run() -> None:
    named = {name for name in dir(PredictorConformance) if name.startswith("check_")}

    assert {check.__name__ for check in PredictorConformance().checks()} == named
    assert {check for _, check in BROKEN} == named
