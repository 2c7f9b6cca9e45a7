"""What you need to test with connectors: fakes, and the suites that every connector must pass.

Each check of a suite is a method without arguments that opens a fresh connector, tries one promise of the
protocol and raises `ConformanceError` in words if it is not kept. `run_all` runs every check and reports all
that do not pass; `checks` gives them one by one. No test framework is needed.
"""

from connectors.testing.actuator import ActuatorConformance, ActuatorFactory, ActuatorHarness
from connectors.testing.checks import Check, ConformanceError, nothing, run_checks
from connectors.testing.fakes import FakeActuator, FakeMetricsSource
from connectors.testing.source import MetricsSourceConformance, MetricsSourceFactory, MetricsSourceHarness
from connectors.testing.target import TargetConformance, TargetFactory, TargetHarness

__all__ = [
    "ActuatorConformance",
    "ActuatorFactory",
    "ActuatorHarness",
    "Check",
    "ConformanceError",
    "FakeActuator",
    "FakeMetricsSource",
    "MetricsSourceConformance",
    "MetricsSourceFactory",
    "MetricsSourceHarness",
    "TargetConformance",
    "TargetFactory",
    "TargetHarness",
    "nothing",
    "run_checks",
]
