"""Deployments and StatefulSets as pools."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError, Malformed, Refused
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.api import ApiError, Patch, Resource
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Target, TargetView
from connectors.kubernetes.targets.scalable import Scalable
from connectors.testing.target import fetched, sent
from tests.cluster.fake_api import FakeApi
from tests.cluster.objects import deployment, pod_spec, rolled_out, stateful_set

Json = dict[str, Any]
NS = "ai"
PATH = f"/apis/apps/v1/namespaces/{NS}/deployments/decode"
SETS = f"/apis/apps/v1/namespaces/{NS}/statefulsets/decode"
CLAIMS = f"/apis/resource.k8s.io/v1/namespaces/{NS}/resourceclaimtemplates/two"


def at_rest(item: Json, *, generation: int = 1, **status: object) -> Json:
    item["metadata"]["generation"] = generation
    item["status"] = {**rolled_out(item["spec"]["replicas"], generation=generation), **status}
    return item


def cluster(item: Json, path: str = PATH) -> FakeApi:
    api = FakeApi()
    api.seed(path, item)
    return api


async def target_of(api: FakeApi, text: str = "deployment/decode") -> Target:
    return await resolve(api, parse_reference(text, role=Role.DECODE, namespace=NS, key="kubernetes.decode"))


async def view_of(api: FakeApi, text: str = "deployment/decode") -> TargetView:
    target = await target_of(api, text)
    return target.view(await fetched(api, target))


async def test_a_deployment_says_all_that_is_asked() -> None:
    api = cluster(at_rest(deployment("decode", replicas=3, pod=pod_spec(gpus=4))))

    view = await view_of(api)

    assert (view.desired, view.ready, view.existing) == (3, 3, 3)
    assert (view.pod_selector, view.pods_per_engine, view.gpus_per_engine) == ("app=decode", 1, 4)
    assert (view.grace_s, view.secrets) == (600.0, ("hf-token",))
    assert view.arguments[:3] == ("vllm", "serve", "meta-llama/Llama-3.1-8B")
    assert (view.is_observed, view.hold, view.trouble, view.least) == (True, None, "", 0)
    assert view.version == api.read(PATH)["metadata"]["resourceVersion"]


async def test_a_stateful_set_does_too() -> None:
    api = cluster(at_rest(stateful_set("decode", replicas=2)), SETS)

    view = await view_of(api, "sts?app=decode")

    assert (view.desired, view.ready, view.gpus_per_engine, view.hold) == (2, 2, 1, None)


async def test_expressions_of_the_selector_are_kept() -> None:
    item = at_rest(deployment("decode"))
    item["spec"]["selector"]["matchExpressions"] = [{"key": "tier", "operator": "In", "values": ["a", "b"]}]

    assert (await view_of(cluster(item))).pod_selector == "app=decode,tier in (a,b)"


async def test_replicas_that_are_not_stated_are_one() -> None:
    item = deployment("decode")
    del item["spec"]["replicas"]

    assert (await view_of(cluster(item))).desired == 1


async def test_a_status_without_an_observed_generation_is_not_about_this_spec() -> None:
    item = deployment("decode")
    item["metadata"]["generation"] = 1

    view = await view_of(cluster(item))

    assert not view.is_observed
    assert (view.ready, view.existing) == (0, 0)


async def test_a_controller_that_has_not_seen_the_change_is_not_a_roll_out() -> None:
    item = at_rest(deployment("decode"), generation=4, observedGeneration=3)
    view = await view_of(cluster(item))

    assert (view.is_observed, view.hold) == (False, None)


async def test_min_ready_seconds_make_available_the_ready_ones() -> None:
    plain = at_rest(deployment("decode"), availableReplicas=1)
    patient = at_rest(deployment("decode", spec={"minReadySeconds": 30}), availableReplicas=1)

    assert (await view_of(cluster(plain))).ready == 2
    assert (await view_of(cluster(patient))).ready == 1


async def test_pods_of_an_old_template_are_a_roll_out() -> None:
    item = at_rest(deployment("decode", replicas=4), replicas=5, updatedReplicas=2)
    view = await view_of(cluster(item))

    assert view.hold is not None
    assert view.hold.kind is HoldKind.ROLLING_OUT
    assert view.hold.why == "a new template rolls out: 3 of 5 pods are of an old one"


async def test_a_paused_roll_out_says_that_it_is_that() -> None:
    item = at_rest(deployment("decode", spec={"paused": True}), updatedReplicas=1)
    view = await view_of(cluster(item))

    assert view.hold is not None
    assert view.hold.kind is HoldKind.ROLLING_OUT
    assert "kubectl rollout resume" in view.hold.why


async def test_a_deployment_whose_roll_outs_are_paused_may_be_scaled_at_rest() -> None:
    assert (await view_of(cluster(at_rest(deployment("decode", spec={"paused": True}))))).hold is None


async def test_engines_that_start_are_no_roll_out() -> None:
    item = at_rest(
        deployment("decode", replicas=4), readyReplicas=1, availableReplicas=1, unavailableReplicas=3
    )

    assert (await view_of(cluster(item))).hold is None


@pytest.mark.parametrize(
    ("spec", "status", "rolls"),
    [
        ({}, {"currentRevision": "a", "updateRevision": "a"}, False),
        ({}, {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1}, True),
        ({}, {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 4}, False),
        (
            {"updateStrategy": {"type": "OnDelete"}},
            {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1},
            False,
        ),
        (
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 3}}},
            {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1},
            False,
        ),
        (
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}},
            {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1},
            True,
        ),
    ],
)
async def test_a_stateful_set_rolls_out_as_far_as_its_strategy_says(
    spec: Json, status: Json, *, rolls: bool
) -> None:
    item = at_rest(stateful_set("decode", replicas=4, spec=spec), **status)
    view = await view_of(cluster(item, SETS), "statefulset/decode")

    assert (view.hold is not None) is rolls


async def test_the_annotation_comes_before_a_roll_out() -> None:
    item = at_rest(deployment("decode"), updatedReplicas=1)
    item["metadata"]["annotations"] = {"setpoint.dev/paused": "maintenance"}

    view = await view_of(cluster(item))

    assert view.hold is not None
    assert view.hold.kind is HoldKind.PAUSED


async def test_a_missed_deadline_is_trouble_with_what_to_do() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    item = at_rest(deployment("decode", spec={"progressDeadlineSeconds": 900}), conditions=[condition])

    assert "no progress for 900 s" in (await view_of(cluster(item))).trouble
    assert "raise spec.progressDeadlineSeconds" in (await view_of(cluster(item))).trouble


async def test_pods_that_a_quota_forbids_are_trouble() -> None:
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "exceeded quota: gpus",
    }
    view = await view_of(cluster(at_rest(deployment("decode"), conditions=[condition])))

    assert view.trouble == "its pods cannot be made: FailedCreate: exceeded quota: gpus"


async def test_pods_without_gpus_leave_the_count_open() -> None:
    assert (await view_of(cluster(deployment("decode", pod=pod_spec(gpus=None))))).gpus_per_engine is None


async def test_claimed_gpus_are_counted_by_the_template_of_the_claim() -> None:
    pod = pod_spec(gpus=None)
    pod["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "two"}]
    api = cluster(deployment("decode", pod=pod))
    api.seed(CLAIMS, {"spec": {"spec": {"devices": {"requests": [exact(2)]}}}})

    target = await target_of(api)

    assert [key.path for key in target.needs()] == [PATH, CLAIMS]
    assert target.view(await fetched(api, target)).gpus_per_engine == 2
    assert [rule.is_needed for rule in target.rules() if rule.resource == "resourceclaimtemplates"] == (
        [False, False]
    )

    api.remove(CLAIMS)
    assert target.view(await fetched(api, target)).gpus_per_engine is None


async def test_claims_on_a_server_without_them_leave_the_count_open() -> None:
    pod = pod_spec(gpus=None)
    pod["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "two"}]

    assert (await view_of(cluster(deployment("decode", pod=pod)))).gpus_per_engine is None


def exact(count: int) -> Json:
    return {"name": "r", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": count}}


async def test_a_write_goes_to_the_scale_with_the_version_it_was_decided_on() -> None:
    api = cluster(deployment("decode"))
    target = await target_of(api)
    objects = await fetched(api, target)

    write = target.write(objects, 5)

    assert (write.key.path, write.kind, write.on_missing) == (f"{PATH}/scale", Patch.MERGE, None)
    assert write.body == {
        "metadata": {"resourceVersion": target.view(objects).version},
        "spec": {"replicas": 5},
    }


async def test_a_stale_write_is_refused_and_a_negative_one_never_sent() -> None:
    api = cluster(deployment("decode"))
    target = await target_of(api)
    objects = await fetched(api, target)
    api.change(PATH, {"metadata": {"labels": {"touched": "yes"}}})

    with pytest.raises(ApiError) as caught:
        await sent(api, target.write(objects, 5))
    with pytest.raises(Refused):
        target.write(objects, -1)

    assert caught.value.is_conflict


@given(counts=st.lists(st.integers(0, 1000), min_size=1, max_size=4))
async def test_what_was_written_is_what_is_read(counts: list[int]) -> None:
    api = cluster(deployment("decode"))
    target = await target_of(api)

    for count in counts:
        await sent(api, target.write(await fetched(api, target), count))
        assert target.view(await fetched(api, target)).desired == count


async def test_an_object_that_is_gone_or_of_another_shape_is_malformed() -> None:
    api = cluster(deployment("decode"))
    target = await target_of(api)

    with pytest.raises(Malformed, match="deployment decode in namespace ai, found none"):
        target.view({})
    with pytest.raises(Malformed, match=r"deployment decode: expected a count at spec\.replicas, found '3'"):
        target.view({target.parent: {"spec": {"replicas": "3"}}})


async def test_a_part_is_refused() -> None:
    with pytest.raises(ConfigError, match="a Deployment has no parts"):
        await target_of(cluster(deployment("decode")), "deployment/decode:main")


async def test_the_least_rights_are_those_of_one_object() -> None:
    target = await target_of(cluster(deployment("decode")))

    rights = [(rule.resource, rule.verbs, rule.names, rule.is_needed) for rule in target.rules()]
    assert rights == [
        ("deployments", ("get",), ("decode",), True),
        ("deployments", ("list", "watch"), ("decode",), False),
        ("deployments/scale", ("patch",), ("decode",), True),
    ]


async def test_somebody_elses_kind_of_the_same_name_is_only_scaled() -> None:
    other = Resource(group="example.com", version="v1", plural="deployments", kind="Deployment")
    api = FakeApi()
    api.define(other)
    api.seed(other.path(NS, "decode"), {"spec": {"replicas": 2}})

    assert isinstance(await target_of(api, "deployments.example.com/decode"), Scalable)
