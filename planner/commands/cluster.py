"""From settings to Kubernetes: how its API is reached, and what is scaled there."""

from collections.abc import Iterator
from pathlib import Path

from config.policy import Role
from config.settings import Settings
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Reference


def api_options_of(settings: Settings) -> ApiOptions:
    """Return how the API server is reached."""
    asked = settings.kubernetes
    return ApiOptions(
        kubeconfig=Path(asked.kubeconfig).expanduser() if asked.kubeconfig else None,
        context=asked.context or "",
        namespace=asked.namespace or settings.dynamo.kubernetes_namespace or "",
        proxy=asked.proxy or "",
        ca_file=Path(asked.ca_file).expanduser() if asked.ca_file else None,
        verify_tls=asked.verify_tls,
        timeout_s=asked.timeout,
        retries=asked.retries,
        requests_per_second=asked.requests_per_second,
    )


def references_of(settings: Settings, *, namespace: str) -> tuple[Reference, ...]:
    """Return what the settings say is scaled, one for each pool that they name.

    Args:
        settings: The settings.
        namespace: Where it is.

    Raises:
        ConfigError: If what a setting names has not the form of a target.
    """
    return tuple(_references(settings, namespace))


def _references(settings: Settings, namespace: str) -> Iterator[Reference]:
    asked, graph = settings.kubernetes, settings.dynamo.graph_deployment
    for role, text in ((Role.PREFILL, asked.prefill), (Role.DECODE, asked.decode)):
        key = f"kubernetes.{role.value}"
        if text:
            yield parse_reference(text, role=role, namespace=namespace, key=key)
        elif graph:
            meant = f"dynamographdeployment/{graph}"
            yield parse_reference(meant, role=role, namespace=namespace, key="dynamo.graph_deployment")
