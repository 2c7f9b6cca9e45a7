"""What a cluster may say of its pools, and what a tick makes of it while the load triples."""

from dataclasses import replace

from connectors.base import HoldKind, PoolHold, PoolState, Value
from tests.integration.errors.row import Row, judged
from tests.integration.errors.stage import LOAD, Stage

MORE = replace(LOAD, arrivals_rps=Value(value=60.0, at_s=0.0))
_PAUSED = "paused by the annotation setpoint.dev/paused: load test by Ada"
_ROLLS = "deployment decode rolls out: 1 of 2 pods are new"
_RIVAL = "somebody else scales it, too: horizontalpodautoscaler decode"
_PULL = "1 pod ImagePullBackOff (decode-7d9f: not found)"
_ROOM = "1 pod Unschedulable (decode-7d9f: Insufficient nvidia.com/gpu)"
# As many engines of the decode pool as the load before needed.
_DECODE = PoolState(desired=2, ready=2)
_LESS_ONE = replace(_DECODE, ready=1, failing=1)
STATES: tuple[tuple[str, PoolState], ...] = (
    ("somebody paused the pool", replace(_DECODE, hold=PoolHold(kind=HoldKind.PAUSED, why=_PAUSED))),
    ("the pool rolls out", replace(_DECODE, hold=PoolHold(kind=HoldKind.ROLLING_OUT, why=_ROLLS))),
    ("another autoscaler has it", replace(_DECODE, hold=PoolHold(kind=HoldKind.RIVAL, why=_RIVAL))),
    ("an image cannot be pulled", replace(_LESS_ONE, why_failing=_PULL)),
    ("no node has room for an engine", replace(_LESS_ONE, unschedulable=1, why_failing=_ROOM)),
    ("the target has a maximum of its own", replace(_DECODE, most=2)),
    ("a limit that cannot be", replace(_DECODE, most=-1)),
)


def cluster() -> list[Row]:
    """Tick on each state that a cluster may report of the decode pool, and as a standby."""
    return [*(_decode(what, state) for what, state in STATES), _standby()]


def _decode(what: str, state: PoolState) -> Row:
    stage = Stage(LOAD)
    fleet = stage.fleet()
    assert fleet.pools["decode"].desired == state.desired
    seen = replace(fleet, pools={**fleet.pools, "decode": state})
    return judged(what, stage.tick(MORE, seen), seen="the load tripled")


def _standby() -> Row:
    stage = Stage(LOAD)
    seen = replace(stage.fleet(), standby="setpoint-0 holds the lease setpoint-llm")
    return judged("another daemon leads", stage.tick(MORE, seen), seen="the load tripled")
