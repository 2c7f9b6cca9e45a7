"""A small deployment with closed-form curves, and one-line builders of what a step takes."""

from config.policy import (
    CorrectionPolicy,
    DecodePoints,
    EngineProfile,
    LookPolicy,
    Policy,
    PoolPolicy,
    PrefillPoints,
    Role,
    Targets,
)
from connectors.base import Fleet, Observation, PoolState, Reading, Traffic, Unknown, Value
from planner.core.decision import Decision, Reason, ReasonCode, StepKind
from planner.core.state import State, initial_state
from planner.core.step import step
from planner.core.words import sentence
from predictors.base import Forecast, SeriesForecast

INTERVAL_S = 30.0
MAX_KV_TOKENS = 100_000.0
PROMPTS = (100.0, 1000.0, 4000.0, 8000.0)
LATTICE = tuple(
    (kv, context) for kv in (0.05, 0.2, 0.5, 0.8, 1.0) for context in (200.0, 1000.0, 3000.0, 6000.0)
)


def itl_of(kv: float, context: float) -> float:
    """Return the ITL of the lattice: 5 ms when empty, 25 ms when full."""
    return 0.005 + 0.02 * kv + 1e-8 * context


PROFILE = EngineProfile(
    name="closed form",
    prefill=PrefillPoints(
        isl_tokens=PROMPTS,
        ttft_s=tuple(0.02 + isl * 5e-5 for isl in PROMPTS),
        throughput_tokens_per_s_per_gpu=(10_000.0,) * len(PROMPTS),
    ),
    decode=DecodePoints(
        kv_usage_ratio=tuple(kv for kv, _ in LATTICE),
        context_tokens=tuple(context for _, context in LATTICE),
        itl_s=tuple(itl_of(kv, context) for kv, context in LATTICE),
        throughput_tokens_per_s_per_gpu=tuple(
            kv * MAX_KV_TOKENS / context / itl_of(kv, context) for kv, context in LATTICE
        ),
        max_kv_tokens=MAX_KV_TOKENS,
    ),
)

# One engine of 10,000 prompt tokens/s carries ten requests/s of this length.
ISL, OSL = 1000.0, 100.0


def pool(
    name: str = "prefill",
    *,
    gpus: int = 1,
    bounds: tuple[int, int | None] = (1, None),
    steps: tuple[int | None, int | None] = (None, None),
    windows_s: tuple[float, float] = (0.0, 0.0),
) -> PoolPolicy:
    """Make a pool named after its role; steps and windows are (up, down)."""
    return PoolPolicy(
        name=name,
        role=Role(name),
        profile=PROFILE,
        gpus_per_engine=gpus,
        min_replicas=bounds[0],
        max_replicas=bounds[1],
        max_step_up=steps[0],
        max_step_down=steps[1],
        scale_up_window_s=windows_s[0],
        scale_down_window_s=windows_s[1],
    )


def policy(
    *pools: PoolPolicy,
    budget_gpus: int = 64,
    itl_s: float = 0.02,
    correction: CorrectionPolicy | None = None,
    look: LookPolicy | None = None,
) -> Policy:
    """Make a policy; a prefill and a decode pool without limits unless others are given."""
    return Policy(
        pools=pools or (pool("prefill"), pool("decode")),
        targets=Targets(ttft_s=0.2, itl_s=itl_s),
        budget_gpus=budget_gpus,
        interval_s=INTERVAL_S,
        correction=correction or CorrectionPolicy(),
        look=look or LookPolicy(),
    )


def seen(number: float | Reading, now_s: float = 0.0) -> Reading:
    """Return a reading as it is, or the reading of a number, unchecked."""
    return Value(value=number, at_s=now_s) if isinstance(number, int | float) else number


def traffic(
    arrivals_rps: float | Reading,
    *,
    isl: float | Reading = ISL,
    osl: float | Reading = OSL,
    window_s: float = INTERVAL_S,
    **others: float | Reading,
) -> Traffic:
    """Make the traffic of a window; other signals by their name."""
    readings = {name: seen(value) for name, value in others.items()}
    return Traffic(
        at_s=0.0,
        window_s=window_s,
        arrivals_rps=seen(arrivals_rps),
        isl_tokens=seen(isl),
        osl_tokens=seen(osl),
        ttft_s=readings.get("ttft_s", seen(0.07)),
        itl_s=readings.get("itl_s", seen(0.01)),
        request_duration_s=readings.get("request_duration_s", seen(1.0)),
        queued=readings.get("queued", seen(0.0)),
    )


def fleet(**pools: PoolState | int) -> Fleet:
    """Make a fleet; a plain count is that many engines, all ready."""
    states = {
        name: PoolState(desired=state, ready=state) if isinstance(state, int) else state
        for name, state in pools.items()
    }
    return Fleet(at_s=0.0, pools=states)


def forecast(arrivals_rps: float, *, isl: float | None = ISL, osl: float | None = OSL) -> Forecast:
    """Make a point forecast."""
    return Forecast(
        made_at_s=0.0,
        horizon_s=60.0,
        predictor="test",
        arrivals_rps=SeriesForecast(mean=arrivals_rps),
        isl_tokens=None if isl is None else SeriesForecast(mean=isl),
        osl_tokens=None if osl is None else SeriesForecast(mean=osl),
        points=10,
    )


class Loop:
    """Folds `step` as the shell does, keeping the state between calls."""

    def __init__(self, rules: Policy) -> None:
        self.policy = rules
        self.state: State = initial_state(rules)
        self.now_s = 0.0

    def tick(
        self,
        arrivals_rps: float | Traffic,
        engines: Fleet | Unknown,
        *,
        plan: Forecast | float | None = None,
        after_s: float = INTERVAL_S,
    ) -> Decision:
        """Run one tick; the forecast is what was seen unless another is given."""
        return self._step(arrivals_rps, engines, plan, after_s=after_s, kind=StepKind.TICK)

    def look(
        self,
        arrivals_rps: float | Traffic,
        engines: Fleet | Unknown,
        *,
        plan: Forecast | float | None = None,
        after_s: float = 5.0,
    ) -> Decision:
        """Run one look."""
        return self._step(arrivals_rps, engines, plan, after_s=after_s, kind=StepKind.LOOK)

    def _step(
        self,
        arrivals_rps: float | Traffic,
        engines: Fleet | Unknown,
        plan: Forecast | float | None,
        *,
        after_s: float,
        kind: StepKind,
    ) -> Decision:
        self.now_s += after_s
        window = arrivals_rps if isinstance(arrivals_rps, Traffic) else traffic(arrivals_rps)
        if plan is None and not isinstance(arrivals_rps, Traffic):
            plan = arrivals_rps
        self.state, decision = step(
            self.policy,
            self.state,
            Observation(traffic=window, fleet=engines),
            forecast(plan) if isinstance(plan, int | float) else plan,
            now_s=self.now_s,
            kind=kind,
        )
        return decision


def codes(decision: Decision) -> set[ReasonCode]:
    """Return the codes of all reasons."""
    return {reason.code for reason in decision.reasons}


def reason(decision: Decision, code: ReasonCode, name: str = "") -> Reason:
    """Return the one reason of a code (and pool)."""
    found = [r for r in decision.reasons if r.code is code and name in ("", r.pool)]
    assert len(found) == 1, (code, decision.reasons)
    return found[0]


def say(decision: Decision, code: ReasonCode, name: str = "") -> str:
    """Return the one reason of a code (and pool) in words."""
    return sentence(reason(decision, code, name))


def counts(decision: Decision) -> dict[str, int]:
    """Return the decided counts."""
    return dict(decision.replicas)
