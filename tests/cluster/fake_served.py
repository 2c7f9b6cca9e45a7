"""Which kinds the fake API server serves, and what it says in discovery."""

from dataclasses import dataclass, field

from connectors.kubernetes.api import Resource
from tests.cluster.fake_parts import Json, Place, no

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_OWN = (
    ("", "v1", "pods", "Pod"),
    ("", "v1", "nodes", "Node"),
    ("", "v1", "services", "Service"),
    ("", "v1", "secrets", "Secret"),
    ("", "v1", "events", "Event"),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "namespaces", "Namespace"),
    ("", "v1", "serviceaccounts", "ServiceAccount"),
    ("apps", "v1", "deployments", "Deployment"),
    ("apps", "v1", "statefulsets", "StatefulSet"),
    ("apps", "v1", "replicasets", "ReplicaSet"),
    ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    ("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    ("coordination.k8s.io", "v1", "leases", "Lease"),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass"),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole"),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
)
_SHORT = {"deployments": ["deploy"], "statefulsets": ["sts"], "replicasets": ["rs"], "pods": ["po"]}
_CLUSTER_WIDE = frozenset(
    {
        "nodes",
        "namespaces",
        "storageclasses",
        "clusterroles",
        "clusterrolebindings",
        "customresourcedefinitions",
    }
)


@dataclass(slots=True, kw_only=True)
class _Kind:
    resource: Resource
    has_scale: bool
    short_names: tuple[str, ...]


@dataclass(slots=True)
class Served:
    """Kinds by group, version and plural."""

    kinds: dict[tuple[str, str, str], _Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group, version, plural, kind in _OWN:
            resource = Resource(group=group, version=version, plural=plural, kind=kind)
            self.add(resource, has_scale=group == "apps", short_names=tuple(_SHORT.get(plural, ())))

    def add(self, resource: Resource, *, has_scale: bool, short_names: tuple[str, ...]) -> None:
        key = (resource.group, resource.version, resource.plural)
        self.kinds[key] = _Kind(resource=resource, has_scale=has_scale, short_names=short_names)

    def see(self, place: Place) -> None:
        """Serve what a test puts somewhere, unless the kind was defined otherwise."""
        if not self._of(place):
            kind = place.plural.removesuffix("s").title()
            resource = Resource(group=place.group, version=place.version, plural=place.plural, kind=kind)
            self.add(resource, has_scale=True, short_names=())

    def drop(self, group: str, plural: str) -> None:
        self.kinds = {key: one for key, one in self.kinds.items() if (key[0], key[2]) != (group, plural)}

    def is_own(self, group: str) -> bool:
        """Tell whether a group is Kubernetes' own."""
        return "." not in group or group.endswith(".k8s.io")

    def check(self, place: Place) -> None:
        if not self._of(place) and not self.is_own(place.group):
            no(404, "NotFound", "the server could not find the requested resource")

    def has_scale(self, place: Place) -> bool:
        kind = self._of(place)
        return kind is not None and kind.has_scale

    def kind(self, place: Place) -> str:
        kind = self._of(place)
        return kind.resource.kind if kind else place.plural.removesuffix("s").title()

    def document(self, path: str) -> Json | None:
        """Return the discovery document at a path; None if that is none."""
        words = path.strip("/").split("/")
        if words == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if words == ["version"]:
            return {"major": "1", "minor": "33", "gitVersion": "v1.33.0"}
        if words[0] not in {"api", "apis"} or len(words) > (2 if words[0] == "api" else 3):
            return None
        return self._discovered(words)

    def _of(self, place: Place) -> _Kind | None:
        return self.kinds.get((place.group, place.version, place.plural))

    def _discovered(self, words: list[str]) -> Json:
        match words:
            case ["apis"]:
                groups = dict.fromkeys(key[0] for key in self.kinds if key[0])
                return {"kind": "APIGroupList", "groups": [self._group(group) for group in groups]}
            case ["apis", group]:
                return self._group(group)
            case _:
                return self._resources("" if words[0] == "api" else words[1], words[-1])

    def _group(self, group: str) -> Json:
        versions = list(dict.fromkeys(key[1] for key in self.kinds if key[0] == group))
        if not versions:
            no(404, "NotFound", "the server could not find the requested resource")
        rows = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
        return {"kind": "APIGroup", "name": group, "versions": rows, "preferredVersion": rows[0]}

    def _resources(self, group: str, version: str) -> Json:
        kinds = [one for key, one in self.kinds.items() if key[:2] == (group, version)]
        if not kinds:
            no(404, "NotFound", "the server could not find the requested resource")
        name = f"{group}/{version}" if group else version
        rows = [row for one in kinds for row in _rows(one)]
        return {"kind": "APIResourceList", "groupVersion": name, "resources": rows}


def _rows(one: _Kind) -> list[Json]:
    plural, kind = one.resource.plural, one.resource.kind
    row: Json = {
        "name": plural,
        "singularName": kind.lower(),
        "namespaced": plural not in _CLUSTER_WIDE,
        "kind": kind,
        "verbs": _VERBS,
        "shortNames": list(one.short_names),
    }
    scale: Json = {
        "name": f"{plural}/scale",
        "singularName": "",
        "namespaced": True,
        "group": "autoscaling",
        "version": "v1",
        "kind": "Scale",
        "verbs": ["get", "patch", "update"],
    }
    return [row, scale] if one.has_scale else [row]
