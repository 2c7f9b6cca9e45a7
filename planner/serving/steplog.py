"""How does a step read in the log?

One line for each tick, and one for each look that changed something; below it the reasons, shown where they
matter: with a change or a hold. What changed nothing is there at level debug.
"""

import logging

from structlog.typing import FilteringBoundLogger

from connectors.base import Reading, Traffic, Unknown, Value
from planner.core.decision import StepKind
from planner.serving.records import Stepped
from planner.serving.status import Explain, Headline


def log_step(logger: FilteringBoundLogger, record: Stepped, *, explain: Explain, headline: Headline) -> None:
    """Log a step and its reasons.

    Args:
        logger: Where lines go.
        record: The step.
        explain: Renders its reasons.
        headline: Renders its decision in one line.
    """
    decision = record.decision
    is_quiet_look = record.kind is StepKind.LOOK and not decision.is_change
    logger.log(
        logging.DEBUG if is_quiet_look else logging.INFO,
        record.kind.value,
        summary=f"{load_words(record.observation.traffic)}  {headline(decision)}",
        figures=_figures(record),
    )
    matters = (decision.is_change or decision.is_hold) and not is_quiet_look
    for sentence in explain(decision):
        logger.log(logging.INFO if matters else logging.DEBUG, "because", summary=sentence)


def load_words(traffic: Traffic) -> str:
    """Return the load in a few words.

    Example:
        >>> load_words(Traffic(at_s=0.0, window_s=30.0, arrivals_rps=Value(value=12.34, at_s=0.0),
        ...                    isl_tokens=Value(value=3000.4, at_s=0.0)))
        'load 12.3 rps (isl 3000, osl ?)'
    """
    lengths = f"isl {_number(traffic.isl_tokens, '.0f')}, osl {_number(traffic.osl_tokens, '.0f')}"
    if isinstance(traffic.arrivals_rps, Unknown):
        return f"load unknown ({lengths})"
    return f"load {_number(traffic.arrivals_rps, '.3g')} rps ({lengths})"


def _number(reading: Reading, form: str) -> str:
    if isinstance(reading, Value):
        return format(reading.value, form)
    return "?" if isinstance(reading, Unknown) else "-"


def _figures(record: Stepped) -> dict[str, object]:
    traffic, decision = record.observation.traffic, record.decision
    return {
        "target": record.target,
        "arrivals_rps": _value(traffic.arrivals_rps),
        "isl_tokens": _value(traffic.isl_tokens),
        "osl_tokens": _value(traffic.osl_tokens),
        "forecast_arrivals_rps": record.forecast.arrivals_rps.mean if record.forecast else None,
        "replicas": {pool.pool: pool.replicas for pool in decision.pools},
        "replicas_before": {pool.pool: pool.current for pool in decision.pools},
        "bound_by": {pool.pool: pool.bound_by.value for pool in decision.pools},
        "committed_gpus": decision.committed_gpus,
        "budget_gpus": decision.budget_gpus,
        "is_hold": decision.is_hold,
        "duration_s": record.duration_s,
    }


def _value(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Value) else None
