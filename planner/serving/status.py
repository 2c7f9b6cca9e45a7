"""What does the daemon know about itself right now?

`StatusBoard` is the one place that the loop writes to and that metrics, health and API read from. The other
classes are what it says to a reader; they are written as JSON as they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from config.clock import Clock
from config.policy import Policy, Role, Targets
from connectors.base import Observation
from planner.core.decision import Decision, StepKind
from planner.serving.records import Actuated, Record, Reloaded, Started, Stepped
from predictors.base import Forecast

Explain = Callable[[Decision], tuple[str, ...]]
Headline = Callable[[Decision], str]

# A loop that has not ticked for so many intervals is taken for dead.
ALIVE_INTERVALS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether something is as it should be, and in words why not."""

    is_ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHealth:
    """How a part of the daemon (a connector, the predictor, the journal) last fared."""

    part: str
    is_ok: bool
    age_s: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSummary:
    """The limits of one pool."""

    pool: str
    role: Role
    profile: str
    gpus_per_engine: int
    min_replicas: int
    max_replicas: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySummary:
    """The policy without its curves."""

    solver: str
    interval_s: float
    budget_gpus: int
    targets: Targets
    pools: tuple[PoolSummary, ...]
    size_quantile_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionView:
    """One decision with its words, and what it rested on (distributions left out: they are long)."""

    at_wall_s: float
    kind: StepKind
    headline: str
    words: tuple[str, ...]
    duration_s: float
    decision: Decision
    observation: Observation
    forecast: Forecast | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that one look at the daemon shows.

    `observation` (with the fleet) is of the newest step of either kind, `decision` and `forecast` of the
    newest tick, `look` of the newest look that came after it.
    Times named `…_in_s` and `…_age_s` count from `at_wall_s`.
    """

    at_wall_s: float
    version: str
    target: str
    advisory: bool
    uptime_s: float
    next_tick_in_s: float | None
    alive: Health
    ready: Health
    policy: PolicySummary | None
    observation: Observation | None
    observation_age_s: float | None
    forecast: Forecast | None
    decision: DecisionView | None
    look: DecisionView | None
    actuation: Actuated | None
    parts: tuple[PartHealth, ...]


class StatusBoard:
    """What is known now; written by the loop, read by everybody.

    Args:
        clock: The daemon's clock.
        version: Setpoint's version.
        target: The deployment that is scaled.
        advisory: True while decisions are not carried out; the daemon may set it later.

    Attributes:
        last_decided: The newest step that says which counts are wished: a tick, or a look that changed them.
    """

    def __init__(self, *, clock: Clock, version: str, target: str, advisory: bool) -> None:
        self.version = version
        self.target = target
        self.advisory = advisory
        self.policy: Policy | None = None
        self.last_tick: Stepped | None = None
        self.last_look: Stepped | None = None
        self.last_decided: Stepped | None = None
        self.last_actuation: Actuated | None = None
        self.is_ready = False
        self.next_tick_at_s: float | None = None
        self._clock = clock
        self._started_at_s = self._paced_at_s = clock.now_s()
        self._parts: dict[str, tuple[float, Health]] = {}

    @property
    def last_step(self) -> Stepped | None:
        """The newest step of either kind."""
        return self.last_look or self.last_tick

    @property
    def parts(self) -> Mapping[str, Health]:
        """How each part that reported last fared."""
        return {part: health for part, (_, health) in self._parts.items()}

    def take(self, record: Record) -> None:
        """Learn from a record."""
        if isinstance(record, Stepped):
            self._take_step(record)
        elif isinstance(record, Actuated):
            self.last_actuation = record
        elif isinstance(record, Started | Reloaded):
            if self.policy is None or self.policy.interval_s != record.policy.interval_s:
                self._paced_at_s = record.now_s
            self.policy = record.policy

    def report(self, part: str, *, is_ok: bool, detail: str = "") -> None:
        """Note how a part just fared."""
        self._parts[part] = (self._clock.now_s(), Health(is_ok=is_ok, why=detail))

    def alive(self) -> Health:
        """Say whether the loop still ticks."""
        if self.policy is None:
            return Health(is_ok=True, why="starting")
        # The last tick is not late because a reload brought a shorter interval since.
        last_s = max(self.last_tick.now_s if self.last_tick else 0.0, self._paced_at_s)
        since_s = self._clock.now_s() - last_s
        limit_s = ALIVE_INTERVALS * self.policy.interval_s
        if since_s <= limit_s:
            return Health(is_ok=True)
        return Health(
            is_ok=False, why=f"no tick for {since_s:.1f} s; expected one every {self.policy.interval_s:g} s"
        )

    def ready(self, explain: Explain) -> Health:
        """Say whether a decision was made on good data since the start."""
        if self.is_ready:
            return Health(is_ok=True)
        if self.last_tick is None:
            return Health(is_ok=False, why="no tick yet")
        return Health(is_ok=False, why=" ".join(("no good reading yet.", *explain(self.last_tick.decision))))

    def status(self, *, explain: Explain, headline: Headline) -> Status:
        """Return everything that one look at the daemon shows."""
        now_s = self._clock.now_s()
        tick, look, last = self.last_tick, self.last_look, self.last_step
        return Status(
            at_wall_s=self._clock.wall_s(),
            version=self.version,
            target=self.target,
            advisory=self.advisory,
            uptime_s=now_s - self._started_at_s,
            next_tick_in_s=None if self.next_tick_at_s is None else max(0.0, self.next_tick_at_s - now_s),
            alive=self.alive(),
            ready=self.ready(explain),
            policy=summarize(self.policy) if self.policy else None,
            observation=last.observation if last else None,
            observation_age_s=now_s - last.observation.traffic.at_s if last else None,
            forecast=tick.forecast if tick else None,
            decision=view(tick, explain=explain, headline=headline) if tick else None,
            look=view(look, explain=explain, headline=headline) if look else None,
            actuation=self.last_actuation,
            parts=tuple(
                PartHealth(part=part, is_ok=health.is_ok, age_s=now_s - at_s, detail=health.why)
                for part, (at_s, health) in sorted(self._parts.items())
            ),
        )

    def _take_step(self, record: Stepped) -> None:
        self.is_ready = self.is_ready or not record.decision.is_hold
        # A look that changes nothing repeats what is asked for; where nobody carries decisions out, that is
        # not what was decided.
        if record.kind is StepKind.TICK or record.decision.is_change or self.last_tick is None:
            self.last_decided = record
        if record.kind is StepKind.LOOK:
            self.last_look = record
        else:
            self.last_tick, self.last_look = record, None


def view(record: Stepped, *, explain: Explain, headline: Headline) -> DecisionView:
    """Return a step's decision with its words, and what it rested on."""
    traffic = replace(record.observation.traffic, isl_histogram=None, osl_histogram=None)
    return DecisionView(
        at_wall_s=record.at_wall_s,
        kind=record.kind,
        headline=headline(record.decision),
        words=explain(record.decision),
        duration_s=record.duration_s,
        decision=record.decision,
        observation=replace(record.observation, traffic=traffic),
        forecast=record.forecast,
    )


def summarize(policy: Policy) -> PolicySummary:
    """Return a policy without its curves."""
    return PolicySummary(
        solver=policy.solver,
        interval_s=policy.interval_s,
        budget_gpus=policy.budget_gpus,
        targets=policy.targets,
        size_quantile_ratio=policy.size_quantile_ratio,
        pools=tuple(
            PoolSummary(
                pool=pool.name,
                role=pool.role,
                profile=pool.profile.name,
                gpus_per_engine=pool.gpus_per_engine,
                min_replicas=pool.min_replicas,
                max_replicas=pool.max_replicas,
            )
            for pool in policy.pools
        ),
    )
