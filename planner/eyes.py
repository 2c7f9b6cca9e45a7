"""Looking at the world: traffic and fleet at once, under one deadline; what cannot be seen says why."""

import asyncio
from dataclasses import replace

from config.clock import Clock, within
from config.errors import Malformed, ObservationError
from connectors.base import Actuator, Fleet, MetricsSource, Observation, Traffic, Unknown
from planner.attempt import attempt, tell, words
from planner.serving.desk import Desk

# Connectors bound their time by the same deadline and then hand over what they have; it is waited for.
GRACE_RATIO = 1.05


class Eyes:
    """What sees traffic and fleet.

    Args:
        source: Where traffic is read.
        actuator: Where the fleet is read.
        desk: Where trouble is reported.
        clock: What the deadline is measured by.
    """

    def __init__(self, source: MetricsSource, actuator: Actuator, *, desk: Desk, clock: Clock) -> None:
        self._source = source
        self._actuator = actuator
        self._desk = desk
        self._clock = clock
        self._is_first = True

    async def observe(self, window_s: float, *, limit_s: float) -> Observation:
        """Return what is seen; never raises over what a connector does.

        Args:
            window_s: How far back traffic is read.
            limit_s: Longest time for both together, but for a moment of grace.
        """
        wait_s = limit_s * GRACE_RATIO
        traffic, fleet = await asyncio.gather(
            attempt(lambda: within(self._clock, self._source.observe(window_s), wait_s)),
            attempt(lambda: within(self._clock, self._actuator.read(), wait_s)),
        )
        return Observation(traffic=self._traffic(traffic, window_s=window_s), fleet=self._fleet(fleet))

    def _traffic(self, found: Traffic | BaseException, *, window_s: float) -> Traffic:
        if not isinstance(found, Traffic):
            error = _error(found, expected="Traffic")
            tell(self._desk, "source", error)
            return _nothing(self._clock.now_s(), window_s, f"the source failed: {words(error)}")
        first, self._is_first = self._is_first, False
        if not isinstance(found.arrivals_rps, Unknown):
            self._desk.worked("source")
        elif first:  # a source that counts differences has nothing to compare yet
            self._desk.waiting("source", found.arrivals_rps.why)
        else:
            self._desk.failed("source", ObservationError(found.arrivals_rps.why))
        return found

    def _fleet(self, found: Fleet | BaseException) -> Fleet | Unknown:
        if not isinstance(found, Fleet):
            error = _error(found, expected="Fleet")
            tell(self._desk, "actuator", error)
            return Unknown(why=words(error))
        self._desk.worked("actuator")
        return found


def _error(found: object, *, expected: str) -> BaseException:
    if isinstance(found, BaseException):
        return found
    return Malformed(f"expected {expected} of the connector, found {type(found).__name__}")


def _nothing(at_s: float, window_s: float, why: str) -> Traffic:
    unknown = Unknown(why=why)
    traffic = Traffic(at_s=at_s, window_s=window_s, arrivals_rps=unknown)
    return replace(traffic, isl_tokens=unknown, osl_tokens=unknown, ttft_s=unknown, itl_s=unknown)
