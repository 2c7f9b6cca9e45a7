"""Which predictor is to be chosen, when several walked the same loads?

The measure is the error relative to that of the last value, as a geometric mean over all loads and horizons,
so that no load counts more because it is larger or harder. The last value costs nothing and cannot go wrong
in its own ways; another predictor is worth it only if it saves a twentieth of the error. Among those that are
about as good as the best, the one that needs the least time for a fit is taken.
"""

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from planner.forecasting.evaluation import Score

LAST_VALUE = "constant"
WORTH_IT = 0.95
"""A predictor is chosen over the last value if its error is at most this share of it."""

_ABOUT_EQUAL = 0.02
_FEW_INTERVALS = 30
_BOTH = 2
_LEAST_RATIO = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one predictor achieved.

    Attributes:
        scores: One for each load and horizon, in the same order for all; None where there is none.
        fit_s: Usual time to learn from an interval and forecast.
    """

    scores: tuple[Score | None, ...]
    fit_s: float

    @property
    def relative_error(self) -> float | None:
        """Geometric mean of the errors relative to the last value; None unless all are known."""
        ratios = [None if score is None else score.relative_error for score in self.scores]
        known = [max(ratio, _LEAST_RATIO) for ratio in ratios if ratio is not None]
        if not known or len(known) < len(ratios):
            return None
        return math.exp(statistics.fmean(math.log(ratio) for ratio in known))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The predictor to choose, and why.

    Attributes:
        predictor: Its name; None where nothing can be told.
        relative_error: Its error relative to the last value.
        why: One sentence for people.
    """

    predictor: str | None
    relative_error: float | None
    why: str


def together(*, loads: int, intervals: int, horizons: int) -> str:
    """Return in words what a verdict averages over; empty where there is one table row per predictor only.

    Example:
        >>> together(loads=1, intervals=1, horizons=2)
        'over both horizons together'
        >>> together(loads=1, intervals=3, horizons=2)
        'over all intervals and horizons together'
    """
    counts = {"loads": loads, "intervals": intervals, "horizons": horizons}
    several = [name for name, count in counts.items() if count > 1]
    if not several:
        return ""
    *others, last = several
    if others:
        return f"over all {', '.join(others)} and {last} together"
    return f"over {'both' if counts[last] == _BOTH else f'all {counts[last]}'} {last} together"


def judge(standings: Mapping[str, Standing], *, over: str = "") -> Verdict:
    """Choose among predictors by name.

    Args:
        standings: What each achieved.
        over: What their errors are averaged over, in words: a single row of a table may show another best.

    Example:
        >>> def standing(error: float) -> Standing:
        ...     score = Score(scored=90, mean_actual=5.0, mean_error=error, mean_last_error=1.0, bias=0.0,
        ...                   sized_loss=0.1, covered_ratio=0.9, central_ratio=0.9, calibrated_ratio=1.0)
        ...     return Standing(scores=(score,), fit_s=0.001)
        >>> judge({"constant": standing(1.0), "kalman": standing(0.8)}).why
        'choose kalman: its error is 20 % less than that of the last value'
        >>> judge({"constant": standing(1.0), "kalman": standing(0.97)}).why
        'choose constant: the last value is as good, kalman saves only 3 % of its error'
    """
    errors = {name: error for name, one in standings.items() if (error := one.relative_error) is not None}
    if not errors:
        return Verdict(
            predictor=None,
            relative_error=None,
            why="nothing can be told: no predictor was scored on all loads",
        )
    best = min(errors, key=lambda name: errors[name])
    near = [name for name, error in errors.items() if error <= errors[best] + _ABOUT_EQUAL]
    chosen = min(near, key=lambda name: standings[name].fit_s)
    if errors[chosen] > WORTH_IT:
        chosen, why = LAST_VALUE, _not_worth_it(errors)
    else:
        why = _worth_it(chosen, best, errors)
    return Verdict(
        predictor=chosen,
        relative_error=errors.get(chosen, 1.0),
        why="; ".join((f"choose {chosen}: {_prefixed(why, over)}", *_cautions(standings, errors))),
    )


def _prefixed(why: str, over: str) -> str:
    return f"{over}, {why}" if over else why


def _worth_it(chosen: str, best: str, errors: Mapping[str, float]) -> str:
    saved = f"its error is {_percent(1.0 - errors[chosen])} less than that of the last value"
    if chosen == best:
        return saved
    return f"{saved}, and {best}, with {_percent(1.0 - errors[best])}, is hardly better and costs more"


def _not_worth_it(errors: Mapping[str, float]) -> str:
    others = {name: error for name, error in errors.items() if name != LAST_VALUE}
    if not others:
        return "nothing else was scored on all loads"
    best = min(others, key=lambda name: others[name])
    if others[best] < 1.0:
        return f"the last value is as good, {best} saves only {_percent(1.0 - others[best])} of its error"
    return (
        f"no other is better than the last value; the next, {best}, errs {_percent(others[best] - 1.0)} more"
    )


def _cautions(standings: Mapping[str, Standing], errors: Mapping[str, float]) -> Iterator[str]:
    absent = [name for name in standings if name not in errors]
    if absent:
        yield f"{' and '.join(absent)} could not be scored everywhere"
    counts = [score.scored for one in standings.values() for score in one.scores if score is not None]
    if min(counts) < _FEW_INTERVALS:
        yield f"{min(counts)} scored intervals are few, so take it as a hint"


def _percent(ratio: float) -> str:
    return f"{ratio * 100.0:.0f} %"
