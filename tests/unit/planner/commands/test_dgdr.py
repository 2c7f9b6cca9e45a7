"""What `--dgdr` names, what follows after `--`, and a request of the cluster as settings."""

import asyncio
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from config.load import load, load_sections
from connectors.kubernetes.api import ApiError, Resource
from planner.commands.dgdr import fetched_of, request_named
from planner.commands.flags import Given
from planner.commands.loading import load_to_run
from planner.commands.telling import StreamTeller
from planner.preparing.request import Key
from tests.cluster.fake_api import FakeApi

KEY = Key(namespace="llm", name="qwen-sla")
REQUESTS = Resource(
    group="nvidia.com",
    version="v1alpha1",
    plural="dynamographdeploymentrequests",
    kind="DynamoGraphDeploymentRequest",
)
GRAPHS = Resource(
    group="nvidia.com", version="v1alpha1", plural="dynamographdeployments", kind="DynamoGraphDeployment"
)


class Answered(Protocol):
    code: int
    out: str
    err: str


def cluster(spec: dict[str, Any], status: dict[str, Any]) -> FakeApi:
    api = FakeApi()
    api.define(REQUESTS, has_scale=False)
    api.define(GRAPHS, has_scale=False)
    api.seed(REQUESTS.path("llm", "qwen-sla"), {"metadata": {}, "spec": spec, "status": status})
    return api


@pytest.mark.parametrize("text", ["deploy.yaml", "a/b/c", "Deploy", "../deploy", "deploy.json", "-x", "a_b"])
def test_what_looks_like_a_file_is_a_file(text: str) -> None:
    assert request_named(text) is None


def test_a_file_of_that_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deploy").write_text("")
    monkeypatch.chdir(tmp_path)

    assert request_named("deploy") is None
    assert request_named("other") is not None


def test_arguments_of_the_planner_are_settings(tmp_path: Path) -> None:
    configuration = tmp_path / "planner.json"
    configuration.write_text(json.dumps({"ttft_ms": 250, "max_gpu_budget": 6, "optimization_target": "sla"}))

    plain = load_to_run(Given(values={}), ["--ttft=300", "--adjustment-interval", "60", "--no-correction"])
    late = load_to_run(Given(values={"--budget": "5"}), ["--config", str(configuration)])

    assert plain is not None
    assert late is not None
    assert (plain.settings.targets.ttft, plain.settings.interval) == (0.3, 60.0)
    assert (plain.dgdr, plain.settings.correction.enabled) == ("the planner's arguments", False)
    assert (late.settings.targets.ttft, late.settings.budget_gpus) == (0.25, 5)


@pytest.mark.parametrize(
    ("given", "words", "part"),
    [
        (
            Given(values={}),
            ["now"],
            "run: 'now' is not expected here; arguments of Dynamo's planner follow after --",
        ),
        (Given(values={}, dgdr=Path("x.yaml")), ["--ttft=300"], "--: --dgdr is given too"),
        (
            Given(values={}),
            ["--tfft=300"],
            "--tfft: Dynamo's planner has no such argument; did you mean --ttft?",
        ),
        (Given(values={}), ["--config", "/nowhere.json"], "/nowhere.json: there is no such file"),
    ],
)
def test_wrong_words_are_told(given: Given, words: list[str], part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_to_run(given, words)

    assert part in str(caught.value)


def test_what_the_cluster_tells_is_known_by_where_it_was_read() -> None:
    config = {"sla": {"ttft": 300.0, "itl": 30.0}, "planner": {"plannerMaxGpuBudget": 12}}
    generated = {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "qwen"},
        "spec": {"services": {"D": {"subComponentType": "decode", "resources": {"limits": {"gpu": "2"}}}}},
    }
    api = cluster(
        {"profilingConfig": {"config": config}}, {"state": "Ready", "generatedDeployment": generated}
    )

    fetched = asyncio.run(fetched_of(api, KEY, clock=VirtualClock(), teller=None))
    loaded = load(dgdr=fetched, environment={}, require=False)

    assert str(loaded.origins["budget_gpus"]) == "DGDR llm/qwen-sla (cluster) plannerMaxGpuBudget"
    assert str(loaded.origins["pools.decode.gpus_per_engine"]) == "deployment of DGDR llm/qwen-sla"
    assert loaded.settings.pools.decode.gpus_per_engine == 2
    assert loaded.settings.dynamo.namespace == "llm-qwen"
    notes = "\n".join(loaded.notes)
    assert "there is no profile of it" in notes
    assert "apply it with: setpoint dgd prepare llm/qwen-sla --apply" in notes
    assert "plannerDecodeEngineNumGpu is absent" not in notes


def test_a_request_in_a_version_to_come_is_refused() -> None:
    api = cluster({"v1beta2": {"model": "m"}}, {"state": "Ready"})

    with pytest.raises(
        ConfigError, match="request llm/qwen-sla: it is written for v1beta2, which is not read"
    ):
        asyncio.run(fetched_of(api, KEY, clock=VirtualClock(), teller=None))


def test_only_the_sections_that_are_asked_for_count() -> None:
    flags = {"kubernetes.context": "prod", "budget_gpus": "1", "pools.decode.min_replicas": "9"}

    settings = load_sections("kubernetes.", flags=flags, environment={"SETPOINT_INTERVAL": "soon"})

    assert settings.kubernetes.context == "prod"
    with pytest.raises(ConfigError, match=r"kubernetes\.timeout"):
        load_sections("kubernetes.", flags={"kubernetes.timeout": "soon"}, environment={})


def test_a_name_that_is_neither_file_nor_request_says_so(
    setpoint: Callable[..., Answered], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    answered = setpoint("config", "show", "--dgdr", "qwen-sla")

    assert answered.code == 2
    assert "error: --dgdr qwen-sla: there is no file qwen-sla, and no request could be read: " in answered.err


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_written_over_and_a_log_has_none() -> None:
    terminal, log = Terminal(), StringIO()
    for stream in (terminal, log):
        teller = StreamTeller(stream)
        teller.still("x: Pending, for 2 s")
        teller.line("x: Ready")
        teller.end()

    assert log.getvalue() == "x: Ready\n"
    assert terminal.getvalue().startswith("\r| x: Pending, for 2 s")
    assert terminal.getvalue().endswith("\rx: Ready\n")


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def still(self, text: str) -> None:
        """Nothing is written over here."""


def test_an_api_server_that_is_silent_at_any_step_is_asked_again() -> None:
    async def scene() -> list[str]:
        api = cluster({"profilingConfig": {"config": {"planner": {}}}}, {"state": "Ready"})
        clock, told = VirtualClock(), Told()
        for part in ("/apis", REQUESTS.path("llm", "qwen-sla"), "/api/v1/namespaces/llm/configmaps"):
            api.fail_next(ApiError("no answer", status=0), path_prefix=part)
        task = asyncio.create_task(fetched_of(api, KEY, clock=clock, teller=told))
        await clock.advance(5.0)
        assert (await task).name == "llm/qwen-sla (cluster)"
        return told.lines

    assert asyncio.run(scene()) == [
        "request llm/qwen-sla: no answer; it is asked again",
        "request llm/qwen-sla: Ready",
        "request llm/qwen-sla: no answer; it is asked again",
        "request llm/qwen-sla: deployment not known, without a profile",
    ]
