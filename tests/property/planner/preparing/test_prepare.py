"""Whatever a deployment looks like: preparing it twice changes nothing, and nothing else changes once."""

import copy
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from config.dynamo.nodes import Source
from config.errors import ConfigError
from planner.preparing.place import Place
from planner.preparing.prepare import Wish, prepare, same
from planner.preparing.text import Tree, trees, written
from planner.preparing.variables import POD_FIELDS

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, width=16).filter(lambda x: abs(x) != float("inf"))
    | TEXTS
    | st.sampled_from(["on", "1e3", "12:30", "0x1", "2026-01-31", "y", "-", "1_0", "~"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["Frontend", "Planner", "Decode", "Prefill", "Router"])
WORDS = st.sampled_from(["--ttft=300", "--no-operation", "--itl", "30"])
KINDS = {"Frontend": "frontend", "Planner": "planner", "Decode": "worker", "Prefill": "worker", "Router": ""}
VARIABLES = st.builds(
    lambda name, value: {"name": name, "value": value},
    st.sampled_from([*POD_FIELDS, "HF_HOME", "SETPOINT_ACTUATE"]),
    TEXTS,
)
EXTRA = st.dictionaries(st.sampled_from(["resources", "image", "securityContext", "x"]), VALUES, max_size=3)


@st.composite
def containers(draw: st.DrawFn, name: str) -> dict[str, Any]:
    found: dict[str, Any] = draw(EXTRA)
    if draw(st.booleans()):
        found["env"] = draw(st.none() | st.lists(VARIABLES, max_size=4))
    if name == "Planner":
        found |= {
            "command": ["python3", "-m", "planner"],
            "args": draw(st.sampled_from([["--ttft=300"], []])),
        }
    else:
        found |= draw(
            st.sampled_from(
                [
                    {"command": ["python3"], "args": ["-m", "dynamo.vllm", "--model", "m"]},
                    {"command": ["sh", "-c"], "args": ["python3 -m dynamo.vllm | tee x"]},
                    {"command": ["python3", "-m", "dynamo.sglang"], "args": None},
                ]
            )
        )
    return found


@st.composite
def graphs(draw: st.DrawFn) -> Tree:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    is_early = draw(st.booleans())
    spec: dict[str, Any] = {"other": draw(VALUES)}
    if is_early:
        spec["services"] = {
            name: {
                "componentType": KINDS[name],
                "replicas": draw(st.integers(0, 9)),
                "extraPodSpec": {"mainContainer": draw(containers(name)), "y": draw(VALUES)},
            }
            for name in names
        }
    else:
        spec["components"] = [
            {
                "name": name,
                "type": KINDS[name],
                "podTemplate": {"spec": {"containers": [{"name": "main", **draw(containers(name))}]}},
            }
            for name in names
        ]
    version = "v1alpha1" if is_early else "v1beta1"
    return {
        "apiVersion": f"nvidia.com/{version}",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "g", "annotations": draw(st.dictionaries(TEXTS, TEXTS, max_size=2))},
        "spec": spec,
    }


WISHES = st.builds(
    Wish,
    place=st.sampled_from(Place),
    image=st.just("registry.example/setpoint:1"),
    advise=st.booleans(),
    trusts_code=st.booleans(),
)


@given(graph=graphs(), wish=WISHES)
def test_preparing_twice_changes_nothing(graph: Tree, wish: Wish) -> None:
    assume(not wish.trusts_code or "worker" in written([graph]))
    once = prepare([graph], wish, name="g")

    twice = prepare(once.objects, wish, name="g")

    assert same(list(twice.objects), list(once.objects))
    assert twice.changes == ()


@given(graph=graphs())
def test_nothing_else_changes(graph: Tree) -> None:
    wish = Wish(image="registry.example/setpoint:1")
    prepared = prepare([graph], wish, name="g")

    assert same(reduced(prepared.graph), reduced(graph))


@given(objects=st.lists(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3), min_size=1, max_size=3))
def test_what_is_written_reads_the_same_again(objects: list[Tree]) -> None:
    plain = [one for one in objects if one.get("kind") != "List"]

    assert same(trees(Source(name="x", text=written(plain))), plain)


def reduced(graph: Tree) -> Tree:
    """Leave out what may change: the planner's program, and the variables that are added."""
    found: dict[str, Any] = copy.deepcopy(graph)
    spec = found["spec"]
    services = list(spec.get("services", {}).items()) or [(one["name"], one) for one in spec["components"]]
    for name, service in services:
        pod = service.get("extraPodSpec") or service["podTemplate"]["spec"]
        main = pod.get("mainContainer") or pod["containers"][0]
        own = [*POD_FIELDS, "SETPOINT_ACTUATOR", "SETPOINT_ACTUATE", "SETPOINT_HTTP__BIND"]
        main["env"] = [one for one in main.get("env") or [] if one["name"] not in own]
        if name == "Planner":
            for key in ("image", "command", "args", "workingDir"):
                main.pop(key, None)
    return found


KEYS = st.sampled_from(
    [
        *(
            "services",
            "components",
            "extraPodSpec",
            "mainContainer",
            "podTemplate",
            "spec",
            "containers",
            "env",
        ),
        *(
            "envs",
            "args",
            "command",
            "volumes",
            "volumeMounts",
            "name",
            "type",
            "componentType",
            "workingDir",
        ),
        *("Planner", "Worker", "configMap", "image", "metadata", "resources", "limits", "replicas"),
    ]
)
ODD_SCALARS = SCALARS | st.sampled_from(
    ["main", "planner", "worker", "sh", "-c", "--ttft", "--", "--config", "vllm serve '", "a --b 'c", "{{x}}"]
)
ODD = st.recursive(
    ODD_SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)
SERVICES = st.dictionaries(KEYS, ODD, max_size=3)
COMPONENTS = st.lists(ODD, max_size=3)
MAINS = st.dictionaries(
    st.sampled_from(["args", "command", "env", "volumeMounts", "workingDir"]), ODD, max_size=4
)


@st.composite
def odd_specs(draw: st.DrawFn) -> object:
    if draw(st.booleans()):
        return draw(
            ODD
            | st.fixed_dictionaries({"services": SERVICES | ODD})
            | st.fixed_dictionaries({"components": COMPONENTS})
        )
    main = draw(MAINS)
    kind = draw(st.sampled_from(["planner", "worker"]))
    pod = {"mainContainer": main, "volumes": draw(ODD)}
    late = {"spec": {"containers": [{"name": "main", **main}], "volumes": draw(ODD)}}
    if draw(st.booleans()):
        return {"services": {"X": {"componentType": kind, "extraPodSpec": pod}}}
    return {"components": [{"name": "x", "type": kind, "podTemplate": late}]}


@settings(max_examples=300)
@given(spec=odd_specs(), wish=WISHES, metadata=ODD)
def test_whatever_the_manifest_has_is_prepared_or_refused_in_one_line(
    spec: object, wish: Wish, metadata: object
) -> None:
    graph: Tree = {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": metadata,
        "spec": spec,
    }
    try:
        once = prepare([graph], wish, name="g")
    except ConfigError:
        return
    assert same(list(prepare(once.objects, wish, name="g").objects), list(once.objects))
