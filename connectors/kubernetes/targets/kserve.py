"""KServe InferenceService whose predictor is a plain Deployment (mode Standard, earlier RawDeployment).

The fields are those of `serving.kserve.io/v1beta1`. Who sets the replicas is said by the annotation
`serving.kserve.io/autoscalerClass`: with `external` nobody does, and the child Deployment is scaled; with
`none` KServe writes `minReplicas` into the child, and that is what is set; with `hpa` (the default) or `keda`
another autoscaler does. In Knative's mode replicas are nobody's to set.
"""

from dataclasses import dataclass, replace

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Api, Json
from connectors.kubernetes.meta import hold_of, is_observed, member, number, number_or_one, text, version_of
from connectors.kubernetes.objects import locate, optional, refuse_part, required, speaking_of
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
from connectors.kubernetes.targets import workload
from connectors.kubernetes.writes import by_merge, require_count, to_patch, to_read

GROUP = "serving.kserve.io"
_CLASS = "serving.kserve.io/autoscalerClass"
_MODE = "serving.kserve.io/deploymentMode"
_STOP = "serving.kserve.io/stop"
_PLAIN_MODES = frozenset({"", "Standard", "RawDeployment"})
_EXTERNAL = "external"
_NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceService:
    """The predictor of an InferenceService as a pool.

    Attributes:
        role: What its engines do.
        parent: The service.
        child: The Deployment of its predictor.
        is_stated: Whether the replicas were stated in the service when the target was found, for its rights.
    """

    role: Role
    parent: ObjectKey
    child: Target
    is_stated: bool
    part: str = ""

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the service and its Deployment."""
        return (self.parent, *self.child.needs())

    def view(self, objects: Objects) -> TargetView:
        """Read the predictor.

        Raises:
            Malformed: If the service is not there, or has no Deployment.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            predictor = member(item, "spec", "predictor")
            seen = self._child_view(objects, item)
            if _class_of(item) == _NONE:
                most = number(predictor, "maxReplicas")
                seen = replace(
                    seen,
                    desired=number_or_one(predictor, "minReplicas"),
                    version=version_of(item),
                    most=most or seen.most,
                )
            return replace(
                seen,
                is_observed=seen.is_observed and is_observed(item),
                hold=hold_of(item, self.role) or stopped(item) or _unfit(item) or seen.hold,
                rivals=(*seen.rivals, *_rivals(item)),
            )

    def write(self, objects: Objects, count: int) -> Write:
        """Set `minReplicas` where KServe enforces it, else the Deployment's scale.

        Raises:
            Refused: If the count is negative.
            Malformed: As for `view`, or if the service runs on Knative by now.
        """
        require_count(count, least=0, of=self.parent)
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            if _class_of(item) != _NONE:
                return self.child.write(objects, count)
            return by_merge(self.parent, version=version_of(item), spec={"predictor": {"minReplicas": count}})

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read service and Deployment, and to patch the one that is written."""
        read = to_read(self.parent, f"read {self.parent}")
        if not self.is_stated:
            return (*read, *self.child.rules())
        seen = (rule for rule in self.child.rules() if "patch" not in rule.verbs)
        return (*read, to_patch(self.parent, f"set minReplicas of {self.parent}"), *seen)

    def _child_view(self, objects: Objects, item: Json) -> TargetView:
        if optional(objects, self.child.parent) is not None:
            return self.child.view(objects)
        if _class_of(item) == _NONE:
            return TargetView(desired=0, version="")
        raise Malformed(
            f"expected its {self.child.parent}, found none; does it run in KServe's mode Standard, as its"
            f" annotation {_MODE} has to say?"
        )


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a predictor.

    Raises:
        ConfigError: If a part is named, the service runs on Knative, or an engine has several nodes.
        ApiError: If the API server does not answer, or there is no such service.
    """
    refuse_part(reference, why="only the predictor of an InferenceService is scaled")
    parent = await locate(api, reference, group=GROUP)
    item = await api.get(parent.path)
    if unfit := _unfit_for_good(item):
        raise ConfigError(
            f"{named(reference)}: {unfit}",
            key=reference.key,
            hint=f"annotate it with {_MODE}: Standard and {_CLASS}: external",
        )
    child = replace(reference, kind="deployment", name=f"{parent.name}-predictor", selector="")
    return InferenceService(
        role=reference.role,
        parent=parent,
        child=await workload.build(child, api),
        is_stated=_class_of(item) == _NONE,
    )


def stopped(item: Json) -> PoolHold | None:
    """Return the hold of a service of KServe's that is told to stop; None if it is not."""
    if text(item, "metadata", "annotations", _STOP).lower() != "true":
        return None
    return PoolHold(kind=HoldKind.PAUSED, why=f"KServe is told to stop it (annotation {_STOP})")


def _class_of(item: Json) -> str:
    return text(item, "metadata", "annotations", _CLASS) or "hpa"


def _unfit_for_good(item: Json) -> str:
    mode = text(item, "metadata", "annotations", _MODE) or text(item, "status", "deploymentMode")
    if mode not in _PLAIN_MODES:
        return f"it runs in KServe's mode {mode}, in which nobody outside may set replicas"
    if "workerSpec" in member(item, "spec", "predictor"):
        return "its predictor spans nodes (workerSpec), which KServe does not scale"
    return ""


def _unfit(item: Json) -> PoolHold | None:
    unfit = _unfit_for_good(item)
    return PoolHold(kind=HoldKind.RIVAL, why=unfit) if unfit else None


def _rivals(item: Json) -> tuple[str, ...]:
    found = _class_of(item)
    if found in {_EXTERNAL, _NONE}:
        return ()
    return (f"KServe has {found} set the replicas; annotate the service with {_CLASS}: external",)
