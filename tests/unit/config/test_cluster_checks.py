"""Settings of Kubernetes: what is only told, and what follows from Dynamo's variables and manifests."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load
from config.sections import ActuatorKind

NEEDED = {"targets.ttft": "300ms", "targets.itl": "25ms", "budget_gpus": "8"}
BOTH = {"kubernetes.prefill": "deployment/p", "kubernetes.decode": "deployment/d"}
CONFIGURATION = '{"environment": "kubernetes", "ttft_ms": 300, "itl_ms": 25, "max_gpu_budget": 8}'


def warnings(**flags: str) -> str:
    given = NEEDED | {key.replace("__", "."): value for key, value in flags.items()}
    return "\n".join(load(flags=given, environment={}).warnings)


def test_a_sidecar_needs_its_variables_and_the_actuator_alone() -> None:
    environment = {
        "DYN_PARENT_DGD_K8S_NAME": "llm",
        "POD_NAMESPACE": "serving",
        "PROMETHEUS_ENDPOINT": "http://prometheus:9090",
        "SETPOINT_ACTUATOR": "kubernetes",
    }

    loaded = load(flags=NEEDED, environment=environment)

    assert loaded.settings.actuator is ActuatorKind.KUBERNETES
    assert loaded.settings.dynamo.graph_deployment == "llm"
    assert loaded.settings.dynamo.kubernetes_namespace == "serving"
    assert loaded.settings.dynamo.namespace == "serving-llm"
    assert loaded.settings.prometheus.url == "http://prometheus:9090"


def test_the_namespace_of_the_deployment_wins_over_that_of_the_pod() -> None:
    environment = {"POD_NAMESPACE": "tools", "DYN_PARENT_DGD_K8S_NAMESPACE": "serving"}

    assert load(flags=NEEDED, environment=environment).settings.dynamo.kubernetes_namespace == "serving"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "planner.json"
    path.write_text(CONFIGURATION)
    return path


def test_dynamos_environment_is_our_actuator_where_it_is_said_what_is_scaled(manifest: Path) -> None:
    loaded = load(dgdr=manifest, environment={"DYN_PARENT_DGD_K8S_NAME": "llm"})

    assert loaded.settings.actuator is ActuatorKind.KUBERNETES
    assert "environment" in str(loaded.origins["actuator"])
    assert "kubernetes" not in "\n".join(loaded.notes)
    assert not loaded.settings.actuate


def test_dynamos_environment_is_only_told_where_nothing_says_what_is_scaled(manifest: Path) -> None:
    loaded = load(dgdr=manifest, environment={})

    assert loaded.settings.actuator is ActuatorKind.MEMORY
    assert "as soon as dynamo.graph_deployment (DYN_PARENT_DGD_K8S_NAME)" in "\n".join(loaded.notes)


def test_an_actuator_that_somebody_set_wins_over_dynamos_environment(manifest: Path) -> None:
    environment = {"DYN_PARENT_DGD_K8S_NAME": "llm", "SETPOINT_ACTUATOR": "etcd"}

    assert load(dgdr=manifest, environment=environment).settings.actuator is ActuatorKind.ETCD


def test_certificates_that_are_not_checked_are_told_loudly_where_the_cluster_is_used() -> None:
    unchecked = {"kubernetes.verify_tls": "false"}

    assert "CAN POSE AS THE API SERVER" in warnings(actuator="kubernetes", **BOTH, **unchecked)
    assert "CAN POSE AS THE API SERVER" in warnings(prometheus__service="a/b:1", **unchecked)
    assert "CAN POSE" not in warnings(**unchecked)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (BOTH, "kubernetes.prefill and kubernetes.decode are set, but actuator is not kubernetes"),
        ({"kubernetes.lease": "mine"}, "kubernetes.lease is set, but actuator is not kubernetes"),
    ],
)
def test_settings_that_are_not_used_are_told(flags: dict[str, str], told: str) -> None:
    assert told in warnings(**flags)


def test_settings_of_the_api_server_are_used_by_the_service_proxy_too() -> None:
    assert "nothing is scaled" not in warnings(prometheus__service="a/b:1", kubernetes__timeout="9s")


def test_scaling_beside_another_autoscaler_is_told() -> None:
    assert "undo each other's work" in warnings(
        actuator="kubernetes", kubernetes__allow_rivals="true", **BOTH
    )


def test_a_service_wins_over_the_address_that_dynamos_operator_gives() -> None:
    loaded = load(
        flags=NEEDED | {"prometheus.service": "monitoring/prometheus:9090"},
        environment={"PROMETHEUS_ENDPOINT": "http://prometheus:9090"},
    )

    assert loaded.settings.prometheus.service == "monitoring/prometheus:9090"


def test_a_service_by_a_flag_wins_over_the_address_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "setpoint.yaml"
    file.write_text("prometheus: {url: http://prometheus.monitoring:9090}\n")
    service = {"prometheus.service": "monitoring/prometheus:9090"}

    loaded = load(file=file, flags=NEEDED | service, environment={})

    assert loaded.settings.prometheus.service == "monitoring/prometheus:9090"
    with pytest.raises(ConfigError, match="names another way to it"):
        load(file=file, flags=NEEDED | service | {"prometheus.url": "http://127.0.0.1:9090"}, environment={})
