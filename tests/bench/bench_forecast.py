"""How good are the four predictors on the recorded traces, with Dynamo's defaults and with ours?

Run it by hand: `python -m tests.bench.bench_forecast`. It takes about ten minutes of one core. With `--write`
the tables go into `docs/forecasting.md`, between the marks. What is slow walks only the end of the longest
load.
"""

import argparse
import asyncio
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from config.clock import SystemClock
from config.policy import ForecastPolicy
from config.process import keep_small
from planner.commands.forecast import steps_of
from planner.forecasting.apart import Failed, Job, walk_apart
from planner.forecasting.evaluation import Score, Series, Walked, score_of, walk
from planner.forecasting.trace import read_trace
from predictors.base import Predictor
from tests.bench.dynamo_arima import DynamoArima
from tests.bench.dynamo_prophet import DynamoProphet

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "forecasting.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
INTERVALS_S = (30.0, 60.0, 180.0)
HORIZONS_S = (60.0, 300.0)
# Prophet fits anew for every interval, and each update of Dynamo's ARIMA takes longer than the one before.
MOST_FOR_SLOW = 720
LIMIT_S = 1800.0
STAND_INS: dict[str, Callable[[float], Predictor]] = {
    "arima (Dynamo)": lambda _interval_s: DynamoArima(),
    "prophet (Dynamo)": lambda interval_s: DynamoProphet(interval_s=interval_s),
}
SLOW = ("prophet", *STAND_INS)
POLICIES = {
    "constant": ForecastPolicy(predictor="constant"),
    "kalman (Dynamo)": ForecastPolicy(predictor="kalman", min_points=1),
    "kalman": ForecastPolicy(predictor="kalman"),
    "arima": ForecastPolicy(predictor="arima"),
    "prophet": ForecastPolicy(predictor="prophet"),
}
ORDER = (
    *("constant", "kalman (Dynamo)", "kalman", "arima (Dynamo)", "arima"),
    *("prophet (Dynamo)", "prophet"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one predictor did on one load at one interval."""

    trace: str
    interval_s: float
    predictor: str
    is_cut: bool
    walked: Walked
    memory_bytes: int | None

    def score(self, horizon_s: float) -> Score | None:
        return score_of(self.walked.points[steps_of(horizon_s, self.interval_s)])


async def measured(trace: str, series: Series, interval_s: float, predictor: str) -> Measured | None:
    is_cut = predictor.startswith(SLOW) and len(series.values) > MOST_FOR_SLOW
    if is_cut:
        series = replace(series, values=series.values[-MOST_FOR_SLOW:])
    steps = tuple(sorted({steps_of(horizon_s, interval_s) for horizon_s in HORIZONS_S}))
    memory_bytes = None
    if predictor in STAND_INS:
        walked = walk(STAND_INS[predictor](interval_s), series, horizons=steps, now_s=SystemClock().now_s)
    else:
        policy = replace(POLICIES[predictor], interval_s=interval_s)
        done = await walk_apart(Job(policy=policy, series=series, horizons=steps), limit_s=LIMIT_S)
        if isinstance(done, Failed):
            sys.stderr.write(f"{trace} at {interval_s:g} s, {predictor}: {done.why}\n")
            return None
        walked, memory_bytes = done.walked, done.peak_memory_bytes
    return Measured(
        trace=trace,
        interval_s=interval_s,
        predictor=predictor,
        is_cut=is_cut,
        walked=walked,
        memory_bytes=memory_bytes,
    )


async def measure(traces: Sequence[Path], predictors: Sequence[str]) -> list[Measured]:
    clock, found = SystemClock(), []
    for path in traces:
        for interval_s in INTERVALS_S:
            rates = tuple(one.arrivals_rps for one in read_trace(path, interval_s=interval_s))
            series = Series(values=rates, predictor_factor=interval_s)
            for predictor in predictors:
                began_s = clock.now_s()
                one = await measured(path.name.partition(".")[0], series, interval_s, predictor)
                found += [one] if one is not None else []
                took_s = clock.now_s() - began_s
                sys.stderr.write(f"{path.name} at {interval_s:g} s, {predictor}: {took_s:.1f} s\n")
    return found


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def errors(found: Sequence[Measured], predictors: Sequence[str]) -> list[str]:
    """Return one row for each load, interval and horizon."""
    by_key = {(one.trace, one.interval_s, one.predictor): one for one in found}
    keys = {(one.trace, one.interval_s): None for one in found}
    rows = [
        (
            trace,
            f"{interval_s:g} s",
            f"{horizon_s / 60.0:g} min",
            *(_cell(by_key.get((trace, interval_s, name)), horizon_s) for name in predictors),
        )
        for trace, interval_s in keys
        for horizon_s in HORIZONS_S
    ]
    return table(("trace", "interval", "ahead", *predictors), rows)


def _cell(one: Measured | None, horizon_s: float) -> str:
    score = one.score(horizon_s) if one is not None else None
    if one is None or score is None or score.relative_error is None:
        return "–"
    return f"{score.relative_error:.2f}{'†' if one.is_cut else ''} / {score.covered_ratio * 100.0:.0f}"


def overall(found: Sequence[Measured], predictors: Sequence[str]) -> list[str]:
    """Return one row for each predictor."""
    last = {
        (one.trace, one.interval_s, horizon_s): one.score(horizon_s)
        for one in found
        for horizon_s in HORIZONS_S
        if one.predictor == "constant"
    }
    heads = (
        *("predictor", "error 1 min", "error 5 min", "worst", "p90 loss", "below p90", "in p5–p95"),
        *("fit, usual", "fit, slowest", "memory"),
    )
    return table(heads, [_summary(name, found, last) for name in predictors])


def _summary(
    name: str, found: Sequence[Measured], last: dict[tuple[str, float, float], Score | None]
) -> tuple[str, ...]:
    own = [one for one in found if one.predictor == name]
    scores = {
        (one, horizon_s): score
        for one in range(len(own))
        for horizon_s in HORIZONS_S
        if (score := own[one].score(horizon_s)) is not None
    }
    ratios = {key: score.relative_error or 1.0 for key, score in scores.items()}
    losses = [
        score.sized_loss / yardstick.sized_loss
        for (one, horizon_s), score in scores.items()
        if not own[one].is_cut
        and (yardstick := last[own[one].trace, own[one].interval_s, horizon_s]) is not None
    ]
    times_s = [time_s for one in own for time_s in one.walked.step_times_s]
    memory = max((one.memory_bytes or 0 for one in own), default=0)
    return (
        name,
        *(f"{_middle(r for (_, at_s), r in ratios.items() if at_s == ahead):.2f}" for ahead in HORIZONS_S),
        f"{max(ratios.values()):.2f}",
        f"{_middle(losses):.2f}",
        f"{statistics.fmean(score.covered_ratio for score in scores.values()) * 100.0:.0f} %",
        f"{statistics.fmean(score.central_ratio for score in scores.values()) * 100.0:.0f} %",
        f"{statistics.median(times_s) * 1000.0:.2g} ms",
        f"{max(times_s):.2g} s",
        f"{memory / 1e6:.0f} MB" if memory else "–",
    )


def _middle(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def write_into(page: Path, lines: Sequence[str]) -> None:
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text("\n".join((before + BEGIN, "", *lines, "", END + after)), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, default=ROOT.parent / "shared" / "traces")
    parser.add_argument("--predictors", nargs="+", choices=ORDER, default=ORDER)
    parser.add_argument("--only", default="", help="only traces whose name holds this")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    given = parser.parse_args()
    keep_small()
    traces = [path for path in sorted(given.traces.glob("*.jsonl.gz")) if given.only in path.name]
    found = asyncio.run(measure(traces, given.predictors))
    lines = [*overall(found, given.predictors), "", *errors(found, given.predictors)]
    sys.stdout.write("\n".join(lines) + "\n")
    if given.write:
        write_into(PAGE, lines)


if __name__ == "__main__":
    main()
