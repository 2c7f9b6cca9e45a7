"""Reading what `monitors` judges, and the verdict on it."""

from collections.abc import Iterable

from config.errors import ObservationError
from config.settings import SourceKind
from connectors.kubernetes.api import ApiError, Json
from connectors.kubernetes.builtin import NAMESPACES, PODS, SERVICES
from connectors.kubernetes.meta import name_of
from connectors.prometheus.inquiries import Inquiries
from planner.doctor.findings import Sign, fail, ok, skip, warn
from planner.doctor.kinds import Served, served_kinds
from planner.doctor.monitors import (
    POD,
    SERVICE,
    Monitor,
    Scene,
    choosy,
    flags_for,
    names,
    plain,
    refused,
    taken,
)
from planner.doctor.patient import Patient
from planner.doctor.pieces import DYNAMO, MONITORING
from planner.doctor.records import Records, labels_of

_FRONTEND = {"nvidia.com/dynamo-component-type": "frontend"}
# What the pods of deploy/ have: that Prometheus takes our own monitor says nothing of the frontend's.
_OURS = {"app.kubernetes.io/name": "setpoint"}
_PLURALS = {POD: "podmonitors", SERVICE: "servicemonitors"}


async def check_monitors(patient: Patient) -> Sign:
    """Compare the selectors of each Prometheus with the monitors that are about the frontend."""
    if patient.settings.source is not SourceKind.PROMETHEUS:
        return skip("metrics are not read from Prometheus")
    scene = await _scene(patient)
    if scene is None or not scene.prometheuses:
        return skip("no Prometheus is run by the Prometheus operator here; see whether series arrive")
    return judge_monitors(scene, arrives=await _arrives(patient), of_dynamo=patient.uses_dynamo)


def judge_monitors(scene: Scene, *, arrives: bool, of_dynamo: bool) -> Sign:
    """Say whether some Prometheus would scrape the frontend.

    Args:
        scene: What is there.
        arrives: Whether the series of a frontend arrive already, by whatever way.
        of_dynamo: Whether Dynamo's operator would make the monitors.
    """
    if not scene.pods:
        return _before(scene)
    covering = scene.covering
    if found := taken(scene, covering):
        return (
            ok(f"{len(covering)} monitors are about the frontend", *found) if len(found) > 1 else ok(found[0])
        )
    say = warn if arrives else fail
    if not covering:
        makes = f"restart the operator of {DYNAMO.name} (it makes them where the kinds exist), or "
        return say(
            f"no PodMonitor or ServiceMonitor selects the frontend's pods in {scene.namespace}",
            *_all_the_same(arrives=arrives),
            todo=f"{makes if of_dynamo else ''}make a PodMonitor for the pods that serve",
        )
    return say(
        f"no Prometheus takes the monitors of the frontend ({names(covering)})",
        *refused(scene, covering),
        *_all_the_same(arrives=arrives),
        todo=flags_for(scene, covering),
    )


def _all_the_same(*, arrives: bool) -> tuple[str, ...]:
    return ("series of a frontend arrive all the same: somebody else scrapes it",) if arrives else ()


def _before(scene: Scene) -> Sign:
    """Judge before there is anything to scrape: a plain PodMonitor should be taken."""
    if not (why := choosy(scene)):
        return ok("Prometheus takes every PodMonitor; there are no pods to scrape yet")
    return warn(
        "Prometheus would leave out a PodMonitor without special labels",
        *why,
        todo=flags_for(scene, (plain(scene),)),
    )


async def _arrives(patient: Patient) -> bool:
    if patient.prometheus is None:
        return False
    frontends = Inquiries(patient.dialect, patient.scope).frontends
    try:
        return bool((await patient.prometheus.query(frontends)).series)
    except ObservationError:
        return False


async def _scene(patient: Patient) -> Scene | None:
    records, namespace = patient.records, patient.namespace
    served = next(one for one in await served_kinds(records) if one.piece.name == MONITORING.name)
    if not served.is_there:
        return None
    monitors = [
        Monitor(kind=kind, item=item)
        for kind, plural in _PLURALS.items()
        if plural in served.versions
        for item in await _widely(records, served, namespace, plural)
    ]
    pods = await records.listed(PODS.path(namespace))
    return Scene(
        namespace=namespace,
        pods=serving(pods, of_dynamo=patient.uses_dynamo),
        services=await records.listed(SERVICES.path(namespace)),
        monitors=tuple(monitors),
        prometheuses=await records.listed(served.path(MONITORING.plurals[0])),
        namespaces={name_of(one): labels_of(one) for one in await records.listed(NAMESPACES.path(None))},
    )


def serving(pods: Iterable[Json], *, of_dynamo: bool) -> tuple[Json, ...]:
    """Return the frontends among pods; elsewhere than with Dynamo all that may be one, which we are not.

    Args:
        pods: All pods of the namespace.
        of_dynamo: Whether frontends have Dynamo's label for sure.
    """
    known = [(pod, labels_of(pod).items()) for pod in pods]
    frontends = tuple(pod for pod, labels in known if labels >= _FRONTEND.items())
    others = tuple(pod for pod, labels in known if not labels >= _OURS.items())
    return frontends or (() if of_dynamo else others)


async def _widely(records: Records, served: Served, namespace: str, plural: str) -> tuple[Json, ...]:
    """Return the objects of all namespaces, or of ours where the others may not be read."""
    try:
        return await records.listed(served.path(plural))
    except ApiError as error:
        if not error.is_forbidden:
            raise
    return await records.listed(served.path(plural, namespace))
