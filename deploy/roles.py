"""Writes the Roles of deploy/manifests from the rules that the targets and features state themselves.

    python -P deploy/roles.py            writes them
    python -P deploy/roles.py --check    tells whether they are up to date

What `setpoint check` asks for, what the daemon does without, and what is granted here thus have one source.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from config.policy import Role
from connectors.kubernetes.api import Resource
from connectors.kubernetes.rights import RULES, Feature, role_yaml
from connectors.kubernetes.target import ObjectKey, Rule, Target
from connectors.kubernetes.targets.aibrix import StormService
from connectors.kubernetes.targets.disaggregatedset import RoleScaler
from connectors.kubernetes.targets.dynamo import GraphService
from connectors.kubernetes.targets.dynamo_adapter import Adapter
from connectors.kubernetes.targets.grove import Gang
from connectors.kubernetes.targets.kserve import InferenceService
from connectors.kubernetes.targets.kserve_llm import LlmService
from connectors.kubernetes.targets.leaderworkerset import LeaderWorkerSet
from connectors.kubernetes.targets.ray import ServedGroup, WorkerGroup
from connectors.kubernetes.targets.scalable import Scalable
from connectors.kubernetes.targets.workload import Workload

MANIFESTS = Path(__file__).parent / "manifests"
_ANY = "NAME"
_HEAD = "# Written by deploy/roles.py; what it grants is what Setpoint says that it needs.\n"
_OWN = (
    Feature.PODS,
    Feature.WATCH,
    Feature.ELECTION,
    Feature.EVENTS,
    Feature.CONFIG_MAP,
    Feature.RIVALS,
    Feature.DRA,
    Feature.PODGROUPS,
)
# Beside those of its targets, what a daemon may be given in addition.
_MORE = {"prometheus-proxy": Feature.PROMETHEUS, "dgdr": Feature.DGDR}


def _key(group: str, version: str, kind: str) -> ObjectKey:
    resource = Resource(group=group, version=version, plural=f"{kind.lower()}s", kind=kind)
    return ObjectKey(resource=resource, namespace="", name=_ANY)


def _targets() -> Mapping[str, tuple[Target, ...]]:
    role = Role.DECODE
    deployment = Workload(role=role, parent=_key("apps", "v1", "Deployment"))
    groups = LeaderWorkerSet(role=role, parent=_key("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet"))
    graph = _key("nvidia.com", "v1alpha1", "DynamoGraphDeployment")
    adapter = _key("nvidia.com", "v1alpha1", "DynamoGraphDeploymentScalingAdapter")
    llm = _key("serving.kserve.io", "v1alpha2", "LLMInferenceService")
    service = _key("serving.kserve.io", "v1beta1", "InferenceService")
    clique = _key("grove.io", "v1alpha1", "PodClique")
    gang = _key("grove.io", "v1alpha1", "PodCliqueScalingGroup")
    scaler = _key("disaggregatedset.x-k8s.io", "v1", "DisaggregatedSetRoleScaler")
    disaggregated = _key("disaggregatedset.x-k8s.io", "v1", "DisaggregatedSet")
    cluster = _key("ray.io", "v1", "RayCluster")
    storm = _key("orchestration.aibrix.ai", "v1alpha1", "StormService")
    rollout = _key("argoproj.io", "v1alpha1", "Rollout")
    return {
        "deployment": (deployment,),
        "statefulset": (Workload(role=role, parent=_key("apps", "v1", "StatefulSet")),),
        "dynamographdeployment": (
            GraphService(role=role, parent=graph, part="a service", adapter=adapter),
            Adapter(role=role, parent=adapter, graph=graph, service="a service"),
        ),
        "leaderworkerset": (groups,),
        "disaggregatedset": (RoleScaler(role=role, parent=scaler, owner=disaggregated, part="a role"),),
        "ray": (
            WorkerGroup(role=role, parent=cluster, part="a group"),
            ServedGroup(
                parent=_key("ray.io", "v1", "RayService"),
                group=WorkerGroup(role=role, parent=cluster, part="a group"),
            ),
        ),
        "llminferenceservice": tuple(
            LlmService(role=role, parent=llm, child=child, states_replicas=states)
            for child in (deployment, groups)
            for states in (True, False)
        ),
        "inferenceservice": tuple(
            InferenceService(role=role, parent=service, child=deployment, is_stated=states)
            for states in (True, False)
        ),
        "grove": (
            Gang(role=role, parent=clique, owner=None),
            Gang(role=role, parent=gang, owner=_key("grove.io", "v1alpha1", "PodCliqueSet")),
        ),
        "stormservice": (
            StormService(role=role, parent=storm, part="", counts_itself=True),
            StormService(role=role, parent=storm, part="a role", counts_itself=False),
        ),
        "rollout": (Scalable(role=role, parent=rollout),),
    }


def files() -> Mapping[Path, str]:
    """Return every generated file with its text."""
    found = {MANIFESTS / "daemon" / "role.yaml": _role("setpoint", _features(*_OWN))}
    for name, targets in _targets().items():
        rules = (rule for target in targets for rule in target.rules())
        found |= _component(name, rules)
    for name, feature in _MORE.items():
        found |= _component(name, _features(feature))
    graph = (rule for target in _targets()["dynamographdeployment"] for rule in target.rules())
    found[MANIFESTS / "sidecar" / "rights.yaml"] = _role(
        "setpoint-planner", (*graph, *_features(*_OWN)), account="planner-serviceaccount"
    )
    return found


def _component(name: str, rules: Iterable[Rule]) -> Mapping[Path, str]:
    folder = MANIFESTS / "targets" / name
    kustomization = (
        f"{_HEAD}apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources:\n  - role.yaml\n"
    )
    return {
        folder / "kustomization.yaml": kustomization,
        folder / "role.yaml": _role(f"setpoint-{name}", rules),
    }


def _features(*features: Feature) -> tuple[Rule, ...]:
    return tuple(rule for feature in features for rule in RULES[feature])


def _role(name: str, rules: Iterable[Rule], *, account: str = "setpoint") -> str:
    binding = f"""\
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {name}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {name}
subjects:
  - kind: ServiceAccount
    name: {account}
"""
    return _HEAD + role_yaml(name, "", (_general(rule) for rule in rules)) + binding


def _general(rule: Rule) -> Rule:
    """Return a rule for all objects of its kind; whoever installs may add `resourceNames`."""
    why = re.sub(rf"(\w+) {_ANY}\b", r"a \1", rule.why)
    return replace(rule, names=(), why=why)


def main() -> int:
    """Write the files, or tell which differ."""
    stale = [path for path, text in files().items() if not path.is_file() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(MANIFESTS)} is stale; run python -P deploy/roles.py\n")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files()[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
