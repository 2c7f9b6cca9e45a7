"""Dynamo's kinds on a real API server, and a test that plays its operator."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.crds import DGD, DGDR

Json = dict[str, Any]
SETPOINT = Path(sys.executable).parent / "setpoint"
_LIMIT_S = 30.0
PREFILL = {
    "prefill_isl": [4000, 100, 1000, 8000],
    "prefill_ttft": [220.0, 25.0, 70.0, 420.0],
    "prefill_thpt_per_gpu": [10.0, 40.0, 30.0, 5.0],
}
DECODE = {
    "x_kv_usage": [0.1, 0.9, 0.1, 0.9],
    "y_context_length": [500, 500, 5000, 5000],
    "z_itl": [6.0, 12.0, 7.0, 14.0],
    "z_thpt_per_gpu": [100.0, 400.0, 80.0, 300.0],
    "max_kv_tokens": 100_000,
}


class Running:
    """A command that runs, and what it says on standard error."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said: list[str] = []

    def until(self, text: str) -> str:
        """Read until a line holds a text."""
        assert self.process.stderr is not None
        while line := self.process.stderr.readline():
            self.said.append(line.rstrip())
            if text in line:
                return line.rstrip()
        raise AssertionError(f"{text!r} was not said: {self.said}")

    def end(self) -> str:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        # Not `communicate`, which would lose the lines that `readline` has read ahead.
        self.said += self.process.stderr.read().splitlines()
        out = self.process.stdout.read()
        self.process.wait(timeout=_LIMIT_S)
        return out


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A namespace in which the test plays Dynamo's operator."""

    plane: ControlPlane
    namespace: str
    folder: Path

    def path(self, plural: str, name: str = "", *, version: str = "v1alpha1") -> str:
        tail = f"/{name}" if name else ""
        return f"/apis/nvidia.com/{version}/namespaces/{self.namespace}/{plural}{tail}"

    def create(self, plural: str, item: Json) -> None:
        version = str(item["apiVersion"]).partition("/")[2]
        self.plane.admin.ask("POST", self.path(plural, version=version), item)

    def config_map(self, name: str, data: dict[str, str]) -> None:
        item = {"metadata": {"name": name}, "data": data}
        self.plane.admin.ask("POST", f"/api/v1/namespaces/{self.namespace}/configmaps", item)

    def profile(self) -> None:
        files = {"prefill_raw_data.json": json.dumps(PREFILL), "decode_raw_data.json": json.dumps(DECODE)}
        self.config_map("planner-profile-data", files)

    def say(self, plural: str, name: str, status: Json, *, version: str = "v1alpha1") -> None:
        self.plane.admin.status(self.path(plural, name, version=version), status)

    def read(self, plural: str, name: str, *, version: str = "v1alpha1") -> Json:
        return self.plane.admin.get(self.path(plural, name, version=version))

    def kubeconfig(self) -> Path:
        return self.plane.kubeconfig(self.plane.token, namespace=self.namespace, folder=self.folder)

    def environment(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig()), "LANG": "C.UTF-8", "COLUMNS": "100"}

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Running]:
        command = [str(SETPOINT), *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment()
        ) as process:
            try:
                yield Running(process)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command: Sequence[str] = [str(SETPOINT), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False, env=self.environment()
        )


@pytest.fixture
def operator(control_plane: ControlPlane, tmp_path: Path) -> Operator:
    for definition in (DGD, DGDR):
        control_plane.admin.crd(definition)
    return Operator(plane=control_plane, namespace=control_plane.admin.namespace("dgd"), folder=tmp_path)
