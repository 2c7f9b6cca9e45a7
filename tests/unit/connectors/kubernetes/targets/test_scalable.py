"""Anything that has a scale subresource as a pool."""

from typing import Any

import pytest

from config.errors import ConfigError, Malformed, Refused
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.api import ApiError, Resource
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Target, TargetView
from connectors.kubernetes.targets.scalable import Scalable, build, pods_of
from connectors.testing.target import fetched
from tests.cluster.fake_api import FakeApi
from tests.cluster.objects import pod_spec, rolled_out

Json = dict[str, Any]
NS = "ai"
ROLLOUT = Resource(group="argoproj.io", version="v1alpha1", plural="rollouts", kind="Rollout")
NIM = Resource(group="apps.nvidia.com", version="v1alpha1", plural="nimservices", kind="NIMService")
PATH = ROLLOUT.path(NS, "decode")


def rollout(replicas: int = 2, **status: object) -> Json:
    return {
        "metadata": {"generation": 2},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "decode"}},
            "template": {"spec": pod_spec(gpus=2)},
        },
        "status": {**rolled_out(replicas), "observedGeneration": "2", "selector": "app=decode", **status},
    }


def cluster(item: Json, resource: Resource = ROLLOUT) -> FakeApi:
    api = FakeApi()
    api.define(resource)
    api.seed(resource.path(NS, "decode"), item)
    return api


async def target_of(api: FakeApi, kind: str = "rollout") -> Target:
    reference = parse_reference(f"{kind}/decode", role=Role.DECODE, namespace=NS, key="kubernetes.decode")
    return await resolve(api, reference)


async def view_of(api: FakeApi, kind: str = "rollout") -> TargetView:
    target = await target_of(api, kind)
    return target.view(await fetched(api, target))


async def test_an_argo_rollout_says_most_of_what_a_deployment_does() -> None:
    api = cluster(rollout(3))

    view = await view_of(api)

    assert (view.desired, view.ready, view.existing) == (3, 3, 3)
    assert (view.pod_selector, view.gpus_per_engine, view.grace_s) == ("app=decode", 2, 600.0)
    assert (view.hold, view.trouble, view.is_observed) == (None, "", True)
    assert view.version == api.read(PATH)["metadata"]["resourceVersion"]


async def test_replicas_of_an_old_template_are_a_roll_out() -> None:
    view = await view_of(cluster(rollout(3, updatedReplicas=1)))

    assert view.hold is not None
    assert view.hold.kind is HoldKind.ROLLING_OUT


async def test_the_annotation_is_honored() -> None:
    item = rollout()
    item["metadata"]["annotations"] = {"setpoint.dev/paused-decode": ""}
    view = await view_of(cluster(item))

    assert view.hold is not None
    assert view.hold.kind is HoldKind.PAUSED


async def test_bad_conditions_are_trouble_in_their_own_words() -> None:
    conditions = [
        {"type": "InvalidSpec", "status": "True", "reason": "InvalidSpec", "message": "no selector"},
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"},
        {"type": "Available", "status": "False", "reason": "x"},
    ]
    view = await view_of(cluster(rollout(conditions=conditions)))

    assert view.trouble == "InvalidSpec: InvalidSpec: no selector; ProgressDeadlineExceeded: late"


async def test_a_kind_that_says_nothing_else_is_scaled_all_the_same() -> None:
    api = cluster({"spec": {"replicas": 4}})

    view = await view_of(api)

    assert (view.desired, view.ready, view.existing) == (4, None, 0)
    assert (view.pod_selector, view.gpus_per_engine, view.pods_per_engine) == ("", None, 1)
    assert view.grace_s is None


async def test_a_plain_map_of_labels_is_a_selector() -> None:
    item = {"spec": {"replicas": 1, "selector": {"deploymentconfig": "decode"}}}
    target = await target_of(cluster(item))

    assert target.view({target.parent: item}).pod_selector == "deploymentconfig=decode"


async def test_a_nim_service_has_its_gpus_and_secrets_in_the_spec_itself() -> None:
    spec = {
        "replicas": 2,
        "image": {"repository": "registry.example/nim/meta/llama", "pullSecrets": ["ngc-secret"]},
        "resources": {"limits": {"nvidia.com/gpu": 8}},
    }
    view = await view_of(cluster({"spec": spec}, NIM), "nimservice")

    assert (view.gpus_per_engine, view.secrets) == (8, ("ngc-secret",))


def test_a_ray_cluster_is_counted_with_all_its_pods() -> None:
    workers = {"replicas": 2, "numOfHosts": 2, "template": {"spec": pod_spec(gpus=4)}}
    cluster_spec = {
        "headGroupSpec": {"template": {"spec": pod_spec(gpus=None)}},
        "workerGroupSpecs": [workers, {"template": {"spec": pod_spec(gpus=1)}}],
    }

    pods = pods_of({"spec": {"template": {"spec": cluster_spec}}})

    assert [count for _, count in pods] == [1, 4, 1]


def test_a_template_of_another_shape_is_none() -> None:
    assert pods_of({"spec": {"template": "name-of-one", "resources": "small"}}) == ()
    assert pods_of({}) == ()


async def test_without_its_scale_the_object_itself_says_the_replicas() -> None:
    item = rollout(3)
    target = await target_of(cluster(item))
    objects = {target.parent: {**item, "metadata": {"resourceVersion": "7"}}}

    assert (target.view(objects).desired, target.view(objects).version) == (3, "7")
    assert target.write(objects, 4).body == {"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 4}}


async def test_replicas_that_are_unset_end_in_what_to_do() -> None:
    target = await target_of(cluster(rollout()))

    with pytest.raises(Malformed, match=r"set it once: kubectl patch rollouts\.argoproj\.io decode"):
        target.view({target.parent: {"metadata": {}, "spec": {}}})
    with pytest.raises(Malformed, match="found nothing; was it deleted"):
        target.view({})
    with pytest.raises(Refused):
        target.write({}, -1)


async def test_reading_the_scale_is_a_right_of_its_own() -> None:
    target = await target_of(cluster(rollout()))

    assert isinstance(target, Scalable)
    assert [(rule.resource, rule.verbs) for rule in target.rules() if rule.is_needed] == [
        ("rollouts", ("get",)),
        ("rollouts/scale", ("get",)),
        ("rollouts/scale", ("patch",)),
    ]


async def test_a_scale_that_the_server_cannot_make_ends_the_start_in_what_to_do() -> None:
    api = cluster(rollout())
    words = 'Internal error occurred: the spec replicas field ".spec.replicas" does not exist'
    api.fail_next(ApiError(words, status=500), path_prefix=f"{PATH}/scale")

    with pytest.raises(ConfigError) as caught:
        await target_of(api)

    assert words in caught.value.problem
    assert caught.value.hint.startswith("set it once: kubectl patch rollouts.argoproj.io decode")


async def test_another_error_of_the_scale_is_passed_on() -> None:
    api = cluster(rollout())
    api.fail_next(ApiError("etcd is gone", status=500), path_prefix=f"{PATH}/scale")

    with pytest.raises(ApiError, match="etcd is gone"):
        await target_of(api)


async def test_a_scale_that_may_not_be_read_leaves_the_object() -> None:
    api = cluster(rollout(3))
    api.forbid("get", f"{PATH}/scale")

    target = await target_of(api)

    assert target.view({target.parent: await api.get(target.parent.path)}).desired == 3


async def test_a_kind_without_a_scale_is_refused() -> None:
    api = FakeApi()
    api.define(ROLLOUT, has_scale=False)
    reference = parse_reference("rollout/a", role=Role.DECODE, namespace=NS, key="kubernetes.decode")

    with pytest.raises(ConfigError, match="a Rollout has no scale subresource"):
        await build(reference, api)
