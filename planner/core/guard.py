"""The limits around the solver: minimum and maximum, windows, steps, the budget.

A chain of small stages, each a plan in and a plan with reasons out. The order is the precedence of DESIGN §4
read backwards: what comes later wins, and the budget comes last.

What is committed of the budget is Σ over pools of (max(desired, live) + terminating) × GPUs per engine, so an
engine that was given up counts until its GPUs are free: a plan that shrinks one pool to grow another shrinks
first and grows when the release is seen.
"""

from dataclasses import dataclass, replace

from config.policy import PoolPolicy
from connectors.base import PoolState
from planner.core.budget import Claim, cost_gpus, fair_split, split
from planner.core.decision import Reason, ReasonCode, because
from planner.core.state import Wish

# Ticks come at a fixed rate, but what they see takes its time, now more, now less; that misses no window.
_TICK_SLACK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """What is planned for one pool so far.

    Attributes:
        pool: Its limits.
        state: Its engines.
        gpus: GPUs of one engine.
        wishes: What was wanted at earlier ticks, oldest first.
        wanted: The count so far.
        bound_by: What set the count last.
        reasons: All that did, in order.
    """

    pool: PoolPolicy
    state: PoolState
    gpus: int
    wishes: tuple[Wish, ...]
    wanted: int
    bound_by: ReasonCode = ReasonCode.LOAD
    reasons: tuple[Reason, ...] = ()

    def to(self, count: int, reason: ReasonCode, **figures: float) -> "PoolPlan":
        """Return the plan with another count and the reason for it; itself where the count is the same."""
        if count == self.wanted:
            return self
        why = because(reason, pool=self.pool.name, detail="", wanted=self.wanted, replicas=count, **figures)
        return replace(self, wanted=count, bound_by=reason, reasons=(*self.reasons, why))


Plans = tuple[PoolPlan, ...]


def committed_gpus(plans: Plans) -> int:
    """Return the GPUs that are held or asked for once the plans are written."""
    return sum((max(plan.wanted, plan.state.live) + plan.state.terminating) * plan.gpus for plan in plans)


def hold(plan: PoolPlan, reason: ReasonCode) -> PoolPlan:
    """Keep what the pool was asked for."""
    return replace(plan, wanted=plan.state.desired, bound_by=reason)


def limited(pool: PoolPolicy, replicas: int) -> int:
    """Return a count within the pool's own maximum and minimum; the minimum wins.

    Example:
        >>> from config.policy import EngineProfile, Role
        >>> profile = EngineProfile(name="x")
        >>> pool = PoolPolicy(name="decode", role=Role.DECODE, profile=profile, max_replicas=4)
        >>> limited(pool, 0), limited(pool, 3), limited(pool, 9)
        (1, 3, 4)
    """
    most = replicas if pool.max_replicas is None else pool.max_replicas
    return max(min(replicas, most), pool.min_replicas)


def limit(plan: PoolPlan) -> PoolPlan:
    """Apply the pool's own maximum, then its minimum, then those that the target itself has."""
    pool, target = plan.pool, plan.state
    if pool.max_replicas is not None:
        plan = plan.to(min(plan.wanted, pool.max_replicas), ReasonCode.MAXIMUM, maximum=pool.max_replicas)
    plan = plan.to(max(plan.wanted, pool.min_replicas), ReasonCode.MINIMUM, minimum=pool.min_replicas)
    if target.most is not None:
        plan = plan.to(min(plan.wanted, target.most), ReasonCode.TARGET_MAXIMUM, maximum=target.most)
    return plan.to(max(plan.wanted, target.least), ReasonCode.TARGET_MINIMUM, minimum=target.least)


def remember(plan: PoolPlan, *, now_s: float) -> PoolPlan:
    """Add the present wish to the pool's memory and drop what no window needs."""
    longest_s = max(plan.pool.scale_up_window_s, plan.pool.scale_down_window_s)
    kept = _in_force(plan.wishes, window_s=longest_s, now_s=now_s)
    return replace(plan, wishes=(*kept, Wish(at_s=now_s, replicas=plan.wanted)))


def damp(plan: PoolPlan, *, now_s: float) -> PoolPlan:
    """Take a change only as far as it was wanted throughout the window of its direction.

    A wish holds until the next one: a time without ticks or without sight counts as the last wish before it.
    """
    pool, current = plan.pool, plan.state.desired
    if plan.wanted < current:
        recent = _recent(plan.wishes, window_s=pool.scale_down_window_s, now_s=now_s)
        count = min(current, max((plan.wanted, *recent)))
        return plan.to(count, ReasonCode.WINDOW_DOWN, window_s=pool.scale_down_window_s)
    recent = _recent(plan.wishes, window_s=pool.scale_up_window_s, now_s=now_s)
    count = max(current, min((plan.wanted, *recent)))
    return plan.to(count, ReasonCode.WINDOW_UP, window_s=pool.scale_up_window_s)


def pace(plan: PoolPlan) -> PoolPlan:
    """Bound the size of one step."""
    pool, current = plan.pool, plan.state.desired
    if pool.max_step_up is not None:
        count = min(plan.wanted, max(current, 0) + pool.max_step_up)
        plan = plan.to(count, ReasonCode.STEP_UP, step=pool.max_step_up)
    if pool.max_step_down is not None:
        count = max(plan.wanted, current - pool.max_step_down)
        plan = plan.to(count, ReasonCode.STEP_DOWN, step=pool.max_step_down)
    return plan


def within_budget(plans: Plans, budget_gpus: int) -> Plans:
    """Make the planned counts fit the budget.

    A pool that is held keeps what it has, and the others share the rest. Where it leaves them less than their
    minimums, they keep those: to end the service would not undo the hold.
    """
    free = tuple(plan for plan in plans if plan.state.hold is None)
    asked_gpus = sum(plan.wanted * plan.gpus for plan in plans)
    room_gpus = budget_gpus - sum(plan.wanted * plan.gpus for plan in plans if plan.state.hold is not None)
    if len(free) < len(plans):
        room_gpus = max(room_gpus, _least_gpus(_claims(free, tuple(plan.pool.min_replicas for plan in free))))
    counts = iter(split(_claims(free, _floors(free, room_gpus)), room_gpus))
    whole = tuple(next(counts) if plan.state.hold is None else plan.wanted for plan in plans)
    return _cut(plans, whole, ReasonCode.BUDGET, budget_gpus=budget_gpus, asked_gpus=asked_gpus)


def _floors(plans: Plans, budget_gpus: int) -> tuple[int, ...]:
    """Return what each pool should not go below: the target's minimum too, where the budget has room."""
    own = tuple(plan.pool.min_replicas for plan in plans)
    both = tuple(max(least, plan.state.least) for plan, least in zip(plans, own, strict=True))
    return both if _least_gpus(_claims(plans, both)) <= budget_gpus else own


def _least_gpus(claims: tuple[Claim, ...]) -> int:
    return cost_gpus(claims, tuple(claim.least for claim in claims))


def affordable(plans: Plans, budget_gpus: int) -> Plans:
    """Take additions only as far as committed GPUs stay within the budget.

    Reductions always pass. An addition onto engines that still live (a removal called off) costs nothing.
    """
    if committed_gpus(plans) <= budget_gpus:
        return plans
    held = tuple(min(plan.wanted, max(plan.state.desired, plan.state.live)) for plan in plans)
    floors = tuple(max(least, plan.state.live) for plan, least in zip(plans, held, strict=True))
    leaving = sum(plan.state.terminating * plan.gpus for plan in plans)
    claims = tuple(
        Claim(wanted=max(plan.wanted, floor), least=floor, gpus=plan.gpus)
        for plan, floor in zip(plans, floors, strict=True)
    )
    room_gpus = budget_gpus - leaving
    fits = cost_gpus(claims, floors) <= room_gpus
    granted = fair_split(claims, room_gpus) if fits else held
    counts = tuple(
        min(plan.wanted, max(count, least)) for plan, count, least in zip(plans, granted, held, strict=True)
    )
    asked = sum(plan.wanted * plan.gpus for plan in plans)
    if asked > budget_gpus:  # waiting would not help
        return _cut(plans, counts, ReasonCode.BUDGET, budget_gpus=budget_gpus, asked_gpus=asked)
    return _cut(plans, counts, ReasonCode.BUDGET_WAIT, budget_gpus=budget_gpus, leaving_gpus=leaving)


def _cut(plans: Plans, counts: tuple[int, ...], reason: ReasonCode, **figures: float) -> Plans:
    return tuple(plan.to(count, reason, **figures) for plan, count in zip(plans, counts, strict=True))


def _claims(plans: Plans, least: tuple[int, ...]) -> tuple[Claim, ...]:
    return tuple(
        Claim(wanted=plan.wanted, least=min(floor, plan.wanted), gpus=plan.gpus)
        for plan, floor in zip(plans, least, strict=True)
    )


def _recent(wishes: tuple[Wish, ...], *, window_s: float, now_s: float) -> tuple[int, ...]:
    return tuple(wish.replicas for wish in _in_force(wishes, window_s=window_s, now_s=now_s))


def _in_force(wishes: tuple[Wish, ...], *, window_s: float, now_s: float) -> tuple[Wish, ...]:
    """Return the wishes of a window, led by the one that held when it began."""
    if window_s <= 0.0:
        return ()
    begin_s = now_s - window_s
    before = tuple(wish for wish in wishes if wish.at_s < begin_s + _TICK_SLACK_S)
    return (*before[-1:], *(wish for wish in wishes if wish.at_s >= begin_s + _TICK_SLACK_S))
