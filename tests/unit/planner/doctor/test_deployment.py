"""Targets, secrets, rights, budget and grace, on an API server in memory."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from config.errors import ObservationError
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.rights import Feature, role_rules
from connectors.prometheus.histogram import buckets_of
from planner.doctor.budget import judge_budget
from planner.doctor.findings import Sign, Verdict
from planner.doctor.grace import judge_grace
from planner.doctor.nodes import GpuNode, GpuNodes
from planner.doctor.patient import Patient
from planner.doctor.pools import examined_pools
from planner.doctor.rights import (
    check_excess,
    check_proxy_rights,
    check_rights,
    features_of,
    lacking_of,
    needs_of,
)
from planner.doctor.rivals import check_rivals
from planner.doctor.secrets import check_secrets
from planner.doctor.targets import check_dry_run, check_holds, check_readiness, check_targets
from tests.cluster.fake_api import FakeApi
from tests.cluster.objects import deployment, pod_spec, rolled_out
from tests.unit.planner.doctor.cases import NAMESPACE, patient

Json = dict[str, Any]
TARGETS = {"prefill": "deployment/prefill", "decode": "deployment/decode"}
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def cluster(*, replicas: int = 2, pod: Json | None = None, annotations: Json | None = None) -> FakeApi:
    """Return an API server with two Deployments at rest, whose pods may not be read."""
    api = FakeApi()
    for name in TARGETS:
        item = deployment(name, replicas=replicas, pod=pod)
        item["metadata"] |= {"generation": 1, "annotations": annotations or {}}
        api.seed(f"{DEPLOYMENTS}/{name}", {**item, "status": rolled_out(replicas)})
    api.seed(f"/api/v1/namespaces/{NAMESPACE}/secrets/hf-token", {"data": {"token": "aGlkZGVu"}})
    api.forbid("list", f"/api/v1/namespaces/{NAMESPACE}/pods")
    return api


def in_cluster(api: FakeApi, **settings: str) -> Patient:
    return patient(settings, targets=TARGETS, api=api)


def of(signs: Sign | tuple[Sign, ...], about: str) -> Sign:
    return next(sign for sign in (signs if isinstance(signs, tuple) else (signs,)) if sign.about == about)


async def test_targets_are_found_with_their_gpus() -> None:
    sign = await check_targets(in_cluster(cluster()))

    assert sign.verdict is Verdict.OK
    assert sign.grid is not None
    assert [row[:5] for row in sign.grid.rows] == [
        ("prefill", "prefill", "2", "2", "1"),
        ("decode", "decode", "2", "2", "1"),
    ]


async def test_settings_that_name_no_target_are_told() -> None:
    assert (await check_targets(patient())).verdict is Verdict.SKIP


async def test_targets_that_nobody_would_scale_are_told() -> None:
    sign = await check_targets(in_cluster(cluster(), actuator="memory"))

    assert sign.verdict is Verdict.WARN
    assert "the actuator is memory" in sign.summary


async def test_a_pool_that_no_setting_names_is_told() -> None:
    sign = await check_targets(
        patient({"actuator": "memory"}, targets={"prefill": "deployment/prefill"}, api=cluster())
    )

    assert sign.verdict is Verdict.FAIL
    assert sign.summary == "nothing says what the decode pool is"


async def test_a_target_that_may_not_be_read_is_no_missing_one() -> None:
    api = cluster()
    api.forbid("get", f"{DEPLOYMENTS}/decode")

    sign = await check_targets(in_cluster(api))

    assert sign.verdict is Verdict.WARN
    assert "cannot be read: decode (deployment/decode)" in sign.summary


async def test_a_kind_that_is_misspelled_is_looked_for_among_the_kinds() -> None:
    targets = {**TARGETS, "decode": "deploymnet/decode"}

    sign = await check_targets(patient({}, targets=targets, api=cluster()))

    assert sign.verdict is Verdict.FAIL
    assert sign.todo == "see which kinds there are:\nkubectl api-resources"


async def test_who_may_not_read_the_targets_lacks_a_right_that_is_needed() -> None:
    api = cluster()
    api.forbid("get", DEPLOYMENTS)
    us = replace(in_cluster(api), account="")

    targets, rights = await check_targets(us), await check_rights(us)

    assert f"kubectl auth can-i --list -n {NAMESPACE}" in targets.todo
    assert rights.verdict is Verdict.FAIL
    assert rights.summary.startswith("we ourselves may not: get deployments")
    assert 'resourceNames: ["prefill"]' in rights.todo


async def test_readiness_is_the_controllers_where_pods_may_not_be_read() -> None:
    api = cluster()
    api.change(f"{DEPLOYMENTS}/decode", {"status": {"readyReplicas": 1}})

    signs = await check_readiness(in_cluster(api))

    assert of(signs, "prefill").verdict is Verdict.OK
    assert of(signs, "decode").summary == "1 of 2 engines ready, 1 starting"


async def test_a_pool_at_zero_serves_nothing() -> None:
    sign = of(await check_readiness(in_cluster(cluster(replicas=0))), "decode")

    assert sign.verdict is Verdict.WARN
    assert "nothing serves" in sign.summary


async def test_a_pause_names_its_own_annotation() -> None:
    api = cluster(annotations={"setpoint.dev/paused-decode": "by ann"})

    signs = await check_holds(in_cluster(api))

    assert of(signs, "prefill").verdict is Verdict.OK
    assert of(signs, "decode").todo == (
        f"kubectl annotate deployments decode -n {NAMESPACE} setpoint.dev/paused-decode-"
    )


async def test_a_dry_run_changes_nothing() -> None:
    api = cluster()

    signs = await check_dry_run(in_cluster(api))

    assert of(signs, "decode").verdict is Verdict.OK
    assert api.writes() == ()
    assert [sent.query["dryRun"] for sent in api.requests if sent.method == "PATCH"] == ["All", "All"]


@pytest.mark.parametrize(
    ("error", "verdict", "said"),
    [
        pytest.param(ApiError("quota", status=422), Verdict.FAIL, "quota", id="refused"),
        pytest.param(ApiError("no", status=403), Verdict.WARN, "we may not patch", id="forbidden"),
        pytest.param(ApiError("late", status=409), Verdict.WARN, "changed while", id="conflict"),
    ],
)
async def test_a_change_that_would_not_be_taken_is_told(error: ApiError, verdict: Verdict, said: str) -> None:
    api = cluster()
    api.fail_next(error, method="PATCH", path_prefix=f"{DEPLOYMENTS}/decode")

    sign = of(await check_dry_run(in_cluster(api)), "decode")

    assert sign.verdict is verdict
    assert said in sign.summary


async def test_another_autoscaler_is_a_failure_unless_it_is_allowed() -> None:
    api = cluster()
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "decode"}
    path = f"/apis/autoscaling/v1/namespaces/{NAMESPACE}/horizontalpodautoscalers/by-load"
    api.seed(path, {"spec": {"scaleTargetRef": aim, "maxReplicas": 4}})

    refused = of(await check_rivals(in_cluster(api)), "decode")
    allowed = of(await check_rivals(in_cluster(api, kubernetes__allow_rivals="true")), "decode")

    assert (refused.verdict, allowed.verdict) == (Verdict.FAIL, Verdict.WARN)
    assert "by-load" in refused.summary


@pytest.mark.parametrize(
    ("secrets", "verdict"),
    [(("hf-token",), Verdict.OK), ((), Verdict.FAIL)],
    ids=["there", "missing"],
)
async def test_secrets_are_asked_for_by_name_and_never_shown(
    secrets: tuple[str, ...], verdict: Verdict
) -> None:
    api = cluster()
    if not secrets:
        api.remove(f"/api/v1/namespaces/{NAMESPACE}/secrets/hf-token")

    sign = await check_secrets(in_cluster(api))

    assert sign.verdict is verdict
    assert "hf-token" in sign.summary
    assert "aGlkZGVu" not in repr(sign)


async def test_secrets_that_may_not_be_asked_for_are_told() -> None:
    api = cluster()
    api.forbid("get", f"/api/v1/namespaces/{NAMESPACE}/secrets")

    assert (await check_secrets(in_cluster(api))).verdict is Verdict.WARN


async def test_the_missing_verb_is_named_and_not_those_that_are_there() -> None:
    api = cluster()
    subject = f"system:serviceaccount:{NAMESPACE}:setpoint"
    api.forbid("patch", f"{DEPLOYMENTS}/decode", subject=subject)

    sign = await check_rights(in_cluster(api))

    assert sign.verdict is Verdict.FAIL
    assert sign.summary.endswith("may not: patch deployments/scale")
    assert 'resourceNames: ["decode"]' in sign.todo
    assert 'verbs: ["patch"]' in sign.todo


async def test_a_right_that_can_be_done_without_is_a_warning_with_its_price() -> None:
    api = cluster()
    api.forbid(
        "watch",
        f"/api/v1/namespaces/{NAMESPACE}/pods",
        subject=f"system:serviceaccount:{NAMESPACE}:setpoint",
    )

    sign = await check_rights(in_cluster(api))

    assert sign.verdict is Verdict.WARN
    assert "watch pods" in sign.summary


async def test_a_right_on_which_the_api_server_says_nothing_is_no_right_that_is_there() -> None:
    api = cluster()
    need = needs_of(found := in_cluster(api), await examined_pools(found))
    api.fail_next(ApiError("overloaded", status=500), times=1)

    with pytest.raises(ObservationError, match="does not say who may: get deployments"):
        await lacking_of(api, need.rules, NAMESPACE, account=f"{NAMESPACE}:setpoint")


async def test_the_right_to_reach_prometheus_is_asked_where_prometheus_is() -> None:
    api = cluster()
    api.forbid(
        "create",
        "/api/v1/namespaces/monitoring/services",
        subject=f"system:serviceaccount:{NAMESPACE}:setpoint",
    )

    sign = await check_proxy_rights(in_cluster(api, prometheus__service="monitoring/prom:9090"))
    without = await check_proxy_rights(in_cluster(api))

    assert isinstance(sign, Sign)
    assert sign.verdict is Verdict.FAIL
    assert "namespace monitoring" in sign.todo
    assert without == ()


async def grant(api: FakeApi, *more: Json) -> Patient:
    found = in_cluster(api)
    need = needs_of(found, await examined_pools(found))
    api.seed(f"{RBAC}/namespaces/{NAMESPACE}/roles/setpoint", {"rules": [*role_rules(need.rules), *more]})
    subject = {"kind": "ServiceAccount", "name": "setpoint", "namespace": NAMESPACE}
    api.seed(
        f"{RBAC}/namespaces/{NAMESPACE}/rolebindings/setpoint",
        {"roleRef": {"kind": "Role", "name": "setpoint"}, "subjects": [subject]},
    )
    return found


async def test_a_role_with_just_what_is_needed_has_no_excess() -> None:
    sign = await check_excess(await grant(cluster()))

    assert sign.verdict is Verdict.OK, sign.details


async def test_what_a_cluster_role_grants_without_need_is_told() -> None:
    api = cluster()
    found = await grant(api)
    api.seed(
        f"{RBAC}/clusterroles/all", {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    )
    subject = {"kind": "ServiceAccount", "name": "setpoint", "namespace": NAMESPACE}
    api.seed(
        f"{RBAC}/clusterrolebindings/all",
        {"roleRef": {"kind": "ClusterRole", "name": "all"}, "subjects": [subject]},
    )

    sign = await check_excess(found)

    assert sign.verdict is Verdict.WARN
    assert sign.details == ("ClusterRole all: * on * (*)",)


async def test_an_account_without_roles_is_told() -> None:
    assert "no Role is bound" in (await check_excess(in_cluster(cluster()))).summary


def test_an_election_that_is_off_needs_no_leases() -> None:
    settings = patient({"kubernetes__election": "off", "kubernetes__events": "false"}).settings

    assert {Feature.ELECTION, Feature.EVENTS}.isdisjoint(features_of(settings, ()))


def nodes(gpus: int, *, used: int | None = 0) -> GpuNodes:
    node = GpuNode(name="a", capacity=gpus, allocatable=gpus, used=used)
    return GpuNodes(nodes=(node,), others=0, doubt="" if used is not None else "pods may not be read")


@pytest.mark.parametrize(
    ("found", "budget", "verdict", "said"),
    [
        pytest.param(nodes(16, used=4), "8", Verdict.OK, "12 free", id="fits"),
        pytest.param(nodes(16, used=14), "8", Verdict.WARN, "2 GPUs of the budget are held", id="others"),
        pytest.param(nodes(6), "8", Verdict.WARN, "--budget 6", id="beyond the nodes"),
        pytest.param(nodes(1), "8", Verdict.FAIL, "the minimums take 2 GPUs", id="not even the minimums"),
        pytest.param(nodes(16), "3", Verdict.WARN, "expect one step down", id="more runs already"),
        pytest.param(nodes(16, used=None), "8", Verdict.WARN, "is not known", id="what is free is unknown"),
    ],
)
async def test_the_budget_is_compared_with_the_nodes(
    found: GpuNodes, budget: str, verdict: Verdict, said: str
) -> None:
    who = in_cluster(cluster(), budget_gpus=budget)

    sign = judge_budget(who, list(await examined_pools(who)), found)

    assert sign.verdict is verdict
    assert said in "\n".join((sign.summary, *sign.details, sign.todo))


@pytest.mark.parametrize(
    ("counts", "verdict", "said"),
    [
        pytest.param({}, Verdict.SKIP, "no requests", id="unknown"),
        pytest.param({20.0: 100.0, inf: 100.0}, Verdict.OK, "last 20 s", id="shorter"),
        pytest.param({20.0: 5.0, 90.0: 100.0, inf: 100.0}, Verdict.WARN, "longer than 89 s", id="longer"),
        pytest.param({20.0: 90.0, inf: 100.0}, Verdict.WARN, "is not measured", id="beyond the buckets"),
    ],
)
async def test_grace_is_compared_with_the_longest_requests(
    counts: dict[float, float], verdict: Verdict, said: str
) -> None:
    pool = (await examined_pools(in_cluster(cluster(pod=pod_spec(grace_s=None)))))[0]

    sign = judge_grace(pool, buckets_of(counts, count=0.0, total=0.0))

    assert sign.verdict is verdict
    assert said in sign.summary
