"""Scale a fleet that runs on Kubernetes.

Reading costs no request while nothing changes: what the API server has is followed. Writing changes replicas
and nothing else, pools that shrink before pools that grow, so that GPUs in use never exceed what either state
needs. What was written is seen by the next read at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from config.clock import Clock
from config.errors import ActuationError, ObservationError, Refused
from connectors.base import Fleet, PoolState, Replicas
from connectors.kubernetes.api import Api, ApiError
from connectors.kubernetes.authors import Changes
from connectors.kubernetes.basis import Basis
from connectors.kubernetes.cache import Cache
from connectors.kubernetes.discovery import resolve as resolve_target
from connectors.kubernetes.mirror import MirrorOptions
from connectors.kubernetes.pool import Around, Look, Pool, name_of_target
from connectors.kubernetes.reference import named
from connectors.kubernetes.resolving import Resolve, Resolving
from connectors.kubernetes.rivalry import FindRivals, Rivalry
from connectors.kubernetes.scheduling import PodGroups
from connectors.kubernetes.settle import Settling
from connectors.kubernetes.target import Reference, Rule, Target, Write
from connectors.kubernetes.verdicts import unread
from connectors.kubernetes.writing import Leader, Writing


def _say_nothing(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActuatorOptions:
    """How a fleet is read and written.

    Attributes:
        unschedulable_grace_s: So long an engine that no node has room for counts as starting.
        resync_s: Everything that is followed is listed afresh after so long.
        say: Takes what a user should know: what may not be read, who else changed something.
        resolve: Finds the target that a reference means; None is the installed kinds.
        find_rivals: Finds who else scales a target; None does not look, since the user allows it.
    """

    unschedulable_grace_s: float = 300.0
    resync_s: float = 600.0
    say: Callable[[str], None] = _say_nothing
    resolve: Resolve | None = None
    find_rivals: FindRivals | None = None


class KubernetesActuator:
    """Scale targets on Kubernetes; pools are named by their role.

    Args:
        api: Who speaks to the API server; closed with the actuator.
        references: The targets, one for each pool.
        clock: Where time comes from.
        leader: Tells whether this process may write; None if it always may.
        options: How it is done.
    """

    def __init__(
        self,
        api: Api,
        references: Sequence[Reference],
        *,
        clock: Clock,
        leader: Leader | None = None,
        options: ActuatorOptions | None = None,
    ) -> None:
        self._api, self._clock, self._leader = api, clock, leader
        self._options = options or ActuatorOptions()
        self._around = _around(api, clock, self._options)
        self._pools = {one.role.value: self._pool(one) for one in references}
        self._writing = Writing(api, self._around, leader=leader, missing_rule=_missing_rule)
        # One decision is carried out at a time, so that the newest is the last.
        self._lock = asyncio.Lock()

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets that were found so far."""
        return tuple(pool.target for pool in self._pools.values() if pool.target is not None)

    async def read(self) -> Fleet:
        """Return the fleet as the API server has it.

        Raises:
            ObservationError: If a target does not exist, cannot be understood or is that of another pool, or
                the API server does not answer (`Unreachable`).
        """
        standby = self._standby()
        reads = (pool.read(is_standby=bool(standby)) for pool in self._pools.values())
        found = await asyncio.gather(*reads, return_exceptions=True)
        states: dict[str, PoolState] = {}
        for name, state in zip(self._pools, found, strict=True):
            if isinstance(state, ApiError):
                raise unread(state) from state
            if isinstance(state, BaseException):
                raise state
            states[name] = state
        self._check_apart()
        return Fleet(at_s=self._clock.now_s(), pools=states, standby=standby)

    async def look(self) -> dict[str, Look]:
        """Return the targets by pool, as they are now.

        Raises:
            ObservationError: As for `read`.
        """
        try:
            return {name: await pool.look() for name, pool in self._pools.items()}
        except ApiError as error:
            raise unread(error) from error

    async def rivals(self, look: Look) -> tuple[str, ...]:
        """Return who else scales a target, in words; nobody where that is allowed."""
        return await self._around.rivalry.of(look.target, look.view)

    async def scale(self, replicas: Replicas) -> None:
        """Ask for these counts; pools that are not named keep theirs, and equal ones are not sent.

        Raises:
            Conflict: If a target is not what was decided on any more.
            Refused: If the API server or a target says no, a count is negative, or there is no such pool.
            Standby: If another process leads.
            ActuationError: If it was not done for another reason.
        """
        self._check(replicas)
        async with self._lock:
            try:
                await self._scale(replicas)
            except ApiError as error:
                raise ActuationError(f"the targets could not be looked at before writing: {error}") from error
            except ObservationError as error:
                raise ActuationError(str(error)) from error

    async def close(self) -> None:
        """Release the connections."""
        await self._around.cache.close()
        await self._api.close()

    def _check(self, replicas: Replicas) -> None:
        for pool in replicas.pools:
            if pool.count < 0:
                raise Refused(
                    f"pool {pool.pool!r} was asked for {pool.count} replicas; expected zero or more"
                )
            if pool.pool not in self._pools:
                known = ", ".join(self._pools)
                raise Refused(f"there is no target for pool {pool.pool!r}; there are targets for {known}")

    def _check_apart(self) -> None:
        """Raise if two pools turn out to be one object: their counts would overwrite each other."""
        meant: dict[tuple[str, str], str] = {}
        for name, pool in self._pools.items():
            if pool.target is None:
                continue
            other = meant.setdefault((pool.target.parent.path, pool.target.part), name)
            if other != name:
                raise ObservationError(
                    f"the pools {other} and {name} are both {name_of_target(pool.target)}; name an object, or"
                    f" a part of one, for each (kubernetes.{other}, kubernetes.{name})"
                )

    async def _scale(self, replicas: Replicas) -> None:
        if any(self._pools[name].decided_on is None for name in replicas):
            await self.read()
        self._check_apart()
        done: list[str] = []
        for name in sorted(replicas, key=lambda name: self._growth(name, replicas)):
            try:
                await self._writing.write(self._pools[name], replicas[name])
            except ActuationError as error:
                if not done:
                    raise
                raise type(error)(f"{', '.join(done)} was asked for; then {error}") from error
            except ApiError as error:
                so_far = f"{', '.join(done)} was asked for; then " if done else ""
                raise ActuationError(f"{so_far}{name} was not written: {error}") from error
            done.append(f"{name}={replicas[name]}")

    def _growth(self, name: str, replicas: Replicas) -> int:
        return replicas[name] - (self._pools[name].decided_on or 0)

    def _standby(self) -> str:
        return self._leader.standby() if self._leader is not None else ""

    def _pool(self, reference: Reference) -> Pool:
        say, resolve = self._options.say, self._options.resolve or self._installed
        return Pool(
            reference.role.value,
            Resolving(reference, resolve, clock=self._clock),
            around=self._around,
            changes=Changes(reference.role.value, say=say),
            settling=Settling(named(reference), say=say),
        )

    async def _installed(self, reference: Reference) -> Target:
        return await resolve_target(self._api, reference)


def _around(api: Api, clock: Clock, options: ActuatorOptions) -> Around:
    mirrors = MirrorOptions(resync_s=options.resync_s, say=options.say)
    cache = Cache(api, clock=clock, options=mirrors)
    return Around(
        cache=cache,
        basis=Basis(),
        groups=PodGroups(api, cache, clock=clock, say=options.say),
        rivalry=Rivalry(options.find_rivals, clock=clock, say=options.say),
        clock=clock,
        unschedulable_grace_s=options.unschedulable_grace_s,
    )


def _missing_rule(look: Look, write: Write) -> str:
    """Return the right that a write needs, in words, as the target states it."""
    plural, part = write.key.resource.plural, write.key.subresource
    resource = f"{plural}/{part}" if part else plural
    for rule in look.target.rules():
        if rule.resource == resource and "patch" in rule.verbs:
            return _rule(rule)
    return f"patch {resource} in the API group {write.key.resource.group or 'core'}"


def _rule(rule: Rule) -> str:
    only = f" named {', '.join(rule.names)}" if rule.names else ""
    return f"{', '.join(rule.verbs)} {rule.resource}{only} in the API group {rule.group or 'core'}"
