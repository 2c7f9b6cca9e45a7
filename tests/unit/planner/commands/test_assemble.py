"""What the daemon believes depends on what it is connected to."""

from pathlib import Path

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from config.load import load
from connectors.testing import FakeMetricsSource
from connectors.virtual.memory import MemoryActuator
from planner.commands.assemble import believable, daemon_of, foresight_options_of, warm_up_options_of
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


@pytest.mark.parametrize(
    ("asked", "intervals"),
    [
        ({}, 300),
        ({"forecast.window_points": "500"}, 500),
        ({"forecast.warm_up": "1h"}, 120),
        ({"forecast.warm_up": "100s"}, 4),
        ({"forecast.warm_up": "0s"}, 0),
    ],
)
def test_the_past_that_is_learned_is_counted_in_intervals(asked: dict[str, str], intervals: int) -> None:
    settings = load(flags=FLAGS | asked, environment={}).settings

    assert warm_up_options_of(settings).intervals == intervals
    assert foresight_options_of(settings).least_intervals == intervals


def test_a_trace_is_read_in_intervals_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    times_ms = (0, 59_000, 60_000, 125_000)
    path.write_text(
        "".join(f'{{"timestamp": {at}, "input_length": 100, "output_length": 10}}\n' for at in times_ms)
    )
    flags = FLAGS | {"forecast.warm_up_trace": str(path), "interval": "1m"}

    options = warm_up_options_of(load(flags=flags, environment={}).settings)

    assert [one.arrivals_rps for one in options.trace] == [2.0 / 60.0, 1.0 / 60.0]


def test_a_trace_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text('{"timestamp": 1}\n')
    loaded = load(flags=FLAGS | {"profile": "embedded", "forecast.warm_up_trace": str(path)}, environment={})
    clock = VirtualClock()

    with pytest.raises(ConfigError, match=r"trace.jsonl:1: there is no input_length"):
        daemon_of(
            loaded,
            clock=clock,
            source=FakeMetricsSource([], clock),
            actuator_of=lambda pools: MemoryActuator.of_policies(pools, clock),
            profile=profile_of(loaded.settings),
        )
