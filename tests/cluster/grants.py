"""A service account that has some rights and no others."""

from collections.abc import Iterable

from connectors.kubernetes.rights import role_rules
from connectors.kubernetes.target import Rule
from tests.cluster.control_plane import Administrator

_RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


def token_with(admin: Administrator, namespace: str, account: str, rules: Iterable[Rule]) -> str:
    """Return a token of a new service account that a Role grants these rules, and nothing else."""
    admin.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": account}})
    admin.ask(
        "POST",
        f"{_RBAC}/{namespace}/roles",
        {"metadata": {"name": account}, "rules": role_rules(rules)},
    )
    admin.ask(
        "POST",
        f"{_RBAC}/{namespace}/rolebindings",
        {
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        },
    )
    return admin.token_for(namespace, account)
