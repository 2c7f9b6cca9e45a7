"""Where is the load forecast: here on the event loop, or in a process of its own?

Cheap models are asked inline. Models that fit for longer than the loop may be held live in one worker
process; whoever asks sees the same protocol, and never a wait without a limit.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from config.clock import Clock
from config.errors import ForecastError
from config.policy import ForecastPolicy
from config.sections import ForecastProcess
from predictors.base import Forecast, LoadInterval
from predictors.load import LoadForecaster
from predictors.registry import HEAVY

T = TypeVar("T")


class Foresight(Protocol):
    """Forecasts the load of one deployment without holding the event loop.

    Nothing that a model does is raised: it is told by `trouble`.
    """

    @property
    def trouble(self) -> Exception | None:
        """What was wrong at the last forecast, in words for people; None if nothing was."""
        ...

    async def learn(self, passed: Sequence[LoadInterval]) -> None:
        """Take what the intervals that just ended showed, oldest first."""
        ...

    async def learn_older(self, past: Sequence[LoadInterval]) -> None:
        """Take an older trace, which ends here: zeros that follow are a service not yet in use."""
        ...

    async def forecast(self, *, now_s: float) -> Forecast | None:
        """Forecast the load at the horizon; None where there is nothing to forecast from."""
        ...

    async def close(self) -> None:
        """End what was started; call it last."""
        ...


class InlineForesight:
    """Forecasts on the event loop, interval by interval.

    Args:
        policy: Which predictor, and how far ahead.

    Raises:
        ConfigError: If the predictor is not known or the times make no horizon.

    Example:
        >>> async def ask() -> float | None:
        ...     foresight = InlineForesight(ForecastPolicy(interval_s=30.0))
        ...     await foresight.learn([LoadInterval(arrivals_rps=2.0)])
        ...     forecast = await foresight.forecast(now_s=30.0)
        ...     return forecast.arrivals_rps.mean if forecast else None
        >>> asyncio.run(ask())
        2.0
    """

    def __init__(self, policy: ForecastPolicy) -> None:
        self._predictor = policy.predictor
        self._forecaster = LoadForecaster(policy)
        self._unlearned: Exception | None = None
        self._trouble: Exception | None = None

    @property
    def trouble(self) -> Exception | None:
        """What a model raised or told of itself at the last forecast."""
        return self._trouble

    async def learn(self, passed: Sequence[LoadInterval]) -> None:
        """Teach the models, with a turn for the event loop after each interval."""
        for interval in passed:
            raised = await outcome(partial(self._forecaster.learn, interval))
            self._unlearned = raised or self._unlearned

    async def learn_older(self, past: Sequence[LoadInterval]) -> None:
        """Teach the models an older trace, which ends here."""
        await self.learn(past)
        self._forecaster.end_warm_up()

    async def forecast(self, *, now_s: float) -> Forecast | None:
        """Ask the models; None also where one of them raised since the last forecast."""
        self._trouble, self._unlearned = self._unlearned, None
        if self._trouble is not None:
            return None
        found = await outcome(partial(self._forecaster.forecast, now_s))
        if isinstance(found, Exception):
            self._trouble = found
            return None
        if self._forecaster.trouble:
            self._trouble = ForecastError(
                self._forecaster.trouble, predictor=self._predictor, late_intervals=0
            )
        return found

    async def close(self) -> None:
        """Do nothing: nothing was started."""


async def outcome(work: Callable[[], T]) -> T | Exception:
    """Return what the work returns or raises, after a turn of the event loop.

    Predictors may come from third parties, and what they raise is beyond anybody's list.

    Example:
        >>> asyncio.run(outcome(lambda: 1 / 0))
        ZeroDivisionError('division by zero')
    """

    async def call() -> T:
        return work()

    (found,) = await asyncio.gather(call(), return_exceptions=True)
    if isinstance(found, BaseException) and not isinstance(found, Exception):
        raise found
    return found


def foresight_of(
    policy: ForecastPolicy, *, process: ForecastProcess, clock: Clock, deadline_s: float
) -> Foresight:
    """Return what forecasts by the policy; a worker process starts at once, in a running event loop.

    Args:
        policy: Which predictor, and how far ahead.
        process: Where; `auto` takes a worker for the predictors that are known to be heavy.
        clock: For deadlines.
        deadline_s: Longest wait for a worker's forecast.

    Raises:
        ConfigError: If the predictor is not known or the times make no horizon.
    """
    is_apart = (
        policy.predictor in HEAVY
        if process is ForecastProcess.AUTO
        else process is not ForecastProcess.INLINE
    )
    if not is_apart:
        return InlineForesight(policy)
    from predictors.apart import WorkerForesight

    return WorkerForesight(policy, clock=clock, deadline_s=deadline_s)
