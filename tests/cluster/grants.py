"""A service account that has some rights and no others."""

from collections.abc import Iterable, Mapping

from connectors.kubernetes.rights import role_rules
from connectors.kubernetes.target import Rule
from tests.cluster.control_plane import Administrator

_RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"
# The Role that Dynamo's chart (0.9.0) gives planner-serviceaccount, and nothing else.
STOCK = [
    {
        "apiGroups": ["nvidia.com"],
        "resources": ["dynamocomponentdeployments", "dynamographdeployments"],
        "verbs": ["get", "list", "create", "update", "patch"],
    },
    {
        "apiGroups": ["nvidia.com"],
        "resources": ["dynamographdeploymentscalingadapters/scale"],
        "verbs": ["patch"],
    },
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["nvidia.com"],
        "resources": ["dynamoworkermetadatas"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
    },
]


def token_with(admin: Administrator, namespace: str, account: str, rules: Iterable[Rule]) -> str:
    """Return a token of a new service account that a Role grants these rules, and nothing else."""
    return token_by_role(admin, namespace, account, role_rules(rules))


def token_by_role(
    admin: Administrator, namespace: str, account: str, rules: Iterable[Mapping[str, object]]
) -> str:
    """Return the same for rules as they are in a Role."""
    name = {"metadata": {"name": account}}
    admin.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", name)
    admin.ask("POST", f"{_RBAC}/{namespace}/roles", {**name, "rules": list(rules)})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    binding = {**name, "roleRef": role, "subjects": [subject]}
    admin.ask("POST", f"{_RBAC}/{namespace}/rolebindings", binding)
    return admin.token_for(namespace, account)
