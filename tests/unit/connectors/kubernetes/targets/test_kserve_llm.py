"""LLMInferenceServices of KServe."""

from contextlib import suppress
from typing import Any

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError, Malformed, ObservationError
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.actuator import KubernetesActuator
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Target, TargetView
from connectors.testing.target import fetched, sent
from tests.cluster.examples import (
    DEPLOYMENTS,
    EXAMPLES,
    LWS,
    NAMESPACE,
    deployment,
    leader_worker_set,
    llm_service,
)
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]
BY_NAME = {one.name: one for one in EXAMPLES}
STATING = BY_NAME["llminferenceservice stating replicas"]
SILENT = BY_NAME["llminferenceservice stating none"]
SEVERAL = BY_NAME["llminferenceservice of several nodes"]
SERVICE = f"/apis/serving.kserve.io/v1alpha2/namespaces/{NAMESPACE}/llminferenceservices/llm"


def child(kind: tuple[str, str], name: str) -> str:
    root, plural = kind
    return f"/{root}/namespaces/{NAMESPACE}/{plural}/{name}"


async def target_of(api: FakeApi, role: Role = Role.DECODE, tail: str = "") -> Target:
    reference = parse_reference(
        f"llminferenceservice/llm{tail}", role=role, namespace=NAMESPACE, key="kubernetes.decode"
    )
    return await resolve(api, reference)


async def seen(api: FakeApi, role: Role = Role.DECODE) -> TargetView:
    target = await target_of(api, role)
    return target.view(await fetched(api, target))


async def test_a_stated_number_is_written_where_it_stands() -> None:
    api = STATING.fake()
    target = await target_of(api)
    write = target.write(await fetched(api, target), 4)

    assert write.key == target.parent
    assert isinstance(write.body, dict)
    assert write.body["spec"] == {"replicas": 4}
    assert (await seen(api)).gpus_per_engine == 1, "its child has the templates"


async def test_a_stated_number_of_the_prefill_pool_stands_in_its_section() -> None:
    api = SILENT.fake()
    api.change(SERVICE, {"spec": {"prefill": {"replicas": 2}}})
    target = await target_of(api, Role.PREFILL)

    await sent(api, target.write(await fetched(api, target), 5))

    assert api.read(SERVICE)["spec"]["prefill"] == {"replicas": 5}
    assert target.part == "prefill"
    assert target.view(await fetched(api, target)).desired == 5


async def test_without_a_stated_number_the_child_is_scaled() -> None:
    api = SILENT.fake()
    target = await target_of(api, Role.PREFILL)

    write = await sent(api, target.write(await fetched(api, target), 5))

    assert str(write.key) == "deployment llm-kserve-prefill"
    assert "replicas" not in api.read(SERVICE)["spec"]["prefill"]


async def test_rights_follow_where_the_replicas_stand() -> None:
    stating, silent = await target_of(STATING.fake()), await target_of(SILENT.fake(), Role.PREFILL)

    def patched(target: Target) -> list[str]:
        return [rule.resource for rule in target.rules() if "patch" in rule.verbs]

    assert patched(stating) == ["llminferenceservices"]
    assert patched(silent) == ["deployments/scale"]


async def test_an_engine_of_several_nodes_is_a_group_of_its_leader_worker_set() -> None:
    view = await seen(SEVERAL.fake())

    assert (view.pods_per_engine, view.gpus_per_engine) == (2, 12)


async def test_presets_may_make_several_nodes_of_a_service_that_does_not_say_so() -> None:
    api = SEVERAL.fake()
    api.change(SERVICE, {"spec": {"worker": None}})

    assert [key.name for key in (await target_of(api)).needs()] == ["llm", "llm-kserve-mn"]


async def test_a_child_that_may_not_be_read_counts_as_not_there() -> None:
    api = SEVERAL.fake()
    api.change(SERVICE, {"spec": {"worker": None}})
    api.forbid("get", child(DEPLOYMENTS, "llm-kserve"))

    assert [key.name for key in (await target_of(api)).needs()] == ["llm", "llm-kserve-mn"]


async def test_without_any_child_the_deployment_is_what_is_missing() -> None:
    api = STATING.fake()
    api.remove(child(DEPLOYMENTS, "llm-kserve"))

    with pytest.raises(ApiError, match="llm-kserve"):
        await target_of(api)


async def test_the_status_names_the_child_where_it_does() -> None:
    api = SEVERAL.fake()
    api.seed(child(LWS, "odd"), leader_worker_set(1))
    api.change(SERVICE, {"status": {"workloads": {"primary": {"kind": "LeaderWorkerSet", "name": "odd"}}}})

    assert [key.name for key in (await target_of(api)).needs()] == ["llm", "odd"]


async def test_a_child_of_another_kind_is_refused_with_what_to_name() -> None:
    api = SEVERAL.fake()
    ours = {"kind": "DisaggregatedSet", "name": "llm-ds"}
    api.change(SERVICE, {"status": {"workloads": {"primary": ours}}})

    with pytest.raises(ConfigError, match=r"runs as the DisaggregatedSet llm-ds.*disaggregatedset/llm-ds"):
        await target_of(api)


async def test_a_child_that_is_gone_does_not_hide_a_stated_number() -> None:
    api = STATING.fake()
    target = await target_of(api)
    api.remove(child(DEPLOYMENTS, "llm-kserve"))

    view = target.view(await fetched(api, target))

    assert (view.desired, view.gpus_per_engine, view.ready) == (2, None, None)


async def test_a_child_that_is_gone_leaves_nothing_to_scale_where_no_number_is_stated() -> None:
    api = SILENT.fake()
    target = await target_of(api, Role.PREFILL)
    api.remove(child(DEPLOYMENTS, "llm-kserve-prefill"))

    with pytest.raises(Malformed, match="deployment llm-kserve-prefill"):
        target.view(await fetched(api, target))


async def test_its_own_autoscaling_is_a_rival() -> None:
    api = STATING.fake()
    api.change(SERVICE, {"spec": {"scaling": {"minReplicas": 1, "wva": {}}}})

    assert "remove the section scaling" in (await seen(api)).rivals[0]


async def test_a_service_that_is_stopped_is_held() -> None:
    api = STATING.fake()
    api.change(SERVICE, {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}})

    hold = (await seen(api)).hold

    assert hold is not None
    assert hold.kind is HoldKind.PAUSED


async def test_the_pause_annotation_of_the_service_is_honored() -> None:
    api = STATING.fake()
    api.change(SERVICE, {"metadata": {"annotations": {"setpoint.dev/paused": "ann"}}})

    hold = (await seen(api)).hold

    assert hold is not None
    assert hold.why.endswith(": ann")


async def test_a_roll_out_of_the_child_holds_the_pool() -> None:
    api = STATING.fake()
    api.seed(child(DEPLOYMENTS, "llm-kserve"), deployment(2))
    api.change(child(DEPLOYMENTS, "llm-kserve"), {"status": {"replicas": 3, "updatedReplicas": 1}})

    hold = (await seen(api)).hold

    assert hold is not None
    assert hold.kind is HoldKind.ROLLING_OUT


@pytest.mark.parametrize(
    ("condition", "trouble"),
    [
        ({"type": "MainWorkloadReady", "status": "False", "reason": "Stuck"}, "Stuck"),
        ({"type": "PrefillWorkloadReady", "status": "False", "reason": "Stuck"}, ""),
    ],
)
async def test_what_the_service_says_of_this_pool_is_told(condition: Json, trouble: str) -> None:
    api = STATING.fake()
    api.change(SERVICE, {"status": {"conditions": [condition]}})

    assert (await seen(api)).trouble == trouble


async def test_a_service_without_a_prefill_section_has_no_prefill_pool() -> None:
    api = STATING.fake()
    api.change(SERVICE, {"spec": {"prefill": None}})

    with pytest.raises(ConfigError, match=r"has no prefill pool \(spec\.prefill\)"):
        await target_of(api, Role.PREFILL)


async def test_the_setting_says_which_pool_is_meant_and_no_part_does() -> None:
    with pytest.raises(ConfigError, match="the setting, prefill or decode, says which pool is meant"):
        await target_of(STATING.fake(), tail=":prefill")


async def test_where_nobody_serves_leader_worker_sets_the_deployment_is_what_is_missing() -> None:
    api = STATING.fake()
    api.remove(child(DEPLOYMENTS, "llm-kserve"))
    api.undefine("leaderworkerset.x-k8s.io", "leaderworkersets")

    with pytest.raises(ApiError, match="llm-kserve"):
        await target_of(api)


@pytest.mark.parametrize("path", ["/apis/apps/v1/namespaces", "/apis/leaderworkerset.x-k8s.io/v1/namespaces"])
async def test_a_server_that_does_not_answer_for_a_child_is_an_error(path: str) -> None:
    api = STATING.fake()
    api.remove(child(DEPLOYMENTS, "llm-kserve"))
    api.fail_next(ApiError("no answer", status=0), method="GET", path_prefix=path)

    with pytest.raises(ApiError, match="no answer"):
        await target_of(api)


@pytest.mark.parametrize("spec", [{}, {"replicas": 2}], ids=["stating none", "stating replicas"])
async def test_a_service_that_has_several_nodes_by_now_is_followed_without_a_restart(
    spec: dict[str, int],
) -> None:
    api, clock = STATING.fake(), VirtualClock()
    api.seed(SERVICE, llm_service(**spec))
    api.forbid("get", f"/api/v1/namespaces/{NAMESPACE}/pods")
    api.forbid("list", f"/api/v1/namespaces/{NAMESPACE}/pods")
    actuator = KubernetesActuator(api, [STATING.reference()], clock=clock)
    before = (await actuator.read()).pools["decode"]

    api.remove(child(DEPLOYMENTS, "llm-kserve"))
    api.seed(child(LWS, "llm-kserve-mn"), leader_worker_set(2))
    api.seed(SERVICE, llm_service(worker={"containers": []}, **spec))
    after = None
    for _ in range(6):
        await clock.advance(1.0)
        with suppress(ObservationError):
            after = (await actuator.read()).pools["decode"]
    await actuator.close()

    assert (before.desired, before.gpus_per_engine) == (2, 1)
    assert after is not None
    assert (after.desired, after.gpus_per_engine) == (2, 12)
