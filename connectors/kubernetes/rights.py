"""Which rights does Setpoint need, and which does it have?

The one source of RBAC: the daemon's degradation, `setpoint check` and deploy/ all take their rules from
here and from `Target.rules()`; `roles` tells how they become a Role, and its functions are found here, too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from connectors.kubernetes.api import Api, ApiError, Json, Resource
from connectors.kubernetes.builtin import OTHERS_ACCESS, OWN_ACCESS, OWN_RULES
from connectors.kubernetes.paths import member
from connectors.kubernetes.roles import Excess, covers, merged, missing_yaml, role_rules, role_yaml, unneeded
from connectors.kubernetes.target import Rule

__all__ = [
    "RULES",
    "WITHOUT",
    "Excess",
    "Feature",
    "covers",
    "may",
    "merged",
    "missing",
    "missing_yaml",
    "own_rules",
    "role_rules",
    "role_yaml",
    "rules_for",
    "unneeded",
]

_SERVICE_ACCOUNT = "system:serviceaccount:"


class Feature(StrEnum):
    """What rights beyond those of the targets are for."""

    PODS = "pods"
    WATCH = "watch"
    ELECTION = "election"
    EVENTS = "events"
    CONFIG_MAP = "config_map"
    RIVALS = "rivals"
    DRA = "dra"
    PODGROUPS = "podgroups"
    PROMETHEUS = "prometheus"
    DGDR = "dgdr"


def _optional(group: str, resource: str, *verbs: str, why: str) -> Rule:
    return Rule(group=group, resource=resource, verbs=verbs, why=why, is_needed=False)


_RIVALS = "see other autoscalers of the same target"

RULES: Mapping[Feature, tuple[Rule, ...]] = MappingProxyType(
    {
        Feature.PODS: (_optional("", "pods", "list", why="tell starting, failing and ending engines apart"),),
        Feature.WATCH: (_optional("", "pods", "watch", why="see pods change without asking again"),),
        Feature.ELECTION: (
            _optional(
                "coordination.k8s.io",
                "leases",
                "create",
                "get",
                "update",
                why="agree on one leader by a Lease",
            ),
        ),
        Feature.EVENTS: (
            _optional(
                "", "events", "create", "patch", why="explain changes and holds in Events on the target"
            ),
        ),
        Feature.CONFIG_MAP: (
            _optional("", "configmaps", "create", "patch", why="keep the last decision in a ConfigMap"),
        ),
        Feature.RIVALS: (
            _optional("autoscaling", "horizontalpodautoscalers", "list", why=_RIVALS),
            _optional("keda.sh", "scaledobjects", "list", why=_RIVALS),
            _optional("llmd.ai", "variantautoscalings", "list", why=_RIVALS),
            _optional("autoscaling.aibrix.ai", "podautoscalers", "list", why=_RIVALS),
        ),
        Feature.DRA: (
            _optional(
                "resource.k8s.io",
                "resourceclaimtemplates",
                "get",
                "list",
                "watch",
                why="count GPUs that pods claim by DRA",
            ),
        ),
        Feature.PODGROUPS: (
            _optional(
                "scheduling.run.ai",
                "podgroups",
                "list",
                "watch",
                why="see what the KAI scheduler has no room for",
            ),
        ),
        Feature.PROMETHEUS: (
            _optional(
                "",
                "services/proxy",
                "create",
                why="reach Prometheus through the API server (settings: service)",
            ),
        ),
        Feature.DGDR: (
            Rule(
                group="nvidia.com",
                resource="dynamographdeploymentrequests",
                verbs=("get",),
                why="read the deployment request",
            ),
            Rule(group="", resource="configmaps", verbs=("get",), why="read the request's profile"),
            _optional(
                "nvidia.com",
                "dynamographdeploymentrequests",
                "list",
                "watch",
                why="follow the request's progress",
            ),
        ),
    }
)

WITHOUT: Mapping[Feature, str] = MappingProxyType(
    {
        Feature.PODS: "failing engines are not recognized; readiness is the controller's count",
        Feature.WATCH: "everything is asked again at each interval instead of being watched",
        Feature.ELECTION: "a second daemon would scale the same target: run one replica only",
        Feature.EVENTS: "no Events are written; the log and the journal have it all",
        Feature.CONFIG_MAP: "the last decision is not kept in a ConfigMap; the API and the journal have it",
        Feature.RIVALS: "other autoscalers of the same target are not recognized",
        Feature.DRA: "GPUs that are claimed by DRA are not counted; set gpus_per_engine",
        Feature.PODGROUPS: "what the KAI scheduler has no room for counts as starting",
        Feature.PROMETHEUS: "Prometheus is not reached through the API server; set prometheus.url",
        Feature.DGDR: "a deployment request cannot be read from the cluster",
    }
)


def rules_for(feature: Feature, *names: str) -> tuple[Rule, ...]:
    """Return the rules of a feature, for these objects only (`create` stays for all, as a Role must).

    Example:
        >>> [(rule.verbs, rule.names) for rule in rules_for(Feature.CONFIG_MAP, "setpoint-llm")]
        [(('create',), ()), (('patch',), ('setpoint-llm',))]
    """
    return merged(replace(rule, names=names) for rule in RULES[feature])


async def may(api: Api, rule: Rule, namespace: str | None, *, subject: str = "") -> bool | None:
    """Tell whether a rule is granted whole; None if the API server did not say.

    Args:
        api: Who asks.
        rule: What is asked for.
        namespace: Where; None is the whole cluster.
        subject: Whose rights, such as `system:serviceaccount:NAMESPACE:NAME`; empty is our own.
    """
    review = OTHERS_ACCESS if subject else OWN_ACCESS
    try:
        for attributes in _attributes(rule, namespace):
            spec: dict[str, Any] = {"resourceAttributes": attributes}
            if subject:
                spec |= {"user": subject, "groups": _groups_of(subject)}
            answer = await api.post(review.path(None), {**_head(review), "spec": spec})
            if not member(answer, "status").get("allowed", False):
                return False
    except ApiError:
        return None
    return True


def _head(review: Resource) -> dict[str, Any]:
    return {"apiVersion": review.api_version, "kind": review.kind}


def _attributes(rule: Rule, namespace: str | None) -> Iterable[dict[str, str]]:
    resource, _, subresource = rule.resource.partition("/")
    common = {"group": rule.group, "resource": resource}
    common |= {"namespace": namespace} if namespace else {}
    common |= {"subresource": subresource} if subresource else {}
    for part in merged((rule,)):
        for verb in part.verbs:
            for name in part.names or ("",):
                yield common | {"verb": verb} | ({"name": name} if name else {})


def _groups_of(subject: str) -> list[str]:
    """Return the groups that a user has by nature; others are not known here."""
    if not subject.startswith(_SERVICE_ACCOUNT):
        return ["system:authenticated"]
    namespace = subject.removeprefix(_SERVICE_ACCOUNT).partition(":")[0]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]


async def own_rules(api: Api, namespace: str) -> tuple[Json, ...] | None:
    """Return all rules that we have in a namespace, by one request; None if the server does not know all."""
    body = {**_head(OWN_RULES), "spec": {"namespace": namespace}}
    try:
        status = member(await api.post(OWN_RULES.path(None), body), "status")
    except ApiError:
        return None
    rules = status.get("resourceRules")
    return None if status.get("incomplete") or not isinstance(rules, list) else tuple(rules)


async def missing(
    api: Api,
    rules: Iterable[Rule],
    namespace: str,
    *,
    subject: str = "",
    granted: tuple[Json, ...] | None = None,
) -> tuple[Rule, ...]:
    """Return the rules that are not granted; one on which the server says nothing counts as granted.

    One request answers for ourselves where the API server knows all our rules, else one per verb does.

    Args:
        api: Who is asked.
        rules: The rules.
        namespace: Where they are to hold.
        subject: Whose rights; empty is our own.
        granted: What `own_rules` said, where that was asked already.
    """
    wanted = merged(rules)
    known = granted if granted is not None or subject else await own_rules(api, namespace)
    if known is not None:
        return tuple(rule for rule in wanted if not covers(known, rule))
    return tuple([rule for rule in wanted if await may(api, rule, namespace, subject=subject) is False])
