"""How findings look, what the flags mean, and what an API server does that nobody can name."""

import gc
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from connectors.kubernetes.api import ApiError, Patch
from planner.commands.check import NoApi
from planner.commands.check_view import as_document, as_lines
from planner.doctor.findings import Finding, Grid, Stage, Verdict


class Answered(Protocol):
    code: int
    out: str
    err: str


Setpoint = Callable[..., Answered]


def finding(
    check: str = "gpus", *, verdict: Verdict = Verdict.OK, summary: str = "8 GPUs", todo: str = ""
) -> Finding:
    return Finding(check=check, stage=Stage.CLUSTER, verdict=verdict, summary=summary, todo=todo)


def test_findings_stand_under_their_stage_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = as_lines(
        [
            finding(),
            finding("storage", verdict=Verdict.FAIL, summary="none", todo="choose one:\nkubectl patch x"),
        ]
    )

    assert shown.splitlines() == [
        "cluster",
        "  ✓ gpus: 8 GPUs",
        "  ✗ storage: none",
        "      → choose one:",
        "        kubectl patch x",
        "",
        "1 passed, 0 warnings, 1 failure, 0 not looked at",
    ]


def test_long_words_are_broken_and_commands_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    command = "kubectl label node " + "a" * 80

    lines = as_lines([finding(summary="word " * 30, todo=command)]).splitlines()

    assert max(len(line) for line in lines if "kubectl" not in line) <= 60
    assert f"      → {command}" in lines


def test_a_pipe_gets_one_line_for_each_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    assert f"  ✓ gpus: {'word ' * 40}".rstrip() in as_lines([finding(summary=("word " * 40).strip())])


def test_marks_are_plain_where_the_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))

    shown = as_lines(
        [finding(str(number), verdict=verdict, todo="x") for number, verdict in enumerate(Verdict)]
    )

    assert shown.isascii()
    assert [line[2] for line in shown.splitlines() if line[:2] == "  " and line[2] != " "] == [
        "+",
        "!",
        "x",
        "-",
    ]


def test_what_is_the_same_for_several_pools_is_said_once() -> None:
    shown = as_lines([finding("holds prefill", summary="free"), finding("holds decode", summary="free")])

    assert "✓ holds prefill, decode: free" in shown
    assert shown.count("free") == 1


def test_words_of_others_cannot_move_the_cursor() -> None:
    assert "\x1b" not in as_lines([finding(summary="a\x1b[2Jb", todo="kubectl \x1b[2J")])


def test_json_has_each_finding_with_its_table() -> None:
    grid = Grid(heads=("node", "free"), rows=(("a", "3"),), numbers=frozenset({"free"}))
    one = Finding(check="gpus", stage=Stage.CLUSTER, verdict=Verdict.WARN, summary="s", todo="t", grid=grid)

    document = json.loads(as_document([one]))

    assert document == {
        "ok": True,
        "counts": {"pass": 0, "warn": 1, "fail": 0, "skip": 0},
        "findings": [
            {
                "check": "gpus",
                "stage": "cluster",
                "verdict": "warn",
                "summary": "s",
                "details": [],
                "todo": "t",
                "table": [{"node": "a", "free": "3"}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param(("--frontend", "http://f"), "--frontend: is given without --probe", id="no probe"),
        pytest.param(
            ("--service-account", "setpoint"), "'setpoint' is not namespace:name", id="no namespace"
        ),
        pytest.param(("--stage", "moon"), "moon", id="no such stage"),
        pytest.param(("--probe", "--frontend", "f:8000"), "--frontend: not an address", id="no address"),
        pytest.param(("--service-account", "a:b", "--as-self"), "keep one", id="two accounts"),
    ],
)
def test_flags_that_mean_nothing_are_refused(
    setpoint: Setpoint, tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    nowhere = ("--set", f"kubernetes.kubeconfig={_kubeconfig(tmp_path)}")

    answered = setpoint("check", *flags, "--ttft", "1s", "--itl", "1s", "--budget", "8", *nowhere)

    assert answered.code == 2
    assert said in answered.err


def test_without_settings_only_the_early_stages_can_be_looked_at(setpoint: Setpoint) -> None:
    answered = setpoint("check")

    assert answered.code == 2
    assert "targets.ttft" in answered.err


def test_who_has_no_settings_yet_is_told_what_can_be_looked_at(setpoint: Setpoint) -> None:
    answered = setpoint("check")

    assert answered.code == 2
    assert answered.err.startswith("without settings, try --stage cluster or --stage platform\nerror: ")


def test_who_has_settings_is_told_what_is_wrong_with_them_alone(setpoint: Setpoint) -> None:
    assert "without settings" not in setpoint("check", "--ttft", "soon").err


@pytest.mark.parametrize("flags", [("--service-account", "setpoint"), ("--probe", "--frontend", "f:8000")])
def test_a_mistake_is_one_line_though_the_cluster_was_connected(
    setpoint: Setpoint, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    path = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    content = {"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "x"}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **content}), encoding="utf-8")

    answered = setpoint("check", "--stage", "cluster", *flags, "--set", f"kubernetes.kubeconfig={path}")
    gc.collect()

    assert answered.code == 2
    assert len(answered.err.splitlines()) == 1


def _kubeconfig(folder: Path) -> Path:
    path = folder / "kubeconfig"
    path.write_text("apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n", encoding="utf-8")
    return path


def test_a_kubeconfig_without_contexts_is_a_finding_and_not_a_crash(
    setpoint: Setpoint, tmp_path: Path
) -> None:
    answered = setpoint(
        "check", "--stage", "cluster", "--set", f"kubernetes.kubeconfig={_kubeconfig(tmp_path)}"
    )

    assert answered.code == 1
    assert "✗ api:" in answered.out


async def test_an_api_server_that_nobody_can_name_refuses_everything() -> None:
    api = NoApi("no kubeconfig")

    for asked in (
        api.get("/x"),
        api.post("/x", {}),
        api.put("/x", {}),
        api.patch("/x", {}, Patch.MERGE),
        anext(api.watch("/x")),
    ):
        with pytest.raises(ApiError, match="no kubeconfig"):
            await asked


def test_what_was_not_looked_at_for_one_reason_is_said_once() -> None:
    away = "the API server does not answer"
    shown = as_lines([finding(name, verdict=Verdict.SKIP, summary=away) for name in ("storage", "gpus")])

    assert f"– storage, gpus: {away}" in shown
