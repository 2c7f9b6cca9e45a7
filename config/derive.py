"""Settings that follow from others where nobody set them."""

from collections.abc import Iterable

from config.layers import Given, Layer
from config.problems import Origin, OriginKind

# Any of these says what is scaled on Kubernetes.
_AIMS = frozenset({"dynamo.graph_deployment", "kubernetes.prefill", "kubernetes.decode"})


def aimed(given: dict[str, Given], layers: Iterable[Layer]) -> frozenset[str]:
    """Take the values that count only where it is said what is scaled on Kubernetes; return which."""
    if not _AIMS & given.keys():
        return frozenset()
    weak = {key: one for layer in layers for key, one in layer.if_aimed.items() if key not in given}
    given |= weak
    return frozenset(weak)


def derive_namespace(given: dict[str, Given]) -> None:
    """Name Dynamo's namespace as its operator does, where it was not set."""
    graph, kubernetes = _text(given, "dynamo.graph_deployment"), _text(given, "dynamo.kubernetes_namespace")
    if "dynamo.namespace" in given or not graph or not kubernetes:
        return
    words = "from the names of the graph deployment and its namespace"
    origin = Origin(kind=OriginKind.DEFAULT, name=words)
    given["dynamo.namespace"] = Given(value=f"{kubernetes}-{graph}", origin=origin)


def _text(given: dict[str, Given], key: str) -> str:
    value = given[key].value if key in given else ""
    return value if isinstance(value, str) else ""
