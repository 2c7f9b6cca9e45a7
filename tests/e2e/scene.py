"""The stack of a test in one place, and what all tests ask of it."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from config.load import load
from config.policies import policy_from
from config.policy import Policy
from planner.commands.plan import PlanRequest, plan_for
from planner.core.decision import Demand
from planner.profiling.load import load_profile
from tests.e2e.frontend import Frontend, Load
from tests.e2e.servers import NAMESPACE, SCRAPE_INTERVAL, SCRIPT, Etcd, Prometheus, Setpoint, until

INTERVAL_S = 1.5
# What the daemon measures may be so far from the truth: on a busy machine scrapes come early or late.
TOLERANCE = 0.1

LOW, MEDIUM, HIGH = Load(rate_rps=13.5), Load(rate_rps=27.5), Load(rate_rps=40.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One deployment."""

    shared: Path
    frontend: Frontend
    prometheus: Prometheus
    etcd: Etcd
    setpoint: Setpoint

    @property
    def profile(self) -> Path:
        """The measured curves of the engines."""
        return self.shared / "profiles" / "h200-llama-3.1-8b-fp8-tp1"

    def settings(self, **others: object) -> dict[str, object]:
        """Return settings by dotted key."""
        return {
            "interval": f"{INTERVAL_S:g}s",
            "look_interval": "0s",
            "startup": "0s",
            "profile": str(self.profile),
            "budget_gpus": 40,
            "actuate": True,
            "targets.ttft": "300ms",
            "targets.itl": "10ms",
            "pools.prefill.scale_down_window": "2s",
            "pools.decode.scale_down_window": "2s",
            "correction.enabled": False,
            "prometheus.url": self.prometheus.url,
            "prometheus.scrape_interval": SCRAPE_INTERVAL,
            "actuator": "etcd",
            "etcd.endpoints": [self.etcd.url],
            "etcd.timeout": "1s",
            "dynamo.namespace": NAMESPACE,
            "http.port": self.setpoint.port,
            "journal.path": str(self.setpoint.journal),
        } | {key.replace("__", "."): value for key, value in others.items()}

    def write_settings(self, **others: object) -> Path:
        """Write the settings file; JSON is YAML."""
        file = self.setpoint.folder / "setpoint.yaml"
        file.write_text(json.dumps(_nested(self.settings(**others)), indent=1), encoding="utf-8")
        return file

    async def start(self, at: Load, **settings: object) -> None:
        """Start everything under a load, and wait until the fleet fits it."""
        self.frontend.carry(at)
        await self.prometheus.start(self.frontend.target)
        await self.setpoint.start("--config", str(self.write_settings(**settings)))
        await self.settled(at)

    async def settled(self, load: Load, **settings: object) -> None:
        """Wait until etcd and the API show what `plan` gives for the load, and that it stays so."""
        wanted = planned(self.policy(**settings), load)

        async def both() -> bool:
            return await self.etcd.counts() == wanted == await self.setpoint.counts()

        await until(both, f"{wanted} in etcd and API")
        await self.setpoint.ticks(2)
        assert await both(), (wanted, await self.etcd.counts(), await self.setpoint.counts())

    def policy(self, **others: object) -> Policy:
        """Return the policy that the daemon makes of its settings."""
        loaded = load(flags=self.settings(**others), environment={})
        return policy_from(loaded.settings, load_profile(self.profile))


@asynccontextmanager
async def served(
    shared: Path,
    folder: Path,
    program: Callable[[str, str], str],
    *,
    etcd: Etcd | None = None,
    setpoint: Setpoint | None = None,
) -> AsyncIterator[Scene]:
    """Give a stack of which the frontend is started; what a test starts of the rest ends with it."""
    found = Scene(
        shared=shared,
        frontend=Frontend(),
        prometheus=Prometheus(folder, program("prometheus", "prometheus")),
        etcd=etcd or Etcd(folder, program("etcd", "etcd-server")),
        setpoint=setpoint or Setpoint(folder, SCRIPT),
    )
    async with AsyncExitStack() as stack:
        for end in (found.frontend.stop, found.prometheus.kill, found.setpoint.kill):
            stack.push_async_callback(end)
        await found.frontend.start()
        yield found


def planned(policy: Policy, load: Load) -> tuple[int, int]:
    """Return what `plan` gives for a load: prefill, decode.

    The load must not be at the edge of another count, or a test of it would show chance.
    """
    counts = {_planned(policy, load, factor) for factor in (1.0 - TOLERANCE, 1.0, 1.0 + TOLERANCE)}
    assert len(counts) == 1, f"{load} is at the edge of {counts}"
    return counts.pop()


def _planned(policy: Policy, load: Load, factor: float) -> tuple[int, int]:
    demand = Demand(
        arrivals_rps=load.rate_rps * factor, isl_tokens=load.isl_tokens, osl_tokens=load.osl_tokens
    )
    replicas = plan_for(PlanRequest(policy=policy, demand=demand)).decision.replicas
    return replicas.prefill, replicas.decode


def _nested(flat: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, value in flat.items():
        section, _, name = key.rpartition(".")
        node = tree
        for part in filter(None, section.split(".")):
            child = node.setdefault(part, {})
            assert isinstance(child, dict)
            node = child
        node[name] = value
    return tree
