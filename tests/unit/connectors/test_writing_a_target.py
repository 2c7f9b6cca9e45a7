"""The target of the guide runs as it stands there."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import ConfigError, Malformed, Refused
from config.load import load
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.api import Resource
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Reference, Target
from connectors.testing.target import fetched
from tests.cluster.fake_api import FakeApi

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "writing-a-target.md"
BLOCK = re.compile(r"^```python\n# (\w+)\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEAST = "budget_gpus: 8\ntargets: {ttft: 300ms, itl: 25ms}\n"
KIND = Resource(group="acme.example", version="v1", plural="fleets", kind="Fleet")


@pytest.fixture
def installed(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the guide's package as its entry point says."""
    entry_points = "\n".join(TOML.findall(GUIDE.read_text())).replace('"', "")
    modules = {f"{name}.py": code for name, code in BLOCK.findall(GUIDE.read_text())}
    install(entry_points.replace("project.entry-points.", ""), modules, name="acme")
    for name, _ in BLOCK.findall(GUIDE.read_text()):
        monkeypatch.delitem(sys.modules, name, raising=False)


def cluster() -> FakeApi:
    api = FakeApi()
    api.define(KIND, has_scale=False)
    return api


def a_fleet(**status: object) -> FakeApi:
    api = cluster()
    spec = importlib.import_module("test_acme_target").SPEC
    item = {"metadata": {"labels": {"app": "llm", "role": "decode"}}, "spec": spec, "status": status}
    api.seed("/apis/acme.example/v1/namespaces/ai/fleets/llm", item)
    return api


def reference(text: str) -> Reference:
    return parse_reference(text, role=Role.DECODE, namespace="ai", key="kubernetes.decode")


async def found(api: FakeApi, text: str = "fleet/llm") -> Target:
    return await resolve(api, reference(text))


def test_every_example_is_one_of_the_two_modules() -> None:
    assert [name for name, _ in BLOCK.findall(GUIDE.read_text())] == ["acme_target", "test_acme_target"]
    assert GUIDE.read_text().count("```python") == 2


@pytest.mark.usefixtures("installed")
async def test_the_target_of_the_guide_keeps_every_promise() -> None:
    suite = importlib.import_module("test_acme_target").fleets(cluster(), "ai")

    assert len(await suite.run_all()) == 12


@pytest.mark.usefixtures("installed")
async def test_the_target_of_the_guide_is_found_by_its_kind_and_reads_what_it_says() -> None:
    api = a_fleet(ready=2, engines=3)

    target = await found(api, "fleets?app=llm,role=decode")
    view = target.view(await fetched(api, target))

    assert type(target).__module__ == "acme_target"
    assert (view.desired, view.ready, view.existing, view.least, view.most) == (3, 2, 3, 1, 8)
    assert (view.pods_per_engine, view.gpus_per_engine) == (2, 8)


@pytest.mark.usefixtures("installed")
async def test_the_target_of_the_guide_holds_and_refuses_as_it_says() -> None:
    api = a_fleet(conditions=[{"type": "Updating", "status": "True", "message": "engine 2 of 3"}])
    target = await found(api)
    objects = await fetched(api, target)

    hold = target.view(objects).hold

    assert hold is not None
    assert (hold.kind, hold.why) == (HoldKind.ROLLING_OUT, "engine 2 of 3")
    with pytest.raises(Refused, match="Acme deletes a fleet that has no engine"):
        target.write(objects, 0)
    with pytest.raises(Malformed, match="expected fleet llm in namespace ai, found none"):
        target.view({})
    with pytest.raises(ConfigError, match="the engines of a fleet are all alike"):
        await found(api, "fleet/llm:a")


def test_the_settings_of_the_guide_are_settings(tmp_path: Path) -> None:
    (chosen,) = YAML.findall(GUIDE.read_text())
    file = tmp_path / "setpoint.yaml"
    file.write_text(LEAST + chosen)

    kubernetes = load(file=file, environment={}).settings.kubernetes

    assert (kubernetes.prefill, kubernetes.decode) == ("fleet/llm-prefill", "fleet?app=llm,role=decode")
