"""The daemon as a person starts it in a shell: a kubeconfig, and flags."""

from planner.serving.records import Stepped
from tests.cluster.deployed import token_of
from tests.e2e.scene import INTERVAL_S
from tests.e2e.servers import SCRAPE_INTERVAL
from tests.e2e.stage import Stage


async def start(stage: Stage, *prometheus: str) -> None:
    """Start it as a person does in a shell, whose kubeconfig has the rights of deploy/ and no others."""
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    token = token_of(stage.plane.admin, stage.namespace, "deployment", "prometheus-proxy")
    setpoint = stage.scene.setpoint
    kubeconfig = stage.plane.kubeconfig(token, namespace=stage.namespace, folder=setpoint.folder)
    quick = {
        "look_interval": "0s",
        "startup": "0s",
        "pools.prefill.scale_down_window": "2s",
        "pools.decode.scale_down_window": "2s",
        "correction.enabled": "false",
        "prometheus.scrape_interval": SCRAPE_INTERVAL,
        "kubernetes.lease_duration": "3s",
    }
    await stage.scene.prometheus.start(stage.scene.frontend.target)
    await setpoint.start(
        *("--actuator", "kubernetes", "--actuate"),
        *("--prefill-target", "deployment/prefill", "--decode-target", "deployment/decode"),
        *prometheus,
        *("--profile", str(stage.scene.profile), "--ttft", "300ms", "--itl", "10ms", "--budget", "40"),
        *("--interval", f"{INTERVAL_S:g}s", "--http-port", str(setpoint.port)),
        *("--journal", str(setpoint.journal)),
        *(word for key, value in quick.items() for word in ("--set", f"{key}={value}")),
        environment={"KUBECONFIG": str(kubeconfig), "HOME": str(setpoint.folder)},
    )


def last(stage: Stage) -> Stepped:
    return stage.scene.setpoint.steps()[-1]


async def holds(stage: Stage) -> bool:
    return last(stage).decision.is_hold
