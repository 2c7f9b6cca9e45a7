"""A request is found, waited for and explained; time stands still but for what the test lets pass."""

import asyncio
import json
from typing import Any

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from connectors.kubernetes.api import ApiError, Json, Resource
from planner.preparing.arguments import PROFILE_FILES
from planner.preparing.outputs import outputs_of
from planner.preparing.prepare import Wish, prepare
from planner.preparing.request import Key, Stage, generated_in, generated_of, reasons, stage_of
from planner.preparing.requests import read_request, wait_for_request
from planner.preparing.waiting import Seen, wait_for
from tests.cluster.fake_api import FakeApi

KEY = Key(namespace="llm", name="qwen-sla")
REQUESTS = Resource(
    group="nvidia.com",
    version="v1beta1",
    plural="dynamographdeploymentrequests",
    kind="DynamoGraphDeploymentRequest",
)
GRAPHS = Resource(
    group="nvidia.com", version="v1beta1", plural="dynamographdeployments", kind="DynamoGraphDeployment"
)
MAPS = Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
PATH = REQUESTS.path("llm", "qwen-sla")
FILES = dict.fromkeys(PROFILE_FILES, "{}")
GRAPH: dict[str, Any] = {
    "apiVersion": "nvidia.com/v1beta1",
    "kind": "DynamoGraphDeployment",
    "metadata": {"name": "qwen"},
    "spec": {
        "components": [
            {
                "name": "planner",
                "type": "planner",
                "podTemplate": {
                    "spec": {
                        "volumes": [{"name": "p", "configMap": {"name": "planner-profile-data-1"}}],
                        "containers": [{"name": "main", "args": ["--prefill-engine-num-gpu=2"]}],
                    }
                },
            },
            {
                "name": "decode",
                "type": "decode",
                "multinode": {"nodeCount": 2},
                "podTemplate": {
                    "spec": {
                        "containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "4"}}}]
                    }
                },
            },
        ]
    },
}


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stills: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def still(self, text: str) -> None:
        self.stills.append(text)


def cluster(status: dict[str, Any] | None = None) -> FakeApi:
    api = FakeApi()
    api.define(REQUESTS, has_scale=False)
    api.define(GRAPHS, has_scale=False)
    api.seed(PATH, {"metadata": {}, "spec": {"model": "m"}, "status": status or {}})
    return api


async def waiting(api: FakeApi, clock: VirtualClock, told: Told) -> "asyncio.Task[Json]":
    task = asyncio.create_task(wait_for_request(api, KEY, clock=clock, teller=told))
    await clock.advance(0.0)
    return task


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ({}, Stage(state="Initializing")),
        ({"state": ""}, Stage(state="Initializing")),
        ({"state": "Profiling"}, Stage(state="Profiling")),
        (
            {"phase": "Profiling", "profilingPhase": "BuildingCurves"},
            Stage(state="Profiling", detail="BuildingCurves"),
        ),
        ({"phase": "Deployed", "profilingPhase": "Done"}, Stage(state="Deployed")),
    ],
)
def test_how_far_a_request_is_is_read_in_both_versions(status: dict[str, Any], stage: Stage) -> None:
    assert stage_of({"status": status}) == stage


def test_each_change_is_told_once_and_each_minute_how_long() -> None:
    async def scene() -> list[str]:
        api, clock, told = cluster({"phase": "Pending"}), VirtualClock(), Told()
        task = await waiting(api, clock, told)
        await clock.advance(10.0)
        api.change(PATH, {"status": {"phase": "Profiling"}})
        await clock.advance(125.0)
        api.change(PATH, {"status": {"phase": "Ready"}})
        await clock.advance(2.0)
        assert (await task)["status"]["phase"] == "Ready"
        return told.lines

    assert asyncio.run(scene()) == [
        "request llm/qwen-sla: Pending",
        "request llm/qwen-sla: Profiling",
        "request llm/qwen-sla: Profiling, for 1 min 0 s",
        "request llm/qwen-sla: Profiling, for 2 min 0 s",
        "request llm/qwen-sla: Ready",
    ]


def test_a_silent_api_server_is_asked_again_and_told() -> None:
    async def scene() -> list[str]:
        api, clock, told = cluster({"phase": "Pending"}), VirtualClock(), Told()
        api.fail_next(ApiError("no answer in 5 s", status=0), path_prefix=PATH)
        task = await waiting(api, clock, told)
        api.change(PATH, {"status": {"phase": "Ready"}})
        await clock.advance(2.0)
        await task
        return told.lines

    assert asyncio.run(scene()) == [
        "request llm/qwen-sla: no answer in 5 s; it is asked again",
        "request llm/qwen-sla: Ready",
    ]


def test_a_refusal_after_the_request_was_seen_may_pass() -> None:
    async def scene() -> list[str]:
        api, clock, told = cluster({"phase": "Pending"}), VirtualClock(), Told()
        task = await waiting(api, clock, told)
        api.forbid("get", PATH)
        await clock.advance(1.0)
        api.permit()
        api.change(PATH, {"status": {"phase": "Ready"}})
        await clock.advance(2.0)
        await task
        return told.lines

    lines = asyncio.run(scene())
    assert len(lines) == 3
    assert lines[1].endswith("; it is asked again")


def test_a_refusal_is_not_asked_again() -> None:
    async def scene() -> None:
        api = cluster()
        api.forbid("get", PATH)
        await wait_for_request(api, KEY, clock=VirtualClock(), teller=Told())

    with pytest.raises(
        ConfigError, match=r"request llm/qwen-sla: it may not be read; grant apiGroups: \[nvidia"
    ):
        asyncio.run(scene())


def test_deploying_is_over_once_the_deployment_is_there() -> None:
    async def scene() -> bool:
        api, clock = cluster({"phase": "Deploying", "dgdName": "qwen"}), VirtualClock()
        task = await waiting(api, clock, Told())
        await clock.advance(5.0)
        was_waiting = not task.done()
        api.seed(GRAPHS.path("llm", "qwen"), GRAPH)
        await clock.advance(2.0)
        await task
        return was_waiting

    assert asyncio.run(scene())


def test_a_cluster_without_dynamo_is_told() -> None:
    with pytest.raises(ConfigError, match="the cluster has no requests of Dynamo's"):
        asyncio.run(read_request(FakeApi(), KEY))


def test_names_are_listed_only_where_they_may_be() -> None:
    api = cluster()
    api.forbid("list", REQUESTS.path("llm"))

    with pytest.raises(ConfigError, match="there is no such request in namespace llm; check the name"):
        asyncio.run(read_request(api, Key(namespace="llm", name="qwen")))


def test_the_decisive_condition_comes_first_and_the_summary_of_all_is_left_out() -> None:
    conditions = [
        {"type": "Validation", "status": "True", "reason": "Fine"},
        {
            "type": "Profiling",
            "status": "False",
            "reason": "SweepingPrefillFailed",
            "message": "out of\nmemory",
        },
        {"type": "Succeeded", "status": "False", "reason": "Failed", "message": "out of memory"},
    ]

    assert reasons({"status": {"conditions": conditions}}) == (
        "Profiling: SweepingPrefillFailed: out of memory",
    )


@pytest.mark.parametrize(
    ("request_item", "output"),
    [
        ({"status": {"generatedDeployment": GRAPH}}, {}),
        ({"status": {"profilingResults": {"selectedConfig": GRAPH}}}, {}),
        (
            {"status": {"profilingResults": "configmap/x"}},
            {"data": {"final.yaml": "kind: X\n---\n" + str(GRAPH)}},
        ),
        ({"metadata": {"annotations": {"nvidia.com/generated-dgd-spec": str(GRAPH)}}}, {}),
    ],
)
def test_the_generated_deployment_is_found_wherever_an_operator_puts_it(
    request_item: dict[str, Any], output: dict[str, Any]
) -> None:
    found = generated_of(request_item, output)

    assert [one for one in found if one["kind"] == GRAPH["kind"]] == [GRAPH]


def test_a_file_with_a_request_or_with_the_profilers_output_holds_its_deployment() -> None:
    asked: dict[str, object] = {
        "kind": "DynamoGraphDeploymentRequest",
        "status": {"generatedDeployment": GRAPH},
    }
    output: dict[str, object] = {"kind": "ConfigMap", "data": {"dgd.yaml": str(GRAPH)}}
    service: dict[str, object] = {"kind": "Service"}

    assert generated_in([asked]) == (GRAPH,)
    assert generated_in([output]) == (GRAPH,)
    assert generated_in([service, GRAPH]) == (service, GRAPH)
    assert generated_in([service]) == (service,)


def test_profile_deployment_and_engines_come_from_what_was_made() -> None:
    api = cluster({"phase": "Ready", "profilingResults": {"selectedConfig": GRAPH}})
    api.seed(MAPS.path("llm", "planner-profile-data-1"), {"data": FILES})

    found = asyncio.run(outputs_of(api, KEY, api.read(PATH)))

    assert (found.name, found.namespace, found.is_applied) == ("qwen", "llm", False)
    assert found.gpus == {"prefill": 2, "decode": 8}
    assert found.profile is not None
    assert (found.profile.name, found.profile.files) == ("planner-profile-data-1", FILES)
    assert found.notes == ()


def test_a_deployment_with_the_label_of_the_request_is_its_deployment() -> None:
    api = cluster({"phase": "Ready"})
    labels = {"labels": {"dgdr.nvidia.com/name": "qwen-sla"}}
    api.seed(GRAPHS.path("llm", "other-name"), {**GRAPH, "metadata": labels})

    found = asyncio.run(outputs_of(api, KEY, api.read(PATH)))

    assert (found.name, found.is_applied) == ("other-name", True)


def test_a_configuration_that_the_planner_mounts_is_read_beside() -> None:
    planner = {
        "name": "planner",
        "type": "planner",
        "podTemplate": {
            "spec": {
                "volumes": [{"name": "c", "configMap": {"name": "planner-config-1"}}],
                "containers": [{"name": "main", "args": ["--config", "/c/planner_config.json"]}],
            }
        },
    }
    graph = {**GRAPH, "spec": {"components": [planner]}}
    api = cluster({"phase": "Ready", "profilingResults": {"selectedConfig": graph}})
    data = {"planner_config.json": json.dumps({"max_gpu_budget": 4, "decode_engine_num_gpu": 4})}
    api.seed(MAPS.path("llm", "planner-config-1"), {"data": data})

    found = asyncio.run(outputs_of(api, KEY, api.read(PATH)))
    prepared = prepare(found.generated, Wish(image="i"), name="x", beside=found.mounted)

    assert found.gpus == {"decode": 4}
    assert (
        "planner: variables SETPOINT_ACTUATOR, SETPOINT_HTTP__BIND, SETPOINT_ACTUATE added"
        in prepared.changes
    )
    assert [one["kind"] for one in prepared.objects] == ["DynamoGraphDeployment"]


def test_a_profile_of_another_request_is_not_used() -> None:
    api = cluster({"phase": "Ready"})
    labels = {"labels": {"dgdr.nvidia.com/name": "other"}}
    api.seed(MAPS.path("llm", "planner-profile-data"), {"data": FILES, "metadata": labels})

    found = asyncio.run(outputs_of(api, KEY, api.read(PATH)))

    assert found.profile is None
    assert found.notes == ("ConfigMap planner-profile-data is not used: it is of request other",)


def test_maps_that_may_not_be_read_are_told() -> None:
    api = cluster({"phase": "Ready"})
    api.forbid("get", MAPS.path("llm"))

    found = asyncio.run(outputs_of(api, KEY, api.read(PATH)))

    assert "ConfigMap llm/planner-profile-data may not be read (grant get on configmaps)" in found.notes


def test_waiting_ends_at_its_limit_with_how_far_it_is() -> None:
    async def scene() -> None:
        clock = VirtualClock()

        async def look() -> Seen[str]:
            return Seen(words="not yet")

        task = asyncio.create_task(wait_for(look, about="x", clock=clock, teller=Told(), limit_s=3700.0))
        await clock.advance(3701.0)
        await task

    with pytest.raises(TimeoutError, match="x: not yet after 1 h 1 min"):
        asyncio.run(scene())
