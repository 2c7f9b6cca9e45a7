"""How is a forecast comparison asked for on the command line, and how does it read?"""

import asyncio
import statistics
import sys
from collections.abc import Iterator, Sequence

from config.clock import SystemClock
from planner.commands.flags import Format, Given
from planner.commands.forecast import Comparison, Entry, compare, verdict_of
from planner.commands.forecast_asked import Asked, require_one_place
from planner.commands.forecast_chart import BAND, CAME, EXPECTED, ahead, chart
from planner.commands.forecast_flags import SeriesKind
from planner.commands.forecast_progress import Progress
from planner.commands.loading import load_given
from planner.commands.output import (
    NOTHING,
    Cell,
    Column,
    Tone,
    as_json,
    columns,
    milliseconds,
    table,
    toned,
    wrapped,
)
from planner.forecasting.apart import Done, Failed
from planner.forecasting.evaluation import Point, Score
from planner.forecasting.verdict import Verdict

OK, FAILED = 0, 1
_CHART_WIDTH = 100
_MB = 1e6
_UNITS = {SeriesKind.ARRIVALS: "req/s", SeriesKind.ISL: "tokens", SeriesKind.OSL: "tokens"}
_READ = {
    SeriesKind.ARRIVALS: "arrivals",
    SeriesKind.ISL: "prompt lengths",
    SeriesKind.OSL: "output lengths",
}
_MOSTLY = 0.5
_HEADS = (
    Column(title="predictor", is_whole=True),
    Column(title="ahead", is_number=True),
    Column(title="vs last", is_number=True),
    Column(title="error", is_number=True),
    Column(title="<= p90", is_number=True),
    Column(title="fit", is_number=True),
    Column(title="slowest", is_number=True),
    Column(title="memory", is_number=True),
    Column(title="note", is_whole=True),
)
_HOW_TO_READ = (
    "error: mean absolute error; vs last: relative to that of the last value, below 1 is better. <= p90: "
    "share of intervals that stayed within the 0.9 quantile; 90 % is right, and ? says that most quantiles "
    "were still a guess. fit: usual time for an interval. memory: most that the predictor's process held."
)


def show_forecast(given: Given, asked: Asked, output: Format) -> tuple[str, int]:
    """Return what `setpoint forecast` prints, and its exit code.

    Raises:
        ConfigError: If a flag, a setting or a trace cannot be used.
        ObservationError: If the past cannot be read.
    """
    loaded = load_given(given, require=False)
    require_one_place(given, asked, loaded)
    clock = SystemClock()
    progress = Progress(sys.stderr, clock=clock)
    try:
        found = asyncio.run(compare(loaded, asked.question(loaded), clock=clock, progress=progress))
    finally:
        progress.end()
    verdict = verdict_of(found)
    shown = as_json(document(found, verdict, asked.kind)) if output is Format.JSON else ""
    return shown or text(found, verdict, asked.kind), FAILED if verdict.predictor is None else OK


def document(found: Sequence[Comparison], verdict: Verdict, kind: SeriesKind) -> dict[str, object]:
    """Return a comparison as JSON's own types; the unit of each number is in its key."""
    return {
        "series": kind.value,
        "errors_in": "requests_per_s" if kind is SeriesKind.ARRIVALS else "tokens",
        "verdict": {
            "predictor": verdict.predictor,
            "error_vs_last_ratio": verdict.relative_error,
            "why": verdict.why,
        },
        "loads": [_load_document(one) for one in found],
    }


def _load_document(one: Comparison) -> dict[str, object]:
    known = [value for value in one.series.values if value is not None]
    return {
        "load": one.load.name,
        "interval_s": one.load.interval_s,
        "intervals": len(one.series.values),
        "unknown_intervals": len(one.series.values) - len(known),
        "results": [_entry_document(entry, one) for entry in one.entries],
    }


def _entry_document(entry: Entry, one: Comparison) -> dict[str, object]:
    if isinstance(entry.outcome, Failed):
        return {"predictor": entry.predictor, "failed": entry.outcome.why}
    times_s = entry.fit_times_s
    return {
        "predictor": entry.predictor,
        "fit_median_s": statistics.median(times_s),
        "fit_max_s": max(times_s),
        "peak_memory_bytes": entry.outcome.peak_memory_bytes,
        "horizons": [_score_document(entry.score(steps), steps, one) for steps in one.steps],
    }


def _score_document(score: Score | None, steps: int, one: Comparison) -> dict[str, object]:
    head: dict[str, object] = {"horizon_s": steps * one.load.interval_s, "steps": steps}
    if score is None:
        return head | {"scored": 0}
    return head | {
        "scored": score.scored,
        "error_vs_last_ratio": score.relative_error,
        "mean_error": score.mean_error,
        "mean_actual": score.mean_actual,
        "bias": score.bias,
        "p90_loss": score.sized_loss,
        "below_p90_ratio": score.covered_ratio,
        "p5_to_p95_ratio": score.central_ratio,
        "calibrated_ratio": score.calibrated_ratio,
    }


def text(found: Sequence[Comparison], verdict: Verdict, kind: SeriesKind) -> str:
    """Return a comparison for people."""
    parts = [part for one in found for part in (_head(one, kind), _table(one))]
    parts += _charts(found, verdict, kind)
    parts += [wrapped(_HOW_TO_READ), _told(verdict)]
    return "\n\n".join(parts)


def _told(verdict: Verdict) -> str:
    sentence = f"{verdict.why[:1].upper()}{verdict.why[1:]}."
    return "\n".join(toned(Cell(text=line, tone=Tone.STRONG)) for line in wrapped(sentence).splitlines())


def _head(one: Comparison, kind: SeriesKind) -> str:
    known = [value for value in one.series.values if value is not None]
    unknown = len(one.series.values) - len(known)
    return toned(
        Cell(text=one.load.name, tone=Tone.STRONG),
        f": {_READ[kind]} at {ahead(one.load.interval_s)}, {len(one.series.values)} intervals"
        f"{f', {unknown} of them unknown' if unknown else ''}, {min(known):.3g} to {max(known):.3g} "
        f"{_UNITS[kind]}",
    )


def _table(one: Comparison) -> str:
    drawn = table(_HEADS, [row for steps in one.steps for row in _rows(one, steps)])
    failures = [
        wrapped(f"{entry.predictor}: {entry.outcome.why}", indent="  ", first="- ")
        for entry in one.entries
        if isinstance(entry.outcome, Failed)
    ]
    return "\n".join((drawn, *failures))


def _rows(one: Comparison, steps: int) -> Iterator[tuple[str | Cell, ...]]:
    ratios = [score.relative_error for entry in one.entries if (score := entry.score(steps)) is not None]
    best = min((ratio for ratio in ratios if ratio is not None), default=None)
    for entry in one.entries:
        score, horizon = entry.score(steps), ahead(steps * one.load.interval_s)
        if score is None:
            note = "no answer" if isinstance(entry.outcome, Failed) else "too short"
            yield (entry.predictor, horizon, *[NOTHING] * 6, Cell(text=note, tone=Tone.BAD))
        else:
            is_best = score.relative_error is not None and score.relative_error == best
            yield (
                entry.predictor,
                horizon,
                *_figures(score),
                *_costs(entry),
                Cell(text="best" if is_best else "", tone=Tone.GOOD),
            )


def _figures(score: Score) -> tuple[str, ...]:
    ratio = score.relative_error
    guess = "" if score.calibrated_ratio >= _MOSTLY else "?"
    return (
        NOTHING if ratio is None else f"{ratio:.2f}",
        f"{score.mean_error:.3g}",
        f"{score.covered_ratio:.0%}{guess}",
    )


def _costs(entry: Entry) -> tuple[str, ...]:
    if not isinstance(entry.outcome, Done):
        return (NOTHING,) * 3
    return (
        milliseconds(statistics.median(entry.fit_times_s)),
        milliseconds(max(entry.fit_times_s)),
        f"{entry.outcome.peak_memory_bytes / _MB:.0f} MB",
    )


def _charts(found: Sequence[Comparison], verdict: Verdict, kind: SeriesKind) -> Iterator[str]:
    """Draw each load at its first interval and the longest horizon."""
    first = {one.load.name: one for one in reversed(found)}
    for one in reversed(first.values()):
        entry = _drawn(one, verdict.predictor)
        if entry is not None and isinstance(entry.outcome, Done):
            yield _chart(one, entry.predictor, entry.outcome.walked.points[one.steps[-1]], kind)


def _drawn(one: Comparison, chosen: str | None) -> Entry | None:
    """Return the chosen predictor, or where it did not walk the best of those that did."""
    errors = {
        entry.predictor: (entry.predictor != chosen, score.mean_error)
        for entry in one.entries
        if (score := entry.score(one.steps[-1])) is not None
    }
    best = min(errors, key=lambda name: errors[name], default=None)
    return next((entry for entry in one.entries if entry.predictor == best), None)


def _chart(one: Comparison, predictor: str, points: Sequence[Point], kind: SeriesKind) -> str:
    interval_s = one.load.interval_s
    title = (
        f"{one.load.name}: {_UNITS[kind]}, {CAME} what came, {EXPECTED} {predictor}'s forecast "
        f"of {ahead(one.steps[-1] * interval_s)} before, {BAND} its 5 to 95 % band"
    )
    rows = chart(points, interval_s=interval_s, width=min(columns(), _CHART_WIDTH))
    return "\n".join((wrapped(title), *rows))
