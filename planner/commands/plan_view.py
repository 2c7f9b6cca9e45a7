"""How is a plan asked for on the command line, and how does it read?"""

from collections.abc import Mapping
from dataclasses import dataclass

from config.policies import policy_from
from config.policy import Solver, Targets
from config.problems import OriginKind
from planner.commands.curves import profile_of
from planner.commands.flags import Format, Given
from planner.commands.loading import load_given
from planner.commands.output import (
    NOTHING,
    Cell,
    Column,
    Tone,
    as_json,
    milliseconds,
    table,
    toned,
    wrapped,
)
from planner.commands.plan import Plan, PlanRequest, Variation, is_overloaded, plan_for
from planner.commands.readings import is_above
from planner.commands.values import number
from planner.core.decision import Decision, Demand, PoolDecision, Reason, ReasonCode

_MOST_RPS = 1e6
_MOST_TOKENS = 1e7
# The most that settings allow: it stands in where no budget is given, and is then not applied.
_STAND_IN_BUDGET = "1000000"
_MODEL = {
    Solver.THROUGHPUT: "TTFT is that of a prompt that does not wait: the throughput solver knows no queues. "
    "ITL is at the mean load of an engine."
}
_LATENCY = {"prefill": "TTFT", "decode": "ITL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An operating point as the command line gives it."""

    rate: str
    isl: str
    osl: str

    def demand(self) -> Demand:
        """Read the numbers.

        Raises:
            ConfigError: If one is not a number that can be meant.
        """
        return Demand(
            arrivals_rps=number(
                "--rate",
                self.rate,
                least=1e-6,
                most=_MOST_RPS,
                example="requests per second, for example 12.5",
            ),
            isl_tokens=_tokens("--isl", self.isl),
            osl_tokens=_tokens("--osl", self.osl),
        )


def _tokens(flag: str, text: str) -> float:
    return number(flag, text, least=1.0, most=_MOST_TOKENS, example="tokens, for example 1000")


def show_plan(given: Given, point: Point, output: Format) -> str:
    """Return what `setpoint plan` prints.

    Raises:
        ConfigError: If the point, a setting or the profile cannot be used.
    """
    plan = plan_for(requested(given, point))
    return as_json(document(plan)) if output is Format.JSON else text(plan)


def requested(given: Given, point: Point) -> PlanRequest:
    """Read a request.

    Raises:
        ConfigError: If the point, a setting or the profile cannot be used.
    """
    demand = point.demand()
    loaded = load_given(given, base={"budget_gpus": _STAND_IN_BUDGET})
    is_budgeted = loaded.origins["budget_gpus"].kind is not OriginKind.DEFAULT
    policy = policy_from(loaded.settings, profile_of(loaded.settings))
    return PlanRequest(policy=policy, demand=demand, is_budgeted=is_budgeted)


def document(plan: Plan) -> dict[str, object]:
    """Return a plan as JSON's own types; the unit of each number is in its key."""
    policy, decision = plan.request.policy, plan.decision
    return {
        "replicas": dict(decision.replicas),
        "gpus": decision.gpus,
        "budget_gpus": plan.budget_gpus,
        "expected": _expected(decision),
        "bound_by": {pool.pool: pool.bound_by.value for pool in decision.pools},
        "reasons": list(plan.reasons),
        "reasons_data": [_reason(reason) for reason in decision.reasons],
        "cautions": list(plan.cautions),
        "demand": _demand(plan.request.demand),
        "targets": {
            "ttft_s": policy.targets.ttft_s,
            "itl_s": policy.targets.itl_s,
            "percentile_ratio": policy.targets.percentile_ratio,
        },
        "solver": policy.solver.value,
        "profile": _profile_name(plan),
        "pools": [_pool(pool) for pool in decision.pools],
        "sensitivity": [_variation(variation) for variation in plan.sensitivity],
    }


def _expected(decision: Decision) -> dict[str, float | None]:
    return {"ttft_s": decision.expected_ttft_s, "itl_s": decision.expected_itl_s}


def _demand(demand: Demand) -> dict[str, float]:
    return {
        "arrivals_rps": demand.arrivals_rps,
        "isl_tokens": demand.isl_tokens,
        "osl_tokens": demand.osl_tokens,
    }


def _reason(reason: Reason) -> Mapping[str, object]:
    return {
        "code": reason.code.value,
        "pool": reason.pool,
        "detail": reason.detail,
        "figures": dict(reason.numbers()),
    }


def _pool(pool: PoolDecision) -> dict[str, object]:
    return {
        "pool": pool.pool,
        "role": pool.role.value,
        "replicas": pool.replicas,
        "needed": pool.needed,
        "gpus_per_engine": pool.gpus_per_engine,
        "gpus": pool.gpus,
        "demand_tokens_per_s": pool.demand_tokens_per_s,
        "capacity_tokens_per_s": pool.capacity_tokens_per_s,
        "utilization_ratio": pool.utilization_ratio,
        "expected_latency_s": pool.expected_latency_s,
        "bound_by": pool.bound_by.value,
    }


def _variation(variation: Variation) -> dict[str, object]:
    return {
        "change": variation.change,
        **_demand(variation.demand),
        "itl_target_s": variation.targets.itl_s,
        "replicas": dict(variation.decision.replicas),
        "gpus": variation.decision.gpus,
        "expected": _expected(variation.decision),
        "bound_by": {pool.pool: pool.bound_by.value for pool in variation.decision.pools},
    }


def _profile_name(plan: Plan) -> str:
    return plan.request.policy.pools[0].profile.name


def text(plan: Plan) -> str:
    """Return a plan for people."""
    parts = [
        _head(plan),
        _pools_table(plan),
        "\n".join(wrapped(reason, indent="  ", first="- ") for reason in plan.reasons),
        *(wrapped(f"Caution: {caution}", indent="  ") for caution in plan.cautions),
        _sensitivity_table(plan),
        wrapped(_MODEL.get(plan.request.policy.solver, "")),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(plan: Plan) -> str:
    demand, targets = plan.request.demand, plan.request.policy.targets
    budget = "no budget given, so GPUs are not limited"
    if plan.budget_gpus is not None:
        budget = f"budget {_gpus(plan.budget_gpus)}"
    total = " + ".join(f"{pool.replicas} {pool.pool}" for pool in plan.decision.pools)
    answer = toned(Cell(text=f"{total} = {_gpus(plan.decision.gpus)}", tone=Tone.STRONG))
    asked = (
        f"for {demand.arrivals_rps:g} requests/s of {demand.isl_tokens:g} prompt and {demand.osl_tokens:g} "
        f"output tokens, with TTFT {milliseconds(targets.ttft_s)} and ITL {milliseconds(targets.itl_s)} "
        f"(profile {_profile_name(plan)}, solver {plan.request.policy.solver.value}, {budget})"
    )
    return f"{answer}\n{wrapped(asked)}"


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _pools_table(plan: Plan) -> str:
    heads = (
        Column(title="pool"),
        Column(title="engines", is_number=True),
        Column(title="GPUs", is_number=True),
        Column(title="load", is_number=True),
        Column(title="expected", is_number=True),
        Column(title="target", is_number=True),
        Column(title="bound by"),
    )
    targets = plan.request.policy.targets
    target_s = {"prefill": targets.ttft_s, "decode": targets.itl_s}
    return table(
        heads,
        [
            (
                pool.pool,
                str(pool.replicas),
                str(pool.gpus),
                _load(pool),
                _latency(pool, target_s[pool.role]),
                milliseconds(target_s[pool.role]),
                _bound(pool.bound_by),
            )
            for pool in plan.decision.pools
        ],
    )


def _latency(pool: PoolDecision, target_s: float) -> Cell:
    found_s = pool.expected_latency_s
    is_slow = found_s is not None and is_above(found_s, target_s)
    words = f"{_LATENCY[pool.role]} {milliseconds(found_s)}"
    return Cell(text=words, tone=Tone.BAD if is_slow else Tone.PLAIN)


def _load(pool: PoolDecision) -> Cell:
    if pool.utilization_ratio is None:
        return Cell(text=NOTHING)
    return Cell(text=f"{pool.utilization_ratio:.0%}", tone=Tone.BAD if is_overloaded(pool) else Tone.PLAIN)


def _bound(code: ReasonCode) -> Cell:
    words = code.value.replace("_", " ")
    return Cell(text=words, tone=Tone.PLAIN if code is ReasonCode.LOAD else Tone.WARN)


def _sensitivity_table(plan: Plan) -> str:
    pools = [pool.pool for pool in plan.decision.pools]
    heads = (
        Column(title="if it were"),
        *(Column(title=pool, is_number=True) for pool in pools),
        Column(title="GPUs", is_number=True),
        Column(title="TTFT", is_number=True),
        Column(title="ITL", is_number=True),
        Column(title="note"),
    )
    return table(heads, [_sensitivity_row(variation, plan) for variation in plan.sensitivity])


def _sensitivity_row(variation: Variation, plan: Plan) -> tuple[str | Cell, ...]:
    decision = variation.decision
    is_asked = variation.demand == plan.request.demand and variation.targets == plan.request.policy.targets
    cells = (
        variation.change,
        *(str(pool.replicas) for pool in decision.pools),
        str(decision.gpus),
        milliseconds(decision.expected_ttft_s),
        milliseconds(decision.expected_itl_s),
    )
    tone = Tone.STRONG if is_asked else Tone.PLAIN
    return (*(Cell(text=cell, tone=tone) for cell in cells), _note(variation, is_asked=is_asked))


def _note(variation: Variation, *, is_asked: bool) -> Cell:
    decision, targets = variation.decision, variation.targets
    over = [pool.pool for pool in decision.pools if is_overloaded(pool)]
    if over:
        which = f": {over[0]}" if len(over) == 1 else ""
        return Cell(text=f"overload{which}", tone=Tone.BAD)
    codes = {reason.code for reason in decision.reasons}
    if ReasonCode.TARGET_UNATTAINABLE in codes:
        return Cell(text="target out of reach", tone=Tone.BAD)
    if slow := _above(decision, targets):
        return Cell(text=f"{' and '.join(slow)} above target", tone=Tone.BAD)
    if ReasonCode.OUTSIDE_PROFILE in codes:
        return Cell(text="outside the profile", tone=Tone.WARN)
    return Cell(text="as asked" if is_asked else "", tone=Tone.DIM)


def _above(decision: Decision, targets: Targets) -> list[str]:
    expected = (
        ("TTFT", decision.expected_ttft_s, targets.ttft_s),
        ("ITL", decision.expected_itl_s, targets.itl_s),
    )
    return [
        name for name, found_s, target_s in expected if found_s is not None and is_above(found_s, target_s)
    ]
