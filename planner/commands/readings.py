"""How do readings and forecasts read in a few words?"""

from collections.abc import Callable, Iterator

from connectors.base import Idle, Observation, Reading, Traffic, Unknown, Value
from planner.commands.output import milliseconds
from planner.core.decision import Decision, ReasonCode
from predictors.base import Forecast, SeriesForecast

_BLIND = frozenset({ReasonCode.BLIND_ARRIVALS, ReasonCode.BLIND_FLEET, ReasonCode.BLIND_LENGTHS})
# What is shown with three digits can differ by so much without looking different.
_ROUNDING = 1.005


def rate(value: float) -> str:
    """Return a load in words.

    Example:
        >>> rate(12.345)
        '12.3 requests/s'
    """
    return f"{value:.3g} requests/s"


def tokens(value: float) -> str:
    """Return a length in words.

    Example:
        >>> tokens(3000.4)
        '3000 tokens'
    """
    return f"{value:.0f} tokens"


def shown(reading: Reading, words: Callable[[float], str]) -> str:
    """Return a reading in words.

    Example:
        >>> shown(Value(value=0.2, at_s=0.0), milliseconds), shown(Idle(at_s=0.0), rate)
        ('200 ms', 'idle')
        >>> shown(Unknown(why="no answer"), rate)
        'unknown'
    """
    if isinstance(reading, Value):
        return words(reading.value)
    return "idle" if isinstance(reading, Idle) else "unknown"


def is_above(seconds: float, target_s: float) -> bool:
    """Tell whether a latency is above its target by more than what rounding makes.

    Example:
        >>> is_above(0.0251, 0.025), is_above(0.02501, 0.025)
        (False, False)
        >>> is_above(0.0252, 0.025)
        True
    """
    return seconds > target_s * _ROUNDING


def foreseen(series: SeriesForecast | None, words: Callable[[float], str]) -> str:
    """Return a forecast in words, with its highest quantile.

    Example:
        >>> from predictors.base import Quantile
        >>> series = SeriesForecast(mean=10.0, quantiles=(Quantile(level_ratio=0.95, value=14.0),))
        >>> foreseen(series, rate)
        '10 requests/s (p95 14)'
    """
    if series is None:
        return "-"
    if not series.quantiles:
        return words(series.mean)
    top = series.quantiles[-1]
    return f"{words(series.mean)} (p{top.level_ratio * 100:.3g} {words(top.value).split()[0]})"


def foreseen_load(series: SeriesForecast | None, *, sized_ratio: float | None) -> str:
    """Return the forecast load in words, with the quantile that was sized for; None is the mean.

    Example:
        >>> from predictors.base import Quantile
        >>> series = SeriesForecast(mean=10.0, quantiles=(Quantile(level_ratio=0.9, value=14.0),))
        >>> foreseen_load(series, sized_ratio=0.9)
        '10 requests/s (sized for p90: 14)'
        >>> foreseen_load(series, sized_ratio=None)
        '10 requests/s (p90 14)'
    """
    if series is None or sized_ratio is None or not series.quantiles:
        return foreseen(series, rate)
    return f"{rate(series.mean)} (sized for p{sized_ratio * 100:.3g}: {series.at(sized_ratio):.3g})"


def where_to_read(decision: Decision) -> Iterator[str]:
    """Yield where a hold is explained, if it is one because something could not be seen."""
    codes = dict.fromkeys(reason.code.value for reason in decision.reasons if reason.code in _BLIND)
    if codes:
        yield f"what to do: see {' and '.join(codes)} in docs/decisions.md"


def seen(observation: Observation) -> str:
    """Return what was observed in one line; what is not known is left to `unknowns`."""
    traffic = observation.traffic
    named = (
        ("", traffic.arrivals_rps, rate),
        ("prompts ", traffic.isl_tokens, tokens),
        ("outputs ", traffic.osl_tokens, tokens),
        ("TTFT ", traffic.ttft_s, milliseconds),
        ("ITL ", traffic.itl_s, milliseconds),
    )
    known = [
        f"{name}{shown(reading, words)}" for name, reading, words in named if not isinstance(reading, Unknown)
    ]
    return ", ".join([*known, *gauges(traffic)]) or "nothing"


def expected(forecast: Forecast | None) -> str:
    """Return what was forecast in one line."""
    if forecast is None:
        return "no forecast"
    return (
        f"{foreseen(forecast.arrivals_rps, rate)}; prompts {foreseen(forecast.isl_tokens, tokens)}, outputs "
        f"{foreseen(forecast.osl_tokens, tokens)} (predictor {forecast.predictor}, "
        f"{forecast.points} intervals{_lateness(forecast)})"
    )


def forecaster(forecast: Forecast | None) -> str:
    """Return whose forecast serves, and how late its model is; empty where there is none.

    Example:
        >>> series = SeriesForecast(mean=10.0)
        >>> forecaster(Forecast(made_at_s=0.0, horizon_s=60.0, predictor="arima", arrivals_rps=series,
        ...                     isl_tokens=None, osl_tokens=None, points=40, late_intervals=2))
        'forecast by arima, 2 intervals late'
    """
    return f"forecast by {forecast.predictor}{_lateness(forecast)}" if forecast else ""


def _lateness(forecast: Forecast) -> str:
    late = forecast.late_intervals
    return f", {late} interval{'s' if late > 1 else ''} late" if late else ""


def unknowns(observation: Observation) -> tuple[str, ...]:
    """Say why what is not known is not, one line each."""
    traffic = observation.traffic
    named = (
        ("load", traffic.arrivals_rps),
        ("prompt length", traffic.isl_tokens),
        ("output length", traffic.osl_tokens),
        ("TTFT", traffic.ttft_s),
        ("ITL", traffic.itl_s),
    )
    found: dict[str, list[str]] = {}
    for name, reading in named:
        if isinstance(reading, Unknown):
            found.setdefault(reading.why, []).append(name)
    if isinstance(observation.fleet, Unknown):
        found.setdefault(observation.fleet.why, []).append("fleet")
    return tuple(f"{', '.join(names)} unknown: {why}" for why, names in found.items())


def gauges(traffic: Traffic) -> Iterator[str]:
    """Yield in a few words each what is in the system now, as far as it is known."""
    for text, reading in (
        ("{:.0f} requests in flight", traffic.in_flight),
        ("{:.0f} queued", traffic.queued),
        ("KV cache {:.0%} full", traffic.kv_usage_ratio),
    ):
        if isinstance(reading, Value):
            yield text.format(reading.value)
