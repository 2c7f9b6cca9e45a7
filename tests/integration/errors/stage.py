"""A fleet that serves a load, and what a tick makes of what it sees next."""

from collections.abc import Mapping
from pathlib import Path

from config.load import Loaded, load
from connectors.base import Fleet, Idle, Observation, PoolState, Reading, Traffic, Unknown, Value
from planner.core.decision import Decision
from planner.embedding import Planner
from planner.simulation.profile import embedded_profile
from tests.integration.errors.row import Row, judged

INTERVAL_S = 30.0
# No window delays a removal: only Setpoint's judgment of what it sees protects the fleet.
EAGER: Mapping[str, str] = {
    "pools.prefill.scale_down_window": "0s",
    "pools.decode.scale_down_window": "0s",
}
_BASE = {
    "budget_gpus": "16",
    "targets.ttft": "300ms",
    "targets.itl": "20ms",
    "forecast.predictor": "constant",
    "actuate": "true",
}
# Within the targets.
LOAD = Traffic(
    at_s=0.0,
    window_s=INTERVAL_S,
    arrivals_rps=Value(value=20.0, at_s=0.0),
    isl_tokens=Value(value=2000.0, at_s=0.0),
    osl_tokens=Value(value=300.0, at_s=0.0),
    ttft_s=Value(value=0.15, at_s=0.0),
    itl_s=Value(value=0.01, at_s=0.0),
    request_duration_s=Value(value=3.15, at_s=0.0),
)


def loaded(more: Mapping[str, str] = EAGER, *, file: Path | None = None) -> Loaded:
    """Return the settings of the deployment."""
    return load(flags={**_BASE, **more}, environment={}, file=file)


class Stage:
    """A deployment after two ticks of a load that needs more than the minimum of both pools."""

    def __init__(self, healthy: Traffic, more: Mapping[str, str] = EAGER) -> None:
        self._planner = Planner(loaded(more).settings, embedded_profile())
        self._now_s = 0.0
        self.counts: Mapping[str, int] = {"prefill": 1, "decode": 1}
        for _ in range(2):
            self.counts = dict(self.tick(healthy).replicas)
        assert min(self.counts.values()) > 1, "the load is too small: no count could fall"

    def tick(self, traffic: Traffic, fleet: Fleet | Unknown | None = None) -> Decision:
        """Take one tick; the fleet is what was asked for unless something else was seen."""
        self._now_s += INTERVAL_S
        return self._planner.step(
            Observation(traffic=traffic, fleet=fleet or self.fleet()), now_s=self._now_s
        )

    def fleet(self) -> Fleet:
        """Return the fleet that was asked for, all ready."""
        pools = {name: PoolState(desired=count, ready=count) for name, count in self.counts.items()}
        return Fleet(at_s=self._now_s, pools=pools)

    def row(self, what: str, traffic: Traffic, *, ticks: int = 1) -> Row:
        """Tell what the last of some ticks makes of this traffic."""
        decision = self.tick(traffic)
        for _ in range(ticks - 1):
            decision = self.tick(traffic)
        return judged(what, decision, seen=f"arrivals {in_words(traffic.arrivals_rps)}")


def in_words(reading: Reading) -> str:
    """Return a reading in short."""
    match reading:
        case Value(value=value):
            return f"{value:.6g}/s"
        case Idle():
            return "idle"
        case Unknown():
            return "unknown"
