"""Connectors of other distributions are found by their entry points, as pip installs them."""

from collections.abc import Callable

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from connectors.base import Replicas
from connectors.registry import actuator_builders, source_builders

ENTRY_POINTS = """
[setpoint.actuators]
acme-registry = acme_registry:build
acme-broken = acme_registry:absent
acme-gone = acme_that_is_not_installed:build

[setpoint.sources]
acme-registry = acme_registry:build_source
"""
CODE = """
from connectors.base import Replicas
from connectors.testing import FakeActuator, FakeMetricsSource

def build(settings, clock):
    return FakeActuator(Replicas.of(decode=settings["engines"]), clock)

def build_source(settings, clock):
    return FakeMetricsSource([], clock)
"""


@pytest.fixture(autouse=True)
def _distribution(install: Callable[..., None]) -> None:
    install(ENTRY_POINTS, {"acme_registry.py": CODE}, name="acme-registry")


async def test_an_actuator_is_built_by_its_name() -> None:
    actuator = actuator_builders().builder("acme-registry")({"engines": 3}, VirtualClock())

    assert (await actuator.read()).pools["decode"].desired == 3
    await actuator.scale(Replicas.of(decode=4))


async def test_a_source_is_built_by_its_name() -> None:
    source = source_builders().builder("acme-registry")({}, VirtualClock())

    assert (await source.observe(30.0)).arrivals_rps.kind == "unknown"


def test_a_name_that_is_nearly_right_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean 'acme-registry'"):
        actuator_builders().builder("acme-registri")


def test_a_name_that_is_far_off_gets_the_list() -> None:
    with pytest.raises(ConfigError, match=r"installed are: .*acme-registry"):
        source_builders().builder("zzz")


@pytest.mark.parametrize("name", ["acme-broken", "acme-gone"])
def test_a_builder_that_cannot_be_imported_names_its_entry_point(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is registered as acme_.*which cannot be imported"):
        actuator_builders().builder(name)
