"""Variables of Setpoint and of Dynamo."""

import pytest

from config.errors import ConfigError
from config.load import Loaded, load
from config.problems import OriginKind
from config.show import effective


def _load(least: dict[str, object], environment: dict[str, str]) -> Loaded:
    return load(flags=least, environment=environment)


def _value(loaded: Loaded, key: str) -> str:
    return next(row.value for row in effective(loaded) if row.key == key)


@pytest.mark.parametrize(
    ("name", "text", "row"),
    [
        ("SETPOINT_INTERVAL", "1m", "interval = 60s"),
        ("SETPOINT_ACTUATE", "true", "actuate = true"),
        ("SETPOINT_TARGETS__PERCENTILE", "95%", "targets.percentile = p95"),
        ("SETPOINT_POOLS__DECODE__MAX_REPLICAS", "4", "pools.decode.max_replicas = 4"),
        ("SETPOINT_SOURCE", "prometheus", "source = prometheus"),
        (
            "SETPOINT_ETCD__ENDPOINTS",
            "http://a:1,http://b:2",
            'etcd.endpoints = ["http://a:1", "http://b:2"]',
        ),
        ("SETPOINT_ETCD__ENDPOINTS", '["http://a:1"]', 'etcd.endpoints = ["http://a:1"]'),
        (
            "SETPOINT_PROMETHEUS__EXTRA_SELECTOR",
            "a=1,b=2",
            'prometheus.extra_selector = {"a": "1", "b": "2"}',
        ),
        ("SETPOINT_PROMETHEUS__EXTRA_SELECTOR", '{"a": "1"}', 'prometheus.extra_selector = {"a": "1"}'),
        ("SETPOINT_PROMETHEUS__EXTRA_SELECTOR__zone", "x", 'prometheus.extra_selector = {"zone": "x"}'),
        ("SETPOINT_LOG", '{"level": "debug"}', "log.level = debug"),
        ("SETPOINT_LOG__LEVEL", "debug", "log.level = debug"),
    ],
)
def test_a_variable_sets_its_setting(least: dict[str, object], name: str, text: str, row: str) -> None:
    loaded = _load(least, {name: text})

    key, _, value = row.partition(" = ")
    assert _value(loaded, key) == value
    assert (loaded.origins[key].kind, loaded.origins[key].name) == (OriginKind.ENV, name)


@pytest.mark.parametrize(
    ("name", "text", "row"),
    [
        ("PROMETHEUS_ENDPOINT", "http://prometheus:9090/", "prometheus.url = http://prometheus:9090"),
        ("PROMETHEUS_TOKEN", "hunter2", "prometheus.token = ********"),
        ("PROMETHEUS_SSL_VERIFY", "false", "prometheus.verify_tls = false"),
        ("DYN_PLANNER_PROMETHEUS_REQUEST_TIMEOUT_SECONDS", "2.5", "prometheus.query_timeout = 2.5s"),
        ("PLANNER_PROMETHEUS_PORT", "9086", "http.port = 9086"),
        ("PLANNER_PROMETHEUS_PORT", "0", "http.enabled = false"),
        ("DYN_NAMESPACE", "prod-llama", "dynamo.namespace = prod-llama"),
        ("DYN_PARENT_DGD_K8S_NAME", "llama", "dynamo.graph_deployment = llama"),
        ("DYN_PARENT_DGD_K8S_NAMESPACE", "prod", "dynamo.kubernetes_namespace = prod"),
        (
            "ETCD_ENDPOINTS",
            "http://a:2379,http://b:2379",
            'etcd.endpoints = ["http://a:2379", "http://b:2379"]',
        ),
        ("SCALING_MAX_WAIT_TIME", "900", "etcd.max_wait = 15m"),
    ],
)
def test_a_variable_of_dynamo_is_mapped_with_its_unit(
    least: dict[str, object], name: str, text: str, row: str
) -> None:
    loaded = _load(least, {name: text})

    key, _, value = row.partition(" = ")
    assert _value(loaded, key) == value
    assert (loaded.origins[key].kind, loaded.origins[key].name) == (OriginKind.DYNAMO, name)


@pytest.mark.parametrize("name", ["PROMETHEUS_CA_BUNDLE", "PROMETHEUS_TOKEN_FILE"])
def test_a_variable_of_dynamo_that_names_an_absent_file_is_refused(
    least: dict[str, object], name: str
) -> None:
    with pytest.raises(ConfigError, match=f"there is no file '/nonexistent'.*Dynamo's variable {name}"):
        _load(least, {name: "/nonexistent"})


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("PLANNER_PROMETHEUS_PORT", "http", "PLANNER_PROMETHEUS_PORT: 'http' is not a whole number"),
        (
            "SCALING_MAX_WAIT_TIME",
            "30m",
            "SCALING_MAX_WAIT_TIME: '30m' is not a number of seconds; write 1800",
        ),
        ("SCALING_MAX_WAIT_TIME", "nan", "SCALING_MAX_WAIT_TIME: 'nan' is not a number of seconds"),
        ("PROMETHEUS_SSL_VERIFY", "maybe", "PROMETHEUS_SSL_VERIFY: 'maybe' is neither true nor false"),
        ("ETCD_ENDPOINTS", "a:2379", "etcd.endpoints: entry 1: 'a:2379' is not a URL"),
    ],
)
def test_a_broken_variable_of_dynamo_is_named(
    least: dict[str, object], name: str, text: str, part: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(least, {name: text})

    assert part in str(caught.value)
    assert name in str(caught.value)


def test_the_namespace_is_derived_as_the_operator_does(least: dict[str, object]) -> None:
    environment = {"DYN_PARENT_DGD_K8S_NAME": "llama", "DYN_PARENT_DGD_K8S_NAMESPACE": "prod"}

    loaded = _load(least, environment)

    assert loaded.settings.dynamo.namespace == "prod-llama"
    assert "graph deployment" in str(loaded.origins["dynamo.namespace"])


def test_several_variables_fill_one_mapping(least: dict[str, object]) -> None:
    names = ("SETPOINT_PROMETHEUS__EXTRA_SELECTOR__A", "SETPOINT_PROMETHEUS__EXTRA_SELECTOR__B")

    loaded = _load(least, dict.fromkeys(names, "x"))

    assert loaded.settings.prometheus.extra_selector == {"a": "x", "b": "x"}


def test_an_empty_variable_counts_as_not_set(least: dict[str, object]) -> None:
    loaded = _load(least, {"SETPOINT_INTERVAL": "", "PROMETHEUS_ENDPOINT": " "})

    assert loaded.settings.interval == 30.0


@pytest.mark.parametrize(
    "name",
    [
        "SETPOINT_PORT",
        "SETPOINT_SERVICE_HOST",
        "SETPOINT_SERVICE_PORT_HTTP",
        "SETPOINT_PORT_9085_TCP_ADDR",
        "SETPOINT_METRICS_SERVICE_HOST",
    ],
)
def test_variables_that_kubernetes_adds_for_a_service_are_passed_over(
    least: dict[str, object], name: str
) -> None:
    assert _load(least, {name: "tcp://10.0.0.1:9085"}).settings.http.port == 9085


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        (
            "SETPOINT_INTERVALL",
            "1s",
            "SETPOINT_INTERVALL: there is no such setting; did you mean SETPOINT_INTERVAL?",
        ),
        ("SETPOINT_TARGETS_TTFT", "1s", "did you mean SETPOINT_TARGETS__TTFT?"),
        (
            "SETPOINT_HTTP__PROT",
            "1",
            "SETPOINT_HTTP__PROT: there is no such setting; did you mean SETPOINT_HTTP__PORT?",
        ),
        ("SETPOINT_LOG__COLOR", "1", "log takes: format, level"),
        (
            "SETPOINT_LOG",
            "debug",
            "SETPOINT_LOG: the text is not JSON; write JSON, or one variable for each setting",
        ),
        ("SETPOINT_LOG", "[1]", "SETPOINT_LOG: a list is not a section"),
        ("SETPOINT_BUDGET_GPUS__X", "1", "SETPOINT_BUDGET_GPUS__X: there is no such setting"),
        ("SETPOINT_INTERVAL", "5", "interval: 5 has no unit; write 5ms or 5s (variable SETPOINT_INTERVAL)"),
        ("SETPOINT_SCRAPE__URLS", "[http://a", "scrape.urls: the text looks like JSON but is not"),
    ],
)
def test_a_broken_variable_says_what_to_do(least: dict[str, object], name: str, text: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(least, {name: text})

    assert part in str(caught.value)


def test_a_secret_in_a_broken_variable_is_not_shown(least: dict[str, object]) -> None:
    environment = {
        "SETPOINT_PROMETHEUS": '{"token": "hunter2"',
        "SETPOINT_PROMETHEUS__HEADERS": "hunter2",
        "SETPOINT_PROMETHEUS_TOKEN": "hunter2",
    }

    with pytest.raises(ConfigError) as caught:
        _load(least, environment)

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


def test_a_required_setting_whose_variable_is_misspelt_is_told_once() -> None:
    environment = {"SETPOINT_BUGDET_GPUS": "8", "SETPOINT_TARGETS__TFFT": "1s"}

    with pytest.raises(ConfigError) as caught:
        load(environment=environment, flags={"targets.itl": "25ms"})

    assert sorted(line.partition(":")[0] for line in str(caught.value).splitlines()) == sorted(environment)
