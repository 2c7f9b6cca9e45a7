"""What `kubectl apply` of the Roles in deploy/ gives a service account."""

from pathlib import Path

import yaml

from tests.cluster.control_plane import Administrator

MANIFESTS = Path(__file__).parents[2] / "deploy" / "manifests"
_RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


def token_of(admin: Administrator, namespace: str, *targets: str, account: str = "setpoint") -> str:
    """Return a token of the daemon's service account with its Role and those of what it scales, no others.

    Another account gets Roles of its own, so that the audit log tells who it was.
    """
    body = {"metadata": {"name": account}}
    admin.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", body)
    for folder in ("daemon", *(f"targets/{target}" for target in targets)):
        text = (MANIFESTS / folder / "role.yaml").read_text(encoding="utf-8")
        for document in yaml.safe_load_all(text.replace("name: setpoint", f"name: {account}")):
            for subject in document.get("subjects", ()):
                subject["namespace"] = namespace
            admin.ask("POST", f"{_RBAC}/{namespace}/{document['kind'].lower()}s", document)
    return admin.token_for(namespace, account)
