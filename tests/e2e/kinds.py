"""Two pools of different kinds, their controllers, a daemon with the rights of deploy/, and what it asked."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import httpx

from tests.cluster.control_plane import Json
from tests.cluster.kubelet import Kubelet, Real
from tests.cluster.overlay import token_by_overlay
from tests.cluster.played import Played
from tests.e2e.frontend import Load
from tests.e2e.scene import Scene, planned
from tests.e2e.servers import CLOCK, SCRIPT, Setpoint, until
from tests.e2e.stage import Stage

# Engines of some kinds are several nodes, so that no budget binds.
BUDGET_GPUS = 2000
# Far from the edge of another count: with several daemons at once the machine is busy, and scrapes are late.
LOW = Load(rate_rps=6.0)
# All that is asked at rest: who leads, and now and then what was decided last.
QUIET = frozenset({"update leases", "patch configmaps"})


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A prefill pool and a decode pool, each of its kind, in a namespace with a daemon of its own.

    Attributes:
        stage: What is around them.
        prefill: One pool.
        decode: The other.
        low: The engines that the low load needs.
    """

    stage: Stage
    prefill: Played
    decode: Played
    low: tuple[int, int]

    @property
    def names(self) -> str:
        return f"{self.prefill.name} + {self.decode.name}"

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.stage.namespace}:setpoint"

    def counts(self) -> tuple[int, int]:
        return self.prefill.count(), self.decode.count()

    def settle(self) -> None:
        self.prefill.settle()
        self.decode.settle()

    async def start(self) -> None:
        """Start the daemon with a token that has the Roles of deploy/ and nothing else."""
        folder = self.stage.scene.setpoint.folder
        token = await asyncio.to_thread(
            token_by_overlay,
            self.stage.plane,
            self.stage.namespace,
            (self.prefill.part.rights, self.decode.part.rights),
            folder=folder,
        )
        settings = self.stage.settings(
            token=token,
            kubernetes__prefill=self.prefill.target,
            kubernetes__decode=self.decode.target,
            budget_gpus=BUDGET_GPUS,
        )
        file = self.stage.scene.write_settings(**settings)
        await self.stage.scene.setpoint.start("--config", str(file))

    def is_more(self, counts: tuple[int, int]) -> bool:
        """Tell whether both pools have more than the low load needs."""
        return counts[0] > self.low[0] and counts[1] > self.low[1]

    def is_less(self, counts: tuple[int, int]) -> bool:
        """Tell whether both pools have what the low load needs."""
        return counts == self.low

    async def settled(self, is_enough: Callable[[tuple[int, int]], bool]) -> None:
        """Wait until the cluster has what was decided last, and that is enough."""

        async def is_so() -> bool:
            counts = await asyncio.to_thread(self.counts)
            if is_enough(counts) and counts == await self.stage.scene.setpoint.counts():
                return True
            await CLOCK.sleep(0.4)
            return False

        log = self.stage.scene.setpoint.folder / "setpoint.log"
        await until(is_so, f"{self.names} have come to rest; see {log}", within_s=40.0)

    def requests(self) -> Sequence[Json]:
        """Return what the daemon asked, in order; watches are told only when it has ended."""
        told = [
            entry
            for entry in self.stage.plane.audit(user=self.user)
            if entry["stage"] in {"ResponseComplete", "Panic"}
        ]
        return sorted(told, key=asked_at)

    def decided(self, pool: Played) -> int:
        """Return how often another number of engines was decided, by the journal."""
        role = "prefill" if pool is self.prefill else "decode"
        counts = [step.decision.replicas[role] for step in self.stage.scene.setpoint.steps()]
        return sum(before != after for before, after in pairwise(counts))

    def changes(self, pool: Played, requests: Iterable[Json]) -> int:
        """Return how often the replicas of a pool were written."""
        return sum(entry["verb"] == "patch" for entry in self.of(pool, requests))

    def of(self, pool: Played, requests: Iterable[Json]) -> Sequence[Json]:
        """Return those of the requests that are about a pool: its objects, and its pods."""
        return [entry for entry in requests if _is_about(pool, entry)]

    def shared(self, requests: Iterable[Json]) -> Sequence[Json]:
        """Return those of the requests that are about neither pool alone."""
        pools = (self.prefill, self.decode)
        return [entry for entry in requests if not any(_is_about(pool, entry) for pool in pools)]


def pair(stage: Stage, prefill: str, decode: str, *, folder: Path) -> Pair:
    """Make both pools in a namespace of their own, at rest with what the low load needs."""
    admin = stage.plane.admin
    namespace = admin.namespace("kinds")
    folder.mkdir()
    scene: Scene = replace(stage.scene, setpoint=Setpoint(folder, SCRIPT))
    kubelet = Kubelet(cluster=Real(admin), namespace=namespace)
    pools = [Played(name=name, admin=admin, kubelet=kubelet) for name in (prefill, decode)]
    needed = _planned(scene, *(pool.part.size for pool in pools))
    low = [max(count, pool.example.least) for count, pool in zip(needed, pools, strict=True)]
    for count, pool in zip(low, pools, strict=True):
        pool.make(count)
    return Pair(
        stage=replace(stage, scene=scene, namespace=namespace),
        prefill=pools[0],
        decode=pools[1],
        low=(low[0], low[1]),
    )


def _planned(scene: Scene, prefill_gpus: int, decode_gpus: int) -> tuple[int, int]:
    """Return the engines that the low load needs where they have so many GPUs."""
    gpus = {
        "pools__prefill__gpus_per_engine": prefill_gpus,
        "pools__decode__gpus_per_engine": decode_gpus,
    }
    return planned(scene.policy(budget_gpus=BUDGET_GPUS, **gpus), LOW)


class Controllers:
    """They bring what exists to what is asked for, all the time, beside what else the test does."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = pairs
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._play())

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _play(self) -> None:
        while True:
            await asyncio.gather(*(asyncio.to_thread(one.settle) for one in self._pairs))
            await CLOCK.sleep(0.3)


def asked_at(entry: Json) -> str:
    """Return when something was asked, as the API server writes it."""
    found: str = entry["requestReceivedTimestamp"]
    return found


def now() -> str:
    """Return the time as the API server writes it."""
    return datetime.fromtimestamp(CLOCK.wall_s(), tz=UTC).isoformat(timespec="microseconds")


def words(entry: Json) -> str:
    """Return what was asked, such as `patch deployments/scale`."""
    about = entry.get("objectRef")
    if about is None or "resource" not in about:
        path = entry["requestURI"].partition("?")[0]
        return f"{entry['verb']} {path}"
    part = f"/{about['subresource']}" if "subresource" in about else ""
    dry = " (dry run)" if "dryRun" in entry["requestURI"] else ""
    return f"{entry['verb']} {about['resource']}{part}{dry}"


def tally(requests: Iterable[Json]) -> str:
    """Return how often what was asked."""
    counted = Counter(words(entry) for entry in requests)
    return ", ".join(f"{count} × {what}" if count > 1 else what for what, count in sorted(counted.items()))


def is_done(entry: Json) -> bool:
    """Tell whether the API server did what was asked."""
    code: int = entry.get("responseStatus", {}).get("code", 0)
    return code == httpx.codes.OK


def forbidden(requests: Iterable[Json]) -> Iterator[str]:
    """Yield what was refused for lack of rights."""
    for entry in requests:
        if entry.get("responseStatus", {}).get("code") == httpx.codes.FORBIDDEN:
            yield f"{words(entry)}: {entry['responseStatus'].get('message', '')}"


def _is_about(pool: Played, entry: Json) -> bool:
    about = entry.get("objectRef", {})
    if about.get("resource") == "pods":
        asked = unquote(entry["requestURI"])
        return any(f"{key}={value}" in asked for key, value in pool.part.labels.items())
    return about.get("resource") in pool.plurals
