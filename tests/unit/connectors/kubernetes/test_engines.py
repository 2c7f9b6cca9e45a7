"""How many engines pods make: what ended holds nothing, what ends still holds its GPUs."""

from typing import Any

import pytest

from connectors.kubernetes.engines import Findings, engines_in, own_pods, said_by, state_of_pool
from connectors.kubernetes.pods import Engines, engines_of
from connectors.kubernetes.podstate import Patience, PodState, Wait
from connectors.kubernetes.target import TargetView
from tests.cluster.kubelet import READY

Json = dict[str, Any]
_PATIENCE = Patience(now_wall_s=0.0, grace_s=300.0, groups={})


def pod(name: str, status: Json, **metadata: object) -> Json:
    return {"metadata": {"name": name, **metadata}, "spec": {}, "status": status}


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_ended_is_no_engine(phase: str) -> None:
    pods = [pod("a", READY), pod("b", {"phase": phase})]

    assert engines_in(pods, pods_per_engine=1, patience=_PATIENCE) == Engines(ready=1)
    assert [one["metadata"]["name"] for one in own_pods(pods, TargetView(desired=1, version="1"))] == ["a"]


def test_a_pod_that_ends_is_an_engine_that_still_holds_its_gpus() -> None:
    pods = [pod("a", READY), pod("b", READY, deletionTimestamp="2026-01-01T00:00:00Z")]

    assert engines_in(pods, pods_per_engine=1, patience=_PATIENCE) == Engines(ready=1, terminating=1)


def test_engines_of_several_pods_that_end_are_counted_as_engines() -> None:
    leaving = [PodState(wait=Wait.ENDS, group=group) for group in ("d/0", "d/0", "d/1", "d/1")]

    assert engines_of(leaving, pods_per_engine=2) == Engines(terminating=2)


def test_a_pod_that_is_replaced_inside_an_engine_does_not_make_a_second_one() -> None:
    replaced = [PodState(wait=Wait.READY, group="d/0"), PodState(wait=Wait.ENDS, group="d/0")]

    assert engines_of(replaced, pods_per_engine=2) == Engines(starting=1)


def test_a_controller_that_counts_more_ready_than_existing_has_no_negative_number_of_starting_ones() -> None:
    view = TargetView(desired=3, version="1", ready=3, existing=2)

    assert said_by(view, name="deployment decode") == Engines(ready=3, starting=0)


def test_what_the_target_allows_reaches_the_pool() -> None:
    view = TargetView(desired=2, version="1", least=1, most=4, grace_s=30.0)
    found = Findings(engines=Engines(ready=2), gpus_per_engine=None, hold=None, target="deployment decode")

    state = state_of_pool(view, found)

    assert (state.desired, state.least, state.most, state.grace_s) == (2, 1, 4, 30.0)
