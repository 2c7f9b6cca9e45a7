"""From settings to what is scaled on Kubernetes and how it is reached."""

from pathlib import Path

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from config.load import load
from config.settings import Settings
from connectors.kubernetes.reference import named
from planner.commands.assemble import target_of
from planner.commands.cluster import api_options_of, connect_cluster, owned_name, references_of

_NEEDED = {"budget_gpus": 8, "targets.ttft": "300ms", "targets.itl": "25ms", "profile": "embedded"}


def settings(**others: object) -> Settings:
    flags = {key.replace("__", "."): value for key, value in others.items()}
    return load(flags={**_NEEDED, "actuator": "kubernetes", **flags}, environment={}).settings


def test_a_graph_deployment_is_both_pools() -> None:
    found = references_of(settings(dynamo__graph_deployment="llm"), namespace="ai")

    assert [(named(one), one.role.value, one.namespace) for one in found] == [
        ("dynamographdeployment/llm", "prefill", "ai"),
        ("dynamographdeployment/llm", "decode", "ai"),
    ]


def test_pools_may_be_of_different_kinds() -> None:
    asked = settings(kubernetes__prefill="sts/prefill", kubernetes__decode="raycluster/llm:decode")

    assert [named(one) for one in references_of(asked, namespace="ai")] == [
        "sts/prefill",
        "raycluster/llm:decode",
    ]


@pytest.mark.parametrize(
    ("others", "name"),
    [
        pytest.param({"dynamo__graph_deployment": "llm"}, "setpoint-llm", id="graph"),
        pytest.param(
            {"kubernetes__prefill": "deploy/p", "kubernetes__decode": "deploy/chat-decode"},
            "setpoint-chat-decode",
            id="deployments",
        ),
        pytest.param(
            {"kubernetes__prefill": "deploy?a=b", "kubernetes__decode": "deploy?a=c"},
            "setpoint-a-c",
            id="labels",
        ),
    ],
)
def test_what_is_setpoints_own_goes_by_the_deployment(others: dict[str, object], name: str) -> None:
    asked = settings(**others)

    assert owned_name(asked, None) == name
    assert owned_name(asked, "mine") == "mine"
    assert f"setpoint-{target_of(asked)}" == name


def test_the_namespace_of_kubernetes_wins_over_dynamos() -> None:
    both = settings(
        dynamo__graph_deployment="llm", dynamo__kubernetes_namespace="a", kubernetes__namespace="b"
    )

    assert api_options_of(both).namespace == "b"


async def test_a_kubeconfig_that_is_none_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text("[", encoding="utf-8")
    asked = settings(dynamo__graph_deployment="llm", kubernetes__kubeconfig=str(file))

    with pytest.raises(ConfigError, match="kubeconfig"):
        await connect_cluster(asked, clock=VirtualClock())
