"""Is the frontend scraped, often enough, and finely enough for the targets?"""

import math
from collections.abc import Iterable

from connectors.base import Unknown
from connectors.prometheus import promql
from connectors.prometheus.answers import QueryResult, labels_in
from connectors.prometheus.inquiries import Inquiries
from connectors.prometheus.queries import Queries, Question
from connectors.prometheus.targets import judge_targets, scrape_interval_s
from planner.doctor.findings import Sign, counted, fail, listed, ok, skip, warn
from planner.doctor.patient import Patient

_WINDOW_S = 300.0
_LEAST_SCRAPES = 4.0
_TOLERANCE = 1.5
# Adjacent bounds further apart make a quantile a guess.
_COARSE = 1.5
_MS_PER_S = 1000.0
_FINER = "set on the frontend, both forms, since older versions read only the second:\n"
_VARIABLES = {"TTFT": "DYN_METRICS_TTFT", "ITL": "DYN_METRICS_ITL"}


async def check_scraping(patient: Patient) -> Sign:
    """Look at `up` of the frontends, and at the times of their scrapes."""
    if patient.prometheus is None:
        return skip("metrics are not read from Prometheus")
    queries = Queries(patient.dialect, patient.scope)
    up = await patient.prometheus.query(queries.of_names()[Question.TARGETS])
    if not up.series:
        return skip("no frontend is scraped, see series")
    scrapes = await patient.prometheus.query(queries.scrapes(_WINDOW_S))
    return judge_scraping(patient, up, scrapes, looked_for=queries.targets)


def judge_scraping(patient: Patient, up: QueryResult, scrapes: QueryResult, *, looked_for: str) -> Sign:
    """Say whether all frontends are up and scraped as the settings say.

    Args:
        patient: Whose settings.
        up: `up` of each target.
        scrapes: When each was scraped.
        looked_for: The selector of the targets, for words.
    """
    settings = patient.settings
    down = [series.labels.get("instance", "?") for series in up.series if series.points[0].value < 1.0]
    if down:
        return fail(
            f"{len(down)} of {counted(len(up.series), 'frontend')} cannot be scraped: {listed(down)}",
            todo="see why on the targets page of Prometheus; while one is down, nothing is scaled down",
        )
    interval_s = scrape_interval_s(scrapes)
    if interval_s is None:
        return warn(
            f"{counted(len(up.series), 'frontend')} up, scraped once so far",
            todo="check again after two scrapes",
        )
    health = judge_targets(up=up, scrapes=scrapes, window_s=settings.interval, looked_for=looked_for)
    doubt = health.blind or health.partial
    summary = f"{counted(len(up.series), 'frontend')} up, scraped every {interval_s:.1f} s"
    if interval_s > _TOLERANCE * settings.prometheus.scrape_interval:
        return warn(
            f"{summary}; prometheus.scrape_interval says {settings.prometheus.scrape_interval:g} s",
            *_of_window(interval_s, settings.interval),
            todo="scrape more often (interval: 5s in the monitor), or"
            f" --set prometheus.scrape_interval={_written(interval_s)}",
        )
    if isinstance(doubt, Unknown):
        return warn(summary, doubt.why, todo="nothing is scaled down while that is so")
    return ok(summary)


def _written(seconds: float) -> str:
    """Return a time as settings have it, not less than it is."""
    return promql.duration(math.ceil(seconds) if seconds >= 1.0 else math.ceil(100.0 * seconds) / 100.0)


def _of_window(interval_s: float, tick_s: float) -> tuple[str, ...]:
    window_s = _LEAST_SCRAPES * interval_s
    if window_s <= tick_s:
        return ()
    return (f"a window of {window_s:.0f} s is looked at, though decisions are made every {tick_s:g} s",)


async def check_buckets(patient: Patient) -> Sign:
    """Read the bounds of the latency histograms around the targets."""
    targets = patient.settings.targets
    if patient.prometheus is None or targets.percentile_ratio is None:
        return skip("the targets are means, which need no buckets")
    coarse: list[Sign] = []
    for name, family, target_s in (
        ("TTFT", patient.dialect.ttft, targets.ttft),
        ("ITL", patient.dialect.itl, targets.itl),
    ):
        asked = Inquiries(patient.dialect, patient.scope).bounds(family)
        bounds = labels_in(await patient.prometheus.query(asked), "le")
        if not bounds:
            return skip("no latency was measured yet")
        coarse += judge_bounds(name, _numbers(bounds), target_s)
    if not coarse:
        return ok("the buckets of TTFT and ITL are fine enough around the targets")
    return warn(
        "; ".join(sign.summary for sign in coarse),
        f"a {targets.percentile} inside such a bucket is interpolated, and may be that far off",
        todo=_FINER + "\n".join(sign.todo for sign in coarse)
        if patient.is_of_dynamo
        else "give the frontend finer buckets there",
    )


def judge_bounds(name: str, bounds: Iterable[float], target_s: float) -> tuple[Sign, ...]:
    """Say whether the bucket that a target lies in is too wide.

    Args:
        name: TTFT or ITL.
        bounds: The finite bounds.
        target_s: The target.
    """
    known = sorted(bound for bound in bounds if bound > 0.0)
    target = f"{target_s * _MS_PER_S:g} ms"
    below = max((bound for bound in known if bound <= target_s), default=0.0)
    above = min((bound for bound in known if bound >= target_s), default=None)
    if above is None:
        return (
            warn(f"the target for {name} of {target} lies above all buckets", todo=_finer(name, target_s)),
        )
    if below and above / below <= _COARSE:
        return ()
    bucket = f"{below * _MS_PER_S:g} to {above * _MS_PER_S:g} ms"
    summary = f"the target for {name} of {target} lies in a bucket from {bucket}"
    return (warn(summary, todo=_finer(name, target_s)),)


def _finer(name: str, target_s: float) -> str:
    variable = _VARIABLES[name]
    values = {"MIN": f"{target_s / 10.0:g}", "MAX": f"{target_s * 10.0:g}", "COUNT": "30"}
    plain = " ".join(f"{variable}_{part}={value}" for part, value in values.items())
    doubled = " ".join(f"DYN_HISTOGRAM_{variable}_{part}={value}" for part, value in values.items())
    return f"{plain}\n{doubled}"


def _numbers(bounds: Iterable[str]) -> tuple[float, ...]:
    return tuple(float(bound) for bound in bounds if bound != "+Inf")
