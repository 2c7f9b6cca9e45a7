"""What other packages bring along is chosen by settings alone, as an installer would have put it there."""

from collections.abc import Callable, Mapping

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from config.load import Loaded, load
from config.policies import forecast_policy_from
from config.show import effective
from connectors.base import Replicas, Unknown
from planner.commands.connect import actuator_of, source_of
from predictors.registry import make

ENTRY_POINTS = """
[setpoint.actuators]
acme = acme_plugins:build_actuator
acme-gone = acme_that_is_not_installed:build

[setpoint.sources]
acme = acme_plugins:build_source

[setpoint.dialects]
acme-gateway = acme_plugins:dialect

[setpoint.predictors]
acme-load = acme_plugins:build_predictor
"""
CODE = """
import dataclasses

from config.errors import ConfigError
from connectors.base import Replicas
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.testing import FakeActuator, FakeMetricsSource
from predictors.constant import build as constant

def build_actuator(settings, clock):
    if "engines" not in settings:
        raise ConfigError("engines is not there", key="plugin.options", hint="write how many")
    return FakeActuator(Replicas.of(decode=int(settings["engines"])), clock)

def build_source(settings, clock):
    return FakeMetricsSource([], clock)

def dialect():
    return dataclasses.replace(dynamo("acme"), name="acme-gateway")

def build_predictor(policy):
    return constant(policy)
"""


@pytest.fixture(autouse=True)
def _distribution(install: Callable[..., None]) -> None:
    install(ENTRY_POINTS, {"acme_plugins.py": CODE}, name="acme-plugins")


def loaded_with(variables: Mapping[str, str] | None = None, **lines: str) -> Loaded:
    """Load the least settings and further ones, given as sections of a file would be."""
    flags = {"budget_gpus": "8", "targets.ttft": "300ms", "targets.itl": "25ms"}
    return load(
        flags={**flags, **{key.replace("__", "."): text for key, text in lines.items()}},
        environment=variables or {},
    )


async def test_an_actuator_of_another_package_is_chosen_by_settings() -> None:
    loaded = loaded_with(actuator="plugin", plugin__actuator="acme", plugin__options="engines=3")

    actuator = actuator_of(loaded.settings, (), clock=VirtualClock())

    assert (await actuator.read()).pools["decode"].desired == 3
    await actuator.scale(Replicas.of(decode=4))


async def test_a_source_of_another_package_is_chosen_by_settings() -> None:
    loaded = loaded_with(source="plugin", plugin__source="acme")

    source = source_of(loaded, clock=VirtualClock())

    assert isinstance((await source.observe(30.0)).arrivals_rps, Unknown)


async def test_variables_choose_as_well() -> None:
    variables = {
        "SETPOINT_ACTUATOR": "plugin",
        "SETPOINT_PLUGIN__ACTUATOR": "acme",
        "SETPOINT_PLUGIN__OPTIONS__ENGINES": "5",
    }

    actuator = actuator_of(loaded_with(variables).settings, (), clock=VirtualClock())

    assert (await actuator.read()).pools["decode"].desired == 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("acmee", r"plugin\.actuator: no connector is named 'acmee'; did you mean 'acme'\?"),
        ("zzz", r"plugin\.actuator: no connector is named 'zzz'; installed are: .*acme"),
        ("acme-gone", r"plugin\.actuator: 'acme-gone' is registered as acme_that_is_not_installed:build"),
        ("acme", r"plugin\.options: engines is not there; write how many"),
    ],
)
def test_an_actuator_that_cannot_be_had_is_a_setting_that_is_wrong(name: str, words: str) -> None:
    loaded = loaded_with(actuator="plugin", plugin__actuator=name)

    with pytest.raises(ConfigError, match=words):
        actuator_of(loaded.settings, (), clock=VirtualClock())


def test_a_source_that_is_not_installed_is_a_setting_that_is_wrong() -> None:
    loaded = loaded_with(source="plugin", plugin__source="acne")

    with pytest.raises(
        ConfigError, match=r"plugin\.source: no connector is named 'acne'; did you mean 'acme'"
    ):
        source_of(loaded, clock=VirtualClock())


def test_what_a_plugin_is_told_is_never_shown() -> None:
    loaded = loaded_with(actuator="plugin", plugin__actuator="acme", plugin__options="password=hunter2")

    shown = [str(row) for row in effective(loaded)]

    assert "hunter2" not in f"{shown} {loaded!r}"
    assert any('{"password": "********"}' in row for row in shown)


def test_a_plugin_that_is_named_and_not_chosen_is_told() -> None:
    loaded = loaded_with(plugin__actuator="acme")

    assert loaded.warnings == ("plugin.actuator is set, but actuator is not plugin: 'acme' is not used",)


@pytest.mark.parametrize("source", ["prometheus", "scrape"])
async def test_a_dialect_of_another_package_is_chosen_by_settings(source: str) -> None:
    loaded = loaded_with(
        source=source, scrape__urls="http://a.test/metrics", prometheus__dialect="acme-gateway"
    )

    connected = source_of(loaded, clock=VirtualClock())

    await connected.close()


@pytest.mark.parametrize("source", ["prometheus", "scrape"])
def test_a_dialect_that_is_not_installed_is_a_setting_that_is_wrong(source: str) -> None:
    loaded = loaded_with(
        source=source, scrape__urls="http://a.test/metrics", prometheus__dialect="acme-gatewax"
    )

    with pytest.raises(
        ConfigError,
        match=r"prometheus\.dialect: unknown metric dialect 'acme-gatewax'; did you mean 'acme-gateway'\?",
    ):
        source_of(loaded, clock=VirtualClock())


def test_a_predictor_of_another_package_is_chosen_by_settings() -> None:
    predictor = make(forecast_policy_from(loaded_with(forecast__predictor="acme-load").settings))
    predictor.observe(3.0)

    assert predictor.forecast(1).mean == 3.0
