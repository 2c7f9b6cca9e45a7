"""Carrying out a decision: bounded attempts, verified by reading back, and always on record."""

import asyncio

from config.clock import Clock, within
from config.errors import ActuationError, Conflict, Refused, Standby
from connectors.base import Actuator, Replicas
from planner.attempt import attempt, tell, words
from planner.core.decision import Decision
from planner.core.heed import HOLD_CODES
from planner.serving.desk import Desk
from planner.serving.records import Actuated, Outcome

_ATTEMPTS = 3
_FIRST_WAIT_S = 0.2


class Hands:
    """What moves the fleet.

    Args:
        actuator: Who is asked.
        desk: Where the outcome is recorded.
        clock: What waits are measured by.
    """

    def __init__(self, actuator: Actuator, *, desk: Desk, clock: Clock) -> None:
        self._actuator = actuator
        self._desk = desk
        self._clock = clock
        self._tried: ActuationError | None = None

    async def carry_out(self, decision: Decision, *, is_advisory: bool, limit_s: float) -> Outcome:
        """Ask for the decided counts, or only record them.

        Whatever is not done now is decided again at the next tick, on what the fleet is then.

        Args:
            decision: What was decided.
            is_advisory: If True nothing is asked.
            limit_s: Longest time for all attempts together.
        """
        if is_advisory:
            return self._record(decision, Outcome.ADVISORY, "actuate is false; nothing was asked")
        self._tried = None
        try:
            error = self._whole(
                await attempt(lambda: within(self._clock, self._move(_free(decision)), limit_s))
            )
        except asyncio.CancelledError:
            self._record(decision, Outcome.FAILED, "stopped before it was confirmed")
            raise
        if isinstance(error, Standby):
            return self._record(decision, Outcome.STANDBY, str(error))
        if error is not None:
            outcome = Outcome.REFUSED if isinstance(error, Refused) else Outcome.FAILED
            tell(self._desk, "scaling", error)
            return self._record(decision, outcome, words(error))
        self._desk.worked("scaling")
        return self._record(decision, Outcome.APPLIED)

    async def _move(self, replicas: Replicas) -> None:
        for number in range(_ATTEMPTS):
            try:
                await self._actuator.scale(replicas)
                break
            except (Refused, Conflict, Standby):
                raise  # asking again would be refused again, or overwrite what somebody else just wanted
            except ActuationError as error:
                if number == _ATTEMPTS - 1:
                    raise
                self._tried = error
                await self._clock.sleep(_FIRST_WAIT_S * 2.0**number)
        await self._verify(replicas)

    def _whole(self, error: BaseException | None) -> BaseException | None:
        """Return what went wrong; where time ran out, with what was heard before that."""
        if isinstance(error, TimeoutError) and self._tried is not None:
            return ActuationError(f"{error}; before that: {self._tried}")
        return error

    async def _verify(self, replicas: Replicas) -> None:
        fleet = await self._actuator.read()
        found = {name: pool.desired for name, pool in fleet.pools.items() if name in replicas}
        if found != dict(replicas):
            asked = dict(replicas)
            raise ActuationError(f"asked for {_counts(asked)}, read back {_counts(found)}")

    def _record(self, decision: Decision, outcome: Outcome, detail: str = "") -> Outcome:
        self._desk.take(
            Actuated(
                at_wall_s=self._clock.wall_s(),
                now_s=self._clock.now_s(),
                target=self._desk.board.target,
                replicas=decision.replicas.pools,
                outcome=outcome,
                detail=detail,
            )
        )
        return outcome


def _free(decision: Decision) -> Replicas:
    """Return what is asked for: nothing of pools that somebody else has in hand, not even what they have."""
    held = {pool.pool for pool in decision.pools if pool.bound_by in HOLD_CODES}
    return Replicas(tuple(pool for pool in decision.replicas.pools if pool.pool not in held))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{pool}={count}" for pool, count in counts.items())
