"""Does a predictor keep the promises that the planner relies on? Shipped, for predictors of third parties.

Works with any test runner: a broken promise is an `AssertionError` that says which history broke it and what
was found.
"""

import math
from collections.abc import Callable, Sequence

from predictors.base import Predictor, SeriesForecast

Factory = Callable[[], Predictor]
"""Makes a fresh predictor, equal to any other that it makes."""

History = Sequence[float | None]
"""Values of successive intervals, oldest first; None is an interval that is not known."""

_STEPS = (1, 2, 11, 60)

HISTORIES: dict[str, History] = {
    "nothing": (),
    "one value": (7.0,),
    "idle from the start": (0.0,) * 12,
    "unknown from the start": (None,) * 12,
    "steady": (50.0,) * 30,
    "ramp up": tuple(10.0 * step for step in range(1, 31)),
    "ramp down to idle": (*(30.0 * step for step in range(10, 0, -1)), *(0.0,) * 20),
    "collapse": (*(1000.0,) * 10, 1.0, *(0.0,) * 5),
    "bursts after silence": (0.0, 0.0, 5.0, 0.0, 400.0, 3.0, 0.0, 0.0, 350.0, 10.0, 0.0, 600.0) * 3,
    "season": tuple(300.0 + 200.0 * math.sin(step * math.pi / 6.0) for step in range(48)),
    "holes": (20.0, None, 25.0, None, None, 30.0, 0.0, None, 35.0) * 3,
    "long outage": (*(80.0,) * 15, *(None,) * 60, 90.0),
    "huge": (1e300, 0.0, 1e300, 1e300, 1.0, 1e300) * 3,
    "tiny": (5e-324, 1e-300, 1e-12, 0.0, 1e-300) * 3,
}
"""The histories that every predictor must survive, by name."""


class PredictorConformance:
    """The promises of the `Predictor` protocol, one method each.

    Every method takes a factory and raises an `AssertionError` if a promise is broken.

    Example:
        >>> from predictors.constant import ConstantPredictor
        >>> PredictorConformance().run_all(ConstantPredictor)

        Or one test per promise, in a file of your own tests:

            @pytest.mark.parametrize("check", PredictorConformance().checks())
            def test_my_predictor_keeps(check):
                check(MyPredictor)
    """

    def checks(self) -> tuple[Callable[[Factory], None], ...]:
        """Return all checks."""
        return (
            self.check_forecasts_are_usable,
            self.check_forecasts_repeat,
            self.check_asking_changes_nothing,
            self.check_state_is_rebuilt_from_history,
            self.check_instances_share_nothing,
            self.check_unknown_is_not_zero,
            self.check_steady_load_is_learned,
        )

    def run_all(self, factory: Factory) -> None:
        """Run every check."""
        for check in self.checks():
            check(factory)

    def check_forecasts_are_usable(self, factory: Factory) -> None:
        """Forecasts are finite and not negative, and quantiles ascend, throughout any history."""
        for name, history in HISTORIES.items():
            predictor = factory()
            _require_usable(predictor, name)
            for value in history:
                predictor.observe(value)
                _require_usable(predictor, name)

    def check_forecasts_repeat(self, factory: Factory) -> None:
        """Asking again, or for another horizon in between, gives the same forecast."""
        for name, history in HISTORIES.items():
            predictor = _fed(factory, history)
            first = _forecasts(predictor)
            _require_equal(first, _forecasts(predictor), f"a repeated call after history {name!r}")

    def check_asking_changes_nothing(self, factory: Factory) -> None:
        """A predictor that was asked after every interval ends like one that was asked only at the end."""
        for name, history in HISTORIES.items():
            asked = factory()
            for value in history:
                asked.observe(value)
                asked.forecast(1)
                asked.forecast(5)
            expected = _forecasts(_fed(factory, history))
            _require_equal(expected, _forecasts(asked), f"asking while history {name!r} passed")

    def check_state_is_rebuilt_from_history(self, factory: Factory) -> None:
        """Two predictors that saw the same history forecast the same."""
        for name, history in HISTORIES.items():
            expected = _forecasts(_fed(factory, history))
            _require_equal(expected, _forecasts(_fed(factory, history)), f"a rebuild from history {name!r}")

    def check_instances_share_nothing(self, factory: Factory) -> None:
        """What one predictor sees does not change another."""
        expected = _forecasts(_fed(factory, HISTORIES["steady"]))
        first, other = factory(), factory()
        for value in HISTORIES["steady"]:
            first.observe(value)
            other.observe(9000.0)
        _require_equal(expected, _forecasts(first), "another instance that saw another load")

    def check_unknown_is_not_zero(self, factory: Factory) -> None:
        """After steady load, some unknown intervals leave the forecast near that load."""
        predictor = _fed(factory, (*(100.0,) * 30, None, None, None))
        _require_between(predictor, low=50.0, high=200.0, told="30 intervals of 100, then three unknown ones")

    def check_steady_load_is_learned(self, factory: Factory) -> None:
        """After steady load the forecast is near that load."""
        predictor = _fed(factory, (100.0,) * 30)
        _require_between(predictor, low=50.0, high=200.0, told="30 intervals of 100")


def _fed(factory: Factory, history: History) -> Predictor:
    predictor = factory()
    for value in history:
        predictor.observe(value)
    return predictor


def _forecasts(predictor: Predictor) -> tuple[SeriesForecast, ...]:
    return tuple(predictor.forecast(steps) for steps in _STEPS)


def _require(message: str, *, kept: bool) -> None:
    if not kept:
        raise AssertionError(message)


def _require_equal(
    expected: tuple[SeriesForecast, ...], found: tuple[SeriesForecast, ...], what: str
) -> None:
    _require(f"{what} changed the forecast: expected {expected}, found {found}", kept=expected == found)


def _require_between(predictor: Predictor, *, low: float, high: float, told: str) -> None:
    mean = predictor.forecast(1).mean
    _require(
        f"after {told} expected a forecast from {low:g} to {high:g}, found {mean:g}", kept=low <= mean <= high
    )


def _require_usable(predictor: Predictor, name: str) -> None:
    for steps in _STEPS:
        forecast = predictor.forecast(steps)
        where = f"in history {name!r}, {steps} steps ahead: {forecast}"
        values = [quantile.value for quantile in forecast.quantiles]
        levels = [quantile.level_ratio for quantile in forecast.quantiles]
        _require(
            f"expected finite numbers that are not negative {where}",
            kept=all(0.0 <= value < math.inf for value in (forecast.mean, *values)),
        )
        _require(f"expected ascending quantiles {where}", kept=values == sorted(values))
        _require(
            f"expected ascending levels between 0 and 1 {where}",
            kept=levels == sorted(set(levels)) and all(0.0 < level < 1.0 for level in levels),
        )
