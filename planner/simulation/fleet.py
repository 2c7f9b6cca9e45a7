"""What does a whole deployment do with a stream of requests? The discrete-event loop.

Requests pass through the pools in order (prefill, then decode), with a KV hand-over between them. As in
Dynamo and vLLM the first token that the user sees comes from the decode engine, so

    TTFT = wait + prefill + hand-over + wait for a place in a batch + one decode step.

Time is the simulation's own: nothing happens but in `advance`, and the course of events does not depend on
how often it is called.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from config.errors import ConfigError, InternalError, Refused
from config.policy import Role
from connectors.base import Fleet
from planner.simulation.engines import Job, Observer
from planner.simulation.load import Request
from planner.simulation.pools import Pool, PoolSpec
from planner.simulation.timeline import Timeline

_BLOCK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """What a simulated fleet is made of.

    Attributes:
        pools: The pools in the order in which a request passes through them.
        handover_s: Time from the end of one stage to the arrival at the next.
        gpu_quota: Engines that would hold more GPUs than this are refused; None is no quota.
        seed: For the random routing.
    """

    pools: tuple[PoolSpec, ...]
    handover_s: float = 0.0
    gpu_quota: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Where all requests are; the first number is the sum of the others.

    Attributes:
        offered: Requests that arrived so far.
        waiting: Of these, in a queue.
        running: Of these, on an engine.
        handing_over: Of these, between two pools.
        completed: Of these, done.
    """

    offered: int
    waiting: int
    running: int
    handing_over: int
    completed: int


class SimulatedFleet:
    """A deployment that exists in memory only.

    Args:
        spec: What it is made of.
        load: Requests in the order of arrival.
        observer: Who is told what happens to them.

    Raises:
        ConfigError: If there is no pool, two of one name, or a role that is not modeled.
    """

    def __init__(self, spec: FleetSpec, *, load: Iterable[Request], observer: Observer) -> None:
        self._spec = spec
        self._observer = observer
        self._timeline = Timeline()
        self._load = iter(load)
        self._next = next(self._load, None)
        self._offered = self._completed = self._handing_over = 0
        uniforms = _uniforms(spec.seed)
        self._stages = [
            Pool(
                pool,
                timeline=self._timeline,
                observer=observer,
                uniforms=uniforms,
                on_done=partial(self._pass_on, stage=index + 1),
            )
            for index, pool in enumerate(_checked(spec.pools))
        ]
        self._by_name = {stage.spec.name: stage for stage in self._stages}

    @property
    def now_s(self) -> float:
        """The time up to which all has happened."""
        return self._timeline.now_s

    @property
    def held_gpus(self) -> int:
        """GPUs of all engines that exist, starting and draining ones included."""
        return sum(stage.held_gpus for stage in self._stages)

    @property
    def gpu_hours(self) -> float:
        """GPUs times the time that they were held, up to now."""
        return sum(stage.gpu_s for stage in self._stages) / 3600.0

    def census(self) -> Census:
        """Count where all requests are."""
        return Census(
            offered=self._offered,
            waiting=sum(stage.waiting for stage in self._stages),
            running=sum(stage.running for stage in self._stages),
            handing_over=self._handing_over,
            completed=self._completed,
        )

    def state(self) -> Fleet:
        """Return the fleet as an orchestrator would see it."""
        return Fleet(at_s=self.now_s, pools={name: pool.state() for name, pool in self._by_name.items()})

    def scale(self, pool: str, replicas: int) -> None:
        """Ask for so many engines in a pool; asking twice is the same as asking once.

        Raises:
            Refused: If there is no such pool, the count is negative, or the GPU quota does not allow it.
        """
        target = self._by_name.get(pool)
        if target is None:
            raise Refused(f"there is no pool {pool!r}; the simulated fleet has {', '.join(self._by_name)}")
        if replicas < 0:
            raise Refused(f"pool {pool} cannot have {replicas} replicas; ask for zero or more")
        growth_gpus = max(0, replicas - target.live) * target.spec.gpus_per_engine
        quota = self._spec.gpu_quota
        if quota is not None and growth_gpus and self.held_gpus + growth_gpus > quota:
            raise Refused(
                f"pool {pool} with {replicas} replicas needs {growth_gpus} GPUs more, and {self.held_gpus} of"
                f" a quota of {quota} are held; wait for engines to drain or ask for fewer"
            )
        target.scale(replicas)

    def advance(self, to_s: float) -> None:
        """Let everything happen that happens up to a time; a time that has passed changes nothing."""
        self._play(to_s)
        self._timeline.now_s = max(self._timeline.now_s, to_s)
        for stage in self._stages:
            stage.look(self._timeline.now_s)

    def _play(self, to_s: float) -> None:
        timeline = self._timeline
        while True:
            arrival_s = math.inf if self._next is None else self._next.arrival_s
            event_s = timeline.next_s
            if event_s <= arrival_s:
                if event_s > to_s:
                    return
                timeline.run_next()
            elif arrival_s > to_s:
                return
            else:
                self._arrive()

    def _arrive(self) -> None:
        request = self._next
        if request is None:
            raise InternalError("a request was due and there is none")
        self._timeline.now_s = max(self._timeline.now_s, request.arrival_s)
        self._next = next(self._load, None)
        self._offered += 1
        job = Job(request)
        self._observer.started(job)
        self._stages[0].submit(job)

    def _pass_on(self, job: Job, stage: int) -> None:
        """Send a request to a stage, or home after the last one."""
        if stage == len(self._stages):
            self._complete(job)
            return
        if self._spec.handover_s <= 0.0:
            self._stages[stage].submit(job)
            return
        self._handing_over += 1
        self._timeline.at(self._timeline.now_s + self._spec.handover_s, lambda: self._hand_over(job, stage))

    def _hand_over(self, job: Job, stage: int) -> None:
        self._handing_over -= 1
        self._stages[stage].submit(job)

    def _complete(self, job: Job) -> None:
        job.finish_s = self._timeline.now_s
        self._completed += 1
        self._observer.finished(job)


def _checked(pools: tuple[PoolSpec, ...]) -> tuple[PoolSpec, ...]:
    names = [pool.name for pool in pools]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"pools are {names}", key="pools", hint="give at least one, each its own name")
    for pool in pools:
        if pool.role is Role.AGGREGATED:
            raise ConfigError(
                f"pool {pool.name} is {pool.role}",
                key="pools",
                hint="the simulated fleet has prefill and decode",
            )
    return pools


def _uniforms(seed: int) -> Iterator[float]:
    rng = np.random.default_rng(seed)
    return itertools.chain.from_iterable(rng.random(_BLOCK).tolist() for _ in itertools.count())
