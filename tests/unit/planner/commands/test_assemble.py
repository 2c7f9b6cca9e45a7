"""What the daemon believes depends on what it is connected to."""

from config.load import load
from planner.commands.assemble import believable

FLAGS = {"budget_gpus": "8", "targets.ttft": "300ms", "targets.itl": "25ms", "correction.enabled": "true"}


def test_without_a_real_fleet_latency_corrects_nothing() -> None:
    settings = load(flags=FLAGS | {"actuator": "memory"}, environment={}).settings

    assert not believable(settings).correction.enabled
    assert believable(settings).budget_gpus == 8


def test_a_real_fleet_is_believed() -> None:
    settings = load(flags=FLAGS | {"actuator": "etcd"}, environment={}).settings

    assert believable(settings) == settings
