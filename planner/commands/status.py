"""`setpoint status`: what does a running daemon see, expect and decide right now?"""

from collections.abc import Iterator

from connectors.base import Fleet, PoolState, Reading, Traffic, Value
from planner.commands.client import ask
from planner.commands.flags import Format
from planner.commands.output import (
    NOTHING,
    Cell,
    Column,
    Tone,
    as_json,
    fits,
    milliseconds,
    span,
    table,
    toned,
    wrapped,
)
from planner.commands.readings import (
    forecaster,
    foreseen,
    foreseen_load,
    gauges,
    is_above,
    rate,
    shown,
    tokens,
    unknowns,
    where_to_read,
)
from planner.core.decision import Decision, PoolDecision, ReasonCode
from planner.serving.codec import from_json, read_json
from planner.serving.records import Outcome
from planner.serving.status import DecisionView, PartHealth, Status

# Outcomes that need no line of their own.
_CALM = frozenset({Outcome.APPLIED, Outcome.ADVISORY, Outcome.STANDBY})
_STATE = "/api/v1/state"


def show_status(url: str, output: Format) -> str:
    """Return what `setpoint status` prints.

    Raises:
        ConfigError: If the address is not one.
        ObservationError: If no daemon answers there.
    """
    answer = ask(url, _STATE)
    if output is Format.JSON:
        return as_json(read_json(answer))
    return text(from_json(Status, answer))


def status_of(url: str) -> Status:
    """Ask a daemon.

    Raises:
        ConfigError: If the address is not one.
        ObservationError: If no daemon answers there.
    """
    return from_json(Status, ask(url, _STATE))


def text(status: Status) -> str:
    """Return a status for people."""
    parts = [_head(status), *_pools(status), *_traffic(status), *_health(status), *_decision(status)]
    return "\n\n".join(part for part in parts if part)


def _head(status: Status) -> str:
    standby = _standby(status)
    mode = (
        Cell(text="advising only", tone=Tone.WARN)
        if status.advisory
        else Cell(text="standby" if standby else "scaling", tone=Tone.PLAIN if standby else Tone.GOOD)
    )
    name = Cell(text=status.target, tone=Tone.STRONG)
    up = f", up {span(status.uptime_s)}"
    next_tick = "" if status.next_tick_in_s is None else f", next decision in {span(status.next_tick_in_s)}"
    lines = [toned(f"Setpoint {status.version}: ", mode, " for ", name, f"{up}{next_tick}")]
    if standby:
        lines.append(
            wrapped(f"standby: {standby}; decisions are written only once this process leads", indent="  ")
        )
    for word, health in (("not alive", status.alive), ("not ready", status.ready)):
        if not health.is_ok:
            lines.append(wrapped(f"{word}: {health.why}", indent="  "))
    return "\n".join(lines)


def _standby(status: Status) -> str:
    fleet = status.observation.fleet if status.observation else None
    return fleet.standby if isinstance(fleet, Fleet) else ""


def _pools(status: Status) -> Iterator[str]:
    view = _in_force(status)
    fleet = status.observation.fleet if status.observation else None
    if view is None:
        return
    states = fleet.pools if isinstance(fleet, Fleet) else {}
    heads = (
        Column(title="pool", is_whole=True),
        *(
            Column(title=title, is_number=True)
            for title in ("asked", "decided", "ready", "starting", "leaving", "failing")
        ),
        Column(title="GPUs", is_number=True),
        Column(title="load", is_number=True),
        Column(title="bound by"),
    )
    yield table(heads, [_pool_row(pool, states.get(pool.pool)) for pool in view.decision.pools])
    if told := [wrapped(line) for name, state in states.items() for line in _remarks(name, state)]:
        yield "\n".join(told)
    yield f"{view.decision.committed_gpus} of {view.decision.budget_gpus} GPUs are committed"


def _remarks(name: str, state: PoolState) -> Iterator[str]:
    if state.target:  # not in the table, which would be wider than a terminal
        yield f"{name} is {state.target}"
    if state.hold is not None:
        yield f"{name} is left alone: {state.hold.why}"
    if state.why_failing:
        yield f"{name} fails: {state.why_failing}"


def _pool_row(pool: PoolDecision, state: PoolState | None) -> tuple[str | Cell, ...]:
    asked = pool.current if state is None else state.desired
    decided = Cell(text=str(pool.replicas), tone=Tone.PLAIN if pool.replicas == asked else Tone.STRONG)
    return (
        pool.pool,
        str(asked),
        decided,
        *_engines(state),
        str(pool.gpus),
        NOTHING if pool.utilization_ratio is None else f"{pool.utilization_ratio:.0%}",
        Cell(
            text=pool.bound_by.value.replace("_", " "),
            tone=Tone.PLAIN if pool.bound_by in {ReasonCode.LOAD, ReasonCode.QUIET} else Tone.WARN,
        ),
    )


def _engines(state: PoolState | None) -> tuple[str | Cell, ...]:
    if state is None:
        return "?", "?", "?", "?"
    ready = Cell(text=str(state.ready), tone=Tone.WARN if state.ready < state.desired else Tone.PLAIN)
    failing = Cell(text=str(state.failing), tone=Tone.BAD if state.failing else Tone.PLAIN)
    return ready, str(state.starting), str(state.terminating), failing


def _traffic(status: Status) -> Iterator[str]:
    if status.observation is None:
        return
    traffic, forecast = status.observation.traffic, status.forecast
    view = status.decision
    heads = (
        Column(title=""),
        Column(title="observed", is_number=True),
        Column(title="forecast", is_number=True),
        Column(title=_tail_title(status), is_number=True),
        Column(title="expected", is_number=True),
        Column(title="target", is_number=True),
    )
    sized_ratio = status.policy.size_quantile_ratio if status.policy else None
    load = foreseen_load(forecast.arrivals_rps if forecast else None, sized_ratio=sized_ratio)
    lengths = (
        ("prompts", traffic.isl_tokens, tokens, forecast.isl_tokens if forecast else None),
        ("outputs", traffic.osl_tokens, tokens, forecast.osl_tokens if forecast else None),
    )
    rows: list[tuple[str | Cell, ...]] = [
        ("load", shown(traffic.arrivals_rps, rate), load, "", "", ""),
        *(
            (name, shown(reading, words), foreseen(series, words), "", "", "")
            for name, reading, words, series in lengths
        ),
    ]
    yield table(heads, [*rows, *_latency_rows(traffic, status, view.decision if view else None)])
    age = "" if status.observation_age_s is None else f"observed {span(status.observation_age_s)} ago"
    now = ", ".join(words for words in (age, forecaster(forecast), *gauges(traffic)) if words)
    yield "\n".join(wrapped(line) for line in (now, *unknowns(status.observation)) if line)


def _tail_title(status: Status) -> str:
    ratio = status.policy.targets.percentile_ratio if status.policy else None
    return "" if ratio is None else f"at p{ratio * 100:.4g}"


def _latency_rows(
    traffic: Traffic, status: Status, decision: Decision | None
) -> Iterator[tuple[str | Cell, ...]]:
    targets = status.policy.targets if status.policy else None
    rows = (
        (
            "TTFT",
            traffic.ttft_s,
            traffic.ttft_quantile_s,
            decision.expected_ttft_s if decision else None,
            targets.ttft_s if targets else None,
        ),
        (
            "ITL",
            traffic.itl_s,
            traffic.itl_quantile_s,
            decision.expected_itl_s if decision else None,
            targets.itl_s if targets else None,
        ),
    )
    has_tail = targets is not None and targets.percentile_ratio is not None
    for name, mean, tail, expected_s, target_s in rows:
        judged = tail if has_tail else mean
        yield (
            name,
            _latency(mean, target_s if judged is mean else None),
            "",
            _latency(tail, target_s) if has_tail else "",
            _judged(expected_s, target_s, good=Tone.PLAIN),
            milliseconds(target_s),
        )


def _latency(reading: Reading, target_s: float | None) -> Cell:
    if isinstance(reading, Value):
        return _judged(reading.value, target_s, good=Tone.GOOD)
    return Cell(text=shown(reading, milliseconds))


def _judged(found_s: float | None, target_s: float | None, *, good: Tone) -> Cell:
    words = milliseconds(found_s)
    if found_s is None or target_s is None:
        return Cell(text=words)
    return (
        Cell(text=f"{words} above", tone=Tone.BAD)
        if is_above(found_s, target_s)
        else Cell(text=words, tone=good)
    )


def _health(status: Status) -> Iterator[str]:
    lines = [_part(part) for part in status.parts if not part.is_ok]
    if well := [part.part for part in status.parts if part.is_ok]:
        lines.append(toned("parts ", Cell(text="ok", tone=Tone.GOOD), f": {', '.join(well)}"))
    if status.actuation is not None and status.actuation.outcome not in _CALM:
        lines.append(wrapped(f"not scaled ({status.actuation.outcome}): {status.actuation.detail}"))
    yield "\n".join(lines)


def _part(part: PartHealth) -> str:
    failing = Cell(text="failing", tone=Tone.BAD)
    since = f" since its last try {span(part.age_s)} ago"
    why = f": {part.detail}" if part.detail else ""
    if fits(f"{part.part} failing{since}{why}"):
        return toned(f"{part.part} ", failing, f"{since}{why}")
    return f"{toned(f'{part.part} ', failing, f'{since}:')}\n{wrapped(part.detail, indent='  ')}"


def _decision(status: Status) -> Iterator[str]:
    view = _in_force(status)
    if view is None:
        yield "No decision yet."
        return
    age = span(status.at_wall_s - view.at_wall_s)
    yield "\n".join(
        [
            wrapped(f"Decided {age} ago: {view.headline}", indent="  ", first=""),
            *(
                wrapped(sentence, indent="  ", first="- ")
                for sentence in (*view.words, *where_to_read(view.decision))
            ),
        ]
    )


def _in_force(status: Status) -> DecisionView | None:
    """Return the decision that counts: the newest tick's, unless a look changed it since."""
    look = status.look
    return look if look is not None and look.decision.is_change else status.decision
