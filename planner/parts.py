"""What the loop is given: the world that it is connected to, and how it is paced."""

from dataclasses import dataclass

from config.clock import Clock
from config.policy import ForecastPolicy, Policy
from connectors.base import Actuator, MetricsSource
from planner.mind import ForesightOptions
from planner.serving.desk import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When the loop does what.

    Attributes:
        interval_s: Time between two ticks.
        look_interval_s: Time between two looks; 0 is no looks.
        deadline_s: Longest time that one observation may take.
        actuate: False only advises.
    """

    interval_s: float
    look_interval_s: float
    deadline_s: float
    actuate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a reload of the settings brought.

    Attributes:
        policy: What decides from now on.
        forecast_policy: What forecasts from now on.
        pace: When to do what.
        foresight: Where models are fitted from now on; None leaves it as it is.
    """

    policy: Policy
    forecast_policy: ForecastPolicy
    pace: Pace
    foresight: ForesightOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the loop is connected to."""

    source: MetricsSource
    actuator: Actuator
    desk: Desk
    clock: Clock
