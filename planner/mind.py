"""The mind of the daemon: what is expected, and what is decided on it, without ever holding the event loop.

Each tick teaches a foresight what the interval showed and asks it for a forecast, which may take a while;
then the pure step decides at once. A forecast that does not come in time is a missing one, not a late tick.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from config.clock import Clock
from config.policy import ForecastPolicy, Policy
from config.sections import ForecastProcess
from connectors.base import Observation
from planner.attempt import attempt
from planner.core.curves import build_curves
from planner.core.decision import Decision, StepKind
from planner.core.state import State
from planner.decider import Decider
from planner.past import Past, interval_of
from predictors.base import Forecast, LoadInterval
from predictors.foresight import Foresight, foresight_of
from predictors.load import kept_intervals

_DEADLINE_SHARE = 1.0 / 3.0
_LONGEST_DEADLINE_S = 10.0
# A foresight keeps the deadline itself; what does not is given up soon after.
_GRACE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForesightOptions:
    """Where models are fitted, and how long a tick waits for them.

    Attributes:
        process: Inline, or in a worker process.
        deadline_s: Longest wait; None is a third of the interval, at most 10 s.
        least_intervals: At least so many intervals are kept to teach another predictor.
    """

    process: ForecastProcess = ForecastProcess.AUTO
    deadline_s: float | None = None
    least_intervals: int = 0

    def deadline_of(self, policy: ForecastPolicy) -> float:
        """Return the longest wait for a forecast.

        Example:
            >>> ForesightOptions().deadline_of(ForecastPolicy(interval_s=12.0))
            4.0
        """
        if self.deadline_s is not None:
            return self.deadline_s
        return min(_LONGEST_DEADLINE_S, _DEADLINE_SHARE * policy.interval_s)


MakeForesight = Callable[[ForecastPolicy, ForesightOptions], Foresight]


class Mind:
    """Decides replica counts from observations, with a foresight of its own.

    Args:
        policy: What `step` is given.
        forecast_policy: What the predictor is built from.
        clock: For deadlines.
        options: Where and how long models are fitted.
        make: Makes a foresight; None makes what the options say.

    Attributes:
        forecast_policy: What the predictor was built from.
        forecast: What the last tick expected; None where there was nothing to learn from yet.
        trouble: What was wrong with the last forecast; None if nothing was.

    Raises:
        ConfigError: If the predictor is not known.
    """

    def __init__(
        self,
        policy: Policy,
        forecast_policy: ForecastPolicy,
        *,
        clock: Clock,
        options: ForesightOptions | None = None,
        make: MakeForesight | None = None,
    ) -> None:
        self.forecast_policy = forecast_policy
        self.forecast: Forecast | None = None
        self.trouble: BaseException | None = None
        self._clock = clock
        self._options = options or ForesightOptions()
        self._make = make or self._made
        self._decider = Decider(policy)
        self._past = Past(most=self._most(forecast_policy, self._options))
        self._foresight = self._make(forecast_policy, self._options)
        self._is_taught = False

    @property
    def policy(self) -> Policy:
        """What `step` is given."""
        return self._decider.policy

    @property
    def state(self) -> State:
        """What `step` is given next."""
        return self._decider.state

    @property
    def is_informed(self) -> bool:
        """True if the load of any interval of the service itself is known."""
        return self._past.is_known

    def resume(self, state: State) -> None:
        """Go on from the state of an earlier process, before the first step."""
        self._decider.state = state

    async def foresee(self, observation: Observation, *, now_s: float) -> None:
        """Learn what a tick saw, and forecast; `forecast` and `trouble` then say what came of it."""
        self.forecast = self.trouble = None
        passed = self._past.take(interval_of(observation.traffic))
        found = await attempt(partial(self._learn_and_ask, passed, now_s=now_s))
        if isinstance(found, BaseException):
            self.trouble = found
        else:
            self.forecast, self.trouble = found, self._foresight.trouble

    def decide(self, observation: Observation, *, now_s: float, kind: StepKind) -> Decision:
        """Take one step on the last forecast."""
        return self._decider.decide(observation, self.forecast, now_s=now_s, kind=kind)

    def skip(self, intervals: int) -> None:
        """Take note of intervals that nobody observed; to the predictor they are unknown, not absent."""
        self._past.skip(intervals)

    async def recall(self, *, older: Iterable[LoadInterval], recent: Iterable[LoadInterval]) -> None:
        """Learn the past, in place of what was learned so far.

        Args:
            older: A trace, from before the service itself.
            recent: The intervals of the service, oldest first, up to the last one that ended.
        """
        self._past.replace(older=older, recent=recent)
        if not self._is_taught:
            await self._teach(self._foresight)
            return
        await self._replace(self._make(self.forecast_policy, self._options))

    async def expect(self, *, now_s: float) -> None:
        """Forecast from what was recalled, for the looks until the next tick."""
        found = await attempt(partial(self._learn_and_ask, (), now_s=now_s))
        self.forecast = None if isinstance(found, BaseException) else found

    async def change(
        self, policy: Policy, forecast_policy: ForecastPolicy, options: ForesightOptions | None = None
    ) -> None:
        """Go on under other policies; what was learned stays.

        A predictor with other settings is taught the kept intervals again, unless they are of another length.

        Raises:
            ConfigError: If the predictor is not known; nothing is changed then.
        """
        build_curves(policy)
        options = options or self._options
        if (forecast_policy, options) != (self.forecast_policy, self._options):
            foresight = self._make(forecast_policy, options)
            if forecast_policy.interval_s != self.forecast_policy.interval_s:
                self._past.replace(older=(), recent=())
            self._past.keep(most=self._most(forecast_policy, options))
            self.forecast_policy, self._options = forecast_policy, options
            await self._replace(foresight)
        self._decider.change(policy)

    async def close(self) -> None:
        """End what forecasts; call it last."""
        await self._foresight.close()

    async def _learn_and_ask(self, passed: tuple[LoadInterval, ...], *, now_s: float) -> Forecast | None:
        self._is_taught = True
        async with asyncio.timeout(self._options.deadline_of(self.forecast_policy) + _GRACE_S):
            await self._foresight.learn(passed)
            return await self._foresight.forecast(now_s=now_s)

    async def _replace(self, foresight: Foresight) -> None:
        # Who learns no more ends first: two workers that fit would take twice the memory.
        stale, self._foresight = self._foresight, foresight
        await stale.close()
        await self._teach(foresight)

    async def _teach(self, foresight: Foresight) -> None:
        self._is_taught = True
        if self._past.before:
            await foresight.learn_older(self._past.before)
        await foresight.learn(self._past.recent)

    def _made(self, policy: ForecastPolicy, options: ForesightOptions) -> Foresight:
        deadline_s = options.deadline_of(policy)
        return foresight_of(policy, process=options.process, clock=self._clock, deadline_s=deadline_s)

    @staticmethod
    def _most(policy: ForecastPolicy, options: ForesightOptions) -> int:
        return max(kept_intervals(policy), options.least_intervals)
