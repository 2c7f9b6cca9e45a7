"""What is told is what people see: Events by `kubectl describe`, old and new, and the ConfigMap."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.clock import SystemClock
from config.policy import Role
from connectors.kubernetes.api import Resource
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.herald import Herald, HeraldOptions
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.rights import Feature, may, missing, own_rules, rules_for, unneeded
from connectors.kubernetes.rivals import find_rivals
from connectors.kubernetes.target import ObjectKey, Rule
from connectors.kubernetes.targets.workload import Workload
from tests.cluster.control_plane import ControlPlane, unpacked
from tests.cluster.grants import token_with
from tests.cluster.objects import deployment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
_CLOCK = SystemClock()
DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
CONFIG_MAP = "setpoint-llm"


class Scene:
    """A deployment, and a client that may do what the features here need."""

    def __init__(self, plane: ControlPlane) -> None:
        self.admin = plane.admin
        self.namespace = self.admin.namespace("telling")
        self.admin.ask("POST", f"/apis/apps/v1/namespaces/{self.namespace}/deployments", deployment("decode"))
        self.key = ObjectKey(resource=DEPLOYMENTS, namespace=self.namespace, name="decode")
        self.target = Workload(role=Role.DECODE, parent=self.key)
        token = token_with(self.admin, self.namespace, "setpoint", self.rules)
        kubeconfig = plane.kubeconfig(token, namespace=self.namespace)
        self.client = KubeClient(ApiOptions(kubeconfig=kubeconfig), _CLOCK)
        self.said: list[str] = []
        self.herald = Herald(
            self.client,
            _CLOCK,
            HeraldOptions(namespace=self.namespace, instance="pod-1", say=self.said.append),
        )

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Everything that a daemon of this deployment asks for."""
        features = (Feature.EVENTS, Feature.RIVALS, Feature.PODS, Feature.WATCH)
        return (
            *self.target.rules(),
            *rules_for(Feature.CONFIG_MAP, CONFIG_MAP),
            *(rule for feature in features for rule in rules_for(feature)),
        )


@pytest.fixture
async def scene(control_plane: ControlPlane) -> AsyncIterator[Scene]:
    made = Scene(control_plane)
    await made.herald.start()
    yield made
    await made.herald.close()
    await made.client.close()


async def described(program: Path, plane: ControlPlane, namespace: str) -> str:
    kubeconfig = plane.kubeconfig(plane.token, namespace=namespace)
    process = await asyncio.create_subprocess_exec(
        *(str(program), f"--kubeconfig={kubeconfig}", "describe", "deployment", "decode"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return output.decode().partition("Events:")[2]


@pytest.fixture(params=["the server's", "the newest"])
def kubectl(request: pytest.FixtureRequest, shared_dir: Path) -> Path:
    found = {"the server's": unpacked(shared_dir), "the newest": Path(sys.executable).parent}
    program = found[request.param] / "kubectl"
    if not program.exists():
        pytest.skip("there is no kubectl beside this Python")
    return program


async def test_people_see_changes_and_how_often_by_kubectl_describe(
    control_plane: ControlPlane, scene: Scene, kubectl: Path
) -> None:
    for message in ("decode 2 → 4 (load): 12 requests/s",) * 2 + ("decode 4 → 2 (load)",):
        scene.herald.announce(scene.key, is_warning=False, reason="Scaled", message=message)
    scene.herald.announce(scene.key, is_warning=True, reason="ScalingFailed", message="→" * 2000)
    await scene.herald.close()

    seen = await described(kubectl, control_plane, scene.namespace)

    lines = {line.split()[1]: line for line in seen.splitlines() if line.strip().startswith(("Nor", "War"))}
    assert "(x2 over" in seen
    assert "decode 2 → 4 (load): 12 requests/s" in seen
    assert " setpoint " in lines["Scaled"]
    assert "<unknown>" not in seen
    assert lines["ScalingFailed"].endswith("→…")
    assert scene.said == []


async def test_the_config_map_is_made_with_rights_to_it_alone_and_then_patched(scene: Scene) -> None:
    scene.herald.keep(CONFIG_MAP, {"decision": "decode 2 → 4 (load)"})
    await scene.herald.close()
    await scene.herald.start()
    scene.herald.keep(CONFIG_MAP, {"decision": "decode 4 → 2 (load)"})
    await scene.herald.close()

    kept = scene.admin.get(f"/api/v1/namespaces/{scene.namespace}/configmaps/{CONFIG_MAP}")
    assert kept["data"] == {"decision": "decode 4 → 2 (load)"}
    assert kept["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "setpoint"}
    assert scene.said == []


async def test_a_real_autoscaler_is_found_and_kinds_that_are_not_installed_are_none(scene: Scene) -> None:
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "decode"},
        "minReplicas": 1,
        "maxReplicas": 3,
    }
    path = f"/apis/autoscaling/v1/namespaces/{scene.namespace}/horizontalpodautoscalers"
    scene.admin.ask("POST", path, {"metadata": {"name": "h"}, "spec": spec})

    found = await find_rivals(scene.client, scene.namespace, (scene.target,))

    assert found.by_path == {scene.key.path: ("the HorizontalPodAutoscaler h scales deployment decode",)}
    assert found.unread == ()


async def test_the_api_server_agrees_on_what_is_granted_and_what_is_not(scene: Scene) -> None:
    leases = rules_for(Feature.ELECTION, "setpoint-llm")

    granted = await own_rules(scene.client, scene.namespace)
    lacking = await missing(scene.client, (*scene.rules, *leases), scene.namespace)

    assert granted is not None
    assert lacking == leases
    assert [await may(scene.client, rule, scene.namespace) for rule in scene.rules] == [True] * len(
        scene.rules
    )
    assert await may(scene.client, leases[0], scene.namespace) is False
    own = [rule for rule in granted if rule["apiGroups"] != ["authorization.k8s.io"]]
    assert unneeded(own, scene.rules) == ()
