"""Who works on which request, and how does a pool of engines grow and shrink?

With a shared queue a request waits at the pool and the next free engine takes it. With the private routings
it is given to an engine at once and stays there, so a new engine does not relieve a standing queue. While no
engine is ready, requests wait at the pool whatever the routing.

An engine that is started holds its GPUs from then on and serves after its start-up time. An engine that is
given up takes nothing new, finishes what it has, and holds its GPUs until then.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from operator import attrgetter

from config.policy import Role
from connectors.base import PoolState
from planner.simulation.decode import DecodeEngine
from planner.simulation.engines import Engine, Job, Observer, Phase, PrefillEngine
from planner.simulation.profile import EngineTimes
from planner.simulation.timeline import Timeline


class Routing(StrEnum):
    """How requests find their engine."""

    SHARED = "shared"
    LEAST_LOADED = "least_loaded"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """One pool of the simulated fleet.

    Attributes:
        name: The pool's name.
        role: What its engines do.
        times: How fast one engine is.
        replicas: Engines that are ready at the start.
        gpus_per_engine: GPUs of one engine.
        startup_s: Time from the start of an engine until it serves.
        routing: How requests find their engine.
        max_batch: Most requests in the batch of one decode engine; None is no limit but the KV cache.
    """

    name: str
    role: Role
    times: EngineTimes
    replicas: int = 1
    gpus_per_engine: int = 1
    startup_s: float = 60.0
    routing: Routing = Routing.SHARED
    max_batch: int | None = None


class Pool:
    """The engines of one pool, and the requests that wait for them.

    Args:
        spec: What the pool is.
        timeline: Where engines put their next events.
        observer: Who is told of tokens.
        uniforms: Random numbers from 0 to 1, for the random routing.
        on_done: Who gets the requests that are done here.
    """

    def __init__(
        self,
        spec: PoolSpec,
        *,
        timeline: Timeline,
        observer: Observer,
        uniforms: Iterator[float],
        on_done: Callable[[Job], None],
    ) -> None:
        self.spec = spec
        self.desired = spec.replicas
        self._timeline = timeline
        self._observer = observer
        self._uniforms = uniforms
        self._on_done = on_done
        self._turn = 0
        self._charged_gpu_s = 0.0
        self._charged_at_s = timeline.now_s
        self._engines: list[Engine] = []
        self._ready: list[Engine] = []
        self._waiting: deque[Job] = deque()
        for _ in range(spec.replicas):
            self._become_ready(self._new_engine())

    @property
    def waiting(self) -> int:
        """How many requests wait, at the pool and at its engines."""
        return len(self._waiting) + sum(len(engine.waiting) for engine in self._engines)

    @property
    def running(self) -> int:
        """How many requests are worked on."""
        return sum(engine.running for engine in self._engines)

    @property
    def held_gpus(self) -> int:
        """GPUs of all engines that exist, starting and draining ones included."""
        return len(self._engines) * self.spec.gpus_per_engine

    @property
    def gpu_s(self) -> float:
        """GPUs times the time that they were held, up to now."""
        return self._charged_gpu_s + self.held_gpus * (self._timeline.now_s - self._charged_at_s)

    @property
    def live(self) -> int:
        """Engines that exist and were not given up."""
        return self._count(Phase.STARTING) + self._count(Phase.READY)

    def state(self) -> PoolState:
        """Return the pool as an orchestrator would see it."""
        return PoolState(
            desired=self.desired,
            ready=self._count(Phase.READY),
            starting=self._count(Phase.STARTING),
            terminating=self._count(Phase.DRAINING),
            gpus_per_engine=self.spec.gpus_per_engine,
        )

    def submit(self, job: Job) -> None:
        """Take a request."""
        if self.spec.routing is not Routing.SHARED and self._ready:
            self._assign(self._route(), job)
            return
        engine = None if self._waiting else self._free_engine(job)
        if engine is None:
            self._waiting.append(job)
        else:
            engine.load_tokens += engine.weight_tokens(job)
            self._begin(engine, job)

    def scale(self, replicas: int) -> None:
        """Start or give up engines until so many are left; asking twice is the same as asking once."""
        self.desired = replicas
        for _ in range(replicas - self.live):
            engine = self._new_engine()
            ready_s = self._timeline.now_s + self.spec.startup_s
            self._timeline.at(ready_s, partial(self._become_ready, engine))
        for _ in range(self.live - replicas):
            self._give_up(self._least_useful())

    def look(self, now_s: float) -> None:
        """Let engines report what happened up to now."""
        for engine in self._engines:
            engine.look(now_s)

    def _count(self, phase: Phase) -> int:
        return sum(1 for engine in self._engines if engine.phase is phase)

    def _charge(self) -> None:
        """Settle what was held so far, before the number of engines changes."""
        self._charged_gpu_s, self._charged_at_s = self.gpu_s, self._timeline.now_s

    def _new_engine(self) -> Engine:
        self._charge()
        engine: Engine
        if self.spec.role is Role.PREFILL:
            engine = PrefillEngine(self.spec.times)
        else:
            engine = DecodeEngine(self.spec.times, self._observer, max_batch=self.spec.max_batch or math.inf)
        self._engines.append(engine)
        return engine

    def _become_ready(self, engine: Engine) -> None:
        if engine.phase is not Phase.STARTING:
            return
        engine.phase = Phase.READY
        self._ready.append(engine)
        if self.spec.routing is Routing.SHARED:
            self._pull(engine, self._waiting)
            self._schedule(engine)
            return
        while self._waiting:
            self._assign(self._route(), self._waiting.popleft())

    def _least_useful(self) -> Engine:
        """Return a starting engine, else the one with the least to finish; among equals the newest."""
        for engine in reversed(self._engines):
            if engine.phase is Phase.STARTING:
                return engine
        return min(reversed(self._ready), key=attrgetter("load_tokens"))

    def _give_up(self, engine: Engine) -> None:
        if engine.phase is Phase.READY:
            self._ready.remove(engine)
        engine.phase = Phase.DRAINING
        self._leave_if_idle(engine)

    def _leave_if_idle(self, engine: Engine) -> None:
        if engine.phase is Phase.DRAINING and not engine.running and not engine.waiting:
            self._charge()
            engine.phase = Phase.GONE
            self._engines.remove(engine)

    def _route(self) -> Engine:
        ready = self._ready
        if self.spec.routing is Routing.LEAST_LOADED:
            return min(ready, key=attrgetter("load_tokens"))
        if self.spec.routing is Routing.RANDOM:
            return ready[int(next(self._uniforms) * len(ready))]
        self._turn += 1
        return ready[self._turn % len(ready)]

    def _free_engine(self, job: Job) -> Engine | None:
        """Return the least loaded engine that can begin the request now."""
        best: Engine | None = None
        for engine in self._ready:
            if (best is None or engine.load_tokens < best.load_tokens) and engine.accepts(job):
                best = engine
        return best

    def _assign(self, engine: Engine, job: Job) -> None:
        engine.load_tokens += engine.weight_tokens(job)
        if engine.waiting or not engine.accepts(job):
            engine.waiting.append(job)
        else:
            self._begin(engine, job)

    def _begin(self, engine: Engine, job: Job) -> None:
        engine.begin(job, self._timeline.now_s)
        self._schedule(engine)

    def _pull(self, engine: Engine, queue: deque[Job]) -> None:
        """Let an engine begin what it can of a queue, in order."""
        while queue and engine.accepts(queue[0]):
            job = queue.popleft()
            if queue is self._waiting:
                engine.load_tokens += engine.weight_tokens(job)
            engine.begin(job, self._timeline.now_s)

    def _schedule(self, engine: Engine) -> None:
        """Put the engine's next event on the timeline; an event that is overtaken finds itself stale."""
        if engine.next_s < math.inf:
            self._timeline.at_event(engine.next_s, self._fire, engine)

    def _fire(self, engine: Engine, due_s: float) -> None:
        if engine.next_s != due_s:
            return
        done = engine.take_done(due_s)
        for job in done:
            engine.load_tokens -= engine.weight_tokens(job)
        if engine.waiting:
            self._pull(engine, engine.waiting)
        elif self._waiting and engine.phase is Phase.READY:
            self._pull(engine, self._waiting)
        self._schedule(engine)
        self._leave_if_idle(engine)
        for job in done:
            self._on_done(job)
