"""What a scale target is: where it stands, what it says of itself, and how its replicas are written.

A target is a pure reader and writer of JSON: it names the objects that it needs, reads them into a
`TargetView`, and turns a count into a `Write`. Who fetches, watches and sends is not its business. Third
parties register theirs in the entry-point group `setpoint.targets` (docs/writing-a-target.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from config.policy import Role
from connectors.base import PoolHold
from connectors.kubernetes.api import Api, Json, Patch, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKey:
    """One object, or its scale subresource."""

    resource: Resource
    namespace: str
    name: str
    subresource: str = ""

    @property
    def path(self) -> str:
        """Return where the API serves it."""
        return self.resource.path(self.namespace, self.name, self.subresource)

    @property
    def whole(self) -> "ObjectKey":
        """Return the object itself, of which this may be a subresource."""
        return replace(self, subresource="")

    def __str__(self) -> str:
        """Return it as people name it, such as `deployment decode`."""
        return f"{self.resource.kind.lower()} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A right that is needed, as a Role grants it.

    Attributes:
        group: API group; empty is the core group.
        resource: Plural, with `/scale` where a subresource is meant.
        verbs: What is done.
        why: What for, in words.
        names: The only objects it is needed for; empty is all.
        is_needed: False if Setpoint does without, less well.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()
    is_needed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """What the objects of a target say of one pool.

    Attributes:
        desired: Replicas that were asked for.
        version: `resourceVersion` of the object that a write goes to.
        pod_selector: Label selector of the pods; empty if the target does not say.
        pod_owner: What makes the pods, by itself or through a ReplicaSet; selected pods that somebody else
            makes do not count. None if the selector suffices.
        pods_per_engine: Pods of one replica.
        gpus_per_engine: GPUs of one replica; None if the pod templates do not say (docs: never assumed).
        ready: Ready replicas as the controller counts them, for where pods may not be read; None if unsaid.
        existing: Replicas that exist, as the controller counts them; None if unsaid.
        is_observed: False while the controller has not seen the last change of the spec.
        hold: Paused, or rolling out, as the object says.
        rivals: Other writers that the object itself shows, in words.
        least: The target's own lower limit.
        most: The target's own upper limit.
        grace_s: Termination grace period of its pods.
        trouble: What a condition of the object says is wrong, in words.
        secrets: Names of the secrets that its pods need.
        arguments: Command line words of its engines, for the served model's name.
    """

    desired: int
    version: str
    pod_selector: str = ""
    pod_owner: ObjectKey | None = None
    pods_per_engine: int = 1
    gpus_per_engine: int | None = None
    ready: int | None = None
    existing: int | None = None
    is_observed: bool = True
    hold: PoolHold | None = None
    rivals: tuple[str, ...] = ()
    least: int = 0
    most: int | None = None
    grace_s: float | None = None
    trouble: str = ""
    secrets: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One change of replicas; it carries the resource version that it was decided on.

    Attributes:
        key: The object that is written.
        body: The patch.
        kind: Its content type.
        on_missing: What is sent instead where that object does not exist (404, and only then).
    """

    key: ObjectKey
    body: object
    kind: Patch
    on_missing: "Write | None" = None


Objects = Mapping[ObjectKey, Json]


class Target(Protocol):
    """One pool's scale target."""

    @property
    def role(self) -> Role:
        """The pool's role."""
        ...

    @property
    def parent(self) -> ObjectKey:
        """The object that people name: Events are written on it, the pause annotation is read from it."""
        ...

    @property
    def part(self) -> str:
        """The service, role or group inside the parent; empty if the object is the pool."""
        ...

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the objects that `view` reads; one with a subresource is read when the parent changes."""
        ...

    def view(self, objects: Objects) -> TargetView:
        """Read the pool; an object that does not exist is absent from `objects`.

        Raises:
            Malformed: If an object is not there that must be, or does not have the shape of its kind.
        """
        ...

    def write(self, objects: Objects, count: int) -> Write:
        """Return what sets the replicas, for the objects as they were read.

        Raises:
            Refused: If this count may never be asked for (zero for a model that then vanishes, say).
            Malformed: As for `view`.
        """
        ...

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights that reading and writing it need."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A target as the user names it: `kind/name:part`, or `kind?label=value:part`.

    Attributes:
        kind: Kind, plural or short name, lower case, with `.version.group` or `.group` if given.
        name: Name of the object; empty if it is selected by labels.
        selector: Label selector; empty if it is named.
        part: Service, role or group inside the object; empty if not given.
        namespace: Where it is.
        role: What its engines do.
        key: The setting that named it, for errors.
    """

    kind: str
    name: str
    namespace: str
    role: Role
    selector: str = ""
    part: str = ""
    key: str = ""


class TargetBuilder(Protocol):
    """What an entry point of the group `setpoint.targets` names; its name is the kind in lower case."""

    async def __call__(self, reference: Reference, api: Api) -> Target:
        """Find out what has to be asked only once: the served version, the object that labels select.

        Raises:
            ConfigError: If the reference cannot mean anything (an unknown part, several objects).
            ApiError: If the API server does not answer, or there is no such object or kind.
        """
        ...
