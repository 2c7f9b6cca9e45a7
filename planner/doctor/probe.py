"""Does a real request leave its marks in Prometheus, under the names that the settings give?

One completion of a few tokens is sent. Then each family that it must have moved is watched, for two scrapes.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from config.errors import Unreachable
from connectors.prometheus import promql
from connectors.prometheus.answers import number_in, shortened
from connectors.prometheus.dialect import Dialect
from connectors.prometheus.inquiries import Inquiries
from connectors.prometheus.queries import Queries
from connectors.prometheus.targets import scrape_interval_s
from planner.doctor.findings import Sign, fail, listed, ok, skip, warn
from planner.doctor.patient import Asked, Frontend, Patient

_TOKENS = 8
_PROMPT = "Say hello."
_SCRAPES = 2.0
# What a scrape and the query themselves take.
_MARGIN_S = 2.0
_ASK_EVERY_S = 0.5
_WINDOW_S = 300.0
# More completions than this are not ours alone.
_ONE = 1.5


async def check_probe(patient: Patient) -> Sign:
    """Send one completion and wait for its marks."""
    if not patient.is_probed:
        return skip("no request was sent", todo="--probe --frontend URL sends one")
    if patient.frontend is None:
        return fail(
            "no address to send a request to",
            todo="--frontend URL; from outside the cluster first kubectl port-forward service/NAME 8000",
        )
    if patient.prometheus is None:
        return skip("metrics are not read from Prometheus")
    before = await _marks(patient, patient.prometheus)
    began_s = patient.clock.now_s()
    model, problem = await _send(patient.frontend, patient.scope.model)
    if problem:
        return fail(f"{patient.frontend.url} did not complete a request: {problem}")
    answered_s = patient.clock.now_s() - began_s
    return await _watch(patient, patient.prometheus, before, said=f"{model} answered in {answered_s:.1f} s")


def marks_of(dialect: Dialect) -> Mapping[str, str]:
    """Return the families that one request moves, by the signal that they carry."""
    found = {
        dialect.started: "arrival",
        dialect.completed: "completion",
        f"{dialect.isl}_count": "prompt length",
        f"{dialect.osl}_count": "output length",
        f"{dialect.ttft}_count": "TTFT",
        f"{dialect.duration}_count": "duration",
    }
    return {family: signal for family, signal in found.items() if family}


async def _marks(patient: Patient, prometheus: Asked, *, everywhere: bool = False) -> dict[str, float]:
    ask = Inquiries(patient.dialect, patient.scope)
    found = await prometheus.query(ask.totals(sorted(marks_of(patient.dialect)), everywhere=everywhere))
    return {one.labels.get("__name__", ""): one.points[0].value for one in found.series}


async def _send(frontend: Frontend, wanted: str | None) -> tuple[str, str]:
    """Return the model that was asked, and what went wrong; empty if nothing did."""
    try:
        model = await _model(frontend, wanted)
        if not model:
            return "", "it serves no model (/v1/models is empty)"
        body: dict[str, object] = {"model": model, "prompt": _PROMPT, "max_tokens": _TOKENS}
        status, said = await frontend.ask("/v1/completions", body)
        if status == HTTPStatus.NOT_FOUND:
            messages = [{"role": "user", "content": _PROMPT}]
            body = {"model": model, "messages": messages, "max_tokens": _TOKENS}
            status, said = await frontend.ask("/v1/chat/completions", body)
    except Unreachable as error:
        return "", str(error)
    return model, "" if status == HTTPStatus.OK else f"HTTP {status}: {shortened(said)}"


async def _model(frontend: Frontend, wanted: str | None) -> str:
    """Return the model's name as the frontend writes it: settings may have it in another case."""
    status, said = await frontend.ask("/v1/models")
    names = _names(said) if status == HTTPStatus.OK else ()
    if wanted is None:
        return next(iter(names), "")
    return next((name for name in names if name.lower() == wanted.lower()), wanted)


def _names(said: str) -> tuple[str, ...]:
    try:
        data = json.loads(said)["data"]
        return tuple(str(one["id"]) for one in data)
    except (ValueError, KeyError, TypeError):
        return ()


async def _watch(patient: Patient, prometheus: Asked, before: Mapping[str, float], *, said: str) -> Sign:
    """Wait until a scrape that began after the answer shows growth, for two scrapes at most."""
    answered_at_s = number_in(await prometheus.query(promql.NOW))
    limit_s = _SCRAPES * await _interval_s(patient, prometheus) + _MARGIN_S
    began_s = patient.clock.now_s()
    arrived: dict[str, float] = {}
    grown: dict[str, float] = {}
    while True:
        if await _is_scraped_since(patient, prometheus, answered_at_s):
            grown = _growth(before, await _marks(patient, prometheus))
        took_s = patient.clock.now_s() - began_s
        arrived = {family: arrived.get(family, took_s) for family in grown}
        if len(arrived) == len(marks_of(patient.dialect)) or took_s >= limit_s:
            break
        await patient.clock.sleep(_ASK_EVERY_S)
    if not arrived:
        return await _lost(patient, prometheus, before, said=said, limit_s=limit_s)
    sign = judge_marks(patient.dialect, arrived, said=said)
    return _with_others(sign) if grown.get(patient.dialect.completed, 0.0) > _ONE else sign


async def _is_scraped_since(patient: Patient, prometheus: Asked, at_s: float) -> bool:
    """Tell whether every frontend was scraped after a moment of Prometheus' own clock."""
    ask = Inquiries(patient.dialect, patient.scope)
    oldest_s = number_in(await prometheus.query(ask.oldest_scrape))
    return not oldest_s <= at_s


def _growth(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    grown = {family: value - before.get(family, 0.0) for family, value in now.items()}
    return {family: value for family, value in grown.items() if value > 0.0}


def _with_others(sign: Sign) -> Sign:
    note = "other requests came meanwhile: that marks arrive is sure, that they are of this one is not"
    return replace(sign, details=(*sign.details, note))


def judge_marks(dialect: Dialect, arrived: Mapping[str, float], *, said: str) -> Sign:
    """Say which marks of a request arrived.

    Args:
        dialect: What the serving stack exports.
        arrived: After how many seconds each family grew.
        said: How the request itself went, in words.
    """
    signals = marks_of(dialect)
    missing = [family for family in signals if family not in arrived]
    took_s = max(arrived.values(), default=0.0)
    details = tuple(
        f"{signals[family]}: {family} after {at_s:.1f} s" for family, at_s in sorted(arrived.items())
    )
    # Where arrivals are not counted, they are derived from completions.
    if missing == [dialect.started] and dialect.started:
        return ok(f"{said}; all its marks but {dialect.started}, which is not needed, arrived", *details)
    if missing:
        return warn(f"{said}; these did not grow: {listed(missing, most=8)}", *details)
    return ok(f"{said}; all its marks were in Prometheus {took_s:.1f} s later", *details)


async def _lost(
    patient: Patient, prometheus: Asked, before: Mapping[str, float], *, said: str, limit_s: float
) -> Sign:
    """Say that nothing arrived where it was looked for, and whether it did elsewhere."""
    where = ",".join(str(one) for one in patient.scope.of_series(patient.dialect))
    summary = f"{said}, but no counter grew within {limit_s:.0f} s under {{{where}}}"
    elsewhere = await _marks(patient, prometheus, everywhere=True)
    if _growth(before, elsewhere):
        return fail(
            summary,
            "the families exist under other labels",
            todo="compare --model, --namespace and prometheus.extra_selector with the check of series",
        )
    return fail(summary, todo="have this frontend scraped by this Prometheus, see the check of monitors")


async def _interval_s(patient: Patient, prometheus: Asked) -> float:
    queries = Queries(patient.dialect, patient.scope)
    measured_s = scrape_interval_s(await prometheus.query(queries.scrapes(_WINDOW_S)))
    return max(measured_s or 0.0, patient.settings.prometheus.scrape_interval)
