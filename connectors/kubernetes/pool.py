"""What is the state of one pool?

It finds the target, reads its objects and its pods from the cache, and remembers what a decision will be made
on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from config.clock import Clock
from config.errors import Malformed, Refused
from connectors.base import HoldKind, PoolState
from connectors.kubernetes.api import ApiError, Json
from connectors.kubernetes.authors import Changes
from connectors.kubernetes.basis import Basis
from connectors.kubernetes.builtin import PODS
from connectors.kubernetes.cache import Cache
from connectors.kubernetes.engines import (
    Findings,
    engines_in,
    gpus_in,
    own_pods,
    said_by,
    state_of_pool,
)
from connectors.kubernetes.listing import Listing
from connectors.kubernetes.pods import Engines
from connectors.kubernetes.podstate import Patience, Trouble, bare
from connectors.kubernetes.resolving import Resolving
from connectors.kubernetes.rivalry import Rivalry
from connectors.kubernetes.scheduling import PodGroups
from connectors.kubernetes.settle import Settling
from connectors.kubernetes.target import ObjectKey, Target, TargetView


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the pools of a deployment share.

    Attributes:
        cache: What the objects look like.
        basis: What was decided on.
        groups: What a scheduler of groups has no room for.
        rivalry: Who else scales the same targets.
        clock: Where time comes from.
        unschedulable_grace_s: So long a pod that no node has room for counts as starting.
    """

    cache: Cache
    basis: Basis
    groups: PodGroups
    rivalry: Rivalry
    clock: Clock
    unschedulable_grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A target as it was seen.

    Attributes:
        target: The target.
        objects: Its objects.
        view: What they say, and what was written where it may not be read.
    """

    target: Target
    objects: Mapping[ObjectKey, Json]
    view: TargetView

    @property
    def shown(self) -> int:
        """The replicas that the objects themselves say."""
        return self.target.view(self.objects).desired

    def shows(self, key: ObjectKey) -> bool:
        """Tell whether an object, or the one that it is a subresource of, may be read."""
        return key in self.objects or replace(key, subresource="") in self.objects


class Pool:
    """One pool of engines and its target.

    Args:
        name: Its name.
        resolving: Finds its target.
        around: What it shares with the others.
        changes: What others do to it.
        settling: Whether it follows.
    """

    def __init__(
        self, name: str, resolving: Resolving, *, around: Around, changes: Changes, settling: Settling
    ) -> None:
        self.name, self.changes = name, changes
        self._resolving, self._around, self._settling = resolving, around, settling
        self._gpus: int | None = None
        self._state: PoolState | None = None
        self._decided_on: int | None = None

    @property
    def target(self) -> Target | None:
        """The target, if it was found."""
        return self._resolving.found

    @property
    def decided_on(self) -> int | None:
        """The replicas that were asked for when the next write was decided; None if it was never read."""
        return self._decided_on

    async def look(self) -> Look:
        """Return the target as it is now.

        Raises:
            ObservationError: If it does not exist, or says what cannot be understood.
            ApiError: If the API server does not answer.
        """
        target = await self._resolving.target()
        needs = target.needs()
        objects = await self._around.cache.objects(needs, needed=target.parent)
        if target.parent in needs and target.parent not in objects:
            self._resolving.vanished()
            await self._resolving.target()
        try:
            view = self.changes.pending.seen(target.view(objects))
        except Malformed:
            self._resolving.doubted()
            raise
        self._resolving.understood()
        return Look(target=target, objects=objects, view=view)

    async def read(self, *, is_standby: bool) -> PoolState:
        """Return the state of the pool, on which the next write is decided.

        Raises:
            ObservationError: If it cannot be told.
            ApiError: If the API server does not answer.
        """
        now_s = self._around.clock.now_s()
        self.changes.lose_patience(now_s)
        look = await self.look()
        view = look.view
        self._around.basis.take(look.objects)
        self._settling.read(view, now_s=now_s)
        author = await self._author(look) if self.changes.is_news(view.desired) else ""
        self.changes.read(view.desired, author=author, now_s=now_s, is_standby=is_standby)
        self.changes.saw(look.objects.values())
        rivals = await self._around.rivalry.hold(look.target, view)
        found = Findings(
            engines=await self._engines(look),
            gpus_per_engine=view.gpus_per_engine or self._gpus,
            hold=view.hold or rivals or self.changes.hold(now_s),
            target=name_of_target(look.target),
        )
        self._state, self._decided_on = state_of_pool(view, found), view.desired
        return self._state

    def wrote(self, count: int) -> None:
        """Take note of what we wrote."""
        self._decided_on = count
        self.changes.wrote(count)

    def wrote_unseen(self, look: Look, count: int) -> None:
        """Take note of a write into an object that we may not read, by what was seen before it."""
        self.changes.pending.wrote(count, shown=look.shown, now_s=self._around.clock.now_s())

    def is_held_anew(self, view: TargetView) -> str:
        """Return why the pool may not be written although the decision did not know; empty if it may."""
        hold = view.hold
        if hold is None:
            return ""
        known = self._state.hold if self._state is not None else None
        is_known = known is not None and known.kind is hold.kind and hold.kind is not HoldKind.PAUSED
        return "" if is_known else hold.why

    async def _author(self, look: Look) -> str:
        """Return who wrote the replicas: into the object that we would write to."""
        try:
            key = look.target.write(look.objects, max(look.view.desired, 1)).key
        except Refused:
            key = look.target.parent
        whole = replace(key, subresource="")
        objects = await self._around.cache.objects((whole,), needed=look.target.parent)
        return self.changes.author(objects.get(whole) or look.objects.get(look.target.parent, {}))

    async def _engines(self, look: Look) -> Engines:
        parent, view = look.target.parent, look.view
        if not view.pod_selector:
            return said_by(view, name=str(parent))
        listing = Listing(path=PODS.path(parent.namespace), selector=view.pod_selector, kept=bare)
        try:
            pods = own_pods(await self._around.cache.listed(listing), view)
        except ApiError as error:
            if not error.is_forbidden:
                raise
            return said_by(view, name=str(parent))
        odd = _odd(view, parent) if not pods else ""
        if self._settling.is_odd_for_long(odd, now_s=self._around.clock.now_s()):
            return said_by(view, name=str(parent))
        if odd:
            # One of the two is not about now: nothing is made of engines that may be there after all.
            raise Malformed(f"{odd}; it is looked at again")
        if view.gpus_per_engine is None and pods:
            self._gpus = gpus_in(pods, pods_per_engine=view.pods_per_engine) or self._gpus
        patience = await self._patience(pods, namespace=parent.namespace)
        return engines_in(pods, pods_per_engine=view.pods_per_engine, patience=patience)

    async def _patience(self, pods: tuple[Json, ...], *, namespace: str) -> Patience:
        groups: Mapping[str, Trouble] = await self._around.groups.unplaced(pods, namespace=namespace)
        return Patience(
            now_wall_s=self._around.clock.wall_s(),
            grace_s=self._around.unschedulable_grace_s,
            groups=groups,
        )


def _odd(view: TargetView, parent: ObjectKey) -> str:
    if not (view.desired and view.ready):
        return ""
    return (
        f"{parent} counts {view.ready} ready replicas, and no pod of its own has the labels"
        f" {view.pod_selector}"
    )


def name_of_target(target: Target) -> str:
    """Return what people call a target: its object, and the part of it that is the pool."""
    return f"{target.parent}:{target.part}" if target.part else str(target.parent)
