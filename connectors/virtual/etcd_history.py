"""What an environment may be running while it owes an acknowledgement.

Between the last decision that it acknowledged and the newest one anything is possible. etcd keeps past values
until they are compacted, so the last acknowledged counts are found there, after a restart of the planner,
too. Where they were compacted, the last acknowledged counts that this process saw stand in, or else the
initial ones.
"""

from dataclasses import dataclass

from connectors.virtual.etcd_answers import CompactedError
from connectors.virtual.etcd_client import EtcdClient
from connectors.virtual.etcd_keys import Counts, Keys, Ledger, ledger_of

# So many unacknowledged decisions are followed back; each costs one request, once.
_LOOK_BACK = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The least and the most engines that may run while the keys are these."""

    ledger: Ledger
    low: Counts
    high: Counts


class History:
    """Bound what the environment may be running.

    Args:
        client: Where the past is read.
        keys: Whose past.
        initial: Counts before any decision.
    """

    def __init__(self, client: EtcdClient, keys: Keys, initial: Counts) -> None:
        self._client = client
        self._keys = keys
        self._initial = initial
        self._acknowledged = initial
        self._last: Bounds | None = None

    async def bounds(self, ledger: Ledger) -> Bounds:
        """Return the bounds for the present keys; both are the counts if nothing is owed.

        Raises:
            ObservationError: If the past had to be read and could not be.
        """
        counts = ledger.counts(self._initial)
        if ledger.is_acknowledged and (ledger.is_announced or ledger.is_empty):
            self._acknowledged = counts
            return Bounds(ledger=ledger, low=counts, high=counts)
        if self._last is None or self._last.ledger != ledger:
            self._last = await self._follow_back(ledger)
        return self._last

    async def _follow_back(self, ledger: Ledger) -> Bounds:
        """Widen the bounds by each earlier decision until the last acknowledged one."""
        low = high = ledger.counts(self._initial)
        # What was acknowledged since then counts, not what had been acknowledged then.
        scaled = ledger.scaled
        past = ledger
        for _ in range(_LOOK_BACK):
            try:
                past = await self._load_before(past)
                counts = past.counts(self._initial)
            except CompactedError:
                counts, past = self._acknowledged, Ledger()
            low, high = low.least(counts), high.most(counts)
            if past.is_empty or (past.is_announced and past.is_acknowledged_by(scaled)):
                break
        return Bounds(ledger=ledger, low=low, high=high)

    async def _load_before(self, ledger: Ledger) -> Ledger:
        stored = await self._client.read_prefix(self._keys.prefix, revision=ledger.revision_before)
        return ledger_of(self._keys, stored)
