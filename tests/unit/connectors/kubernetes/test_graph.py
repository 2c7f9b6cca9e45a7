"""Both pools in one graph deployment: one object, adapters that come and go, a kind that is taken away."""

from collections.abc import AsyncIterator

import pytest

from config.clock import VirtualClock
from config.errors import ActuationError, Conflict, ObservationError, Refused
from config.policy import Role
from connectors.base import Replicas
from connectors.kubernetes.actuator import ActuatorOptions, KubernetesActuator
from connectors.kubernetes.api import ApiError, Resource
from connectors.kubernetes.reference import parse_reference
from tests.cluster.fake_api import FakeApi
from tests.cluster.kubelet import InMemory, Kubelet

_ROOT = "/apis/nvidia.com/v1beta1/namespaces/llm"
_GRAPH = f"{_ROOT}/dynamographdeployments/llm"
_ADAPTER = f"{_ROOT}/dynamographdeploymentscalingadapters/llm-vllmdecodeworker"
_KIND = Resource(
    group="nvidia.com", version="v1beta1", plural="dynamographdeployments", kind="DynamoGraphDeployment"
)
_ADAPTERS = Resource(
    group="nvidia.com",
    version="v1beta1",
    plural="dynamographdeploymentscalingadapters",
    kind="DynamoGraphDeploymentScalingAdapter",
)


class Scene:
    """A graph deployment and the actuator of its two pools."""

    def __init__(self) -> None:
        self.clock = VirtualClock(wall_origin_s=1_767_225_600.0)
        self.api = FakeApi(self.clock)
        self.api.define(_KIND, has_scale=False)
        self.api.define(_ADAPTERS)
        self.kubelet = Kubelet(cluster=InMemory(self.api), namespace="llm")
        self.kubelet.graph("llm", prefill=1, decode=2, gpus=4)
        self.said: list[str] = []
        self.actuator = KubernetesActuator(
            self.api,
            [
                parse_reference("dynamographdeployment/llm", role=role, namespace="llm", key="")
                for role in (Role.PREFILL, Role.DECODE)
            ],
            clock=self.clock,
            options=ActuatorOptions(say=self.said.append),
        )

    def adapt(self, *, replicas: int) -> None:
        """Give the decode pool a scaling adapter, which owns its replicas."""
        self.api.seed(_ADAPTER, {"spec": {"replicas": replicas}})
        item = self.api.read(_GRAPH)
        item["spec"]["components"][2]["scalingAdapter"] = {}
        self.api.change(_GRAPH, {"spec": item["spec"]})

    async def begin(self) -> None:
        await self.actuator.read()
        await self.clock.advance(0.0)
        self.api.requests.clear()

    @property
    def counts(self) -> tuple[int, int]:
        components = self.api.read(_GRAPH)["spec"]["components"]
        return components[1]["replicas"], components[2]["replicas"]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.actuator.close()


async def test_one_object_is_read_once_for_both_pools_and_written_once_for_each(scene: Scene) -> None:
    fleet = await scene.actuator.read()
    asked = [one.path for one in scene.api.requests if one.method == "GET"]
    await scene.clock.advance(0.0)
    scene.api.requests.clear()

    await scene.actuator.scale(Replicas.of(prefill=3, decode=1))

    assert asked.count(_GRAPH.rpartition("/")[0]) <= 2  # it is answered before the other pool asks
    assert fleet.pools["decode"].gpus_per_engine == 4
    assert fleet.pools["decode"].target == "dynamographdeployment llm:VllmDecodeWorker"
    assert scene.counts == (3, 1)
    assert [one.method for one in scene.api.requests] == ["PATCH", "PATCH"]


async def test_an_adapter_is_written_in_place_of_the_graph_deployment(scene: Scene) -> None:
    scene.adapt(replicas=2)
    await scene.begin()

    await scene.actuator.scale(Replicas.of(decode=5))
    fleet = await scene.actuator.read()

    (sent,) = scene.api.writes()
    assert sent.path == f"{_ADAPTER}/scale"
    assert fleet.pools["decode"].desired == 5
    assert scene.counts == (1, 2)  # the operator copies it


async def test_an_adapter_that_is_gone_is_passed_over_once(scene: Scene) -> None:
    scene.adapt(replicas=2)
    await scene.begin()
    missing = ApiError("not found", status=404, reason="NotFound")
    scene.api.fail_next(missing, method="PATCH", path_prefix=_ADAPTER)

    await scene.actuator.scale(Replicas.of(decode=5))

    assert [one.path for one in scene.api.writes()] == [f"{_ADAPTER}/scale", _GRAPH]
    assert scene.counts == (1, 5)


async def test_an_adapter_that_somebody_else_wrote_meanwhile_is_written_and_not_gone_around(
    scene: Scene,
) -> None:
    scene.adapt(replicas=2)
    await scene.begin()
    scene.api.fail_next(ApiError("conflict", status=409), method="PATCH", path_prefix=_ADAPTER)

    await scene.actuator.scale(Replicas.of(decode=5))

    assert [one.path for one in scene.api.writes()] == [f"{_ADAPTER}/scale", f"{_ADAPTER}/scale"]
    assert scene.counts == (1, 2)


async def test_an_adapter_that_refuses_is_not_gone_around(scene: Scene) -> None:
    scene.adapt(replicas=2)
    await scene.begin()
    scene.api.fail_next(ApiError("denied by a webhook", status=422), method="PATCH", path_prefix=_ADAPTER)

    with pytest.raises(Refused, match="denied by a webhook"):
        await scene.actuator.scale(Replicas.of(decode=5))

    assert scene.counts == (1, 2)


async def test_who_changed_the_adapter_is_named(scene: Scene) -> None:
    scene.adapt(replicas=2)
    await scene.begin()
    fields = [
        {"manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    ]
    scene.api.change(_ADAPTER, {"spec": {"replicas": 4}, "metadata": {"managedFields": fields}})
    await scene.clock.advance(0.0)

    await scene.actuator.read()

    assert scene.said == ["replicas of decode changed from 2 to 4 by kubectl"]


async def test_services_that_changed_places_are_looked_at_again(scene: Scene) -> None:
    await scene.begin()

    def swap() -> None:
        components = scene.api.read(_GRAPH)["spec"]["components"]
        scene.api.change(_GRAPH, {"spec": {"components": [components[0], components[2], components[1]]}})

    scene.api.before_next(swap, method="PATCH")

    with pytest.raises(Conflict, match="generation"):
        await scene.actuator.scale(Replicas.of(decode=5))


async def test_the_last_worker_is_never_given_up(scene: Scene) -> None:
    await scene.begin()

    with pytest.raises(Refused):
        await scene.actuator.scale(Replicas.of(decode=0))


async def test_a_kind_that_is_taken_away_is_no_fleet_and_is_found_when_it_is_back(scene: Scene) -> None:
    await scene.begin()
    scene.api.undefine("nvidia.com", "dynamographdeployments")
    await scene.clock.advance(1.0)
    with pytest.raises(ObservationError):
        await scene.actuator.read()
    with pytest.raises(ActuationError):
        await scene.actuator.scale(Replicas.of(decode=5))

    scene.api.define(_KIND, has_scale=False)
    scene.kubelet.graph("llm", prefill=1, decode=3, gpus=4)
    await scene.clock.advance(60.0)
    fleet = await scene.actuator.read()

    assert fleet.pools["decode"].desired == 3
