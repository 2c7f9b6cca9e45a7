"""Has the daemon the rights that it needs, and none that it does not?

Asked with the person's own credentials for the daemon's service account, so that nothing has to be deployed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from config.errors import ObservationError
from config.kubernetes import Election
from config.settings import Settings
from connectors.kubernetes.api import Api, ApiError, Json, Resource
from connectors.kubernetes.builtin import CLUSTER_ROLE_BINDINGS, OTHERS_ACCESS, ROLE_BINDINGS, ROLES
from connectors.kubernetes.meta import items, text
from connectors.kubernetes.rights import (
    WITHOUT,
    Excess,
    Feature,
    covers,
    may,
    merged,
    missing_yaml,
    own_rules,
    rules_for,
    unneeded,
)
from connectors.kubernetes.target import Rule
from planner.doctor.findings import Sign, Signs, fail, listed, ok, skip, warn
from planner.doctor.patient import Patient
from planner.doctor.pools import Pool, examined_pools

_SHOWN = 12


def features_of(settings: Settings, pools: Iterable[Pool]) -> tuple[Feature, ...]:
    """Return what the settings make use of."""
    kubernetes = settings.kubernetes
    chosen: Mapping[Feature, bool] = {
        Feature.PODS: True,
        Feature.WATCH: True,
        Feature.RIVALS: True,
        Feature.PODGROUPS: True,
        Feature.ELECTION: kubernetes.election is not Election.OFF,
        Feature.EVENTS: kubernetes.events,
        Feature.CONFIG_MAP: True,
        Feature.DRA: any(_claims(pool) for pool in pools),
    }
    return tuple(feature for feature, is_chosen in chosen.items() if is_chosen)


def _claims(pool: Pool) -> bool:
    keys = pool.target.needs() if pool.target else ()
    return any(key.resource.group == "resource.k8s.io" for key in keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Rights that are needed in one namespace."""

    namespace: str
    rules: tuple[Rule, ...]


def needs_of(patient: Patient, pools: tuple[Pool, ...]) -> Need:
    """Return the rights that the daemon needs beside its targets."""
    rules = [rule for pool in pools if pool.target for rule in pool.target.rules()]
    rules += [_reading(pool, pool.forbidden) for pool in pools if pool.forbidden]
    for feature in features_of(patient.settings, pools):
        rules += rules_for(feature, *_names(patient, feature))
    return Need(namespace=patient.namespace, rules=tuple(rules))


def _reading(pool: Pool, kind: Resource) -> Rule:
    """Return the first right that a target takes whose others are not known, since it may not be read."""
    name = pool.reference.name
    return Rule(
        group=kind.group,
        resource=kind.plural,
        verbs=("get", "list", "watch"),
        why=f"read {pool.words}; deploy/manifests/targets has the Roles with the rest",
        names=(name,) if name else (),
    )


def _names(patient: Patient, feature: Feature) -> tuple[str, ...]:
    """Return the only objects that a feature is about; none if it is about all of a kind."""
    names = {Feature.ELECTION: patient.lease, Feature.CONFIG_MAP: patient.config_map}
    return (names[feature],) if feature in names else ()


async def check_rights(patient: Patient) -> Sign:
    """Ask the API server for each right, on kinds that it serves."""
    pools = await examined_pools(patient)
    if not any(pool.target or pool.forbidden for pool in pools):
        return skip("no target was found, whose kind decides which rights are needed")
    need = needs_of(patient, pools)
    api = patient.records.api
    if patient.account and not await _may_ask(api, need.namespace):
        return warn(
            f"we may not ask for the rights of service account {patient.account}",
            todo="ask somebody who may create subjectaccessreviews, or check with the daemon's own token"
            " and --as-self",
        )
    served = {text(group, "name") for group in items(await patient.records.get("/apis"), "groups")}
    rules = [rule for rule in need.rules if not rule.group or rule.group in served]
    lacking = await lacking_of(api, rules, need.namespace, account=patient.account)
    return judge_rights(lacking, account=patient.account, namespace=need.namespace)


async def lacking_of(api: Api, rules: Iterable[Rule], namespace: str, *, account: str) -> tuple[Rule, ...]:
    """Return just what is not granted, verb by verb.

    Args:
        api: Who asks.
        rules: What is needed.
        namespace: Where.
        account: Whose rights, as `namespace:name`; empty is our own.

    Raises:
        ObservationError: If nothing that is needed lacks, and the server does not say all.
    """
    granted = None if account else await own_rules(api, namespace)
    subject = f"system:serviceaccount:{account}" if account else ""
    answers: dict[Rule, bool | None] = {}
    lacking: list[Rule] = []
    unsaid: list[Rule] = []
    for rule in rules:
        for verb in rule.verbs:
            asked = replace(rule, verbs=(verb,), why="", is_needed=True)
            if asked not in answers:
                answers[asked] = (
                    covers(granted, asked)
                    if granted is not None
                    else await may(api, asked, namespace, subject=subject)
                )
            if not answers[asked]:
                (unsaid if answers[asked] is None else lacking).append(replace(rule, verbs=(verb,)))
    if unsaid and not any(rule.is_needed for rule in lacking):
        names = listed(dict.fromkeys(map(_in_words, unsaid)))
        raise ObservationError(f"the API server does not say who may: {names}")
    return merged(lacking)


async def check_proxy_rights(patient: Patient) -> Signs:
    """Ask whether the daemon may reach Prometheus through the API server, where it is told to."""
    service = patient.settings.prometheus.service
    if not service:
        return ()
    where, _, rest = service.removeprefix("https:").partition("/")
    # What a Role names is the service as the path has it, with scheme and port.
    name = f"https:{rest}" if service.startswith("https:") else rest
    rules = tuple(replace(rule, is_needed=True) for rule in rules_for(Feature.PROMETHEUS, name))
    if patient.account and not await _may_ask(patient.records.api, where):
        return warn(f"we may not ask for the rights of service account {patient.account}")
    lacking = await lacking_of(patient.records.api, rules, where, account=patient.account)
    return judge_rights(lacking, account=patient.account, namespace=where)


def judge_rights(lacking: tuple[Rule, ...], *, account: str, namespace: str) -> Sign:
    """Say which rights are missing, and what that means."""
    who = f"service account {account}" if account else "we ourselves"
    if not lacking:
        return ok(f"{who} may do all that the daemon does in namespace {namespace}")
    yaml = missing_yaml(lacking).rstrip()
    needed = [rule for rule in lacking if rule.is_needed]
    todo = f"add to its Role in namespace {namespace}:\n{yaml}"
    if needed:
        names = listed(dict.fromkeys(map(_in_words, needed)))
        return fail(f"{who} may not: {names}", *_consequences(lacking), todo=todo)
    names = listed(dict.fromkeys(map(_in_words, lacking)))
    return warn(f"{who} may not: {names}; Setpoint does without", *_consequences(lacking), todo=todo)


def _in_words(rule: Rule) -> str:
    return f"{', '.join(rule.verbs)} {rule.resource}"


def _consequences(lacking: Iterable[Rule]) -> tuple[str, ...]:
    resources = {(rule.group, rule.resource) for rule in lacking if not rule.is_needed}
    return tuple(
        f"without {feature.value.replace('_', ' ')}: {words}"
        for feature, words in WITHOUT.items()
        if any((rule.group, rule.resource) in resources for rule in rules_for(feature))
        and feature not in {Feature.DGDR, Feature.WATCH, Feature.PROMETHEUS, Feature.DRA}
    )


async def check_excess(patient: Patient) -> Sign:
    """Read the Roles that are bound to the daemon's account, and compare them with what it needs."""
    if not patient.account:
        return skip("our own Roles are not judged, only those of a service account")
    pools = await examined_pools(patient)
    if not pools or any(pool.target is None for pool in pools):
        return skip("not all targets were found, whose kinds decide which rights are needed")
    need = needs_of(patient, pools)
    granted = await _granted(patient)
    usable = _usable(need)
    found = tuple((role, excess) for role, rules in granted.items() for excess in unneeded(rules, usable))
    if not granted:
        return warn(
            f"no Role is bound to service account {patient.account} itself",
            todo="apply deploy/ (docs/deploying.md), or name the account: --service-account NAMESPACE:NAME",
        )
    return judge_excess(patient.account, tuple(granted), found)


def _usable(need: Need) -> tuple[Rule, ...]:
    """Return what is needed, and what features use that may be turned on later, as in deploy/."""
    features = (feature for feature in Feature if feature is not Feature.PROMETHEUS)
    return (*need.rules, *(rule for feature in features for rule in rules_for(feature)))


def judge_excess(account: str, roles: tuple[str, ...], found: tuple[tuple[str, Excess], ...]) -> Sign:
    """Say what is granted without need.

    What is needed, but for less objects than it is granted for, is mentioned and not held against anybody:
    Roles that are written for any deployment cannot name its objects.
    """
    beyond = [f"{role}: {excess}" for role, excess in found if not excess.needed_names]
    wider = [
        f"resourceNames could restrict {role}: {excess}" for role, excess in found if excess.needed_names
    ]
    if not beyond:
        summary = f"nothing beyond what is needed is granted to service account {account} ({listed(roles)})"
        return ok(summary, *wider[:_SHOWN])
    more = [f"and {len(beyond) - _SHOWN} more"] if len(beyond) > _SHOWN else []
    return warn(
        f"service account {account} is granted more than the daemon needs",
        *beyond[:_SHOWN],
        *more,
        todo="take these out of its Roles: whoever takes over the daemon has them, too",
    )


async def _granted(patient: Patient) -> dict[str, tuple[Json, ...]]:
    """Return the rules of each Role and ClusterRole that is bound to the account."""
    bindings = [
        (binding, patient.namespace)
        for binding in await patient.records.listed(ROLE_BINDINGS.path(patient.namespace))
    ]
    try:
        bindings += [(one, "") for one in await patient.records.listed(CLUSTER_ROLE_BINDINGS.path(None))]
    except ApiError as error:
        if not error.is_forbidden:
            raise
    found: dict[str, tuple[Json, ...]] = {}
    for binding, namespace in bindings:
        if _is_bound(binding, patient.account):
            kind, name = text(binding, "roleRef", "kind"), text(binding, "roleRef", "name")
            where = namespace if kind == "Role" else None
            role = await patient.records.maybe(ROLES[kind].path(where, name)) if kind in ROLES else None
            found[f"{kind} {name}"] = tuple(items(role or {}, "rules"))
    return found


def _is_bound(binding: Json, account: str) -> bool:
    namespace, _, name = account.partition(":")
    return any(
        text(subject, "kind") == "ServiceAccount"
        and text(subject, "name") == name
        and (text(subject, "namespace") or text(binding, "metadata", "namespace")) == namespace
        for subject in items(binding, "subjects")
    )


async def _may_ask(api: Api, namespace: str) -> bool:
    """Tell whether we may ask for the rights of others."""
    attributes = {"namespace": namespace, "verb": "get", "resource": "pods"}
    spec = {"user": "system:anonymous", "resourceAttributes": attributes}
    body = {"apiVersion": OTHERS_ACCESS.api_version, "kind": OTHERS_ACCESS.kind, "spec": spec}
    try:
        await api.post(OTHERS_ACCESS.path(None), body)
    except ApiError as error:
        if error.is_forbidden:
            return False
        raise
    return True
