"""What the daemon believes depends on what it is connected to."""

import pytest

from config.clock import VirtualClock
from config.load import load
from connectors.testing import FakeMetricsSource
from connectors.virtual.memory import MemoryActuator
from planner.commands.assemble import believable, daemon_of
from planner.commands.curves import profile_of

FLAGS = {"budget_gpus": "8", "targets.ttft": "300ms", "targets.itl": "25ms", "correction.enabled": "true"}


def test_without_a_real_fleet_latency_corrects_nothing() -> None:
    settings = load(flags=FLAGS | {"actuator": "memory"}, environment={}).settings

    assert not believable(settings).correction.enabled
    assert believable(settings).budget_gpus == 8


def test_a_real_fleet_is_believed() -> None:
    settings = load(flags=FLAGS | {"actuator": "etcd"}, environment={}).settings

    assert believable(settings) == settings


@pytest.mark.parametrize("actuate", ["true", "false"])
def test_the_board_says_whether_decisions_are_carried_out(actuate: str) -> None:
    loaded, clock = (
        load(flags=FLAGS | {"profile": "embedded", "actuate": actuate}, environment={}),
        VirtualClock(),
    )

    _, desk = daemon_of(
        loaded,
        clock=clock,
        source=FakeMetricsSource([], clock),
        actuator_of=lambda pools: MemoryActuator.of_policies(pools, clock),
        profile=profile_of(loaded.settings),
    )

    assert desk.board.advisory == (actuate == "false")
