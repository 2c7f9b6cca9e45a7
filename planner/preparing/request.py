"""A DynamoGraphDeploymentRequest of either version: how far is it, why did it fail, what did it make?

v1alpha1 tells a `state`, v1beta1 a `phase`. What the profiler generated is in the status, in an annotation of
newer operators, or in the ConfigMap `dgdr-output-NAME`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from config.dynamo.nodes import Source
from config.errors import ConfigError
from connectors.kubernetes.api import Json
from connectors.kubernetes.meta import conditions_of, member, name_of, text
from planner.preparing.graph import is_graph
from planner.preparing.text import Tree, trees

PLURAL = "dynamographdeploymentrequests"
_KIND = "DynamoGraphDeploymentRequest"
LABEL = "dgdr.nvidia.com/name"
GENERATED = "nvidia.com/generated-dgd-spec"
_FAILED = frozenset({"Failed", "DeploymentDeleted"})
_DONE = frozenset({"Ready", "Deployed"})
_DEPLOYING = "Deploying"
_PREFIXES = ("profile-", "profile-online-", "profile-aic-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Which request it is.

    Attributes:
        namespace: Its namespace.
        name: Its name.
    """

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How far a request is.

    Attributes:
        state: In the operator's word; `Initializing` where it has not said anything yet.
        detail: Which part of the profiling is done; empty if it does not say.
    """

    state: str
    detail: str = ""

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.state} ({self.detail})" if self.detail else self.state

    @property
    def is_failed(self) -> bool:
        """Whether nothing will come of it."""
        return self.state in _FAILED

    @property
    def is_done(self) -> bool:
        """Whether it has done what it was asked for."""
        return self.state in _DONE

    @property
    def is_deploying(self) -> bool:
        """Whether its deployment is being made, or is not healthy at the moment."""
        return self.state == _DEPLOYING


def stage_of(request: Json) -> Stage:
    """Return how far a request is.

    Raises:
        Malformed: If it does not have the shape of its kind.
    """
    status = member(request, "status")
    state = text(status, "phase") or text(status, "state") or "Initializing"
    return Stage(state=state, detail=text(status, "profilingPhase") if state == "Profiling" else "")


def reasons(request: Json) -> tuple[str, ...]:
    """Return what the conditions of a request say is wrong, the last first.

    Raises:
        Malformed: If it does not have the shape of its kind.
    """
    found = conditions_of(request).items()
    wrong = [f"{kind}: {one.words}" for kind, one in found if one.is_false and one.words]
    # Newer operators repeat the decisive one as the condition of the whole.
    decisive = [line for line in wrong if not line.startswith("Succeeded: ")]
    return tuple(reversed(decisive or wrong))


def jobs_of(request: Json) -> tuple[str, ...]:
    """Return what its profiling job may be called."""
    named = text(request, "status", "profilingJobName")
    return (named,) if named else tuple(f"{prefix}{name_of(request)}" for prefix in _PREFIXES)


def output_map(request: Json) -> str:
    """Return what the ConfigMap of its output is called."""
    return f"dgdr-output-{name_of(request)}"


def deployment_of(request: Json) -> tuple[str, str]:
    """Return name and namespace of its deployment; empty where it does not say.

    Raises:
        Malformed: If it does not have the shape of its kind.
    """
    status = member(request, "status")
    deployment = member(status, "deployment")
    name = text(deployment, "name") or text(status, "dgdName")
    return name, text(deployment, "namespace") or (text(request, "metadata", "namespace") if name else "")


def generated_of(request: Json, output: Json) -> tuple[Tree, ...]:
    """Return what the profiler generated for a request: the deployment, and what belongs to it.

    Args:
        request: The request.
        output: The ConfigMap of its output; empty if there is none.

    Raises:
        Malformed: If it does not have the shape of its kind.
        ConfigError: If what is there is no YAML.
    """
    for objects in _generated(request, output):
        if any(is_graph(one) for one in objects):
            return objects
    return ()


def generated_in(objects: Sequence[Tree]) -> tuple[Tree, ...]:
    """Return the objects of a file; of a request or of a profiler's ConfigMap, what was generated.

    Raises:
        Malformed: If a request does not have the shape of its kind.
        ConfigError: If what was generated is no YAML.
    """
    if any(is_graph(one) for one in objects):
        return tuple(objects)
    for one in objects:
        kind = one.get("kind")
        found = (
            generated_of(one, {}) if kind == _KIND else generated_of({}, one) if kind == "ConfigMap" else ()
        )
        if found:
            return found
    return tuple(objects)


def _generated(request: Json, output: Json) -> Iterator[tuple[Tree, ...]]:
    status = member(request, "status")
    for found in (status.get("generatedDeployment"), _selected(status)):
        if isinstance(found, dict):
            yield (found,)
    written = text(request, "metadata", "annotations", GENERATED)
    if written:
        yield tuple(trees(Source(name=f"annotation {GENERATED} of {name_of(request)}", text=written)))
    for key, value in member(output, "data").items():
        if key.endswith((".yaml", ".yml", ".json")) and isinstance(value, str):
            yield _documents(value, f"ConfigMap {name_of(output)}: {key}")


def _selected(status: Json) -> object:
    # In v1alpha1 this field is a text that names a ConfigMap.
    results = status.get("profilingResults")
    return results.get("selectedConfig") if isinstance(results, dict) else None


def _documents(value: str, name: str) -> tuple[Tree, ...]:
    if "DynamoGraphDeployment" not in value:
        return ()
    try:
        return tuple(trees(Source(name=name, text=value)))
    except ConfigError as error:
        raise ConfigError(f"what the profiler generated cannot be read: {error}", key=name) from None
