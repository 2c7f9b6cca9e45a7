"""When is a target looked for, and when anew?"""

from config.clock import VirtualClock
from config.errors import Malformed, ObservationError
from config.policy import Role
from connectors.kubernetes.api import Resource
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.resolving import Resolving
from connectors.kubernetes.target import ObjectKey, Reference, Target
from connectors.kubernetes.targets.workload import Workload

_REFERENCE = parse_reference("deployment/decode", role=Role.DECODE, namespace="ai", key="")
_KIND = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")


class Scene:
    """A reference whose target is found at once, unless it makes no sense."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.asked_s: list[float] = []
        self.is_sound = True
        self.resolving = Resolving(_REFERENCE, self.resolve, clock=self.clock)

    async def resolve(self, reference: Reference) -> Target:
        self.asked_s.append(self.clock.now_s())
        if not self.is_sound:
            raise Malformed("expected a count")
        key = ObjectKey(resource=_KIND, namespace="ai", name=reference.name)
        return Workload(role=Role.DECODE, parent=key)

    async def doubt(self, seconds: int) -> None:
        """Look once a second, without sense."""
        for _ in range(seconds):
            await self.resolving.target()
            self.resolving.doubted()
            await self.clock.advance(1.0)


async def test_a_target_that_makes_sense_is_looked_for_once() -> None:
    scene = Scene()
    for _ in range(100):
        await scene.resolving.target()
        scene.resolving.understood()
        await scene.clock.advance(1.0)

    assert scene.asked_s == [0.0]


async def test_a_target_that_makes_no_sense_for_a_while_is_looked_for_anew_ever_more_slowly() -> None:
    scene = Scene()

    await scene.doubt(120)

    assert scene.asked_s == [0.0, 3.0, 7.0, 15.0, 31.0, 61.0, 91.0]


async def test_one_reading_without_sense_is_no_reason_to_look_anew() -> None:
    scene = Scene()
    for _ in range(10):
        await scene.doubt(2)
        scene.resolving.understood()

    assert scene.asked_s == [0.0]


async def test_what_cannot_be_built_is_not_asked_for_at_each_reading() -> None:
    scene = Scene()
    scene.is_sound = False
    problems = []
    for _ in range(10):
        try:
            await scene.resolving.target()
        except ObservationError as error:
            problems.append(str(error))
        await scene.clock.advance(1.0)

    assert scene.asked_s == [0.0, 2.0, 6.0]
    assert problems == ["expected a count"] * 10
