"""Are the series there that decisions rest on, under the names that the settings give?

A family with labels appears with the first request, so that what is missing on a frontend that was never
asked is no fault; what is missing on a busy one is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from config.errors import ObservationError
from connectors.base import Unknown
from connectors.kubernetes.podspec import served_model
from connectors.prometheus import promql
from connectors.prometheus.answers import QueryResult, labels_in
from connectors.prometheus.dialect import Dialect
from connectors.prometheus.inquiries import Inquiries
from connectors.prometheus.names import doubt_about_model, doubt_about_namespace, names_in
from connectors.prometheus.queries import Queries, Question
from planner.doctor.findings import Grid, Sign, fail, listed, ok, skip, warn
from planner.doctor.patient import Asked, Patient
from planner.doctor.pools import examined_pools

_HEADS = ("signal", "family", "series")
_NONE = "none"
# What each serving stack always exports, to name the one that is there instead.
_STACKS: Mapping[str, str] = {
    "dynamo_frontend_requests_total": "Dynamo",
    "dynamo_frontend_inflight_requests": "Dynamo",
    "llm_d_epp_request_total": "llm-d",
    "sglang:num_running_reqs": "SGLang",
    "vllm:num_requests_running": "vLLM",
    "trtllm_request_success_total": "TensorRT-LLM",
    "tgi_request_count": "Text Generation Inference",
    "gateway_request_total": "AIBrix",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One thing to know, and the families that may carry it, in order of preference.

    Attributes:
        name: The signal.
        families: Names on the wire.
        is_needed: Whether nothing can be decided without it.
    """

    name: str
    families: tuple[str, ...]
    is_needed: bool = True


def signals_of(dialect: Dialect) -> tuple[Signal, ...]:
    """Return what a dialect's series are to say."""
    running = tuple(name for gauge in dialect.in_flight for name in gauge)
    waiting = tuple(name for gauge in dialect.queued for name in gauge)
    return (
        Signal(name="arrivals", families=tuple(filter(None, (dialect.started, dialect.completed)))),
        Signal(name="completions", families=(dialect.completed,)),
        Signal(name="in flight", families=running),
        Signal(name="queued", families=waiting, is_needed=False),
        Signal(name="prompt length", families=(f"{dialect.isl}_sum",)),
        Signal(name="output length", families=(f"{dialect.osl}_sum",)),
        Signal(name="TTFT", families=(f"{dialect.ttft}_sum",), is_needed=False),
        Signal(name="ITL", families=(f"{dialect.itl}_sum",), is_needed=False),
        Signal(name="duration", families=(f"{dialect.duration}_sum",), is_needed=False),
    )


async def check_series(patient: Patient) -> Sign:
    """Look for the frontend's targets, its namespace, its model, and each family of the dialect."""
    prometheus = patient.prometheus
    if prometheus is None:
        return skip("metrics are not read from Prometheus")
    queries = Queries(patient.dialect, patient.scope)
    answers = {
        question: await prometheus.query(promql_text) for question, promql_text in queries.of_names().items()
    }
    if not answers[Question.TARGETS].series:
        return await _no_targets(patient, prometheus, queries)
    if Question.MODELS in answers:
        names = names_in(answers[Question.MODELS], patient.dialect.model_label)
        if not isinstance(names, Unknown):
            doubt = doubt_about_model(names, scope=patient.scope, dialect=patient.dialect)
            if doubt is not None:
                return fail(doubt.why, todo=await _model_todo(patient, names))
    wanted = {family for signal in signals_of(patient.dialect) for family in signal.families}
    asked = Inquiries(patient.dialect, patient.scope).families(sorted(wanted))
    return judge_series(patient, await prometheus.query(asked))


def judge_series(patient: Patient, found: QueryResult) -> Sign:
    """Say which signals have series.

    Args:
        patient: Whose series.
        found: How many series each family has.
    """
    counts = {series.labels.get("__name__", ""): int(series.points[0].value) for series in found.series}
    rows, missing = [], []
    for signal in signals_of(patient.dialect):
        family = next((name for name in signal.families if name in counts), "")
        rows.append((signal.name, family or signal.families[0], str(counts[family]) if family else _NONE))
        if not family and signal.is_needed:
            missing.append(signal.name)
    grid = Grid(heads=_HEADS, rows=tuple(rows), numbers=frozenset({"series"}))
    whose = f"model {patient.scope.model!r}" if patient.scope.model else "all models"
    details = _of_arrivals(patient.dialect, counts)
    if not counts:
        return warn(
            f"frontends are scraped, and no request of {whose} was counted yet",
            todo="send one, or let `setpoint check --probe` do it",
        )
    if missing:
        return warn(
            f"dialect {patient.dialect.name}: no series yet for {listed(missing)}",
            "families appear with the first request; a stack that never has them is not of this dialect",
            *details,
            todo="send a request, or let `setpoint check --probe` do it",
            grid=grid,
        )
    absent = [row[0] for row in rows if row[2] == _NONE]
    if absent:
        summary = f"dialect {patient.dialect.name}: every signal that is needed has series, for {whose}"
        return ok(summary, f"none yet for {listed(absent)}, which decisions do without", *details)
    return ok(f"dialect {patient.dialect.name}: every signal has series, for {whose}", *details)


def _of_arrivals(dialect: Dialect, counts: Mapping[str, int]) -> tuple[str, ...]:
    if not dialect.started or dialect.started in counts or dialect.completed not in counts:
        return ()
    name = dialect.started
    return (f"{name} is absent: arrivals are completions plus the change of requests in flight",)


async def _no_targets(patient: Patient, prometheus: Asked, queries: Queries) -> Sign:
    if patient.scope.namespace is not None:
        label = patient.dialect.namespace_label
        spaces = names_in(await prometheus.query(queries.namespaces), label)
        if not isinstance(spaces, Unknown):
            doubt = doubt_about_namespace(spaces, scope=patient.scope, dialect=patient.dialect)
            if doubt is not None:
                return fail(doubt.why, todo=_namespace_todo(spaces))
    others = await _other_stacks(prometheus)
    summary = f"no frontend is scraped: no target has {queries.targets}"
    if others:
        return fail(
            summary,
            f"Prometheus has series of {listed(others)}",
            todo=f"choose the dialect of what serves (--set prometheus.dialect=NAME; it is"
            f" {patient.dialect.name} now), or have its frontend scraped",
        )
    return fail(
        summary, todo="have the frontend scraped, see the check of monitors; or correct prometheus.url"
    )


def _namespace_todo(spaces: frozenset[str]) -> str:
    known = sorted(name for name in spaces if name)
    if known:
        return f"--namespace {known[0]}, or whichever is meant"
    return (
        "leave dynamo.namespace out, or add the label by relabeling in the monitor, as Dynamo's operator does"
    )


async def _model_todo(patient: Patient, names: frozenset[str]) -> str:
    known = {name.lower(): name for name in names if name}
    told = {served_model(pool.arguments) or "" for pool in await examined_pools(patient)}
    served = [known[name.lower()] for name in sorted(told) if name.lower() in known]
    if served:
        return f"--model {served[0]}, which the command line of the engines says"
    return f"--model {min(known.values())}, or whichever is meant"


async def _other_stacks(prometheus: Asked) -> tuple[str, ...]:
    query = promql.counted_by("__name__", promql.select_any(_STACKS, ()))
    try:
        found = labels_in(await prometheus.query(query), "__name__")
    except ObservationError:
        return ()
    return tuple(dict.fromkeys(_STACKS[name] for name in found if name in _STACKS))
