"""The Kubernetes actuator on an API server in memory: conformance, and what it sends and does not send."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from config.clock import VirtualClock
from config.errors import ActuationError, Conflict, ObservationError, Refused, Standby
from config.policy import Role
from connectors.base import HoldKind, Replicas
from connectors.kubernetes.actuator import ActuatorOptions, KubernetesActuator
from connectors.kubernetes.api import ApiError, Resource
from connectors.kubernetes.reference import parse_reference
from connectors.testing import ActuatorConformance, ActuatorHarness
from tests.cluster.fake_api import FakeApi
from tests.cluster.kubelet import READY, InMemory, Kubelet

_NS = "llm"


class Scene:
    """Two Deployments, and the actuator that scales them."""

    def __init__(self, leader: "Leader | None" = None) -> None:
        self.clock = VirtualClock(wall_origin_s=1_767_225_600.0)
        self.api = FakeApi(self.clock)
        self.kubelet = Kubelet(cluster=InMemory(self.api), namespace=_NS)
        self.paths = {
            name: self.kubelet.deployment(name, replicas=count, gpus=2)
            for name, count in (("prefill", 1), ("decode", 2))
        }
        self.said: list[str] = []
        self.actuator = KubernetesActuator(
            self.api,
            [
                parse_reference(f"deployment/{role.value}", role=role, namespace=_NS, key="")
                for role in (Role.PREFILL, Role.DECODE)
            ],
            clock=self.clock,
            leader=leader,
            options=ActuatorOptions(say=self.said.append),
        )

    async def settle(self) -> None:
        for name in self.paths:
            self.kubelet.settle_deployment(name)
        await self.clock.advance(0.0)

    async def read_twice(self) -> None:
        """Read and let the watches begin."""
        await self.actuator.read()
        await self.clock.advance(0.0)
        self.api.requests.clear()


class Leader:
    """Leads until it is told otherwise."""

    def __init__(self) -> None:
        self.why = ""
        self.whys: list[str] = []

    def standby(self) -> str:
        return self.whys.pop(0) if self.whys else self.why


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.actuator.close()


@asynccontextmanager
async def harness() -> AsyncIterator[ActuatorHarness]:
    scene = Scene()

    async def break_backend() -> None:
        error = ApiError("connection refused", status=0)
        scene.api.fail_next(error, times=1_000)
        scene.api.close_watches(error)
        await scene.clock.advance(0.0)

    yield ActuatorHarness(
        actuator=scene.actuator,
        replicas=Replicas.of(prefill=1, decode=2),
        settle=scene.settle,
        break_backend=break_backend,
    )
    await scene.actuator.close()


@pytest.mark.parametrize("check", ActuatorConformance(harness).checks(), ids=lambda check: check.__name__)
async def test_it_does_what_every_actuator_must_do(check: Callable[[], Awaitable[None]]) -> None:
    await check()


async def test_a_fleet_that_does_not_change_is_read_without_a_request(scene: Scene) -> None:
    await scene.read_twice()

    fleet = await scene.actuator.read()

    assert scene.api.requests == []
    assert {name: (pool.desired, pool.ready) for name, pool in fleet.pools.items()} == {
        "prefill": (1, 1),
        "decode": (2, 2),
    }
    assert fleet.pools["decode"].gpus_per_engine == 2
    assert fleet.pools["decode"].grace_s == 600.0


async def test_a_decision_is_one_patch_per_pool_that_changes_and_carries_its_version(scene: Scene) -> None:
    await scene.read_twice()
    version = scene.api.read(scene.paths["decode"])["metadata"]["resourceVersion"]

    await scene.actuator.scale(Replicas.of(prefill=1, decode=5))
    fleet = await scene.actuator.read()

    (sent,) = scene.api.writes()
    assert sent.path.endswith("/deployments/decode/scale")
    assert sent.query == {"fieldManager": "setpoint"}
    assert sent.body == {"metadata": {"resourceVersion": version}, "spec": {"replicas": 5}}
    assert fleet.pools["decode"].desired == 5
    assert len(scene.api.requests) == 2  # the patch, and the object once more


async def test_pools_shrink_before_others_grow(scene: Scene) -> None:
    await scene.actuator.scale(Replicas.of(prefill=3, decode=1))

    assert [sent.path.split("/")[-2] for sent in scene.api.writes()] == ["decode", "prefill"]


async def test_a_status_that_moved_meanwhile_does_not_void_the_decision(scene: Scene) -> None:
    await scene.read_twice()
    path = scene.paths["decode"]
    scene.api.before_next(lambda: scene.api.change(path, {"status": {"readyReplicas": 1}}), method="PATCH")

    await scene.actuator.scale(Replicas.of(decode=5))

    assert scene.api.read(path)["spec"]["replicas"] == 5
    assert len(scene.api.writes()) == 2


async def test_a_target_that_never_holds_still_is_given_up_after_three_writes(scene: Scene) -> None:
    await scene.read_twice()
    path, ready = scene.paths["decode"], iter(range(100))
    scene.api.before_next(
        lambda: scene.api.change(path, {"status": {"readyReplicas": next(ready)}}), method="PATCH", times=50
    )

    with pytest.raises(Conflict, match="changed 3 times"):
        await scene.actuator.scale(Replicas.of(decode=5))

    assert len(scene.api.writes()) == 3
    assert scene.api.read(path)["spec"]["replicas"] == 2


async def test_a_second_writer_voids_the_decision_and_is_named(scene: Scene) -> None:
    await scene.read_twice()
    path = scene.paths["decode"]
    fields = [
        {"manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    ]
    theirs = {"spec": {"replicas": 3}, "metadata": {"managedFields": fields}}
    scene.api.before_next(lambda: scene.api.change(path, theirs), method="PATCH")

    with pytest.raises(Conflict, match="replicas changed from 2 to 3 by kubectl"):
        await scene.actuator.scale(Replicas.of(decode=5))

    assert scene.api.read(path)["spec"]["replicas"] == 3


async def test_who_stood_there_before_is_not_blamed_for_a_change_that_the_server_does_not_attribute(
    scene: Scene,
) -> None:
    path = scene.paths["decode"]
    fields = [{"manager": "helm", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
    scene.api.change(path, {"metadata": {"managedFields": fields}})
    await scene.read_twice()

    scene.api.change(path, {"spec": {"replicas": 3}})
    with pytest.raises(Conflict, match="replicas changed from 2 to 3 since it was decided"):
        await scene.actuator.scale(Replicas.of(decode=5))
    await scene.actuator.read()

    assert scene.said == ["replicas of decode changed from 2 to 3 by somebody else"]


async def test_a_leader_that_was_deposed_writes_nothing() -> None:
    leader = Leader()
    scene = Scene(leader)
    await scene.read_twice()
    leader.why = "b leads since 09:00"

    with pytest.raises(Standby, match="b leads"):
        await scene.actuator.scale(Replicas.of(decode=5))
    fleet = await scene.actuator.read()

    assert scene.api.writes() == ()
    assert fleet.standby == "b leads since 09:00"
    await scene.actuator.close()


async def test_leadership_is_looked_at_before_every_attempt() -> None:
    leader = Leader()
    scene = Scene(leader)
    await scene.read_twice()

    def lose() -> None:
        leader.why = "b leads"
        scene.api.change(scene.paths["decode"], {"status": {"readyReplicas": 1}})

    scene.api.before_next(lose, method="PATCH")

    with pytest.raises(Standby):
        await scene.actuator.scale(Replicas.of(decode=5))

    assert len(scene.api.writes()) == 1  # refused as out of date
    assert scene.api.read(scene.paths["decode"])["spec"]["replicas"] == 2
    await scene.actuator.close()


async def test_leadership_that_ends_before_a_write_is_sent_again_stops_it() -> None:
    leader = Leader()
    scene = Scene(leader)
    await scene.read_twice()
    leader.whys.extend(["", "b leads"])  # when it is decided on what to send, and when it is sent

    with pytest.raises(Standby, match="b leads"):
        await scene.actuator.scale(Replicas.of(decode=5))
    written = scene.api.writes()
    # What was sent before may have landed: it is asked for before anything else is written.
    scene.api.change(scene.paths["decode"], {"spec": {"replicas": 5}})
    await scene.actuator.scale(Replicas.of(decode=5))

    assert written == scene.api.writes() == ()
    await scene.actuator.close()


async def test_a_pause_that_came_after_the_decision_is_honored(scene: Scene) -> None:
    await scene.read_twice()
    scene.api.change(scene.paths["decode"], {"metadata": {"annotations": {"setpoint.dev/paused": "by ann"}}})
    await scene.clock.advance(0.0)

    with pytest.raises(Conflict, match="by ann"):
        await scene.actuator.scale(Replicas.of(decode=5))
    fleet = await scene.actuator.read()

    assert scene.api.writes() == ()
    hold = fleet.pools["decode"].hold
    assert hold is not None
    assert hold.kind is HoldKind.PAUSED


async def test_a_refusal_names_the_missing_right(scene: Scene) -> None:
    await scene.read_twice()
    scene.api.forbid("patch", scene.paths["decode"])

    with pytest.raises(Refused, match=r"needed is patch deployments/scale named decode"):
        await scene.actuator.scale(Replicas.of(decode=5))


async def test_a_write_that_fails_half_way_says_what_was_done(scene: Scene) -> None:
    await scene.read_twice()
    scene.api.fail_next(ApiError("busy", status=503), method="PATCH", path_prefix=scene.paths["prefill"])

    with pytest.raises(ActuationError, match=r"decode=1 was asked for; then prefill .* not written"):
        await scene.actuator.scale(Replicas.of(prefill=3, decode=1))


async def test_a_write_without_an_answer_is_looked_for_before_it_is_sent_again(scene: Scene) -> None:
    await scene.read_twice()
    path = scene.paths["decode"]

    def lose_the_answer() -> None:
        scene.api.change(path, {"spec": {"replicas": 5}})
        raise ApiError("no answer in 5 s", status=0)

    scene.api.before_next(lose_the_answer, method="PATCH")
    with pytest.raises(ActuationError):
        await scene.actuator.scale(Replicas.of(decode=5))
    await scene.actuator.scale(Replicas.of(decode=5))
    await scene.actuator.read()

    assert len(scene.api.writes()) == 1
    assert scene.said == []


async def test_a_change_by_somebody_else_is_told_once_and_many_hold_the_pool(scene: Scene) -> None:
    await scene.read_twice()
    path = scene.paths["decode"]
    for count in (4, 2, 4):
        fields = [{"manager": "kubectl", "time": "2026-01-01T00:00:00Z"}]
        scene.api.change(path, {"spec": {"replicas": count}, "metadata": {"managedFields": fields}})
        await scene.settle()
        await scene.clock.advance(30.0)
        await scene.actuator.read()
    fleet = await scene.actuator.read()

    assert scene.said == [
        "replicas of decode changed from 2 to 4 by kubectl",
        "replicas of decode changed from 4 to 2 by kubectl",
        "replicas of decode changed from 2 to 4 by kubectl",
    ]
    hold = fleet.pools["decode"].hold
    assert hold is not None
    assert hold.kind is HoldKind.RIVAL
    assert "kubectl" in hold.why


async def test_a_target_that_was_deleted_is_waited_for_and_found_again(scene: Scene) -> None:
    await scene.read_twice()
    path = scene.paths["decode"]
    scene.api.remove(path)
    await scene.clock.advance(0.0)
    with pytest.raises(ObservationError, match="there is no deployment decode"):
        await scene.actuator.read()
    requests = len(scene.api.requests)
    with pytest.raises(ObservationError, match="there is no deployment decode"):
        await scene.actuator.read()
    assert len(scene.api.requests) == requests

    scene.kubelet.deployment("decode", replicas=3, gpus=2)
    await scene.clock.advance(40.0)
    fleet = await scene.actuator.read()
    await scene.actuator.scale(Replicas.of(decode=4))

    assert fleet.pools["decode"].desired == 3
    assert scene.api.read(path)["spec"]["replicas"] == 4


async def test_an_object_of_the_same_name_is_not_the_one_that_was_decided_on(scene: Scene) -> None:
    await scene.read_twice()
    path = scene.paths["decode"]
    scene.api.remove(path)
    scene.kubelet.deployment("decode", replicas=2, gpus=2)
    await scene.clock.advance(0.0)

    with pytest.raises(Conflict, match="deleted and created again"):
        await scene.actuator.scale(Replicas.of(decode=5))


async def test_without_rights_to_pods_the_controller_counts(scene: Scene) -> None:
    scene.api.forbid("list", f"/api/v1/namespaces/{_NS}/pods")

    fleet = await scene.actuator.read()
    await scene.actuator.read()

    assert fleet.pools["decode"].ready == 2
    assert len([line for line in scene.said if "pods" in line]) == 2  # one per list


async def test_rights_to_a_target_that_are_given_back_are_noticed_soon(scene: Scene) -> None:
    await scene.read_twice()
    scene.api.forbid("*", scene.paths["decode"].rpartition("/")[0])
    scene.api.close_watches()
    await scene.clock.advance(1.0)
    with pytest.raises(ObservationError, match="forbidden"):
        await scene.actuator.read()
    scene.api.permit()
    await scene.clock.advance(5.1)

    assert (await scene.actuator.read()).pools["decode"].desired == 2
    assert "deployment decode may be read again" in scene.said


async def test_rights_that_stay_away_are_asked_for_ever_more_slowly(scene: Scene) -> None:
    scene.api.forbid("list", f"/api/v1/namespaces/{_NS}/pods")
    await scene.read_twice()

    for _ in range(120):
        await scene.clock.advance(5.0)
        await scene.actuator.read()

    lists = [sent for sent in scene.api.requests if sent.path.endswith("/pods")]
    assert len(lists) < 40  # two lists for ten minutes
    assert len([line for line in scene.said if "pods" in line]) == 2


async def test_pods_of_another_deployment_that_the_selector_has_too_do_not_count(scene: Scene) -> None:
    for owner, hashed in (("decode-5c9", "5c9"), ("decode-big-7f4", "7f4")):
        name = scene.kubelet.pod({"app": "decode"}, status=READY)
        maker = {"kind": "ReplicaSet", "name": owner, "controller": True}
        labels = {"app": "decode", "pod-template-hash": hashed}
        change = {"metadata": {"labels": labels, "ownerReferences": [maker]}}
        scene.api.change(f"/api/v1/namespaces/{_NS}/pods/{name}", change)

    fleet = await scene.actuator.read()

    assert fleet.pools["decode"].ready == 3  # two that do not say who made them, and its own


async def test_no_pods_where_the_controller_counts_some_is_no_empty_fleet(scene: Scene) -> None:
    await scene.read_twice()
    for item in scene.kubelet.pods({"app": "decode"}):
        scene.api.remove(f"/api/v1/namespaces/{_NS}/pods/{item['metadata']['name']}")
    await scene.clock.advance(0.0)

    with pytest.raises(
        ObservationError, match=r"counts 2 ready replicas, and no pod of its own has .* app=decode"
    ):
        await scene.actuator.read()

    await scene.settle()
    assert (await scene.actuator.read()).pools["decode"].ready == 2


async def test_a_count_that_no_pod_ever_bears_out_is_taken_after_a_minute_and_that_is_said_once(
    scene: Scene,
) -> None:
    for item in scene.kubelet.pods({"app": "decode"}):
        change = {"metadata": {"labels": {"app": "named otherwise"}}}
        scene.api.change(f"/api/v1/namespaces/{_NS}/pods/{item['metadata']['name']}", change)

    with pytest.raises(ObservationError, match="it is looked at again"):
        await scene.actuator.read()
    await scene.clock.advance(59.0)
    with pytest.raises(ObservationError, match="it is looked at again"):
        await scene.actuator.read()
    for _ in range(3):
        await scene.clock.advance(30.0)
        assert (await scene.actuator.read()).pools["decode"].ready == 2

    assert len(scene.said) == 1
    assert "deployment decode counts 2 ready replicas, and no pod of its own" in scene.said[0]


async def test_a_scale_is_asked_for_again_where_its_object_is_of_before(scene: Scene) -> None:
    rollout = Resource(group="argoproj.io", version="v1alpha1", plural="rollouts", kind="Rollout")
    scene.api.define(rollout)
    path = rollout.path(_NS, "decode")
    scene.api.seed(path, {"spec": {"replicas": 2}, "status": {"replicas": 2, "readyReplicas": 2}})
    set_back = scene.api.backup()
    scene.api.change(path, {"spec": {"replicas": 5}})
    reference = parse_reference("rollout/decode", role=Role.DECODE, namespace=_NS, key="")
    actuator = KubernetesActuator(scene.api, [reference], clock=scene.clock)
    before = await actuator.read()

    set_back()
    scene.api.close_watches(ApiError("it starts again", status=0))
    await scene.clock.advance(0.0)
    after = await actuator.read()
    await actuator.close()

    assert (before.pools["decode"].desired, after.pools["decode"].desired) == (5, 2)


async def test_pods_that_a_target_had_before_are_not_followed_for_ever(scene: Scene) -> None:
    await scene.read_twice()
    for name in ("blue", "green"):
        labels = {"matchLabels": {"app": "decode", "color": name}}
        scene.api.change(scene.paths["decode"], {"spec": {"selector": labels, "replicas": 0}})
        await scene.clock.advance(601.0)
        await scene.actuator.read()
    await scene.clock.advance(601.0)
    await scene.actuator.read()
    scene.api.requests.clear()

    scene.api.close_watches()
    await scene.clock.advance(1.0)

    watched = [one.query.get("labelSelector", "") for one in scene.api.requests if one.method == "WATCH"]
    assert sorted(filter(None, watched)) == ["app=decode,color=green", "app=prefill"]


async def test_two_pools_that_are_one_object_are_not_scaled(scene: Scene) -> None:
    texts = {Role.PREFILL: "deploy/decode", Role.DECODE: "deployment/decode"}
    references = [parse_reference(text, role=role, namespace=_NS, key="") for role, text in texts.items()]
    actuator = KubernetesActuator(scene.api, references, clock=scene.clock)

    with pytest.raises(ObservationError, match="prefill and decode are both deployment decode"):
        await actuator.read()
    with pytest.raises(ActuationError, match="are both deployment decode"):
        await actuator.scale(Replicas.of(prefill=5))
    await actuator.close()

    assert scene.api.writes() == ()


async def test_there_is_no_target_for_an_unknown_pool(scene: Scene) -> None:
    with pytest.raises(Refused, match="aggregated"):
        await scene.actuator.scale(Replicas.of(aggregated=1))
