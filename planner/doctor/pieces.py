"""Which pieces of software a platform may consist of, and by what they are recognized."""

import re
from dataclasses import dataclass

from planner.doctor.patient import Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One piece of software with kinds of its own.

    Attributes:
        name: What people call it.
        group: API group of its kinds.
        plurals: Its kinds that matter here.
        aliases: What a target's kind begins with that is one of its kinds.
        operator: What an operator's namespace, name and images look like; groups of one text.
        install: How it comes into a cluster.
    """

    name: str
    group: str
    plurals: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    operator: re.Pattern[str]
    install: str


DYNAMO = Piece(
    name="Dynamo",
    group="nvidia.com",
    plurals=(
        "dynamographdeployments",
        "dynamographdeploymentscalingadapters",
        "dynamographdeploymentrequests",
    ),
    aliases=("dynamo", "dgd"),
    operator=re.compile(r"dynamo-operator|ai-dynamo/kubernetes-operator"),
    install="helm charts dynamo-crds and dynamo-platform, see docs.nvidia.com/dynamo",
)
GROVE = Piece(
    name="Grove",
    group="grove.io",
    plurals=("podcliques", "podcliquescalinggroups", "podcliquesets"),
    aliases=("podclique", "pclq", "pcsg"),
    operator=re.compile(r"grove-operator"),
    install="its chart grove-charts, as github.com/ai-dynamo/grove says",
)
KAI = Piece(
    name="KAI scheduler",
    group="scheduling.run.ai",
    plurals=("queues", "podgroups"),
    operator=re.compile(r"kai-scheduler/\S*scheduler"),
    install="its chart kai-scheduler, as github.com/kai-scheduler/KAI-Scheduler says",
)
MONITORING = Piece(
    name="Prometheus operator",
    group="monitoring.coreos.com",
    plurals=("prometheuses", "podmonitors", "servicemonitors"),
    operator=re.compile(r"prometheus-operator"),
    install=(
        "helm install prometheus kube-prometheus-stack"
        " --repo https://prometheus-community.github.io/helm-charts \\\n"
        "  -n monitoring --create-namespace"
    ),
)
PIECES = (
    DYNAMO,
    GROVE,
    KAI,
    MONITORING,
    Piece(
        name="LeaderWorkerSet",
        group="leaderworkerset.x-k8s.io",
        plurals=("leaderworkersets",),
        aliases=("leaderworkerset", "lws"),
        operator=re.compile(r"lws-controller|lws/lws"),
        install="lws.sigs.k8s.io/docs/installation",
    ),
    Piece(
        name="DisaggregatedSet",
        group="disaggregatedset.x-k8s.io",
        plurals=("disaggregatedsets", "disaggregatedsetrolescalers"),
        aliases=("disaggregatedset", "dsrs"),
        operator=re.compile(r"lws-controller|lws/lws|disaggregatedset"),
        install="lws.sigs.k8s.io/docs/installation",
    ),
    Piece(
        name="KServe",
        group="serving.kserve.io",
        plurals=("inferenceservices", "llminferenceservices"),
        aliases=("inferenceservice", "isvc", "llminferenceservice", "llmisvc"),
        operator=re.compile(r"kserve-controller|llmisvc-controller"),
        install="kserve.github.io/website",
    ),
    Piece(
        name="KubeRay",
        group="ray.io",
        plurals=("rayclusters", "rayservices"),
        aliases=("raycluster", "rayservice"),
        operator=re.compile(r"kuberay-operator|kuberay/operator"),
        install="helm install kuberay-operator kuberay-operator --repo https://ray-project.github.io/kuberay-helm",
    ),
    Piece(
        name="AIBrix",
        group="orchestration.aibrix.ai",
        plurals=("stormservices",),
        aliases=("stormservice",),
        operator=re.compile(r"aibrix-controller|aibrix/controller"),
        install="aibrix.readthedocs.io",
    ),
    Piece(
        name="KEDA",
        group="keda.sh",
        plurals=("scaledobjects",),
        operator=re.compile(r"keda-operator|kedacore/keda:"),
        install="helm install keda keda --repo https://kedacore.github.io/charts -n keda --create-namespace",
    ),
)


def is_needed(piece: Piece, patient: Patient) -> bool:
    """Tell whether a target that the settings name is of one of its kinds."""
    return any(reference.kind.startswith(piece.aliases) for reference in patient.references if piece.aliases)


def is_expected(piece: Piece, patient: Patient) -> bool:
    """Tell whether it will probably be needed: no target is named yet, and the metrics are Dynamo's."""
    return piece is DYNAMO and not patient.references and patient.is_of_dynamo
