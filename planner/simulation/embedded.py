"""What does the demo run on? One scenario with the embedded engine, complete with defaults.

A day is squeezed into an hour, so that a few minutes of watching show both pools grow and shrink while
engines still take a time to start that can be seen.
"""

from dataclasses import dataclass

from config.clock import Clock
from config.policy import Role, Targets
from planner.simulation.fleet import FleetSpec, SimulatedFleet
from planner.simulation.frontend import SimulatedFrontend
from planner.simulation.load import DayRate, LognormalLengths, poisson
from planner.simulation.pools import PoolSpec, Routing
from planner.simulation.profile import embedded_times
from planner.simulation.score import Scorecard
from planner.simulation.world import SimulatedWorld

EMBEDDED_MODEL = "embedded-8b"
DEMO_TARGETS = Targets(ttft_s=0.5, itl_s=0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The demo's world in numbers.

    Attributes:
        low_rps: Arrivals at the quietest hour.
        high_rps: Arrivals at the busiest hour.
        day_s: Length of the squeezed day.
        busiest_s: When it is busiest, from the start.
        isl_tokens: Mean prompt length.
        osl_tokens: Mean output length.
        prefill_replicas: Prefill engines at the start.
        decode_replicas: Decode engines at the start.
        startup_s: Time that a new engine needs.
        handover_s: Time that the KV cache needs from prefill to decode.
        targets: What users were promised.
        gpu_quota: What the cluster has; None is no limit.
        seed: Chooses the arrivals and lengths.
    """

    low_rps: float = 6.0
    high_rps: float = 60.0
    day_s: float = 3600.0
    busiest_s: float = 1800.0
    isl_tokens: float = 1500.0
    osl_tokens: float = 350.0
    prefill_replicas: int = 2
    decode_replicas: int = 2
    startup_s: float = 60.0
    handover_s: float = 0.005
    targets: Targets = DEMO_TARGETS
    gpu_quota: int | None = None
    seed: int = 1

    def pools(self) -> tuple[PoolSpec, ...]:
        """Return the two pools."""
        return (
            self._pool(Role.PREFILL, self.prefill_replicas, Routing.SHARED),
            self._pool(Role.DECODE, self.decode_replicas, Routing.LEAST_LOADED),
        )

    def _pool(self, role: Role, replicas: int, routing: Routing) -> PoolSpec:
        return PoolSpec(
            name=role.value,
            role=role,
            times=embedded_times(),
            replicas=replicas,
            startup_s=self.startup_s,
            routing=routing,
        )


def embedded_world(scenario: Scenario, *, clock: Clock) -> SimulatedWorld:
    """Return a world of the scenario that begins now.

    Example:
        >>> from config.clock import VirtualClock
        >>> world = embedded_world(Scenario(), clock=VirtualClock())
        >>> {name: pool.ready for name, pool in world.state().pools.items()}
        {'prefill': 2, 'decode': 2}
    """
    rate = DayRate(
        low_rps=scenario.low_rps,
        high_rps=scenario.high_rps,
        busiest_s=scenario.busiest_s,
        day_s=scenario.day_s,
        seed=scenario.seed,
    )
    lengths = LognormalLengths(isl_mean_tokens=scenario.isl_tokens, osl_mean_tokens=scenario.osl_tokens)
    frontend = SimulatedFrontend(model=EMBEDDED_MODEL)
    spec = FleetSpec(
        pools=scenario.pools(),
        handover_s=scenario.handover_s,
        gpu_quota=scenario.gpu_quota,
        seed=scenario.seed,
    )
    scorecard = Scorecard(scenario.targets, then=frontend)
    fleet = SimulatedFleet(spec, load=poisson(rate, lengths, seed=scenario.seed), observer=scorecard)
    return SimulatedWorld(fleet=fleet, frontend=frontend, scorecard=scorecard, clock=clock)
