"""How is a load forecast by models that live in a process of their own?"""

from config.clock import Clock
from config.policy import ForecastPolicy
from predictors.foresight import InlineForesight


class WorkerForesight(InlineForesight):
    """Forecasts in a worker process."""

    def __init__(self, policy: ForecastPolicy, *, clock: Clock, deadline_s: float) -> None:
        super().__init__(policy)
        self._clock = clock
        self._deadline_s = deadline_s
