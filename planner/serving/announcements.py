"""Which records are worth an Event on the target, and what is the last decision in a few words?

Pure but for the memory of what was told last: each change and each refusal is told, each hold once when it
begins and once when it ends. A process that stands by tells nothing; when it leads, it tells what is so then.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from planner.core.decision import Decision, Direction, PoolDecision, Reason, ReasonCode
from planner.core.words import sentence
from planner.serving.records import Actuated, Outcome, Record, Stepped
from planner.serving.status import Explain, Headline

_FAILURES = {Outcome.REFUSED: "was refused", Outcome.FAILED: "was not done"}
# Why a pool, or the whole fleet, is left as it is; and whether somebody should look at it.
_HOLDS = {
    ReasonCode.PAUSED: False,
    ReasonCode.ROLLING_OUT: False,
    ReasonCode.RIVAL: True,
    ReasonCode.UNSCHEDULABLE: True,
    ReasonCode.ENGINES_FAILING: True,
    ReasonCode.BLIND_ARRIVALS: True,
    ReasonCode.BLIND_LENGTHS: True,
    ReasonCode.BLIND_FLEET: True,
    ReasonCode.INTERNAL: True,
}
# What tells little by itself, comes and goes, and is no reason to write the ConfigMap again.
_PASSING = frozenset(
    {ReasonCode.SETTLING, ReasonCode.QUEUE, ReasonCode.CORRECTION_CLAMPED, ReasonCode.LENGTHS_REMEMBERED}
)

_Key = tuple[str, ReasonCode]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """Something that is told on the target.

    Attributes:
        pool: The pool that it concerns; empty if it concerns all.
        is_warning: Whether somebody should look at it.
        reason: One word in camel case.
        message: Words for people.
    """

    pool: str
    is_warning: bool
    reason: str
    message: str


class Announcer:
    """Turns records into announcements, and remembers what was told.

    Args:
        explain: Renders a decision's reasons, one sentence each.
        headline: Renders a decision in one line.
    """

    def __init__(self, *, explain: Explain, headline: Headline) -> None:
        self._explain, self._headline = explain, headline
        self._decision: Decision | None = None
        self._holds: dict[_Key, str] = {}
        self._essence: object = None

    def take(self, record: Record) -> tuple[Announcement, ...]:
        """Return what a record has to tell, in order."""
        if isinstance(record, Stepped):
            return self._stepped(record)
        return self._actuated(record) if isinstance(record, Actuated) else ()

    def summary(self, record: Record) -> Mapping[str, str] | None:
        """Return the last decision for a ConfigMap; None if it says nothing that the last one did not."""
        if not isinstance(record, Stepped) or _stands_by(record.decision):
            return None
        essence = _essence(record.decision)
        if essence == self._essence:
            return None
        self._essence = essence
        return self._summed_up(record)

    def _stepped(self, record: Stepped) -> tuple[Announcement, ...]:
        self._decision = record.decision
        if _stands_by(record.decision):
            self._holds.clear()
            return ()
        now = {(reason.pool, reason.code): reason for reason in _held(record.decision)}
        unseen = _unseen(self._holds, now)
        begun = tuple(_begun(reason) for key, reason in now.items() if key not in self._holds)
        over = {key: why for key, why in self._holds.items() if key not in now and key not in unseen}
        ended = tuple(_ended(key, why) for key, why in over.items())
        # What is told at the end is what was told at the beginning.
        self._holds = unseen | {key: self._holds.get(key, sentence(reason)) for key, reason in now.items()}
        return (*begun, *ended)

    def _actuated(self, record: Actuated) -> tuple[Announcement, ...]:
        if self._decision is None:
            return ()
        changed = [pool for pool in self._decision.pools if pool.direction is not Direction.NONE]
        if record.outcome is Outcome.APPLIED:
            return tuple(_scaled(pool, self._decision.reasons) for pool in changed)
        failure = _FAILURES.get(record.outcome)
        return tuple(_failed(pool, failure, record.detail) for pool in changed) if failure else ()

    def _summed_up(self, record: Stepped) -> Mapping[str, str]:
        decision = record.decision
        decided = {
            "at": datetime.fromtimestamp(record.at_wall_s, tz=UTC).isoformat(timespec="seconds"),
            "target": record.target,
            "kind": decision.kind.value,
            "hold": decision.is_hold,
            "budget_gpus": decision.budget_gpus,
            "committed_gpus": decision.committed_gpus,
            "pools": {
                pool.pool: {
                    "before": pool.current,
                    "replicas": pool.replicas,
                    "ready": pool.ready,
                    "bound_by": pool.bound_by.value,
                }
                for pool in decision.pools
            },
        }
        return {
            "decision": self._headline(decision),
            "reasons": "\n".join(self._explain(decision)),
            "decision.json": json.dumps(decided, ensure_ascii=False, sort_keys=True),
        }


def _stands_by(decision: Decision) -> bool:
    return any(reason.code is ReasonCode.STANDBY for reason in decision.reasons)


def _held(decision: Decision) -> tuple[Reason, ...]:
    return tuple(reason for reason in decision.reasons if reason.code in _HOLDS)


def _unseen(holds: Mapping[_Key, str], now: Collection[_Key]) -> dict[_Key, str]:
    """Return the holds of pools that nobody looks for while the whole fleet is held: they may go on."""
    is_whole = any(not pool for pool, _ in now)
    return {key: why for key, why in holds.items() if is_whole and key[0] and key not in now}


def _essence(decision: Decision) -> object:
    pools = tuple((pool.pool, pool.replicas, pool.bound_by) for pool in decision.pools)
    codes = frozenset(
        (reason.pool, reason.code) for reason in decision.reasons if reason.code not in _PASSING
    )
    return pools, codes, decision.is_hold, decision.budget_gpus


def _scaled(pool: PoolDecision, reasons: tuple[Reason, ...]) -> Announcement:
    return Announcement(
        pool=pool.pool, is_warning=False, reason="Scaled", message=f"{_change(pool)}{_why(pool, reasons)}"
    )


def _failed(pool: PoolDecision, failure: str, detail: str) -> Announcement:
    why = f": {detail}" if detail else ""
    return Announcement(
        pool=pool.pool,
        is_warning=True,
        reason="ScalingFailed",
        message=f"{_change(pool)} {failure}{why}",
    )


def _change(pool: PoolDecision) -> str:
    return f"{pool.pool} {pool.current} → {pool.replicas} ({pool.bound_by.value.replace('_', ' ')})"


def _why(pool: PoolDecision, reasons: tuple[Reason, ...]) -> str:
    """Return the reason that set the count, in words; the last of its kind counts."""
    for reason in reversed(reasons):
        if reason.code is pool.bound_by and reason.pool in {"", pool.pool}:
            return f": {sentence(reason).removeprefix(f'{pool.pool}: ')}"
    return ""


def _begun(reason: Reason) -> Announcement:
    return Announcement(
        pool=reason.pool, is_warning=_HOLDS[reason.code], reason="Holding", message=sentence(reason)
    )


def _ended(key: _Key, why: str) -> Announcement:
    pool, _ = key
    return Announcement(pool=pool, is_warning=False, reason="HoldEnded", message=f"no longer: {why}")
