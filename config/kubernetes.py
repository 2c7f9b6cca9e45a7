"""The section of settings that speaks of Kubernetes: what is scaled there, and how its API is spoken to."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from config.fields import NOT_BOOL, Duration, Name, PositiveDuration, Text, Url
from config.sections import SECTION


class Election(StrEnum):
    """Whether several processes agree on a leader."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class KubernetesSettings(BaseModel):
    """What is scaled on Kubernetes, and how its API is spoken to."""

    model_config = SECTION

    prefill: Text | None = Field(
        default=None,
        description=(
            "What the prefill pool is: kind/name, or kind?label=value to select by labels; a service, role or"
            " group inside it follows after a colon. null takes dynamo.graph_deployment, its prefill service."
        ),
        examples=["deployment/vllm-prefill", "leaderworkerset/prefill", "raycluster/llm:prefill"],
    )
    decode: Text | None = Field(
        default=None, description="What the decode pool is, in the same way.", examples=["deployment/decode"]
    )
    namespace: Name | None = Field(
        default=None,
        description=(
            "Namespace of the targets; null takes dynamo.kubernetes_namespace, else the pod's own, else the"
            " one of the kubeconfig's context."
        ),
    )
    kubeconfig: Text | None = Field(
        default=None,
        description=(
            "Kubeconfig file; null takes the service account of the pod, else KUBECONFIG, else"
            " ~/.kube/config."
        ),
    )
    context: Text | None = Field(
        default=None, description="Context of the kubeconfig; null takes its current one."
    )
    proxy: Url | None = Field(
        default=None, description="HTTP proxy to the API server; null takes the kubeconfig's or HTTPS_PROXY."
    )
    ca_file: Text | None = Field(
        default=None,
        description=(
            "PEM file of the authorities that sign the API server's certificate; null takes the kubeconfig's."
        ),
    )
    verify_tls: bool = Field(
        default=True, description="Check the API server's certificate. Turn off in tests only."
    )
    timeout: PositiveDuration = Field(
        default=5.0, description="Longest wait for one answer of the API server."
    )
    retries: Annotated[int, Field(ge=0, le=10), NOT_BOOL] = Field(
        default=3, description="Further attempts after a request got no answer, 429 or 5xx."
    )
    requests_per_second: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False), NOT_BOOL] = Field(
        default=10.0,
        description=(
            "Most requests sent to the API server, averaged over a few seconds; queries that it passes on to"
            " Prometheus come on top."
        ),
    )
    resync: PositiveDuration = Field(
        default=600.0, description="Everything watched is listed afresh after so long."
    )
    election: Election = Field(
        default=Election.AUTO,
        description=(
            "Whether a Lease decides which of several daemons writes: auto is on where our rights allow"
            " leases, on insists, off is for a single daemon."
        ),
    )
    lease: Name | None = Field(
        default=None, description="Name of the Lease; null is setpoint- and the name of the deployment."
    )
    lease_duration: PositiveDuration = Field(
        default=10.0, description="A leader that does not renew for so long is replaced."
    )
    unschedulable_grace: Duration = Field(
        default=300.0,
        description=(
            "An engine that no node has room for counts as starting for so long, in which a node autoscaler"
            " may bring one."
        ),
    )
    allow_rivals: bool = Field(
        default=False,
        description=(
            "Scale although an HPA, a KEDA ScaledObject or another autoscaler (Dynamo's planner, say) has the"
            " same target."
        ),
    )
    events: bool = Field(
        default=True, description="Write an Event on the target for each change and each new hold."
    )
    config_map: Name | None = Field(
        default=None,
        description=(
            "ConfigMap that holds the last decision; null is setpoint- and the name of the deployment."
        ),
    )
