"""Kubernetes' own kinds that Setpoint reads or writes beside its targets: where the API serves each."""

from connectors.kubernetes.api import Resource

PODS = Resource(group="", version="v1", plural="pods", kind="Pod")
SERVICES = Resource(group="", version="v1", plural="services", kind="Service")
CONFIG_MAPS = Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
SECRETS = Resource(group="", version="v1", plural="secrets", kind="Secret")
EVENTS = Resource(group="", version="v1", plural="events", kind="Event")
NODES = Resource(group="", version="v1", plural="nodes", kind="Node")
NAMESPACES = Resource(group="", version="v1", plural="namespaces", kind="Namespace")
DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
LEASES = Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
STORAGE_CLASSES = Resource(group="storage.k8s.io", version="v1", plural="storageclasses", kind="StorageClass")


def _rbac(kind: str) -> Resource:
    return Resource(group="rbac.authorization.k8s.io", version="v1", plural=f"{kind.lower()}s", kind=kind)


def _review(kind: str) -> Resource:
    return Resource(group="authorization.k8s.io", version="v1", plural=f"{kind.lower()}s", kind=kind)


ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS = _rbac("RoleBinding"), _rbac("ClusterRoleBinding")
# What a binding may refer to, by kind.
ROLES = {kind: _rbac(kind) for kind in ("Role", "ClusterRole")}
# Access reviews: may we, may somebody else, and what may we at all.
OWN_ACCESS = _review("SelfSubjectAccessReview")
OTHERS_ACCESS = _review("SubjectAccessReview")
OWN_RULES = _review("SelfSubjectRulesReview")
