"""`setpoint check` on a real API server and a real Prometheus: right, and spoiled in one way at a time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.cli import invoke
from tests.integration.planner.doctor.faults import FAULTS, Fault
from tests.integration.planner.doctor.site import Ward
from tests.ports import free_port

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[4]
pytestmark = pytest.mark.slow


def check(deployed: Ward, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[Json]]:
    capsys.readouterr()
    code = invoke(["check", "-c", str(deployed.file()), "-o", "json", *more])
    said = capsys.readouterr()
    assert said.out, said.err
    findings: list[Json] = json.loads(said.out)["findings"]
    return code, findings


@contextmanager
def spoiled(fault: Fault, deployed: Ward) -> Iterator[None]:
    steps = fault.spoil(deployed)
    next(steps)
    try:
        yield
    finally:
        next(steps, None)


def test_a_right_set_up_passes(deployed: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = check(deployed, capsys)
    if "warn" in {one["verdict"] for one in findings if one["check"] == "scraping"}:
        # A busy machine interrupts scrapes every 0.2 s, which is told; the examination itself took a window.
        code, findings = check(deployed, capsys)

    assert [one for one in findings if one["verdict"] in {"warn", "fail"}] == []
    assert code == 0
    assert {one["stage"] for one in findings} == {"cluster", "platform", "deployment"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_named(fault: Fault, deployed: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    with spoiled(fault, deployed):
        code, findings = check(deployed, capsys, *fault.flags)

    named = next(one for one in findings if one["check"] == fault.check)
    words = "\n".join((named["summary"], *named["details"], named["todo"]))
    assert named["verdict"] == fault.verdict, words
    assert [text for text in fault.said if text not in words] == [], words
    assert code == int(any(one["verdict"] == "fail" for one in findings))


def test_one_completion_is_sent_and_its_marks_are_seen(
    deployed: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    completions = deployed.site.completions

    code, findings = check(deployed, capsys, "--probe", "--frontend", completions.url)

    probe = next(one for one in findings if one["check"] == "probe")
    assert (code, probe["verdict"]) == (0, "pass"), probe
    assert "Llama-3.1-8B answered in" in probe["summary"]
    assert "all its marks were in Prometheus" in probe["summary"]
    # The model is asked for under the name that the frontend gives it, whatever the settings' case.
    assert completions.asked == [{"model": "Llama-3.1-8B", "prompt": "Say hello.", "max_tokens": 8}]


def test_a_completion_that_nobody_scrapes_is_told(deployed: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    deployed.set("prometheus.model", "another")

    code, findings = check(deployed, capsys, "--probe", "--frontend", deployed.site.completions.url)

    probe = next(one for one in findings if one["check"] == "probe")
    assert (code, probe["verdict"]) == (1, "fail")
    assert "no counter grew" in probe["summary"]
    assert probe["details"] == ["the families exist under other labels"]


def test_a_frontend_that_does_not_answer_is_told(deployed: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    code, findings = check(deployed, capsys, "--probe", "--frontend", url)

    probe = next(one for one in findings if one["check"] == "probe")
    assert (code, probe["verdict"]) == (1, "fail")
    assert f"cannot reach {url}" in probe["summary"]


def test_whoever_may_read_little_is_told_what_could_not_be_seen(
    deployed: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    plane = deployed.site.plane
    token = plane.admin.token_for(deployed.namespace, "setpoint")
    deployed.set("kubernetes.kubeconfig", str(plane.kubeconfig(token, namespace=deployed.namespace)))

    code, findings = check(deployed, capsys)

    verdicts = {one["check"]: one["verdict"] for one in findings}
    assert code == 0, [one for one in findings if one["verdict"] == "fail"]
    for name in ("storage", "gpus", "operators", "rights", "secrets", "budget"):
        assert verdicts[name] == "warn", name
    for name in ("api", "targets", "readiness decode", "dry-run decode", "series"):
        assert verdicts[name] == "pass", name


def test_our_own_rights_are_judged_on_request(deployed: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    plane = deployed.site.plane
    token = plane.admin.token_for(deployed.namespace, "setpoint")
    deployed.set("kubernetes.kubeconfig", str(plane.kubeconfig(token, namespace=deployed.namespace)))

    _, findings = check(deployed, capsys, "--as-self")

    rights = next(one for one in findings if one["check"] == "rights")
    assert rights["verdict"] == "pass"
    assert rights["summary"].startswith("we ourselves may do all that the daemon does")


def test_a_stage_is_looked_at_alone_and_needs_no_settings(
    deployed: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = deployed.settings["kubernetes"]["kubeconfig"]
    capsys.readouterr()

    code = invoke(
        ["check", "--stage", "cluster", "--set", f"kubernetes.kubeconfig={kubeconfig}", "-o", "json"]
    )
    findings = json.loads(capsys.readouterr().out)["findings"]

    assert code == 0
    assert [one["check"] for one in findings] == ["api", "storage", "gpus", "gpu-operator"]


def test_nothing_is_changed_and_no_secret_is_shown(
    deployed: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = deployed.site.admin
    secret = deployed.path("v1", "secrets", "hf-token-secret")
    admin.merge(secret, {"stringData": {"HF_TOKEN": "hf_hidden_word"}})
    before = admin.get(deployed.graph)

    capsys.readouterr()
    invoke(["check", "-c", str(deployed.file())])
    said = capsys.readouterr()

    after = admin.get(deployed.graph)
    assert "hf_hidden_word" not in said.out + said.err
    assert "hf-token-secret" in said.out
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_the_roles_of_the_manifests_are_just_right(
    deployed: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    admin, rbac = deployed.site.admin, "rbac.authorization.k8s.io/v1"
    admin.ask("DELETE", deployed.path(rbac, "rolebindings", "setpoint"))
    admin.ask("DELETE", deployed.role)
    for folder in ("daemon", "targets/dynamographdeployment"):
        text = (ROOT / "deploy" / "manifests" / folder / "role.yaml").read_text(encoding="utf-8")
        for item in yaml.safe_load_all(text):
            for subject in item.get("subjects", ()):
                subject["namespace"] = deployed.namespace
            admin.ask("POST", deployed.path(rbac, f"{item['kind'].lower()}s"), item)

    code, findings = check(deployed, capsys)

    verdicts = {one["check"]: (one["verdict"], one["summary"], *one["details"]) for one in findings}
    assert verdicts["rights"][0] == "pass", verdicts["rights"]
    assert verdicts["excess"][0] == "pass", verdicts["excess"]
    assert code == 0
