"""What a graph deployment says of one of its services, in both versions of the API."""

from typing import Any

import pytest

from config.errors import Refused
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.podspec import served_model
from tests.cluster.dynamo import (
    BOTH,
    NS,
    cluster,
    decode_of,
    path_of,
    usual,
    view_of,
    with_status,
    write_of,
)
from tests.cluster.objects import (
    alpha_service,
    alpha_worker,
    beta_component,
    dgd_alpha,
    dgd_beta,
)

Json = dict[str, Any]


@BOTH
async def test_a_service_says_all_that_is_asked(version: str) -> None:
    graph = with_status(
        usual(version),
        decode_of(version),
        componentKind="Deployment",
        replicas=2,
        updatedReplicas=2,
        readyReplicas=2,
        availableReplicas=1,
    )
    api = cluster(graph)

    view = await view_of(api)

    assert (view.desired, view.ready, view.existing, view.gpus_per_engine) == (2, 1, 2, 2)
    assert view.pod_selector == (
        "nvidia.com/dynamo-graph-deployment-name=vllm-disagg,"
        f"nvidia.com/dynamo-component={decode_of(version)}"
    )
    assert (view.pods_per_engine, view.least, view.grace_s) == (1, 1, 60.0)
    assert served_model(view.arguments) == "Qwen/Qwen3-0.6B"
    assert (view.hold, view.trouble, view.rivals, view.is_observed) == (None, "", (), True)
    assert view.version == api.read(path_of(graph))["metadata"]["resourceVersion"]


@BOTH
async def test_before_the_operator_reports_nothing_is_said_of_readiness(version: str) -> None:
    view = await view_of(cluster(usual(version)))

    assert (view.ready, view.existing, view.is_observed) == (None, None, True)


async def test_pods_that_are_groups_of_pods_have_no_ready_replicas_but_available_ones() -> None:
    graph = with_status(usual("v1beta1"), "decode", replicas=2, readyReplicas=1)

    assert (await view_of(cluster(graph))).ready == 1


async def test_secrets_and_variables_stand_in_four_places_in_v1alpha1() -> None:
    worker = alpha_worker("decode", envs=[{"name": "MODEL", "value": "org/m"}])
    main = worker["extraPodSpec"]["mainContainer"]
    main["args"] = ["--model", "$(MODEL)"]
    main["envFrom"] = [{"secretRef": {"name": "more"}}]
    worker["extraPodSpec"] |= {"imagePullSecrets": [{"name": "nvcr"}], "terminationGracePeriodSeconds": 900}
    token = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "token", "key": "t"}}}
    view = await view_of(cluster(dgd_alpha(services={"D": worker}, envs=[token])))

    assert view.secrets == ("hf-token-secret", "more", "nvcr", "token")
    assert (view.grace_s, served_model(view.arguments)) == (900.0, "org/m")


async def test_the_main_container_is_the_engine_wherever_it_stands_in_v1beta1() -> None:
    component = beta_component("decode", "decode")
    pod = component["podTemplate"]["spec"]
    pod["containers"].insert(0, {"name": "proxy", "args": ["--model", "not-this"]})
    token = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "token", "key": "t"}}}
    view = await view_of(cluster(dgd_beta(components=[component], env=[token])))

    assert served_model(view.arguments) == "Qwen/Qwen3-0.6B"
    assert view.secrets == ("token",)


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        ({"limits": {"gpu": "4"}}, 4),
        ({"requests": {"gpu": "2"}}, 2),
        ({"limits": {"gpu": "2", "gpuType": "gpu.intel.com/xe"}}, 2),
        ({"limits": {"custom": {"amd.com/gpu": "8"}}}, 8),
        ({"limits": {"custom": {"nvidia.com/mig-1g.5gb": "1"}}}, None),
        ({"limits": {"cpu": "8"}}, None),
        ({}, None),
    ],
)
async def test_gpus_of_v1alpha1_have_words_of_their_own(resources: Json, gpus: int | None) -> None:
    worker = alpha_worker("decode")
    worker["resources"] = resources

    assert (await view_of(cluster(dgd_alpha(services={"D": worker})))).gpus_per_engine == gpus


@BOTH
async def test_engines_of_several_nodes_have_the_gpus_of_all(version: str) -> None:
    more: Json = {"replicas": 1, "gpus": 8, "multinode": {"nodeCount": 2}}
    graph = (
        dgd_alpha(services={"decode": alpha_worker("decode", **more)})
        if version == "v1alpha1"
        else dgd_beta(components=[beta_component("decode", "decode", **more)])
    )
    view = await view_of(cluster(graph))

    assert (view.pods_per_engine, view.gpus_per_engine) == (2, 16)


@pytest.mark.parametrize(
    ("status", "observed", "gpus"),
    [
        ({"gpusPerEngine": 4, "gpusPerReplica": 8}, 3, 8),
        ({"gpusPerEngine": 4}, 3, 4),
        ({"gpusPerEngine": 4, "gpusPerReplica": 8}, 2, 2),
        ({"gpusPerEngine": 0, "gpusPerReplica": 0}, 3, 2),
        ({}, 3, 2),
    ],
)
async def test_what_the_operator_counted_is_preferred_while_it_is_current(
    status: Json, observed: int, gpus: int
) -> None:
    graph = with_status(usual("v1beta1"), "decode", **status)
    graph["status"]["observedGeneration"] = observed

    assert (await view_of(cluster(graph))).gpus_per_engine == gpus


async def test_claimed_gpus_are_counted_by_the_template_of_the_claim() -> None:
    component = beta_component("decode", "decode", gpus=0)
    component["podTemplate"]["spec"]["resourceClaims"] = [
        {"name": "gpu", "resourceClaimTemplateName": "four"}
    ]
    api = cluster(dgd_beta(components=[component]))
    exact = {"deviceClassName": "gpu.nvidia.com", "count": 4}
    api.seed(
        f"/apis/resource.k8s.io/v1/namespaces/{NS}/resourceclaimtemplates/four",
        {"spec": {"spec": {"devices": {"requests": [{"name": "r", "exactly": exact}]}}}},
    )

    assert (await view_of(api)).gpus_per_engine == 4


async def test_a_gang_of_pods_has_a_least() -> None:
    component = beta_component("decode", "decode", replicas=4, minAvailable=2)
    api = cluster(dgd_beta(components=[component]))

    assert (await view_of(api)).least == 2
    await write_of(api, 2)
    with pytest.raises(Refused, match="expected 2 or more"):
        await write_of(api, 1)


@BOTH
async def test_no_worker_at_all_is_refused_because_it_is_one_way(version: str) -> None:
    with pytest.raises(Refused, match="the frontend forgets the model"):
        await write_of(cluster(usual(version)), 0)


def ready_condition(reason: str, message: str = "", *, is_ready: bool = False) -> Json:
    return {"type": "Ready", "status": str(is_ready), "reason": reason, "message": message}


@BOTH
@pytest.mark.parametrize(("phase", "rolls"), [("Pending", True), ("InProgress", True), ("Completed", False)])
async def test_a_rolling_update_holds_while_it_lasts(version: str, phase: str, *, rolls: bool) -> None:
    graph = with_status(usual(version), decode_of(version), replicas=2, updatedReplicas=2)
    graph["status"]["rollingUpdate"] = {"phase": phase}
    view = await view_of(cluster(graph))

    assert (view.hold is not None and view.hold.kind is HoldKind.ROLLING_OUT) is rolls


@pytest.mark.parametrize(
    ("status", "rolls"),
    [
        ({"replicas": 3, "updatedReplicas": 1}, True),
        ({"replicas": 3, "updatedReplicas": 3}, False),
        ({}, True),
        # A group of pods that starts is not counted as updated before it is available.
        (
            {
                "componentKind": "PodCliqueScalingGroup",
                "replicas": 3,
                "updatedReplicas": 1,
                "availableReplicas": 1,
            },
            False,
        ),
        (
            {
                "componentKind": "PodCliqueScalingGroup",
                "replicas": 3,
                "updatedReplicas": 1,
                "availableReplicas": 3,
            },
            True,
        ),
    ],
)
async def test_updating_holds_while_replicas_of_an_old_version_are_left(status: Json, *, rolls: bool) -> None:
    graph = with_status(usual("v1beta1"), "decode", **status)
    graph["status"]["conditions"] = [ready_condition("updating", "decode: 1/3 updated")]
    view = await view_of(cluster(graph))

    assert (view.hold is not None) is rolls
    assert view.hold is None or "decode: 1/3 updated" in view.hold.why


async def test_engines_that_are_not_ready_are_no_roll_out() -> None:
    graph = with_status(usual("v1beta1"), "decode", replicas=3, updatedReplicas=1)
    graph["status"]["conditions"] = [ready_condition("pods_not_ready")]

    assert (await view_of(cluster(graph))).hold is None


async def test_the_annotation_on_the_graph_deployment_pauses() -> None:
    graph = usual("v1beta1")
    graph["metadata"]["annotations"] = {"setpoint.dev/paused-prefill": "true"}
    api = cluster(graph)

    assert (await view_of(api)).hold is None
    prefill = await view_of(api, Role.PREFILL)
    assert prefill.hold is not None
    assert prefill.hold.kind is HoldKind.PAUSED


async def test_what_lacks_room_or_failed_is_trouble() -> None:
    graph = with_status(usual("v1beta1"), "decode", replicas=4, scheduledReplicas=1)
    graph["status"] |= {
        "state": "failed",
        "rollingUpdate": {"phase": "Failed"},
        "conditions": [ready_condition("insufficient_capacity", "decode: 1/4 scheduled")],
    }

    trouble = (await view_of(cluster(graph))).trouble

    assert "insufficient_capacity: decode: 1/4 scheduled" in trouble
    assert "3 of 4 replicas wait for room" in trouble
    assert "the roll-out of its newest version failed" in trouble
    assert "the operator says that it failed" in trouble


@BOTH
async def test_a_planner_inside_is_a_rival(version: str) -> None:
    graph = usual(version)
    if version == "v1alpha1":
        graph["spec"]["services"]["Planner"] = alpha_service("planner")
    else:
        graph["spec"]["components"].append(beta_component("Planner", "planner", gpus=0))
    view = await view_of(cluster(graph))

    assert view.rivals == ("Dynamo's planner runs inside dynamographdeployment vllm-disagg: service Planner",)


@BOTH
async def test_a_planner_without_replicas_is_none(version: str) -> None:
    graph = usual(version)
    if version == "v1alpha1":
        graph["spec"]["services"]["Planner"] = {**alpha_service("planner"), "replicas": 0}
    else:
        graph["spec"]["components"].append(beta_component("Planner", "planner", replicas=0))

    assert (await view_of(cluster(graph))).rivals == ()


@pytest.mark.parametrize(
    ("image", "command", "args"),
    [
        ("example.com/setpoint:1", [], ["run"]),
        ("example.com/x:1", ["setpoint", "run"], []),
        ("example.com/x:1", ["sh", "-c"], ["exec setpoint run"]),
    ],
)
@BOTH
async def test_setpoint_in_the_place_of_the_planner_is_not_its_own_rival(
    version: str, image: str, command: list[str], args: list[str]
) -> None:
    graph = usual(version)
    container = {"name": "main", "image": image, "command": command, "args": args}
    if version == "v1alpha1":
        planner = alpha_service("planner")
        planner["extraPodSpec"]["mainContainer"] = container
        graph["spec"]["services"]["Planner"] = planner
    else:
        component = beta_component("Planner", "planner")
        component["podTemplate"]["spec"]["containers"] = [container]
        graph["spec"]["components"].append(component)

    assert (await view_of(cluster(graph))).rivals == ()
