"""The variables that Dynamo's operator and planner use, and which settings they stand for.

Units are Dynamo's: plain numbers of seconds. Each variable says in `setpoint config` what it was mapped to.
Sources: Dynamo 0.9.0 (planner and virtual connector), and the Prometheus variables that 1.6.1 added.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from config.units import format_duration, quoted


class Untranslatable(ValueError):
    """A variable holds what Dynamo would not take either.

    Attributes:
        problem: What was found.
        hint: What was expected.
    """

    def __init__(self, problem: str, hint: str) -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(problem)


# Also excludes NaN.
_MAX_S = 1e7

Translate = Callable[[str], Mapping[str, object]]


def _same(key: str) -> Translate:
    return lambda text: {key: text.strip()}


def _seconds(key: str) -> Translate:
    def translate(text: str) -> Mapping[str, object]:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0.0 < seconds < _MAX_S:
            raise Untranslatable(f"'{quoted(text)}' is not a number of seconds", "write for example 30")
        return {key: format_duration(seconds)}

    return translate


def _port(text: str) -> Mapping[str, object]:
    """Dynamo's 0 turns the server off, where Setpoint's 0 takes a free port."""
    if text.strip() == "0":
        return {"http.enabled": False}
    return {"http.port": text.strip()}


def _truth(key: str) -> Translate:
    def translate(text: str) -> Mapping[str, object]:
        word = text.strip().lower()
        if word not in _TRUTHS:
            raise Untranslatable(f"'{quoted(text)}' is neither true nor false", "write true or false")
        return {key: _TRUTHS[word]}

    return translate


_TRUTHS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}

VARIABLES: Mapping[str, Translate] = MappingProxyType(
    {
        "PROMETHEUS_ENDPOINT": _same("prometheus.url"),
        "PROMETHEUS_TOKEN": _same("prometheus.token"),
        "PROMETHEUS_TOKEN_FILE": _same("prometheus.token_file"),
        "PROMETHEUS_SSL_VERIFY": _truth("prometheus.verify_tls"),
        "PROMETHEUS_CA_BUNDLE": _same("prometheus.ca_file"),
        "DYN_PLANNER_PROMETHEUS_REQUEST_TIMEOUT_SECONDS": _seconds("prometheus.query_timeout"),
        "PLANNER_PROMETHEUS_PORT": _port,
        "DYN_NAMESPACE": _same("dynamo.namespace"),
        "DYN_PARENT_DGD_K8S_NAME": _same("dynamo.graph_deployment"),
        "DYN_PARENT_DGD_K8S_NAMESPACE": _same("dynamo.kubernetes_namespace"),
        "ETCD_ENDPOINTS": _same("etcd.endpoints"),
        "SCALING_MAX_WAIT_TIME": _seconds("etcd.max_wait"),
    }
)
