"""Which series count."""

import pytest

from config.load import load
from planner.commands.connect import scope_of

LEAST = {"budget_gpus": 8, "targets.ttft": "300ms", "targets.itl": "25ms"}
GRAPH = {"dynamo.graph_deployment": "qwen", "dynamo.kubernetes_namespace": "prod"}


@pytest.mark.parametrize(
    ("settings", "environment", "namespace"),
    [
        ({}, {}, None),
        ({"dynamo.namespace": "dynamo"}, {}, "dynamo"),
        ({}, {"DYN_NAMESPACE": "prod-qwen"}, "prod-qwen"),
        (GRAPH, {}, "prod-qwen"),
        ({**GRAPH, "dynamo.namespace": "llm"}, {}, "llm"),
        ({"dynamo.graph_deployment": "qwen"}, {"POD_NAMESPACE": "prod"}, "prod-qwen"),
        ({"dynamo.graph_deployment": "qwen"}, {}, None),
    ],
)
def test_only_series_of_a_namespace_count_that_is_set_or_follows_from_the_graph_deployment(
    settings: dict[str, object], environment: dict[str, str], namespace: str | None
) -> None:
    loaded = load(flags={**LEAST, **settings}, environment=environment)

    assert scope_of(loaded).namespace == namespace
