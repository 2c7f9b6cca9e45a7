from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.clock import VirtualClock
from config.errors import ConfigError, Refused
from config.policy import Role
from connectors.base import PoolReplicas, Replicas
from connectors.virtual.etcd import EtcdActuator, EtcdTarget
from connectors.virtual.etcd_client import EtcdClient, EtcdOptions
from connectors.virtual.etcd_keys import Counts, Keys


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("etcd:2379", "not the URL of a server"),
        ("ftp://etcd:2379", "not the URL of a server"),
        ("http://", "not the URL of a server"),
        ("http://etcd:port", "not a URL"),
        ("http://planner:hunter2@etcd:2379", "a URL holds a user name"),
    ],
)
def test_an_endpoint_that_is_no_server_is_refused_without_its_password(endpoint: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        EtcdOptions(endpoints=(endpoint,))

    assert "hunter2" not in str(error.value)


def test_no_endpoint_is_refused() -> None:
    with pytest.raises(ConfigError, match="no endpoint"):
        EtcdOptions(endpoints=())


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_a_timeout_that_is_not_positive_is_refused(timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="not positive"):
        EtcdOptions(timeout_s=timeout_s)


def test_the_password_is_not_shown() -> None:
    typed = "hunter2"
    options = EtcdOptions(username="planner", password=typed)

    assert typed not in repr(options)


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")

    with pytest.raises(ConfigError, match=r"ca\.pem"):
        EtcdClient(EtcdOptions(ca_file=str(file)))
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        EtcdClient(EtcdOptions(cert_file=str(tmp_path / "absent.pem")))


@pytest.mark.parametrize(
    ("endpoints", "password", "warned"),
    [
        (("http://etcd-0:2379", "https://etcd-1:2379"), "hunter2", ["http://etcd-0:2379"]),
        (("https://etcd-0:2379",), "hunter2", []),
        (("http://127.0.0.1:2379", "http://localhost:2379", "http://[::1]:2379"), "hunter2", []),
        (("http://etcd-0:2379",), "", []),
    ],
    ids=["plain", "encrypted", "on this machine", "no password"],
)
async def test_a_password_that_crosses_the_network_in_the_open_is_warned_of(
    endpoints: tuple[str, ...], password: str, warned: list[str]
) -> None:
    with capture_logs() as logs:
        client = EtcdClient(EtcdOptions(endpoints=endpoints, username="planner", password=password))
    await client.close()

    assert [line["endpoints"] for line in logs if line["log_level"] == "warning"] == [warned] * bool(warned)
    assert "hunter2" not in str(logs)


@pytest.mark.parametrize("namespace", ["", "a/b"])
def test_a_namespace_that_would_name_other_keys_is_refused(namespace: str) -> None:
    with pytest.raises(ConfigError, match="without a slash"):
        Keys(dynamo_namespace=namespace)


def test_a_target_with_negative_counts_or_one_name_for_both_pools_is_refused() -> None:
    with pytest.raises(ConfigError, match="negative"):
        EtcdTarget(dynamo_namespace="llm", initial=Counts(prefill=-1, decode=1))
    with pytest.raises(ConfigError, match="both pools are named 'decode'"):
        EtcdTarget(dynamo_namespace="llm", prefill_pool="decode")


@pytest.mark.parametrize("max_wait_s", [-1.0, float("nan")])
def test_a_wait_that_is_no_time_is_refused(max_wait_s: float) -> None:
    with pytest.raises(ConfigError, match="max wait"):
        EtcdTarget(dynamo_namespace="llm", max_wait_s=max_wait_s)


async def test_an_aggregated_pool_has_no_key_and_is_refused_before_anything_is_sent() -> None:
    actuator = EtcdActuator(EtcdOptions(), EtcdTarget(dynamo_namespace="llm"), VirtualClock())
    both = Replicas((PoolReplicas(pool="all", role=Role.AGGREGATED, count=2),))

    with pytest.raises(Refused, match="'all' is aggregated"):
        await actuator.scale(both)
    await actuator.close()
