"""Which series belong to a deployment, and that the Dynamo dialect's names are those on the wire."""

from collections.abc import Mapping

import pytest

from connectors.prometheus.dialect import EngineGauge, Scope
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.promql import Compare, Matcher, Matchers

PLAIN = EngineGauge(name="usage")
NAMED = EngineGauge(name="usage", model_label="model_name")


def accepts(matchers: Matchers, labels: Mapping[str, str]) -> bool:
    return all(matcher.accepts(labels) for matcher in matchers)


def test_without_a_scope_everything_belongs() -> None:
    assert Scope().of_series(dynamo()) == ()


def test_a_namespace_that_is_set_must_be_there() -> None:
    matchers = Scope(model="M", namespace="ns").of_series(dynamo())

    assert accepts(matchers, {"model": "m", "dynamo_namespace": "ns"})
    assert not accepts(matchers, {"model": "m"})
    assert not accepts(matchers, {"model": "m", "dynamo_namespace": "NS"})
    assert not accepts(matchers, {"dynamo_namespace": "ns"})


def test_targets_have_no_model() -> None:
    extra = Matcher("job", Compare.EQUAL, "frontend")
    matchers = Scope(model="M", namespace="ns", matchers=(extra,)).of_targets(dynamo())

    assert accepts(matchers, {"dynamo_namespace": "ns", "job": "frontend"})
    assert not accepts(matchers, {"dynamo_namespace": "ns", "job": "worker"})


@pytest.mark.parametrize(
    ("gauge", "labels", "expected"),
    [
        (PLAIN, {"dynamo_namespace": "my-ns"}, True),
        (PLAIN, {"dynamo_namespace": "my_ns"}, True),
        (PLAIN, {"dynamo_namespace": "other"}, False),
        (PLAIN, {}, False),
        (NAMED, {"model_name": "Org/M"}, True),
        (NAMED, {"model_name": "org/m", "dynamo_namespace": "my_ns"}, True),
        (NAMED, {"model_name": "org/m", "dynamo_namespace": "other"}, False),
        (NAMED, {"model_name": "other"}, False),
    ],
)
def test_engines_are_found_by_namespace_or_model(
    gauge: EngineGauge, labels: Mapping[str, str], *, expected: bool
) -> None:
    scope = Scope(model="org/m", namespace="my-ns")

    assert accepts(scope.of_engines(dynamo(), gauge), labels) is expected


def test_further_conditions_on_engines_apply() -> None:
    scope = Scope(engine_matchers=(Matcher("job", Compare.EQUAL, "workers"),))

    assert accepts(scope.of_engines(dynamo(), PLAIN), {"job": "workers"})
    assert not accepts(scope.of_engines(dynamo(), PLAIN), {"job": "frontend"})


def test_workers_that_only_prefill_do_not_count_for_the_decode_cache() -> None:
    gauge = dynamo().kv_usage[0]
    matchers = Scope().of_engines(dynamo(), gauge)

    assert accepts(matchers, {"dynamo_component": "backend"})
    assert not accepts(matchers, {"dynamo_component": "VllmPrefillWorker"})


def test_a_changed_prefix_changes_every_frontend_family() -> None:
    names = dynamo("acme").samples

    assert names
    assert all(name.startswith("acme_") for name in names)
