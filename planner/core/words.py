"""Reasons as sentences: the one renderer from data to words, for log, journal, API and page."""

from collections.abc import Callable, Mapping

from planner.core.decision import Decision, Direction, PoolDecision, Reason, ReasonCode

Numbers = Mapping[str, float]

# Factors are shown with two digits; one that would read 1.00 is not mentioned.
_SHOWN = 0.005


def headline(decision: Decision) -> str:
    """Return a decision in one line.

    Example:
        >>> from config.policy import Role
        >>> from planner.core.decision import StepKind
        >>> pool = PoolDecision(pool="decode", role=Role.DECODE, current=2, ready=2, needed=4, replicas=4,
        ...                     gpus_per_engine=1)
        >>> headline(Decision(at_s=0.0, kind=StepKind.TICK, pools=(pool,), budget_gpus=8, committed_gpus=4))
        'decode 2 → 4 (load); 4 of 8 GPUs'
    """
    if not decision.pools:
        return "hold: the fleet was not seen yet"
    pools = ", ".join(_pool(pool) for pool in decision.pools)
    head = "standby: " if any(reason.code is ReasonCode.STANDBY for reason in decision.reasons) else ""
    head += "hold: " if decision.is_hold else ""
    return f"{head}{pools}; {decision.committed_gpus} of {decision.budget_gpus} GPUs"


def explain(decision: Decision) -> tuple[str, ...]:
    """Return one sentence per reason, in the order in which they arose."""
    return tuple(sentence(reason) for reason in decision.reasons)


def sentence(reason: Reason) -> str:
    """Return one reason in words, with its numbers."""
    numbers = reason.numbers()
    words = _WORDS[reason.code](reason, numbers)
    if "blind_s" in numbers:
        words = f"{words}; blind for {numbers['blind_s']:.0f} s"
    return f"{reason.pool}: {words}" if reason.pool else words


def _pool(pool: PoolDecision) -> str:
    if pool.direction is Direction.NONE:
        return f"{pool.pool} {pool.replicas} ({_short(pool.bound_by)})"
    return f"{pool.pool} {pool.current} → {pool.replicas} ({_short(pool.bound_by)})"


def _short(code: ReasonCode) -> str:
    return code.value.replace("_", " ")


def _load(_reason: Reason, n: Numbers) -> str:
    factor = n["correction_ratio"]
    corrected = f" at a correction of {factor:.2f}" if abs(factor - 1.0) >= _SHOWN else ""
    return (
        f"{n['arrivals_rps']:.2f} requests/s of {n['isl_tokens']:.0f} prompt and {n['osl_tokens']:.0f} "
        f"output tokens are {n['demand_tokens_per_s']:.0f} tokens/s{corrected}; one engine carries "
        f"{n['capacity_tokens_per_s']:.0f} tokens/s, so {_count(n['replicas'], 'is', 'are')} needed"
    )


def _unattainable(_reason: Reason, n: Numbers) -> str:
    return (
        f"no load is light enough to meet the ITL target of {_ms(n['itl_target_s'])}: the best that this "
        f"engine does is {_ms(n['best_itl_s'])} (correction {n['correction_ratio']:.2f}); sized for one "
        "request per engine. Raise the target or use faster engines"
    )


def _outside(reason: Reason, n: Numbers) -> str:
    return (
        f"{_short_name(reason.detail)} of {n['value']:.0f} tokens lies outside the profile; its edge was used"
    )


def _short_name(name: str) -> str:
    return {"isl_tokens": "a prompt length", "context_tokens": "a context"}.get(name, name)


def _clamped(_reason: Reason, n: Numbers) -> str:
    return f"the correction factor {n['observed_ratio']:.2f} was bounded to {n['ratio']:.2f}"


def _frozen(reason: Reason, n: Numbers) -> str:
    return f"the correction factor stays {n['ratio']:.2f}: latency is unknown ({reason.detail})"


def _remembered(reason: Reason, n: Numbers) -> str:
    return f"the last known length of {n['tokens']:.0f} tokens stands in ({reason.detail})"


def _forecast_missing(_reason: Reason, n: Numbers) -> str:
    return f"there is no usable forecast; sized for the observed {n['arrivals_rps']:.2f} requests/s"


def _settling(_reason: Reason, n: Numbers) -> str:
    starting = f" and {_count(n['starting'], 'is', 'are')} starting" if n["starting"] else ""
    serving = _count(n["ready"], "engine serves", "engines serve")
    return f"still settling: {serving}{starting}, {_count(n['desired'], 'was', 'were')} asked for"


def _failing(reason: Reason, n: Numbers) -> str:
    fail, count = ("engine fails", "counts") if n["failing"] == 1 else ("engines fail", "count")
    why = f": {reason.detail}" if reason.detail else ""
    return f"{n['failing']:.0f} {fail} to start and {count} against the budget{why}"


def _gpus_reported(_reason: Reason, n: Numbers) -> str:
    return (
        f"an engine takes {_count(n['gpus'], 'GPU', 'GPUs')}, as the fleet reports; gpus_per_engine is "
        f"{n['set_gpus']:.0f} and is not used"
    )


def _grace_short(_reason: Reason, n: Numbers) -> str:
    return (
        f"engines are given {n['grace_s']:.0f} s to finish, the longest requests take "
        f"{n['longest_s']:.0f} s: raise terminationGracePeriodSeconds"
    )


def _unschedulable(_reason: Reason, n: Numbers) -> str:
    wait = _count(n["unschedulable"], "engine waits", "engines wait")
    return (
        f"{n['wanted']:.0f} wanted, {n['replicas']:.0f} granted: {wait} for GPUs that nobody has; asking for "
        "more would only wait, too"
    )


def _left_alone(reason: Reason, n: Numbers) -> str:
    stay = _count(n["replicas"], "stays", "stay")
    counts = stay if n["wanted"] == n["replicas"] else f"{n['wanted']:.0f} wanted, {stay}"
    return f"left alone: {reason.detail}; {counts}"


def _changed(text: str) -> Callable[[Reason, Numbers], str]:
    def words(_reason: Reason, n: Numbers) -> str:
        found = f"; {_count(n['found'], 'was', 'were')} found at start" if "found" in n else ""
        return f"{n['wanted']:.0f} wanted, {n['replicas']:.0f} granted: {text.format(**n)}{found}"

    return words


def _surge(_reason: Reason, n: Numbers) -> str:
    band = f"the forecast's band (up to {n['edge_rps']:.2f})"
    return f"arrivals of {n['arrivals_rps']:.2f} requests/s left {band}; {_meanwhile(n)}"


def _queue(_reason: Reason, n: Numbers) -> str:
    wait = f"{n['backlog']:.0f} requests wait beyond what {n['arrivals_rps']:.2f} requests/s explain"
    return f"{wait}; {_meanwhile(n)}"


def _meanwhile(n: Numbers) -> str:
    # Of a tick, which keeps what is there, the reason tells what the pool would have had otherwise.
    return "nothing is removed" if "wanted" in n else "sized for at once"


def _called_off(_reason: Reason, n: Numbers) -> str:
    return (
        f"the pending removal is called off: {_count(n['live'], 'engine is', 'engines are')} still there, "
        f"{n['desired']:.0f} were to stay, {n['replicas']:.0f} are to stay now"
    )


def _detail(text: str) -> Callable[[Reason, Numbers], str]:
    return lambda reason, _n: text.format(detail=reason.detail)


def _blind_lengths(reason: Reason, n: Numbers) -> str:
    age = f" for {n['age_s']:.0f} s" if "age_s" in n else ""
    return f"holding: request lengths are not known{age} ({reason.detail})"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000.0:.4g} ms"


def _count(number: float, one: str, many: str) -> str:
    return f"{number:.0f} {one if number == 1 else many}"


_WORDS: Mapping[ReasonCode, Callable[[Reason, Numbers], str]] = {
    ReasonCode.LOAD: _load,
    ReasonCode.TARGET_UNATTAINABLE: _unattainable,
    ReasonCode.OUTSIDE_PROFILE: _outside,
    ReasonCode.CORRECTION_CLAMPED: _clamped,
    ReasonCode.CORRECTION_FROZEN: _frozen,
    ReasonCode.LENGTHS_REMEMBERED: _remembered,
    ReasonCode.FORECAST_MISSING: _forecast_missing,
    ReasonCode.SETTLING: _settling,
    ReasonCode.ENGINES_FAILING: _failing,
    ReasonCode.GPUS_REPORTED: _gpus_reported,
    ReasonCode.GRACE_SHORT: _grace_short,
    ReasonCode.STANDBY: _detail("standby: {detail}; written only once this process leads"),
    ReasonCode.MINIMUM: _changed("the pool's minimum is {minimum:.0f}"),
    ReasonCode.MAXIMUM: _changed("the pool's maximum is {maximum:.0f}"),
    ReasonCode.TARGET_MINIMUM: _changed("the target itself has a minimum of {minimum:.0f}"),
    ReasonCode.TARGET_MAXIMUM: _changed("the target itself has a maximum of {maximum:.0f}"),
    ReasonCode.UNSCHEDULABLE: _unschedulable,
    ReasonCode.PAUSED: _left_alone,
    ReasonCode.ROLLING_OUT: _left_alone,
    ReasonCode.RIVAL: _left_alone,
    ReasonCode.BUDGET: _changed("{asked_gpus:.0f} GPUs would exceed the budget of {budget_gpus:.0f}"),
    ReasonCode.BUDGET_WAIT: _changed(
        "the rest waits for GPUs that engines on their way out still hold (budget {budget_gpus:.0f}, "
        "shutting down {leaving_gpus:.0f})"
    ),
    ReasonCode.STEP_UP: _changed("one decision adds at most {step:.0f}"),
    ReasonCode.STEP_DOWN: _changed("one decision removes at most {step:.0f}"),
    ReasonCode.WINDOW_UP: _changed("this many were wanted throughout the last {window_s:.0f} s"),
    ReasonCode.WINDOW_DOWN: _changed("so many were needed within the last {window_s:.0f} s"),
    ReasonCode.SURGE: _surge,
    ReasonCode.QUEUE: _queue,
    ReasonCode.REMOVAL_CALLED_OFF: _called_off,
    ReasonCode.QUIET: _detail("nothing left the forecast's band"),
    ReasonCode.BLIND_ARRIVALS: _detail("holding: the offered load is not known ({detail})"),
    ReasonCode.BLIND_LENGTHS: _blind_lengths,
    ReasonCode.BLIND_FLEET: _detail("holding: the fleet is not known ({detail})"),
    ReasonCode.INTERNAL: _detail("holding: Setpoint failed inside ({detail}); please report it"),
}
