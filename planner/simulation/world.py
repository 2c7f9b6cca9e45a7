"""How does Setpoint meet the simulated fleet? Through the two doors that a cluster has: metrics and scaling.

The world follows a clock: whoever looks or scales makes everything happen that was due by then.
"""

from config.clock import Clock
from connectors.base import Actuator, Fleet, Replicas
from planner.simulation.fleet import Census, SimulatedFleet
from planner.simulation.frontend import SimulatedFrontend
from planner.simulation.score import Score, Scorecard


class SimulatedWorld:
    """A fleet and its frontend, kept up with a clock.

    Args:
        fleet: The fleet; nobody else advances it.
        frontend: The frontend that watches it.
        scorecard: Who judges the requests; it must be among those that the fleet tells.
        clock: The time that it follows; its reading at construction is the fleet's time now.
    """

    def __init__(
        self, *, fleet: SimulatedFleet, frontend: SimulatedFrontend, scorecard: Scorecard, clock: Clock
    ) -> None:
        self._fleet = fleet
        self._frontend = frontend
        self._scorecard = scorecard
        self._clock = clock
        self._offset_s = fleet.now_s - clock.now_s()

    @property
    def now_s(self) -> float:
        """The simulation's time: the clock's, counted from where the fleet began."""
        return self._clock.now_s() + self._offset_s

    def advance(self) -> None:
        """Let everything happen that was due by now."""
        self._fleet.advance(self.now_s)

    def state(self) -> Fleet:
        """Return the fleet as it is now, with the time of the clock."""
        self.advance()
        return Fleet(at_s=self._clock.now_s(), pools=self._fleet.state().pools)

    def scale(self, replicas: Replicas) -> None:
        """Ask for these counts; pools that shrink go first, so that a GPU quota sees their release.

        Raises:
            Refused: If there is no such pool, or the GPU quota does not allow it.
        """
        self.advance()
        pools = self._fleet.state().pools
        growth = {
            name: count - pools[name].desired if name in pools else 0 for name, count in replicas.items()
        }
        for name in sorted(replicas, key=growth.__getitem__):
            self._fleet.scale(name, replicas[name])

    def score(self) -> Score:
        """Judge what users got up to now, and what it cost."""
        self.advance()
        return self._scorecard.score(now_s=self._fleet.now_s, gpu_hours=self._fleet.gpu_hours)

    def census(self) -> Census:
        """Count where all requests are now."""
        self.advance()
        return self._fleet.census()

    def metrics_text(self) -> str:
        """Return what the frontend's /metrics says now."""
        self.advance()
        return self._frontend.text()

    def actuator(self) -> Actuator:
        """Return the door for scaling."""
        return WorldActuator(self)


class WorldActuator:
    """Scales a simulated fleet as an orchestrator would."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world

    async def read(self) -> Fleet:
        """Return the fleet as it is now."""
        return self._world.state()

    async def scale(self, replicas: Replicas) -> None:
        """Ask for these counts.

        Raises:
            Refused: If there is no such pool, or the GPU quota does not allow it.
        """
        self._world.scale(replicas)

    async def close(self) -> None:
        """Release nothing."""
