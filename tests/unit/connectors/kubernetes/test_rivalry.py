"""Somebody else who scales the same target holds the pool, and is not fought."""

from collections.abc import AsyncIterator

import pytest

from config.clock import VirtualClock
from config.errors import ObservationError
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.actuator import ActuatorOptions, KubernetesActuator
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.rivals import find_rivals
from connectors.kubernetes.target import Target
from tests.cluster.fake_api import FakeApi
from tests.cluster.kubelet import InMemory, Kubelet

_HPAS = "/apis/autoscaling/v1/namespaces/llm/horizontalpodautoscalers"
_HPA = {"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "decode"}}}


class Scene:
    """A Deployment whose rivals are looked for."""

    def __init__(self) -> None:
        self.clock = VirtualClock(wall_origin_s=1_767_225_600.0)
        self.api = FakeApi(self.clock)
        Kubelet(cluster=InMemory(self.api), namespace="llm").deployment("decode", replicas=2)
        self.said: list[str] = []
        self.actuator = KubernetesActuator(
            self.api,
            [parse_reference("deployment/decode", role=Role.DECODE, namespace="llm", key="")],
            clock=self.clock,
            options=ActuatorOptions(say=self.said.append, find_rivals=self.find),
        )

    async def find(self, target: Target) -> tuple[str, ...]:
        found = await find_rivals(self.api, "llm", (target,))
        return found.by_path.get(target.parent.path, ())

    async def hold(self) -> str:
        hold = (await self.actuator.read()).pools["decode"].hold
        if hold is None:
            return ""
        assert hold.kind is HoldKind.RIVAL
        return hold.why


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.actuator.close()


async def test_an_autoscaler_that_comes_later_holds_the_pool_until_it_goes(scene: Scene) -> None:
    before = await scene.hold()
    scene.api.seed(f"{_HPAS}/cpu", _HPA)
    await scene.clock.advance(301.0)
    while_it_is_there = await scene.hold()
    scene.api.remove(f"{_HPAS}/cpu")
    await scene.clock.advance(301.0)

    assert before == ""
    assert "the HorizontalPodAutoscaler cpu scales deployment decode" in while_it_is_there
    assert "kubernetes.allow_rivals" in while_it_is_there
    assert await scene.hold() == ""
    assert scene.said == ["nobody else scales deployment decode any more"]


async def test_who_was_found_still_counts_while_the_api_server_does_not_answer(scene: Scene) -> None:
    scene.api.seed(f"{_HPAS}/cpu", _HPA)
    first = await scene.hold()
    await scene.clock.advance(301.0)
    scene.api.fail_next(ApiError("no answer", status=0), path_prefix=_HPAS)

    assert first
    assert await scene.hold() == first


async def test_after_no_answer_it_is_asked_again_soon(scene: Scene) -> None:
    scene.api.seed(f"{_HPAS}/cpu", _HPA)
    await scene.hold()
    await scene.clock.advance(301.0)
    scene.api.fail_next(ApiError("no answer", status=0), path_prefix=_HPAS)
    await scene.hold()
    scene.api.remove(f"{_HPAS}/cpu")

    await scene.clock.advance(31.0)

    assert await scene.hold() == ""


async def test_nothing_is_scaled_before_it_was_answered_who_else_does(scene: Scene) -> None:
    scene.api.seed(f"{_HPAS}/cpu", _HPA)
    scene.api.fail_next(ApiError("no answer", status=0), path_prefix=_HPAS)

    with pytest.raises(ObservationError, match="no answer"):
        await scene.actuator.read()

    assert "the HorizontalPodAutoscaler cpu" in await scene.hold()


async def test_rivals_are_not_looked_for_at_each_read(scene: Scene) -> None:
    for _ in range(10):
        await scene.hold()

    assert len([one for one in scene.api.requests if one.path == _HPAS]) == 1
