"""Kinds, operators, queues and monitors, as their objects say."""

from dataclasses import replace
from typing import Any

import pytest

from planner.doctor.findings import Verdict
from planner.doctor.kinds import Served, judge_kinds
from planner.doctor.monitoring import judge_monitors, serving
from planner.doctor.monitors import POD, SERVICE, Monitor, Scene
from planner.doctor.operators import judge_operators, program_of
from planner.doctor.pieces import DYNAMO, GROVE, KAI, PIECES
from planner.doctor.queues import judge_queues
from tests.unit.planner.doctor.cases import named

Json = dict[str, Any]


def served(*names: str) -> tuple[Served, ...]:
    return tuple(
        Served(
            piece=piece,
            versions=dict.fromkeys(piece.plurals, ("v1",)) if piece.name in names else {},
        )
        for piece in PIECES
    )


@pytest.mark.parametrize(
    ("there", "needed", "expected", "verdict"),
    [
        pytest.param(("Dynamo",), {"Dynamo"}, set(), Verdict.OK, id="there"),
        pytest.param((), {"Dynamo"}, set(), Verdict.FAIL, id="needed and absent"),
        pytest.param((), set(), {"Dynamo"}, Verdict.WARN, id="absent before anything is deployed"),
        pytest.param((), set(), set(), Verdict.OK, id="nothing is needed"),
    ],
)
def test_only_kinds_that_the_settings_rely_on_are_missed(
    there: tuple[str, ...], needed: set[str], expected: set[str], verdict: Verdict
) -> None:
    assert judge_kinds(served(*there), needed=needed, expected=expected).verdict is verdict


def operator(name: str, image: str, *, ready: int = 1) -> Json:
    pod = {"spec": {"containers": [{"name": "m", "image": image}]}}
    return named(
        name, namespace="sys", spec={"replicas": 1, "template": pod}, status={"readyReplicas": ready}
    )


DYNAMOS = operator("dynamo-platform-dynamo-operator", "registry.example/ai-dynamo/kubernetes-operator:0.9.0")
GROVES = operator("grove-operator", "registry.example/ai-dynamo/grove/grove-operator:v0.1.0@sha256:ab12")


def test_operators_are_shown_with_the_version_of_their_image() -> None:
    programs = [program_of(DYNAMOS), program_of(GROVES), program_of(operator("web", "nginx:1"))]

    sign = judge_operators(programs, served("Dynamo", "Grove"), needed={"Dynamo"})

    assert sign.verdict is Verdict.OK
    assert sign.summary == "Dynamo 0.9.0, Grove v0.1.0 run"


@pytest.mark.parametrize(
    ("programs", "verdict", "said"),
    [
        pytest.param([], Verdict.FAIL, "no operator of Dynamo is found", id="absent"),
        pytest.param(
            [{**DYNAMOS, "status": {}}], Verdict.FAIL, "the operator of Dynamo is not ready", id="down"
        ),
        pytest.param(
            [DYNAMOS, {**GROVES, "status": {}}],
            Verdict.WARN,
            "the operator of Grove is not ready",
            id="other",
        ),
    ],
)
def test_an_operator_that_does_not_run_is_told(programs: list[Json], verdict: Verdict, said: str) -> None:
    sign = judge_operators(map(program_of, programs), served("Dynamo", "Grove"), needed={"Dynamo"})

    assert sign.verdict is verdict
    assert said in sign.summary


def test_without_kinds_no_operator_is_looked_for() -> None:
    assert judge_operators([], served(), needed={"Dynamo"}).verdict is Verdict.SKIP


@pytest.mark.parametrize(
    ("queues", "wanted", "verdict"),
    [
        pytest.param(["dynamo"], ["dynamo"], Verdict.OK, id="there"),
        pytest.param(["default-queue"], ["dynamo"], Verdict.FAIL, id="pods name another"),
        pytest.param(["default-queue"], [], Verdict.WARN, id="the usual one of Dynamo is absent"),
        pytest.param([], [], Verdict.WARN, id="none at all"),
    ],
)
def test_a_queue_that_pods_wait_in_has_to_exist(
    queues: list[str], wanted: list[str], verdict: Verdict
) -> None:
    items = [named(name, spec={"parentQueue": "root"}) for name in queues]

    assert judge_queues(items, wanted, of_dynamo=True).verdict is verdict


FRONTEND = named("front", labels={"app": "frontend"})
EVERYTHING: Json = {
    "podMonitorSelector": {},
    "podMonitorNamespaceSelector": {},
    "serviceMonitorSelector": {},
    "serviceMonitorNamespaceSelector": {},
}


def prometheus(**spec: Json | None) -> Json:
    whole = {**EVERYTHING, **spec}
    return named(
        "prom", namespace="monitoring", spec={key: value for key, value in whole.items() if value is not None}
    )


def monitor(
    kind: str = POD, *, namespace: str = "ai", selects: str = "frontend", labels: dict[str, str] | None = None
) -> Monitor:
    item = named(
        "m",
        labels=labels or {},
        namespace=namespace,
        spec={"selector": {"matchLabels": {"app": selects}}, "namespaceSelector": {"any": namespace != "ai"}},
    )
    return Monitor(kind=kind, item=item)


def scene(*monitors: Monitor, prometheus: Json, pods: tuple[Json, ...] = (FRONTEND,)) -> Scene:
    return Scene(
        namespace="ai",
        pods=pods,
        services=(named("svc", labels={"app": "frontend"}, spec={"selector": {"app": "frontend"}}),),
        monitors=monitors,
        prometheuses=(prometheus,),
        namespaces={"ai": {"team": "a"}, "sys": {}, "monitoring": {}},
    )


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(scene(monitor(), prometheus=prometheus()), id="a PodMonitor"),
        pytest.param(scene(monitor(SERVICE), prometheus=prometheus()), id="a ServiceMonitor of its service"),
        pytest.param(scene(monitor(namespace="sys"), prometheus=prometheus()), id="from another namespace"),
        pytest.param(
            scene(
                monitor(labels={"release": "prom"}),
                prometheus=prometheus(
                    podMonitorSelector={"matchLabels": {"release": "prom"}},
                    podMonitorNamespaceSelector={"matchExpressions": [{"key": "team", "operator": "Exists"}]},
                ),
            ),
            id="with the labels that are asked for",
        ),
    ],
)
def test_a_monitor_that_is_taken_is_fine(found: Scene) -> None:
    assert judge_monitors(found, arrives=False, of_dynamo=True).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(
            scene(monitor(), prometheus=prometheus(podMonitorSelector={"matchLabels": {"release": "prom"}})),
            "podMonitorSelectorNilUsesHelmValues=false",
            id="labels",
        ),
        pytest.param(
            scene(monitor(), prometheus=prometheus(podMonitorSelector=None)),
            "podMonitorSelectorNilUsesHelmValues=false",
            id="no selector takes none",
        ),
        pytest.param(
            scene(monitor(), prometheus=prometheus(podMonitorNamespaceSelector=None)),
            "--set prometheus.prometheusSpec.podMonitorNamespaceSelector=null",
            id="its own namespace only",
        ),
        pytest.param(
            scene(monitor(SERVICE), prometheus=prometheus(serviceMonitorNamespaceSelector=None)),
            "serviceMonitorNamespaceSelector=null",
            id="a ServiceMonitor",
        ),
        pytest.param(
            scene(monitor(selects="worker"), prometheus=prometheus()),
            "make a PodMonitor",
            id="about other pods",
        ),
        pytest.param(scene(prometheus=prometheus()), "make a PodMonitor", id="none"),
    ],
)
def test_a_frontend_that_would_not_be_scraped_is_told_with_what_makes_it(found: Scene, said: str) -> None:
    sign = judge_monitors(found, arrives=False, of_dynamo=False)

    assert sign.verdict is Verdict.FAIL
    assert said in sign.todo


def test_the_command_names_the_release_that_helm_wrote_down_and_takes_away_what_somebody_chose() -> None:
    chosen = prometheus(podMonitorSelector={"matchLabels": {"team": "a"}})
    chosen["metadata"]["annotations"] = {
        "meta.helm.sh/release-name": "kps",
        "meta.helm.sh/release-namespace": "metrics",
    }

    todo = judge_monitors(scene(monitor(), prometheus=chosen), arrives=False, of_dynamo=False).todo

    assert todo.startswith("helm upgrade kps prometheus-community/kube-prometheus-stack -n metrics ")
    assert "podMonitorSelector=null" in todo
    assert "podMonitorSelectorNilUsesHelmValues=false" in todo


def test_series_that_arrive_all_the_same_make_it_a_warning() -> None:
    found = scene(prometheus=prometheus())

    assert judge_monitors(found, arrives=True, of_dynamo=True).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("spec", "verdict"),
    [({}, Verdict.OK), ({"podMonitorSelector": {"matchLabels": {"release": "prom"}}}, Verdict.WARN)],
)
def test_before_anything_is_deployed_the_selectors_alone_are_judged(spec: Json, verdict: Verdict) -> None:
    found = scene(prometheus=prometheus(**spec), pods=())

    assert judge_monitors(found, arrives=False, of_dynamo=True).verdict is verdict


def test_setpoints_own_pods_are_no_frontend() -> None:
    ours = named("setpoint-0", labels={"app.kubernetes.io/name": "setpoint", "more": "x"})

    assert serving([ours, FRONTEND], of_dynamo=False) == (FRONTEND,)
    assert serving([ours, FRONTEND], of_dynamo=True) == ()


def test_one_prometheus_that_takes_everything_is_enough() -> None:
    choosy = prometheus(podMonitorSelector={"matchLabels": {"release": "prom"}})
    found = replace(scene(prometheus=choosy, pods=()), prometheuses=(choosy, prometheus()))

    assert judge_monitors(found, arrives=False, of_dynamo=True).verdict is Verdict.OK


def test_pieces_are_recognized_by_kinds_that_are_their_own() -> None:
    assert len({piece.group for piece in PIECES}) == len(PIECES)
    assert {DYNAMO, GROVE, KAI} <= set(PIECES)
