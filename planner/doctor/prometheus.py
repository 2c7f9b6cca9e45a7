"""Does Prometheus answer, and does it scrape anything at all?"""

import math

from config.errors import ObservationError, Unreachable
from connectors.base import Unknown
from connectors.prometheus.answers import QueryResult
from planner.doctor.findings import Sign, counted, fail, listed, ok, skip, warn
from planner.doctor.patient import Asked, Patient

_UP = "count by (__name__) (up)"
_VERSIONS = "count by (version) (prometheus_build_info)"


async def check_prometheus(patient: Patient) -> Sign:
    """Ask for what it scrapes, and for its version; or whatever else metrics are read from."""
    asked = patient.settings.prometheus
    if patient.prometheus is None:
        return await _other_source(patient)
    where = f"service {asked.service}" if asked.service else asked.url
    try:
        up = await patient.prometheus.query(_UP)
    except ObservationError as error:
        return fail(f"Prometheus at {where}: {error}", todo=_todo(error, through_api=bool(asked.service)))
    targets = int(sum(series.points[0].value for series in up.series))
    if not targets:
        return fail(
            f"Prometheus at {where} answers, and scrapes nothing", todo=f"see its page {where}/targets"
        )
    version = await _version(patient.prometheus)
    summary = f"Prometheus{version} at {where} answers, and scrapes {counted(targets, 'target')}"
    return warn(summary, *up.warnings) if up.warnings else ok(summary)


async def _other_source(patient: Patient) -> Sign:
    """Read metrics once from a source that is not Prometheus."""
    name = patient.settings.source.value
    if patient.source is None:
        return skip(f"metrics are read by source {name}")
    traffic = await patient.source.observe(patient.settings.interval)
    if isinstance(traffic.in_flight, Unknown):
        return fail(f"source {name} does not tell the requests in flight: {traffic.in_flight.why}")
    return ok(f"source {name} answers")


def _todo(error: ObservationError, *, through_api: bool) -> str:
    if not isinstance(error, Unreachable):
        return "check prometheus.url and its credentials"
    if through_api:
        return "check the namespace, name and port of prometheus.service: kubectl get service -A"
    return (
        "check prometheus.url; from outside the cluster, let the API server pass queries on:"
        " --set prometheus.service=monitoring/prometheus-operated:9090"
    )


async def _version(prometheus: Asked) -> str:
    """Return its version in words; empty if it does not scrape itself."""
    try:
        found = await prometheus.query(_VERSIONS)
    except ObservationError:
        return ""
    versions = labels_in(found, "version")
    return f" {listed(versions)}" if versions else ""


def number_in(result: QueryResult) -> float:
    """Return the only number of an answer; NaN if there is none."""
    return result.series[0].points[0].value if result.series else math.nan


def by_bound(result: QueryResult) -> tuple[tuple[float, float], ...]:
    """Return the counts of a histogram's buckets by their upper bound, ascending."""
    found = ((float(one.labels["le"]), one.points[0].value) for one in result.series if one.labels.get("le"))
    return tuple(sorted(found))


def labels_in(result: QueryResult, label: str) -> tuple[str, ...]:
    """Return the values of a label in an answer, sorted, without the empty one."""
    return tuple(sorted({value for series in result.series if (value := series.labels.get(label, ""))}))
