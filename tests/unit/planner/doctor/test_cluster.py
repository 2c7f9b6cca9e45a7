"""Nodes, GPUs, storage classes and the GPU operator, as their objects say."""

from typing import Any

import pytest

from connectors.kubernetes.api import ApiError
from planner.doctor.findings import Verdict
from planner.doctor.gpus import check_gpus, judge_gpu_operator, judge_gpus
from planner.doctor.nodes import PRESENT, GpuNodes, found_in
from planner.doctor.server import check_server
from planner.doctor.storage import judge_storage
from tests.cluster.fake_api import FakeApi
from tests.unit.planner.doctor.cases import named, patient

Json = dict[str, Any]


def node(
    name: str = "a",
    *,
    gpus: int = 8,
    healthy: int | None = None,
    labels: dict[str, str] | None = None,
    resource: str = "nvidia.com/gpu",
    state: str = "ready",
) -> Json:
    ready = {"type": "Ready", "status": "False" if state == "not ready" else "True"}
    return named(
        name,
        labels={PRESENT: "true"} if labels is None else labels,
        spec={"unschedulable": state == "cordoned"},
        status={
            "capacity": {resource: str(gpus), "cpu": "64"},
            "allocatable": {resource: str(gpus if healthy is None else healthy), "cpu": "64"},
            "conditions": [ready],
        },
    )


def test_free_gpus_are_those_that_no_pod_asks_for_on_nodes_that_take_pods() -> None:
    nodes = [
        node("a"),
        node("b", state="cordoned"),
        node("c", state="not ready"),
        node("plain", gpus=0, labels={}),
    ]

    found = found_in(nodes, [("a", 3), ("a", 2), ("b", 1)])

    assert [(one.name, one.used, one.free) for one in found.nodes] == [("a", 5, 3), ("b", 1, 0), ("c", 0, 0)]
    assert (found.allocatable, found.free, found.others) == (8, 3, 1)


def test_what_is_free_is_unknown_where_pods_cannot_be_read() -> None:
    found = found_in([node()], None, doubt="pods may not be read")

    sign = judge_gpus(found)

    assert found.free is None
    assert sign.verdict is Verdict.WARN
    assert "an unknown number free" in sign.summary


def test_gpus_of_other_vendors_count_and_need_no_label_of_nvidias() -> None:
    sign = judge_gpus(found_in([node(resource="amd.com/gpu", labels={})], []))

    assert sign.verdict is Verdict.OK
    assert sign.summary.startswith("8 GPUs allocatable")


def test_shares_of_gpus_are_no_gpus() -> None:
    found = found_in([node(resource="nvidia.com/mig-1g.5gb")], [])

    assert found.allocatable == 0


@pytest.mark.parametrize(
    ("nodes", "verdict", "said"),
    [
        pytest.param([], Verdict.FAIL, "no node has GPUs", id="none"),
        pytest.param([node(labels={})], Verdict.FAIL, "kubectl label node a", id="no node has the label"),
        pytest.param(
            [node("a"), node("b", labels={})], Verdict.WARN, "kubectl label node b", id="one lacks the label"
        ),
        pytest.param([node(gpus=0)], Verdict.FAIL, "offers none", id="a label without GPUs"),
        pytest.param([node(healthy=7)], Verdict.WARN, "7 of 8 GPUs are healthy", id="a broken GPU"),
        pytest.param(
            [node(), node("b", state="cordoned")], Verdict.WARN, "kubectl uncordon b", id="cordoned"
        ),
        pytest.param([node(), node("b", state="not ready")], Verdict.WARN, "b is not ready", id="not ready"),
    ],
)
def test_nodes_that_cannot_give_their_gpus_are_told(nodes: list[Json], verdict: Verdict, said: str) -> None:
    sign = judge_gpus(found_in(nodes, []))

    assert sign.verdict is verdict
    assert said in "\n".join((sign.summary, *sign.details, sign.todo))


async def test_nodes_are_read_page_by_page_and_pods_that_ended_do_not_count() -> None:
    api = FakeApi()
    for number in range(1200):
        api.seed(f"/api/v1/nodes/n{number:04d}", node(gpus=1))

    sign = await check_gpus(patient(api=api))

    assert sign.summary == "1200 GPUs allocatable on 1200 nodes, 1200 free"
    asked = [sent.query for sent in api.requests if sent.path == "/api/v1/pods"]
    assert asked[0]["fieldSelector"] == "status.phase!=Succeeded,status.phase!=Failed"


OPERATOR = named("op", namespace="gpu-operator", status={"phase": "Running"})
SLEEPING = named("sleeps", namespace="gpu-operator", status={"phase": "Pending"})


@pytest.mark.parametrize(
    ("pods", "nodes", "verdict"),
    [
        pytest.param([OPERATOR], [node()], Verdict.OK, id="runs"),
        pytest.param([OPERATOR, SLEEPING], [node()], Verdict.WARN, id="runs in part"),
        pytest.param([SLEEPING], [node()], Verdict.FAIL, id="does not run"),
        pytest.param([], [node()], Verdict.WARN, id="absent, GPUs are offered all the same"),
        pytest.param([], [], Verdict.FAIL, id="absent, no GPUs"),
        pytest.param([], [node(resource="amd.com/gpu", labels={})], Verdict.SKIP, id="GPUs of others"),
    ],
)
def test_the_gpu_operator_is_judged_by_its_pods_and_by_what_works(
    pods: list[Json], nodes: list[Json], verdict: Verdict
) -> None:
    assert judge_gpu_operator(pods, found_in(nodes, [])).verdict is verdict


def test_no_nodes_at_all_is_no_crash() -> None:
    assert judge_gpus(GpuNodes(nodes=(), others=0)).verdict is Verdict.FAIL


def storage(name: str, *, mark: str = "") -> Json:
    return {"metadata": {"name": name, "annotations": {mark: "true"} if mark else {}}}


USUAL, OLDER = (f"storageclass.{infix}kubernetes.io/is-default-class" for infix in ("", "beta."))


@pytest.mark.parametrize(
    ("classes", "is_needed", "verdict"),
    [
        pytest.param([storage("a", mark=USUAL), storage("b")], True, Verdict.OK, id="one"),
        pytest.param([storage("a", mark=OLDER)], True, Verdict.OK, id="one, by its former name"),
        pytest.param([storage("a", mark=USUAL), storage("b", mark=OLDER)], True, Verdict.WARN, id="two"),
        pytest.param([storage("a")], True, Verdict.FAIL, id="none"),
        pytest.param([storage("a")], False, Verdict.WARN, id="none, and none is needed"),
        pytest.param([], True, Verdict.FAIL, id="no class at all"),
    ],
)
def test_one_storage_class_is_to_be_the_default(
    classes: list[Json], *, is_needed: bool, verdict: Verdict
) -> None:
    assert judge_storage(classes, is_needed=is_needed).verdict is verdict


@pytest.mark.parametrize(
    ("error", "verdict", "said"),
    [
        pytest.param(ApiError("nobody listens", status=0), Verdict.FAIL, "nobody listens", id="silent"),
        pytest.param(ApiError("who?", status=401), Verdict.FAIL, "does not accept our", id="unknown"),
        pytest.param(ApiError("no", status=403), Verdict.WARN, "but not to us", id="forbidden"),
    ],
)
async def test_an_api_server_that_says_no_is_told_apart(error: ApiError, verdict: Verdict, said: str) -> None:
    api = FakeApi()
    api.fail_next(error)

    sign = await check_server(patient(api=api))

    assert sign.verdict is verdict
    assert said in sign.summary
