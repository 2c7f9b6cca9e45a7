"""A process that stands for election and writes all the time while it leads: for tests that freeze it."""

import asyncio
import sys
from pathlib import Path

from config.clock import SystemClock
from config.errors import SetpointError
from config.policy import Role
from connectors.base import PoolReplicas, Replicas
from connectors.kubernetes.actuator import KubernetesActuator
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.lease import Leadership, LeaseOptions
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.reference import parse_reference

# A turn takes a small part of this, on a machine that is busy as well.
FROZEN_S = 2.0


async def main(kubeconfig: str, namespace: str, identity: str, duration_s: float) -> None:
    """Alternate the replicas of `deployment/decode` between two and three, and say who leads."""
    clock = SystemClock()
    client = KubeClient(ApiOptions(kubeconfig=Path(kubeconfig), requests_per_second=1000.0), clock)
    options = LeaseOptions(namespace=namespace, name="setpoint-llm", identity=identity, duration_s=duration_s)
    leadership = Leadership(client, options, clock)
    reference = parse_reference("deployment/decode", role=Role.DECODE, namespace=namespace, key="")
    actuator = KubernetesActuator(client, [reference], clock=clock, leader=leadership)
    await leadership.start()
    saying = asyncio.create_task(_say(leadership, clock))
    for number in range(1_000_000):
        count = PoolReplicas(pool="decode", role=Role.DECODE, count=2 + number % 2)
        try:
            await actuator.read()
            await actuator.scale(Replicas((count,)))
        except SetpointError:
            await clock.sleep(0.05)
        await clock.sleep(0.01)
    await saying


async def _say(leadership: Leadership, clock: SystemClock) -> None:
    """Say whether it leads when that changes, and first of all when it was frozen."""
    said, seen_s = "", clock.now_s()
    while True:
        state = "standby" if leadership.standby() else "leads"
        was_frozen = clock.now_s() - seen_s > FROZEN_S
        seen_s = clock.now_s()
        if state != said or was_frozen:
            sys.stdout.write(f"woke, {state}\n" if was_frozen else f"{state}\n")
            sys.stdout.flush()
            said = state
        await clock.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
