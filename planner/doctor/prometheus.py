"""Does Prometheus answer, and does it scrape anything at all?"""

from config.errors import ObservationError, Unreachable
from connectors.base import Unknown
from connectors.prometheus.answers import labels_in
from connectors.prometheus.inquiries import SCRAPED, VERSIONS
from planner.doctor.findings import Sign, counted, fail, listed, ok, skip, warn
from planner.doctor.patient import Asked, Patient


async def check_prometheus(patient: Patient) -> Sign:
    """Ask for what it scrapes, and for its version; or whatever else metrics are read from."""
    asked = patient.settings.prometheus
    if patient.prometheus is None:
        return await _other_source(patient)
    where = f"service {asked.service}" if asked.service else asked.url
    try:
        up = await patient.prometheus.query(SCRAPED)
    except ObservationError as error:
        return fail(f"Prometheus at {where}: {error}", todo=_todo(error, through_api=bool(asked.service)))
    targets = int(sum(series.points[0].value for series in up.series))
    if not targets:
        return fail(
            f"Prometheus at {where} answers, and scrapes nothing",
            todo="see which targets it has on its page /targets, and which monitors its operator takes",
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
        found = await prometheus.query(VERSIONS)
    except ObservationError:
        return ""
    versions = labels_in(found, "version")
    return f" {listed(versions)}" if versions else ""
