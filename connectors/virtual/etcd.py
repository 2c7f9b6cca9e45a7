"""Scale a fleet that somebody else runs, over the etcd keys of Dynamo's virtual connector.

The protocol is in `connectors.virtual.etcd_keys`. The planner writes targets and a decision id; an
environment (Dynamo's client, or `connectors.virtual.environment`) carries them out and acknowledges the id.
What is better than in Dynamo 0.9.0:

- Counts and id are written in one transaction that is taken only if nobody else wrote since they were last
  read; a second writer is a `Conflict`, and its value is what the next `read` shows.
- Nothing is cached before it is stored, so what could not be written is written at the next call. A write
  whose answer was lost is looked up instead of guessed.
- No call ever waits: while a decision is not acknowledged, `scale` raises and says for how long already, and
  after `max_wait_s` the next one is written over it. A fleet without a decision owes no acknowledgement.

What the fleet is, where nobody says so: keys that are absent mean the initial counts, because an environment
starts with those on its own. An acknowledged decision is ready. While a decision is not acknowledged, the
environment may run anything between it and the last acknowledged one (`connectors.virtual.etcd_history`).
The smaller count is then ready, the rest of the target is starting, and what the larger count has beyond the
target still holds its GPUs and is terminating.
"""

import asyncio
from dataclasses import dataclass

import structlog

from config.clock import Clock
from config.errors import ActuationError, ConfigError, Conflict, ObservationError, Refused
from config.policy import Role
from connectors.base import Fleet, PoolState, Replicas
from connectors.virtual.etcd_client import EtcdClient, EtcdOptions
from connectors.virtual.etcd_history import Bounds, History
from connectors.virtual.etcd_keys import Counts, Entry, Keys, Ledger, ledger_of

_ONE_EACH = Counts(prefill=1, decode=1)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdTarget:
    """Which fleet is scaled.

    Attributes:
        dynamo_namespace: The Dynamo namespace in the prefix of the keys.
        initial: Counts that the environment starts with before any decision, usually the minimums.
        prefill_pool: Name of the prefill pool in the fleet.
        decode_pool: Name of the decode pool in the fleet.
        max_wait_s: After so long without an acknowledgement the next decision is written anyway.
    """

    dynamo_namespace: str
    initial: Counts = _ONE_EACH
    prefill_pool: str = "prefill"
    decode_pool: str = "decode"
    max_wait_s: float = 1800.0

    def __post_init__(self) -> None:
        """Refuse counts and names that make no fleet."""
        if min(self.initial.prefill, self.initial.decode) < 0:
            raise ConfigError(f"a count is negative: {self.initial}", key="initial replicas")
        if not self.max_wait_s >= 0.0:
            raise ConfigError(f"{self.max_wait_s:g} s is negative or no number", key="max wait")
        if self.prefill_pool == self.decode_pool:
            hint = "give the prefill and the decode pool different names"
            raise ConfigError(f"both pools are named {self.decode_pool!r}", key="pools", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    decision_id: int
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owed:
    """A decision that is not acknowledged, and since when this process knows."""

    decision_id: int
    since_s: float


class EtcdActuator:
    """Ask for counts through Dynamo's virtual connector keys.

    GPUs per engine are not in the keys, so the fleet does not tell them.

    Args:
        options: Where etcd is.
        target: Which fleet is scaled.
        clock: Where the time of waiting comes from.
    """

    def __init__(self, options: EtcdOptions, target: EtcdTarget, clock: Clock) -> None:
        self._keys = Keys(dynamo_namespace=target.dynamo_namespace)
        self._client = EtcdClient(options)
        self._history = History(self._client, self._keys, target.initial)
        self._target = target
        self._clock = clock
        # Reads and writes take turns, so that what was seen last is what etcd said last.
        self._lock = asyncio.Lock()
        self._seen: Ledger | None = None
        self._sent: _Decision | None = None
        self._owed: _Owed | None = None

    async def read(self) -> Fleet:
        """Return the targets as desired, and as ready what is acknowledged.

        Raises:
            ObservationError: If etcd does not answer (`Unreachable`), holds something that is no count
                (`Malformed`), or does not let us in.
        """
        async with self._lock:
            try:
                ledger = await self._load()
                held = await self._history.bounds(ledger)
            except Refused as error:
                raise ObservationError(str(error)) from error
            self._seen = ledger
        return self._fleet(held)

    async def scale(self, replicas: Replicas) -> None:
        """Write the sums by role as the next decision; counts that are stored already are not written again.

        A role that no pool is named for keeps its count.

        Raises:
            Conflict: If another writer changed the keys since they were last read; `read` shows its counts.
            Refused: If etcd does not let us in, a count is negative, or an aggregated pool is named.
            ActuationError: If the last decision is not acknowledged yet, or etcd does not answer.
        """
        _check(replicas)
        if not replicas.pools:
            return
        async with self._lock:
            try:
                await self._decide(replicas)
            except ObservationError as error:
                raise ActuationError(f"the counts were not written: {error}") from error

    async def close(self) -> None:
        """Release the connections."""
        await self._client.close()

    async def _load(self) -> Ledger:
        ledger = ledger_of(self._keys, await self._client.read_prefix(self._keys.prefix))
        self._note_owed(ledger)
        return ledger

    def _note_owed(self, ledger: Ledger) -> None:
        if ledger.is_acknowledged or ledger.decision.number is None:
            self._owed = None
        elif self._owed is None or self._owed.decision_id != ledger.decision.number:
            self._owed = _Owed(decision_id=ledger.decision.number, since_s=self._clock.now_s())

    async def _decide(self, replicas: Replicas) -> None:
        ledger = await self._load()
        wanted = self._wanted(replicas, ledger)
        if ledger.is_announced and ledger.counts(self._target.initial) == wanted:
            self._seen = ledger
            return
        if self._seen is not None and not self._is_ours(ledger):
            self._require_no_other_writer(self._seen, ledger)
        self._require_acknowledged(ledger)
        await self._write(ledger, _Decision(decision_id=ledger.next_decision_id, counts=wanted))

    def _wanted(self, replicas: Replicas, ledger: Ledger) -> Counts:
        stored = ledger.counts(self._target.initial)
        roles = {pool.role for pool in replicas.pools}
        return Counts(
            prefill=replicas.prefill if Role.PREFILL in roles else stored.prefill,
            decode=replicas.decode if Role.DECODE in roles else stored.decode,
        )

    def _require_no_other_writer(self, before: Ledger, now: Ledger) -> None:
        if before.revisions == now.revisions:
            return
        initial = self._target.initial
        raise Conflict(
            f"somebody else wrote under {self._keys.prefix} since it was last read: "
            f"{_words(before, initial)} became {_words(now, initial)}; "
            f"read again before scaling, and let only one planner write here"
        )

    def _is_ours(self, ledger: Ledger) -> bool:
        """Tell whether the stored decision is the one that we sent and perhaps got no answer to."""
        stored = _Decision(
            decision_id=-1 if ledger.decision.number is None else ledger.decision.number,
            counts=ledger.counts(self._target.initial),
        )
        return ledger.is_announced and stored == self._sent

    def _require_acknowledged(self, ledger: Ledger) -> None:
        if self._owed is None:
            return
        waited_s = self._clock.now_s() - self._owed.since_s
        acknowledged = "none" if ledger.scaled.number is None else ledger.scaled.number
        state = (
            f"decision {self._owed.decision_id} is not acknowledged by the environment yet "
            f"(acknowledged: {acknowledged}), waiting {waited_s:.0f} s of {self._target.max_wait_s:.0f} s"
        )
        if waited_s < self._target.max_wait_s:
            raise ActuationError(state)
        _log.warning("decision_written_over_unacknowledged", state=state, prefix=self._keys.prefix)

    async def _write(self, ledger: Ledger, decision: _Decision) -> None:
        keys = self._keys
        values = {
            keys.prefill: str(decision.counts.prefill),
            keys.decode: str(decision.counts.decode),
            keys.decision_id: str(decision.decision_id),
        }
        revisions = dict(zip(values, ledger.revisions, strict=True))
        self._sent = decision
        try:
            revision = await self._client.put_if_unchanged(values, revisions=revisions)
        except ObservationError as error:
            await self._look_up(ledger, decision, f"{error}")
            return
        if revision:
            self._note_written(ledger, decision, revision)
        else:
            await self._look_up(ledger, decision, "etcd did not take the transaction")

    def _note_written(self, ledger: Ledger, decision: _Decision, revision: int) -> None:
        self._owed = _Owed(decision_id=decision.decision_id, since_s=self._clock.now_s())
        self._seen = Ledger(
            prefill=Entry(number=decision.counts.prefill, revision=revision),
            decode=Entry(number=decision.counts.decode, revision=revision),
            decision=Entry(number=decision.decision_id, revision=revision),
            scaled=ledger.scaled,
        )

    async def _look_up(self, before: Ledger, decision: _Decision, problem: str) -> None:
        """Find out what became of a write whose answer was lost, or that was perhaps sent twice."""
        name = f"decision {decision.decision_id}"
        try:
            now = await self._load()
        except ObservationError as error:
            raise ActuationError(
                f"it is not known whether {name} was written ({problem}); the next call finds out"
            ) from error
        if not self._is_ours(now):
            self._require_no_other_writer(before, now)
            raise ActuationError(f"{name} was not written: {problem}")
        self._seen = now

    def _fleet(self, held: Bounds) -> Fleet:
        desired, low, high = held.ledger.counts(self._target.initial), held.low, held.high
        return Fleet(
            at_s=self._clock.now_s(),
            pools={
                self._target.prefill_pool: _state(desired.prefill, low=low.prefill, high=high.prefill),
                self._target.decode_pool: _state(desired.decode, low=low.decode, high=high.decode),
            },
        )


def _state(desired: int, *, low: int, high: int) -> PoolState:
    return PoolState(desired=desired, ready=low, starting=desired - low, terminating=high - desired)


def _check(replicas: Replicas) -> None:
    for pool in replicas.pools:
        if pool.role is Role.AGGREGATED:
            raise Refused(
                f"pool {pool.pool!r} is aggregated, and Dynamo's virtual connector has no key for that; "
                f"name prefill and decode pools only"
            )
        if pool.count < 0:
            raise Refused(f"pool {pool.pool!r} was asked for {pool.count} replicas; expected zero or more")


def _words(ledger: Ledger, initial: Counts) -> str:
    counts = ledger.counts(initial)
    decision = "no decision" if ledger.decision.number is None else f"decision {ledger.decision.number}"
    return f"{decision} (prefill {counts.prefill}, decode {counts.decode})"
