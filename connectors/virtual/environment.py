"""The other side of the virtual connector: what an environment does with decisions.

For people who run engines with their own tools and want Setpoint (or Dynamo's planner) to size them:

    environment = EtcdEnvironment(EtcdOptions(endpoints=("http://etcd:2379",)), dynamo_namespace="llm")
    await environment.run(start_and_stop_engines, SystemClock())

`start_and_stop_engines` gets the decision and returns once the engines serve. Only whole decisions with a new
id are carried out, so the environment does not react to its own acknowledgement or to half a decision.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from config.clock import Clock
from config.errors import Conflict, ObservationError
from connectors.virtual.etcd_client import EtcdClient, EtcdOptions
from connectors.virtual.etcd_keys import Counts, Keys, Ledger, ledger_of


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualDecision:
    """One decision that is to be carried out."""

    decision_id: int
    counts: Counts


class EtcdEnvironment:
    """Read decisions and acknowledge them.

    Args:
        options: Where etcd is.
        dynamo_namespace: The Dynamo namespace in the prefix of the keys.
    """

    def __init__(self, options: EtcdOptions, *, dynamo_namespace: str) -> None:
        self._keys = Keys(dynamo_namespace=dynamo_namespace)
        self._client = EtcdClient(options)

    async def pending(self) -> VirtualDecision | None:
        """Return the decision that is announced and not acknowledged, or None.

        Raises:
            ObservationError: If etcd does not answer or holds something that is no count.
        """
        ledger = await self._load()
        prefill, decode, decision = ledger.prefill.number, ledger.decode.number, ledger.decision.number
        if prefill is None or decode is None or decision is None:
            return None
        if ledger.is_acknowledged or not ledger.is_announced:
            return None
        return VirtualDecision(decision_id=decision, counts=Counts(prefill=prefill, decode=decode))

    async def acknowledge(self, decision_id: int) -> None:
        """Say that this decision and all before it are carried out; a later acknowledgement stays.

        Raises:
            Conflict: If another environment acknowledged at the same moment.
            ObservationError: If etcd does not answer.
        """
        scaled = (await self._load()).scaled
        if scaled.number is not None and scaled.number >= decision_id:
            return
        key = self._keys.scaled_decision_id
        if not await self._client.put_if_unchanged({key: str(decision_id)}, revisions={key: scaled.revision}):
            raise Conflict(f"somebody else wrote {key} meanwhile; let only one environment serve it")

    async def step(self, scale: Callable[[VirtualDecision], Awaitable[None]]) -> bool:
        """Carry out and acknowledge the pending decision; return False if there is none."""
        decision = await self.pending()
        if decision is None:
            return False
        await scale(decision)
        await self.acknowledge(decision.decision_id)
        return True

    async def run(
        self, scale: Callable[[VirtualDecision], Awaitable[None]], clock: Clock, *, poll_s: float = 1.0
    ) -> None:
        """Carry out decisions until cancelled; while etcd is away, try again at the next poll.

        An error of `scale` ends the run, and the decision stays unacknowledged. So do a login that etcd
        refuses and a second environment.
        """
        while True:
            await self._step_or_skip(scale)
            await clock.sleep(poll_s)

    async def close(self) -> None:
        """Release the connections."""
        await self._client.close()

    async def _step_or_skip(self, scale: Callable[[VirtualDecision], Awaitable[None]]) -> None:
        try:
            decision = await self.pending()
        except ObservationError:
            return
        if decision is not None:
            await scale(decision)
            await self._acknowledge_or_skip(decision.decision_id)

    async def _acknowledge_or_skip(self, decision_id: int) -> None:
        try:
            await self.acknowledge(decision_id)
        except ObservationError:
            # The decision stays pending, so the next poll carries it out again; that changes nothing.
            return

    async def _load(self) -> Ledger:
        return ledger_of(self._keys, await self._client.read_prefix(self._keys.prefix))
