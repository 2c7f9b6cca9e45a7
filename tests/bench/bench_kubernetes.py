"""What does a daemon on Kubernetes take, and how soon does the next one lead?

Run it by hand: `python -m tests.bench.bench_kubernetes`. It starts a real API server (from `shared/envtest`),
two Deployments and real daemons with the rights that deploy/ grants, on a frontend that they scrape directly.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

from config.clock import SystemClock
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.options import ApiOptions
from tests.bench.bench_daemon import answers_s, command_s, row, rss
from tests.cluster.control_plane import ControlPlane, unpacked
from tests.cluster.deployed import token_of
from tests.cluster.kubelet import Kubelet, Real
from tests.e2e.frontend import Frontend, Load
from tests.e2e.servers import SCRIPT, Setpoint

CLOCK = SystemClock()
ROOT = Path(__file__).resolve().parents[2]


class Bench:
    """Two Deployments on an API server, a frontend, and daemons.

    Args:
        plane: The API server.
        frontend: What the daemons scrape.
        folder: Where daemons have theirs.
    """

    def __init__(self, plane: ControlPlane, frontend: Frontend, folder: Path) -> None:
        self.plane, self.frontend, self._folder = plane, frontend, folder
        self.namespace = plane.admin.namespace("bench")
        kubelet = Kubelet(cluster=Real(plane.admin), namespace=self.namespace)
        kubelet.deployment("prefill", replicas=1)
        kubelet.deployment("decode", replicas=1)
        self.token = token_of(plane.admin, self.namespace, "deployment")
        self._number = 0

    async def spawn(self, *, interval: str = "200ms") -> Setpoint:
        """Start a daemon."""
        self._number += 1
        folder = self._folder / f"daemon-{self._number}"
        folder.mkdir()
        daemon = Setpoint(folder, SCRIPT)
        settings = {
            "interval": interval,
            "look_interval": "0s",
            "startup": "0s",
            "profile": "embedded",
            "budget_gpus": 64,
            "targets": {"ttft": "300ms", "itl": "20ms"},
            "source": "scrape",
            "scrape": {"urls": [f"http://{self.frontend.target}/metrics"]},
            "http": {"port": daemon.port},
            "journal": {"path": str(daemon.journal)},
            "actuator": "kubernetes",
            "actuate": True,
            "kubernetes": {
                "kubeconfig": str(self.plane.kubeconfig(self.token, namespace=self.namespace, folder=folder)),
                "prefill": "deployment/prefill",
                "decode": "deployment/decode",
            },
        }
        file = folder / "setpoint.yaml"
        file.write_text(json.dumps(settings), encoding="utf-8")
        await daemon.spawn("run", "--config", str(file), environment={})
        return daemon

    @property
    def holder(self) -> str:
        """Who leads by the Lease; empty if nobody does."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/setpoint-decode"
        answer = self.plane.admin.send("GET", path)
        return str(answer.json()["spec"].get("holderIdentity") or "") if answer.is_success else ""

    async def takeover_s(self, *, is_killed: bool) -> float:
        """Return how long a Lease of the default duration goes without a leader that may write."""
        first = await self.spawn(interval="1s")
        await answers_s(first, "/readyz", CLOCK.now_s())
        second = await self.spawn(interval="1s")
        await answers_s(second, "/readyz", CLOCK.now_s())
        before, began_s = self.holder, CLOCK.now_s()
        await (first.kill() if is_killed else first.terminate())
        while self.holder in {before, ""}:
            await CLOCK.sleep(0.05)
        took_s = CLOCK.now_s() - began_s
        await second.terminate()
        return took_s


async def healthy_s(bench: Bench) -> tuple[float, float]:
    """Return how long a daemon takes from its start until it answers, and the CPU time of that."""
    began_s = CLOCK.now_s()
    daemon = await bench.spawn()
    taken_s = await answers_s(daemon, "/healthz", began_s)
    cpu_s = await daemon.metric("process_cpu_seconds_total")
    await daemon.terminate()
    return taken_s, cpu_s


async def stay(bench: Bench, ticks: int) -> tuple[float, float, float]:
    """Run a daemon for so many ticks; return its memory at first and at last in MB, and CPU time per tick."""
    daemon = await bench.spawn()
    await answers_s(daemon, "/readyz", CLOCK.now_s())
    first_mb, cpu_s = await rss(daemon), await daemon.metric("process_cpu_seconds_total")
    began = done = await daemon.metric("setpoint_steps_total", kind="tick")
    while done - began < ticks:
        await CLOCK.sleep(1.0)
        done = await daemon.metric("setpoint_steps_total", kind="tick")
    cpu_s = await daemon.metric("process_cpu_seconds_total") - cpu_s
    last_mb = await rss(daemon)
    await daemon.terminate()
    return first_mb, last_mb, cpu_s / (done - began)


async def lateness_s(bench: Bench) -> tuple[float, float]:
    """Return how late the event loop is at worst while the client is imported, and how long that takes."""
    config = bench.plane.kubeconfig(bench.token, namespace=bench.namespace)
    client, worst_s, is_open = KubeClient(ApiOptions(kubeconfig=config), CLOCK), 0.0, asyncio.Event()

    async def beat() -> None:
        nonlocal worst_s
        while not is_open.is_set():
            due_s = CLOCK.now_s() + 0.005
            await CLOCK.sleep(0.005)
            worst_s = max(worst_s, CLOCK.now_s() - due_s)

    beating = asyncio.create_task(beat())
    began_s = CLOCK.now_s()
    await client.open()
    took_s = CLOCK.now_s() - began_s
    is_open.set()
    await beating
    await client.close()
    return worst_s, took_s


async def measure(shared: Path, folder: Path, *, starts: int, ticks: int) -> None:
    """Measure everything and print it."""
    plane, frontend = ControlPlane(unpacked(shared)), Frontend()
    try:
        plane.start()
        await frontend.start()
        frontend.carry(Load(rate_rps=2.0))
        bench = Bench(plane, frontend, folder)
        late_s, import_s = await lateness_s(bench)
        nothing = [await command_s(sys.executable, "-c", "pass") for _ in range(starts)]
        found = [await healthy_s(bench) for _ in range(starts)]
        health = [taken_s for taken_s, _ in found]
        first_mb, last_mb, cpu_s = await stay(bench, ticks)
        killed = [await bench.takeover_s(is_killed=True) for _ in range(starts)]
        ended = [await bench.takeover_s(is_killed=False) for _ in range(starts)]
    finally:
        await frontend.stop()
        plane.stop()
    row("what", "figure", "beside")
    row("-" * 46, "-" * 10, "-" * 28)
    row("python -c pass, median", f"{statistics.median(nothing):.3f} s", spread(nothing))
    row("start to /healthz 200, median", f"{statistics.median(health):.3f} s", spread(health))
    row("CPU time until then, median", f"{statistics.median(cpu for _, cpu in found):.3f} s")
    row("resident memory at the first decision", f"{first_mb:.1f} MB")
    row(f"resident memory after {ticks} ticks", f"{last_mb:.1f} MB")
    row("CPU time per tick, all included", f"{cpu_s * 1000.0:.2f} ms", "and 1 read of /metrics a second")
    row("import of the client, configuration", f"{import_s:.3f} s", "in a thread")
    row("event loop late meanwhile, at worst", f"{late_s * 1000.0:.1f} ms")
    row("SIGKILL of the leader to the next one, median", f"{statistics.median(killed):.2f} s", spread(killed))
    row("SIGTERM of the leader to the next one, median", f"{statistics.median(ended):.2f} s", spread(ended))


def spread(values: list[float]) -> str:
    """Return the least and the most of some figures, in words."""
    return f"{min(values):.2f} to {max(values):.2f} s in {len(values)}"


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="where envtest is")
    parser.add_argument("--starts", type=int, default=5, help="how often to start it")
    parser.add_argument("--ticks", type=int, default=200, help="how long to run it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="setpoint-bench") as folder:
        asyncio.run(measure(given.shared, Path(folder), starts=given.starts, ticks=given.ticks))


if __name__ == "__main__":
    main()
