"""Whoever else writes, and whenever: nobody's word is overwritten, and nobody writes who does not lead."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from config.clock import VirtualClock
from config.errors import ActuationError
from config.policy import Role
from connectors.base import Replicas
from connectors.kubernetes.actuator import KubernetesActuator
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.reference import parse_reference
from tests.cluster.fake_api import FakeApi
from tests.cluster.kubelet import InMemory, Kubelet

_DECODE = "/apis/apps/v1/namespaces/llm/deployments/decode"
# What may happen right before each attempt to write, and before the decision is carried out at all.
_EVENTS = st.sampled_from(
    ["nothing", "status", "scaled", "template", "paused", "recreated", "deposed", "lost", "landed", "busy"]
)


class World:
    """A Deployment of four replicas, an actuator that decided on that, and what happens then."""

    def __init__(self) -> None:
        self.clock = VirtualClock(wall_origin_s=1_767_225_600.0)
        self.api = FakeApi(self.clock)
        self.kubelet = Kubelet(cluster=InMemory(self.api), namespace="llm")
        self.kubelet.deployment("decode", replicas=4)
        self.is_leader = True
        self.is_free = True
        reference = parse_reference("deployment/decode", role=Role.DECODE, namespace="llm", key="")
        self.actuator = KubernetesActuator(self.api, [reference], clock=self.clock, leader=self)

    def standby(self) -> str:
        return "" if self.is_leader else "another one leads"

    @property
    def replicas(self) -> int:
        count: int = self.api.read(_DECODE)["spec"]["replicas"]
        return count

    def happen(self, event: str) -> None:
        """Let somebody else, or the network, do something."""
        match event:
            case "status":
                self.api.change(_DECODE, {"status": {"readyReplicas": 3}})
            case "scaled":
                self._theirs({"spec": {"replicas": 7}})
            case "template":
                self._theirs({"spec": {"template": {"metadata": {"labels": {"v": "2"}}}}})
            case "paused":
                self._theirs({"metadata": {"annotations": {"setpoint.dev/paused": "by ann"}}})
            case "recreated":
                self._recreate()
            case "deposed":
                self.is_leader = False

    def arrive(self, event: str) -> None:
        """Do the same while a write is under way."""
        self.happen(event)
        match event:
            case "lost":
                raise ApiError("no answer", status=0)
            case "landed":
                self.api.change(_DECODE, {"spec": {"replicas": 9}})
                raise ApiError("no answer", status=0)
            case "busy":
                raise ApiError("too many requests", status=429)

    def _theirs(self, patch: dict[str, object]) -> None:
        self.is_free = False
        self.api.change(_DECODE, patch)

    def _recreate(self) -> None:
        self.is_free = False
        self.api.remove(_DECODE)
        self.kubelet.deployment("decode", replicas=4)


@given(before=_EVENTS, during=st.lists(_EVENTS, max_size=4), is_seen=st.booleans())
async def test_a_write_lands_only_on_what_was_decided_on(
    before: str, during: list[str], *, is_seen: bool
) -> None:
    world = World()
    await world.actuator.read()
    await world.clock.advance(0.0)
    for event in during:
        world.api.before_next(partial(world.arrive, event), method="PATCH", path_prefix=_DECODE)
    world.happen(before)
    if is_seen:
        await world.clock.advance(0.0)

    error: ActuationError | None = None
    try:
        await world.actuator.scale(Replicas.of(decode=9))
    except ActuationError as raised:
        error = raised
    await world.actuator.close()

    if error is None:
        assert world.replicas == 9
    if not world.is_free and "landed" not in during:
        assert world.replicas != 9
    assert len(world.api.writes()) <= (0 if before == "deposed" else 3)
