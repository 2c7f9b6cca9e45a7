"""Would Prometheus, as its operator sets it up, scrape the frontend?

A Prometheus takes the PodMonitors and ServiceMonitors whose labels its selector accepts, in the namespaces
that its namespace selector accepts: an absent selector takes none, an absent namespace selector its own
namespace only. The Helm chart's defaults leave out every monitor that it did not install itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from connectors.kubernetes.api import Json
from connectors.kubernetes.meta import member, name_of, text
from planner.doctor.findings import listed
from planner.doctor.records import annotations_of, labels_of
from planner.doctor.selectors import accepts, in_words

POD, SERVICE = "podMonitor", "serviceMonitor"
_KINDS = {POD: "PodMonitor", SERVICE: "ServiceMonitor"}
_OF_NAMESPACE = "NamespaceSelector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """A PodMonitor or a ServiceMonitor."""

    kind: str
    item: Json

    def __str__(self) -> str:
        """Return it in words."""
        return f"{_KINDS[self.kind]} {text(self.item, 'metadata', 'namespace')}/{name_of(self.item)}"

    def covers(self, scene: "Scene") -> bool:
        """Tell whether it is about the pods that are looked at."""
        if not self._is_about(scene.namespace):
            return False
        selector = member(self.item, "spec", "selector")
        if self.kind == POD:
            return any(accepts(selector, labels_of(pod)) for pod in scene.pods)
        chosen = [one for one in scene.services if accepts(selector, labels_of(one))]
        return any(_serves(service, pod) for service in chosen for pod in scene.pods)

    def _is_about(self, namespace: str) -> bool:
        chosen = member(self.item, "spec", "namespaceSelector")
        if chosen.get("any") is True:
            return True
        names = chosen.get("matchNames") or (text(self.item, "metadata", "namespace"),)
        return namespace in names


def _serves(service: Json, pod: Json) -> bool:
    selector = member(service, "spec", "selector")
    labels = labels_of(pod)
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is to be scraped, and what is there for it.

    Attributes:
        namespace: Where the pods are.
        pods: The pods: frontends, or whatever serves.
        services: The services of that namespace.
        monitors: All monitors that may be about it.
        prometheuses: All Prometheus objects.
        namespaces: Labels of the namespaces that monitors are in.
    """

    namespace: str
    pods: tuple[Json, ...]
    services: tuple[Json, ...]
    monitors: tuple[Monitor, ...]
    prometheuses: tuple[Json, ...]
    namespaces: Mapping[str, Mapping[str, str]]

    @property
    def covering(self) -> tuple[Monitor, ...]:
        """The monitors that are about the pods."""
        return tuple(monitor for monitor in self.monitors if monitor.covers(self))

    def obstacles(self, prometheus: Json, monitor: Monitor) -> tuple[str, ...]:
        """Return why a Prometheus does not take a monitor; empty if it does."""
        spec = member(prometheus, "spec")
        found = []
        selector = spec.get(f"{monitor.kind}Selector")
        if not isinstance(selector, Mapping):
            found.append(f"has no {monitor.kind}Selector, and so takes none")
        elif not accepts(selector, labels_of(monitor.item)):
            found.append(f"its {monitor.kind}Selector takes {in_words(selector)} only")
        if not self._takes_namespace(prometheus, monitor):
            chosen = spec.get(f"{monitor.kind}NamespaceSelector")
            words = in_words(chosen) if isinstance(chosen, Mapping) else "its own"
            found.append(f"its {monitor.kind}NamespaceSelector takes namespaces {words} only")
        return tuple(found)

    def _takes_namespace(self, prometheus: Json, monitor: Monitor) -> bool:
        where = text(monitor.item, "metadata", "namespace")
        chosen = member(prometheus, "spec").get(f"{monitor.kind}NamespaceSelector")
        if not isinstance(chosen, Mapping):
            return where == text(prometheus, "metadata", "namespace")
        return accepts(chosen, self.namespaces.get(where, {}))


def taken(scene: Scene, monitors: Iterable[Monitor]) -> tuple[str, ...]:
    """Return which Prometheus takes which of the monitors, in words."""
    return tuple(
        f"Prometheus {text(one, 'metadata', 'namespace')}/{name_of(one)} takes {monitor}"
        for one in scene.prometheuses
        for monitor in monitors
        if not scene.obstacles(one, monitor)
    )


def refused(scene: Scene, monitors: Iterable[Monitor]) -> tuple[str, ...]:
    """Return why no Prometheus takes any of the monitors, in words."""
    return tuple(
        f"Prometheus {text(one, 'metadata', 'namespace')}/{name_of(one)} leaves out {monitor}:"
        f" {' and '.join(why)}"
        for one in scene.prometheuses
        for monitor in monitors
        if (why := scene.obstacles(one, monitor))
    )


def flags_for(scene: Scene, monitors: Iterable[Monitor]) -> str:
    """Return the Helm command that makes a Prometheus take the monitors: the first, if there are several."""
    one = scene.prometheuses[0]
    flags = [
        flag for monitor in monitors for flag in _flags(one, monitor.kind, scene.obstacles(one, monitor))
    ]
    return " \\\n  ".join((_upgrade(one), *dict.fromkeys(flags)))


def _upgrade(prometheus: Json) -> str:
    """Return the command that changes the chart it is from; Helm writes down which release that is."""
    notes = annotations_of(prometheus)
    name = notes.get("meta.helm.sh/release-name", "prometheus")
    namespace = notes.get("meta.helm.sh/release-namespace") or text(prometheus, "metadata", "namespace")
    return f"helm upgrade {name} prometheus-community/kube-prometheus-stack -n {namespace} --reuse-values"


def _flags(prometheus: Json, kind: str, obstacles: Iterable[str]) -> Iterator[str]:
    """Yield what takes a selector of somebody's away, and has the chart take everything in its place.

    Values that are reused are merged with those that are set, so that an empty selector would change nothing.
    """
    spec = "prometheus.prometheusSpec"
    for why in obstacles:
        if _OF_NAMESPACE in why:
            yield f"--set {spec}.{kind}{_OF_NAMESPACE}=null"
            continue
        own = member(prometheus, "spec", f"{kind}Selector")
        if own and set(member(own, "matchLabels")) != {"release"}:
            yield f"--set {spec}.{kind}Selector=null"
        yield f"--set {spec}.{kind}SelectorNilUsesHelmValues=false"


def choosy(scene: Scene) -> tuple[str, ...]:
    """Return why no Prometheus would take a PodMonitor without special labels; empty if one would."""
    one = plain(scene)
    return () if taken(scene, (one,)) else refused(scene, (one,))


def plain(scene: Scene) -> Monitor:
    """Return a PodMonitor without special labels, as it might come."""
    return Monitor(kind=POD, item={"metadata": {"name": "yours", "namespace": scene.namespace, "labels": {}}})


def names(monitors: Iterable[Monitor]) -> str:
    """Return monitors in words."""
    return listed(map(str, monitors))
