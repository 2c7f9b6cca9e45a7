"""KServe LLMInferenceService: its decode (or only) pool, or its prefill pool.

The fields are those of `serving.kserve.io/v1alpha2`, served as v1alpha1, too. Where the service states a
number of replicas, its controller enforces it, so that it is written there. Where it states none, the
controller keeps whatever the child has, and the child is scaled: a Deployment, or a LeaderWorkerSet for
engines of several nodes. The templates that the child has are the ones merged from all presets.
"""

from dataclasses import dataclass, replace

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.builtin import DEPLOYMENTS
from connectors.kubernetes.meta import (
    condition_of,
    hold_of,
    is_observed,
    member,
    number,
    text,
    version_of,
)
from connectors.kubernetes.objects import (
    locate,
    optional,
    read_if_allowed,
    refuse_part,
    required,
    speaking_of,
)
from connectors.kubernetes.reference import named
from connectors.kubernetes.target import (
    ObjectKey,
    Objects,
    Reference,
    Rule,
    Target,
    TargetView,
    Write,
)
from connectors.kubernetes.targets import leaderworkerset, workload
from connectors.kubernetes.targets.kserve import GROUP, stopped
from connectors.kubernetes.writes import by_merge, require_count, to_patch, to_read


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmService:
    """One pool of an LLMInferenceService.

    Attributes:
        role: What its engines do.
        parent: The service.
        child: The Deployment or LeaderWorkerSet that the controller makes for the pool.
        states_replicas: Whether the service stated a number when the target was found, for its rights.
    """

    role: Role
    parent: ObjectKey
    child: Target
    states_replicas: bool

    @property
    def part(self) -> str:
        """The section of the prefill pool; empty for the decode or only one."""
        return "prefill" if self.role is Role.PREFILL else ""

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the service and its child."""
        return (self.parent, *self.child.needs())

    def view(self, objects: Objects) -> TargetView:
        """Read the pool.

        Raises:
            Malformed: If the service is not there, or states no number and has no child.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            section = self._section(item)
            self._check_child(item)
            stated = number(section, "replicas")
            seen = self._child_view(objects, stated)
            if stated is not None:
                seen = replace(seen, desired=stated, version=version_of(item))
            return replace(
                seen,
                is_observed=seen.is_observed and is_observed(item),
                hold=hold_of(item, self.role) or stopped(item) or seen.hold,
                rivals=(*seen.rivals, *_rivals(section)),
                trouble=seen.trouble or self._trouble(item),
            )

    def write(self, objects: Objects, count: int) -> Write:
        """Set the replicas where they are stated, else in the child's scale.

        Raises:
            Refused: If the count is negative.
            Malformed: As for `view`.
        """
        require_count(count, least=0, of=self.parent)
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            if number(self._section(item), "replicas") is None:
                return self.child.write(objects, count)
            spec: Json = {"replicas": count}
            return by_merge(
                self.parent, version=version_of(item), spec={self.part: spec} if self.part else spec
            )

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read the service and its child, and to patch the one that is written."""
        read = to_read(self.parent, f"read {self.parent}")
        if not self.states_replicas:
            return (*read, *self.child.rules())
        seen = (rule for rule in self.child.rules() if "patch" not in rule.verbs)
        return (*read, to_patch(self.parent, f"set the replicas of {self.parent}"), *seen)

    def _section(self, item: Json) -> Json:
        return member(item, "spec", self.part) if self.part else member(item, "spec")

    def _check_child(self, item: Json) -> None:
        """Raise if the controller runs the pool as something else by now: it has to be looked for anew."""
        child, found = self.child.parent, _workload_of(item, self.role)
        if found is None and bool(self._section(item).get("worker")):
            found = (leaderworkerset.KIND, child.name)
        if found is not None and found != (child.resource.kind, child.name):
            raise Malformed(f"it runs as the {' '.join(found)} by now, expected its {child}")

    def _child_view(self, objects: Objects, stated: int | None) -> TargetView:
        """Read the child, which need not be there where the service states what is wanted."""
        if stated is not None and optional(objects, self.child.parent) is None:
            return TargetView(desired=stated, version="")
        return self.child.view(objects)

    def _trouble(self, item: Json) -> str:
        kinds = ("PrefillWorkloadReady", "PrefillWorkerWorkloadReady")
        if not self.part:
            kinds = ("MainWorkloadReady", "WorkerWorkloadReady")
        bad = [found.words for kind in kinds if (found := condition_of(item, kind)).is_false]
        return next((words for words in bad if words), "")


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for the pool of the reference's role.

    Raises:
        ConfigError: If a part is named, the service has no prefill section, or another kind of child.
        ApiError: If the API server does not answer, or there is no such service.
    """
    refuse_part(reference, why="the setting, prefill or decode, says which pool is meant")
    parent = await locate(api, reference, group=GROUP)
    item = await api.get(parent.path)
    is_prefill = reference.role is Role.PREFILL
    if is_prefill and "prefill" not in member(item, "spec"):
        raise ConfigError(
            f"{named(reference)} has no prefill pool (spec.prefill)",
            key=reference.key,
            hint="name it for the decode pool only",
        )
    section = member(item, "spec", "prefill") if is_prefill else member(item, "spec")
    return LlmService(
        role=reference.role,
        parent=parent,
        child=await _child(reference, api, parent, item),
        states_replicas=number(section, "replicas") is not None,
    )


async def _child(reference: Reference, api: Api, parent: ObjectKey, item: Json) -> Target:
    is_prefill = reference.role is Role.PREFILL
    section = member(item, "spec", "prefill") if is_prefill else member(item, "spec")
    tail = "-prefill" if is_prefill else ""
    one, many = f"{parent.name}-kserve{tail}", f"{parent.name}-kserve-mn{tail}"
    stated = _workload_of(item, reference.role)
    if stated is None:
        several = bool(section.get("worker")) or await _is_several(api, reference, one=one, many=many)
        stated = (leaderworkerset.KIND, many) if several else (DEPLOYMENTS.kind, one)
    kind, name = stated
    builders = {DEPLOYMENTS.kind: workload.build, leaderworkerset.KIND: leaderworkerset.build}
    if kind not in builders:
        raise ConfigError(
            f"{named(reference)} runs as the {kind} {name}, which is not scaled through the service",
            key=reference.key,
            hint=f"name that, or its role scaler: {kind.lower()}/{name}",
        )
    child = replace(reference, kind=kind.lower(), name=name, selector="")
    return await builders[kind](child, api)


def _workload_of(item: Json, role: Role) -> tuple[str, str] | None:
    """Return kind and name of what the controller says that it runs a pool as; None if it does not say."""
    stated = member(item, "status", "workloads", "prefill" if role is Role.PREFILL else "primary")
    kind, name = text(stated, "kind"), text(stated, "name")
    return (kind, name) if kind and name else None


async def _is_several(api: Api, reference: Reference, *, one: str, many: str) -> bool:
    """Tell whether the pool is a LeaderWorkerSet although the service does not say so: its presets may.

    What may not be read counts as not there, since rights are given for the child that there is.
    """
    if await read_if_allowed(api, DEPLOYMENTS.path(reference.namespace, one)) is not None:
        return False
    child = replace(reference, kind=leaderworkerset.KIND.lower(), name=many, selector="")
    try:
        found = await leaderworkerset.build(child, api)
        return await read_if_allowed(api, found.parent.path) is not None
    except ApiError as error:
        if error.is_missing:
            return False
        raise


def _rivals(section: Json) -> tuple[str, ...]:
    if not member(section, "scaling"):
        return ()
    return ("KServe's own autoscaling sets the replicas; remove the section scaling",)
