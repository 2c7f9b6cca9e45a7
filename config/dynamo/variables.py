"""The variables that Dynamo's operator and planner use, and which settings they stand for.

Each variable says in `setpoint config` what it was mapped to.
Sources: Dynamo 0.9.0 (planner and virtual connector), and the Prometheus variables that 1.6.1 added.
"""

from collections.abc import Mapping
from types import MappingProxyType

from config.dynamo.keys import KEYS
from config.dynamo.values import Translate, nothing, seconds, text

VARIABLES: Mapping[str, Translate] = MappingProxyType(
    {
        "PROMETHEUS_ENDPOINT": KEYS["metric_pulling_prometheus_endpoint"].translate,
        "PROMETHEUS_TOKEN": KEYS["metric_pulling_prometheus_token"].translate,
        "PROMETHEUS_TOKEN_FILE": KEYS["metric_pulling_prometheus_token_file"].translate,
        "PROMETHEUS_SSL_VERIFY": KEYS["metric_pulling_prometheus_ssl_verify"].translate,
        "PROMETHEUS_CA_BUNDLE": KEYS["metric_pulling_prometheus_ca_bundle"].translate,
        "PROMETHEUS_EXTRA_QUERY_PARAMS": KEYS["metric_pulling_prometheus_extra_query_params"].translate,
        "DYN_PLANNER_PROMETHEUS_REQUEST_TIMEOUT_SECONDS": KEYS[
            "metric_pulling_prometheus_request_timeout_seconds"
        ].translate,
        "PLANNER_PROMETHEUS_PORT": KEYS["metric_reporting_prometheus_port"].translate,
        "DYN_NAMESPACE": KEYS["namespace"].translate,
        "DYN_PARENT_DGD_K8S_NAME": text("dynamo.graph_deployment"),
        # The pod's own namespace, which the operator's variable after it need not repeat.
        "POD_NAMESPACE": text("dynamo.kubernetes_namespace"),
        "DYN_PARENT_DGD_K8S_NAMESPACE": text("dynamo.kubernetes_namespace"),
        "ETCD_ENDPOINTS": text("etcd.endpoints"),
        "SCALING_CHECK_INTERVAL": nothing("no decision is waited for here, so there is nothing to check"),
        "SCALING_MAX_WAIT_TIME": seconds("etcd.max_wait"),
    }
)
