"""A deployment of either version is made ready: variables, workers' argument, the planner's place."""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, cast

import pytest

from config.dynamo.nodes import Source
from config.errors import ConfigError
from planner.preparing.place import COMMAND, Place
from planner.preparing.prepare import Prepared, Wish, prepare
from planner.preparing.text import Tree, trees, written

Case = Callable[[str], list[Tree]]
SIDECAR = Wish(image="registry.example/setpoint:1")
FIELDS = {"POD_NAME", "POD_NAMESPACE", "POD_UID", "POD_IP"}


def container(prepared: Prepared, name: str) -> dict[str, Any]:
    spec = cast("dict[str, Any]", prepared.graph["spec"])
    if "services" in spec:
        found: dict[str, Any] = spec["services"][name]["extraPodSpec"]["mainContainer"]
        return found
    part = next(one for one in spec["components"] if one["name"] == name)
    main: dict[str, Any] = next(
        one for one in part["podTemplate"]["spec"]["containers"] if one["name"] == "main"
    )
    return main


def variables(prepared: Prepared, name: str) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(prepared, name)["env"]}


def planner(*, command: object = None, args: object = None, **more: object) -> list[Tree]:
    main = {"command": command, "args": args, **more}
    service = {"componentType": "planner", "extraPodSpec": {"mainContainer": main}}
    return [graph({"Planner": service})]


def worker(*, command: object = None, args: object = None) -> list[Tree]:
    main = {key: value for key, value in (("command", command), ("args", args)) if value is not None}
    return [graph({"Decode": {"componentType": "worker", "extraPodSpec": {"mainContainer": main}}})]


def graph(services: dict[str, object]) -> Tree:
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "g"},
        "spec": {"services": services},
    }


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("early", ("Frontend", "Planner", "VllmDecodeWorker", "VllmPrefillWorker")),
        ("late", ("frontend", "planner", "prefill", "decode")),
    ],
)
def test_every_service_learns_who_its_pod_is(case: Case, name: str, parts: tuple[str, ...]) -> None:
    prepared = prepare(case(name), SIDECAR, name=name)

    for part in parts:
        assert variables(prepared, part).keys() >= FIELDS
    assert variables(prepared, parts[0])["POD_UID"] == {"fieldRef": {"fieldPath": "metadata.uid"}}


def test_variables_that_are_there_stay_and_are_told(case: Case) -> None:
    prepared = prepare(case("early"), SIDECAR, name="early")

    found = variables(prepared, "VllmDecodeWorker")
    assert (found["POD_NAME"], found["HF_HOME"]) == ("my-own", "/models")
    assert "VllmDecodeWorker: POD_NAME is set already, and stays as it is" in prepared.notes


def test_a_variable_of_the_whole_service_counts_as_there() -> None:
    service: dict[str, object] = {"componentType": "frontend", "envs": [{"name": "POD_IP", "value": "x"}]}

    prepared = prepare([graph({"Frontend": service})], SIDECAR, name="g")

    assert "POD_IP" not in variables(prepared, "Frontend")


def test_the_sidecar_has_the_name_arguments_and_mounts_of_the_planner(case: Case) -> None:
    before = case("early")

    prepared = prepare(before, SIDECAR, name="early")

    main = container(prepared, "Planner")
    assert (main["image"], main["command"]) == ("registry.example/setpoint:1", list(COMMAND))
    assert main["args"] == [
        "--environment=kubernetes",
        "--backend=vllm",
        "--adjustment-interval=60",
        "--profile-results-dir=/workspace/planner/profiling_results",
        "--ttft=300",
    ]
    assert main["volumeMounts"][0]["mountPath"] == "/workspace/planner/profiling_results"
    assert "workingDir" not in main
    found = variables(prepared, "Planner")
    assert {name: found[name] for name in found if name.startswith("SETPOINT_")} == {
        "SETPOINT_ACTUATOR": "kubernetes",
        "SETPOINT_ACTUATE": "true",
        "SETPOINT_HTTP__BIND": str(IPv4Address(0)),
    }


def test_a_configuration_in_the_same_file_says_whether_the_planner_scaled(case: Case) -> None:
    before = case("late")
    prepared = prepare(before, SIDECAR, name="late")

    assert container(prepared, "planner")["args"] == ["--config", "/workspace/config/planner_config.json"]
    assert variables(prepared, "planner")["SETPOINT_ACTUATE"] == "true"

    data = cast("dict[str, str]", before[0]["data"])
    data["planner_config.json"] = data["planner_config.json"].replace('"advisory": false', '"advisory": true')
    assert "SETPOINT_ACTUATE" not in variables(prepare(before, SIDECAR, name="late"), "planner")


def test_a_configuration_that_only_the_pod_has_leaves_it_open_and_says_so(case: Case) -> None:
    prepared = prepare(case("late")[1:], SIDECAR, name="late")

    assert "SETPOINT_ACTUATE" not in variables(prepared, "planner")
    assert any("set SETPOINT_ACTUATE to decide here" in note for note in prepared.notes)


def test_a_planner_that_only_watched_goes_on_to_advise() -> None:
    prepared = prepare(planner(args=["--no-operation"]), SIDECAR, name="g")

    assert "SETPOINT_ACTUATE" not in variables(prepared, "Planner")


def test_a_setting_that_the_planner_has_already_stays_and_is_not_set_twice() -> None:
    own = {"name": "SETPOINT_HTTP__BIND", "value": "127.0.0.1"}
    before = planner(command=["python3", "-m", "dynamo.planner"], env=[own])

    prepared = prepare(before, SIDECAR, name="g")

    env = container(prepared, "Planner")["env"]
    assert [one for one in env if one["name"] == own["name"]] == [own]


def test_advising_can_be_asked_for() -> None:
    wish = Wish(image="i", advise=True)

    assert variables(prepare(planner(args=["--ttft=300"]), wish, name="g"), "Planner")[
        "SETPOINT_ACTUATE"
    ] == ("false")


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (["python3"], ["-m", "dynamo.planner", "--ttft", "300"], ["--ttft", "300"]),
        (["python3", "-m", "planner_sla", "--ttft=300"], None, ["--ttft=300"]),
        (
            ["/bin/sh", "-c"],
            ["exec python3 -m planner --namespace $(DYN_NAMESPACE) --no-correction 2>&1 | tee /log"],
            ["--namespace", "$(DYN_NAMESPACE)", "--no-correction"],
        ),
        ([], [], []),
    ],
)
def test_arguments_are_found_wherever_they_stand(command: object, args: object, expected: list[str]) -> None:
    prepared = prepare(planner(command=command, args=args), SIDECAR, name="g")

    assert container(prepared, "Planner")["args"] == expected


def test_a_mounted_profile_that_no_argument_names_is_named() -> None:
    main = {"args": ["--ttft=300"], "volumeMounts": [{"name": "p", "mountPath": "/profile"}]}
    volumes = [{"name": "p", "configMap": {"name": "planner-profile-data"}}]
    pod: dict[str, object] = {"mainContainer": main, "volumes": volumes}

    prepared = prepare(
        [graph({"Planner": {"componentType": "planner", "extraPodSpec": pod}})], SIDECAR, name="g"
    )

    assert variables(prepared, "Planner")["SETPOINT_PROFILE"] == "/profile"


def test_a_sidecar_without_an_image_is_refused(case: Case) -> None:
    with pytest.raises(ConfigError, match="--image: it is not given"):
        prepare(case("early"), Wish(), name="early")


def test_arguments_that_setpoint_would_not_take_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(planner(args=["--adjustment-intervall=60"]), SIDECAR, name="g")

    assert "spec.services.Planner: --adjustment-intervall" in str(caught.value)
    assert "--planner standalone" in str(caught.value)


@pytest.mark.parametrize("name", ["early", "late"])
def test_a_standalone_daemon_gets_a_command_line_and_the_planner_is_gone(case: Case, name: str) -> None:
    prepared = prepare(case(name), Wish(place=Place.STANDALONE), name=name)

    assert "planner_sla" not in written(prepared.objects)
    assert "dynamo.planner" not in written(prepared.objects)
    command = next(note for note in prepared.notes if note.startswith("start Setpoint with: "))
    graph_name = {"early": "llama-disagg", "late": "qwen"}[name]
    assert f"--actuate --set dynamo.graph_deployment={graph_name}" in command
    assert " -- --" in command


def test_a_kept_planner_is_not_touched(case: Case) -> None:
    before = case("early")
    prepared = prepare(before, Wish(place=Place.KEEP), name="early")

    main = container(prepared, "Planner")
    assert (main["command"], main["image"]) == (
        ["python3", "-m", "planner_sla"],
        "registry.example/vllm-runtime:0.9.0",
    )
    assert (
        "Planner: Dynamo's planner stays; Setpoint does not scale beside it unless told to" in prepared.notes
    )


def test_a_deployment_without_a_planner_is_told() -> None:
    prepared = prepare([graph({"Frontend": {"componentType": "frontend"}})], Wish(), name="g")

    assert "g: it has no planner whose place Setpoint could take" in prepared.notes


def test_preparing_leaves_what_it_was_given(case: Case) -> None:
    before = case("early")
    text = written(before)

    prepare(before, SIDECAR, name="early")

    assert written(before) == text


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (["python3"], ["-m", "dynamo.vllm", "--model", "m"], ["-m", "dynamo.vllm", "--model", "m", "+"]),
        (["python3", "-m", "dynamo.sglang", "--model-path", "m"], None, ["+"]),
        (["/opt/start.sh"], ["--model", "m"], ["--model", "m", "+"]),
        (
            ["bash", "-lc"],
            ["python -m dynamo.vllm \\\n --model m"],
            ["python -m dynamo.vllm + \\\n --model m"],
        ),
        (["sh"], ["-c", "exec vllm serve m | tee l"], ["-c", "exec vllm serve + m | tee l"]),
        (
            ["sh", "-c"],
            ["# -m dynamo.vllm\npython -m dynamo.vllm"],
            ["# -m dynamo.vllm\npython -m dynamo.vllm +"],
        ),
        (["python3"], ["-m", "dynamo.vllm", "--trust-remote-code"], ["-m", "dynamo.vllm", "+"]),
        (["sh", "-c"], ["vllm serve m --trust-remote-code"], ["vllm serve m +"]),
    ],
)
def test_workers_get_the_argument_where_the_engine_reads_it(
    command: object, args: object, expected: list[str]
) -> None:
    wish = Wish(place=Place.KEEP, trusts_code=True)

    prepared = prepare(worker(command=command, args=args), wish, name="g")

    assert container(prepared, "Decode")["args"] == [
        word.replace("+", "--trust-remote-code") for word in expected
    ]


@pytest.mark.parametrize(
    ("command", "args", "part"),
    [
        (None, None, "its image says what is started"),
        (["/opt/start.sh"], ["now"], "it cannot be told which engine /opt/start.sh starts"),
        (["sh", "-c"], ["./start.sh"], "the line for its shell starts no engine that is known"),
        (["sh", "-c"], ["vllm serve a & vllm serve b"], "the line for its shell starts 2 engines"),
        (["vllm", "serve"], ["m", "--", "x"], "what follows after -- is not an argument of the engine"),
        (["python3"], "-m dynamo.vllm", "it is not a list"),
        (["python3"], ["-m", 1], "it is not a list of texts"),
    ],
)
def test_where_the_argument_has_no_sure_place_it_is_refused(command: object, args: object, part: str) -> None:
    wish = Wish(place=Place.KEEP, trusts_code=True)

    with pytest.raises(ConfigError) as caught:
        prepare(worker(command=command, args=args), wish, name="g")

    assert part in str(caught.value)
    assert "spec.services.Decode" in str(caught.value)


def test_engines_without_the_argument_are_told() -> None:
    wish = Wish(place=Place.KEEP, trusts_code=True)

    prepared = prepare(worker(command=["python3"], args=["-m", "dynamo.trtllm"]), wish, name="g")

    assert container(prepared, "Decode")["args"] == ["-m", "dynamo.trtllm"]
    assert any("TensorRT-LLM has no such argument" in note for note in prepared.notes)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("kind: Service\n", "g: it holds no DynamoGraphDeployment (Service)"),
        (
            "kind: DynamoGraphDeployment\napiVersion: nvidia.com/v1\n---\n" * 2,
            "it holds 2 DynamoGraphDeployments",
        ),
        ("kind: DynamoGraphDeployment\napiVersion: nvidia.com/v1\n", "it has no services"),
        (
            "kind: DynamoGraphDeployment\napiVersion: nvidia.com/v1\nspec: {services: {A: []}}\n",
            "spec.services.A: it is not a mapping",
        ),
        (
            "kind: DynamoGraphDeployment\napiVersion: nvidia.com/v1\nspec: {components: [a]}\n",
            "spec.components[0]: it is not a mapping",
        ),
        (
            """{kind: DynamoGraphDeployment, apiVersion: nvidia.com/v1,
                spec: {services: {A: {extraPodSpec: {mainContainer: {env: {a: b}}}}}}}""",
            "spec.services.A.env: it is not a list",
        ),
    ],
)
def test_what_is_no_deployment_is_told(text: str, part: str) -> None:
    objects = trees(Source(name="g", text=text))

    with pytest.raises(ConfigError) as caught:
        prepare(objects, Wish(place=Place.KEEP), name="g")

    assert part in str(caught.value)
