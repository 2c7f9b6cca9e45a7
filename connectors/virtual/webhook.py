"""Scale a fleet that any orchestrator runs, by posting decisions to a webhook and reading the fleet back.

The messages are in `connectors.virtual.webhook_protocol`, and docs/webhook.md has them for whoever answers.

A *wish* is what was asked for last. It keeps its decision, and so its idempotency key and its body, through
all attempts and all later calls that ask for the same. It ends when something else is asked for, when the
receiver says no (4xx), and when it was accepted and a later read shows other counts: then somebody changed
the fleet, and a receiver that knows the key already would not act on it again.

After a restart the fleet is read first. What it shows already is not asked for again, and what it does not
show is a new wish: counts are absolute, so carrying one out twice does no harm. Where the receiver names the
decision that it carried out last, no later one is numbered below it.

Nothing is sent for counts that a read of just now shows; when in doubt it is sent.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from config.clock import Clock
from config.errors import ActuationError, Malformed, ObservationError, Refused
from connectors.base import Fleet, Replicas
from connectors.virtual.webhook_client import WebhookClient, where_of
from connectors.virtual.webhook_options import WebhookOptions
from connectors.virtual.webhook_protocol import (
    KEY_HEADER,
    FleetAnswer,
    WebhookDecision,
    decision_of,
    hash_of,
    parse_fleet,
    sequence_in,
)

# An older answer of the receiver is not trusted to be still so.
_FRESH_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    replicas: Replicas
    decision: WebhookDecision
    is_accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    answer: FleetAnswer
    at_s: float

    def shows(self, replicas: Replicas) -> bool:
        pools = self.answer.pools
        return all(name in pools and pools[name].desired == count for name, count in replicas.items())


class WebhookActuator:
    """Ask for counts by HTTP.

    Args:
        options: Where the receiver is and how it knows us.
        target: Whose fleet is meant; the receiver is told.
        clock: Where time comes from.
        chance: Replaces the randomness of the waits between attempts, for tests.
    """

    def __init__(
        self,
        options: WebhookOptions,
        clock: Clock,
        *,
        target: str,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._client = WebhookClient(options, clock, chance=chance)
        self._clock = clock
        self._target = target
        # One decision is handed over at a time, so that the newest is the last.
        self._lock = asyncio.Lock()
        self._wish: _Wish | None = None
        self._seen: _Seen | None = None
        self._last_sequence = 0
        # Counts the beginnings and ends of hand-overs; a read during one tells neither before nor after.
        self._moves = 0

    async def read(self) -> Fleet:
        """Return the fleet as the receiver tells it.

        Raises:
            ObservationError: If it does not answer (`Unreachable`), does not let us in, or what it tells is
                not a fleet (`Malformed`).
        """
        moves = self._moves
        try:
            content = await self._client.get()
        except ActuationError as error:
            raise ObservationError(str(error)) from error
        answer = self._parsed(content)
        at_s = self._clock.now_s()
        self._last_sequence = max(self._last_sequence, sequence_in(answer.decision))
        if moves == self._moves and not self._lock.locked():
            self._note(_Seen(answer=answer, at_s=at_s))
        return Fleet(at_s=at_s, pools=answer.pools)

    async def scale(self, replicas: Replicas) -> None:
        """Hand the counts over; pools that are not named keep theirs.

        Raises:
            Conflict: If the receiver says that somebody else changed the fleet (409).
            Refused: If the receiver says no (another 4xx), or a count is negative.
            ActuationError: If it does not answer, after all attempts.
        """
        for pool in replicas.pools:
            if pool.count < 0:
                raise Refused(
                    f"pool {pool.pool!r} was asked for {pool.count} replicas; expected zero or more"
                )
        async with self._lock:
            if not self._is_so(replicas):
                await self._hand_over(self._wish_for(replicas))

    async def close(self) -> None:
        """Release the connections."""
        await self._client.close()

    def _parsed(self, content: bytes) -> FleetAnswer:
        where = where_of(self._client.read_url)
        try:
            return parse_fleet(content, where=where)
        except Malformed:
            if not self._client.shows_secrets(content.decode("utf-8", errors="replace")):
                raise
        raise Malformed(f"{where} answered with words that hold our secrets, not shown here")

    def _note(self, seen: _Seen) -> None:
        self._seen = seen
        if self._wish is not None and self._wish.is_accepted and not seen.shows(self._wish.replicas):
            self._wish = None

    def _is_so(self, replicas: Replicas) -> bool:
        if not replicas.pools:
            return True
        seen = self._seen
        return seen is not None and self._clock.now_s() - seen.at_s <= _FRESH_S and seen.shows(replicas)

    def _wish_for(self, replicas: Replicas) -> _Wish:
        if self._wish is not None and self._wish.replicas == replicas:
            return self._wish
        wall_ms = int(self._clock.wall_s() * 1000.0)
        name = self._known_name(replicas)
        sequence = sequence_in(name) or max(self._last_sequence + 1, wall_ms)
        # A name that is known has its body again, too: a receiver may compare them.
        at_unix_s = (sequence if name else wall_ms) / 1000.0
        decision = decision_of(
            replicas, target=self._target, sequence=sequence, at_unix_s=at_unix_s, name=name
        )
        return _Wish(replicas=replicas, decision=decision)

    def _known_name(self, replicas: Replicas) -> str:
        """Return the name that the receiver has for this very wish, if its last words show it carried out."""
        if self._seen is None or not self._seen.shows(replicas):
            return ""
        name = self._seen.answer.decision
        is_ours = sequence_in(name) and name.endswith(hash_of(replicas, target=self._target))
        return name if is_ours else ""

    async def _hand_over(self, wish: _Wish) -> None:
        self._wish = wish
        self._last_sequence = max(self._last_sequence, wish.decision.sequence)
        self._seen = None
        self._moves += 1
        try:
            await self._client.post(wish.decision.body, {KEY_HEADER: wish.decision.name})
        except ObservationError as error:
            raise ActuationError(f"the decision was not handed over: {error}") from error
        except ActuationError:
            # A clear no ends the wish: asked again it is a new one, lest a no that was kept, or a place in
            # the order that is too low, stays with its key for ever.
            self._wish = None
            raise
        finally:
            self._moves += 1
        self._wish = replace(wish, is_accepted=True)
