"""The client on a real API server: who we are, what is refused, what is followed, and a server that dies."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.clock import SystemClock
from config.errors import ConfigError
from connectors.kubernetes.api import ApiError, Patch, WatchEvent
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.surroundings import Surroundings
from tests.cluster.control_plane import ControlPlane, unpacked
from tests.cluster.scripted import HastyClock, tls_of

# Who may do nothing may still ask for this.
VERSION = "/version"
PLUGIN = """\
#!/bin/sh
echo run >> {folder}/runs
cat {folder}/credential.json
"""


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    return control_plane.admin.namespace("client")


@pytest.fixture
async def client(control_plane: ControlPlane, namespace: str) -> AsyncIterator[KubeClient]:
    path = control_plane.kubeconfig(control_plane.token, namespace=namespace)
    found = KubeClient(ApiOptions(kubeconfig=path, requests_per_second=500.0), SystemClock())
    yield found
    await found.close()


def _deployment(name: str, replicas: int = 2) -> dict[str, Any]:
    labels = {"app": name}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pods}
    return {"metadata": {"name": name}, "spec": spec}


def _deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def _account(plane: ControlPlane, namespace: str) -> tuple[str, str]:
    """Make a service account; return its path and a token of it."""
    name = f"a-{secrets.token_hex(4)}"
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    plane.admin.ask("POST", accounts, {"metadata": {"name": name}})
    return f"{accounts}/{name}", plane.admin.token_for(namespace, name)


def _pod(plane: ControlPlane, folder: Path, *, token: str, namespace: str) -> Surroundings:
    folder.mkdir(exist_ok=True)
    (folder / "ca.crt").write_bytes(plane.ca_file.read_bytes())
    (folder / "namespace").write_text(namespace, encoding="utf-8")
    (folder / "token").write_text(f"{token}\n", encoding="utf-8")
    return Surroundings(service_host="127.0.0.1", service_port=str(plane.port), account=folder, home=folder)


async def test_an_object_is_created_read_changed_and_scaled(client: KubeClient, namespace: str) -> None:
    await client.post(_deployments(namespace), _deployment("a"))
    path = f"{_deployments(namespace)}/a"
    read = dict(await client.get(path))

    scaled = await client.patch(f"{path}/scale", {"spec": {"replicas": 5}}, Patch.MERGE)
    tried = await client.patch(path, {"spec": {"replicas": 9}}, Patch.MERGE, {"dryRun": "All"})
    after = await client.get(path)
    with pytest.raises(ApiError) as stale:
        await client.put(path, read)

    assert (read["spec"]["replicas"], scaled["kind"], scaled["spec"]["replicas"]) == (2, "Scale", 5)
    assert (tried["spec"]["replicas"], after["spec"]["replicas"]) == (9, 5)
    assert stale.value.is_conflict
    managers = {entry["manager"] for entry in after["metadata"]["managedFields"]}
    assert managers == {"setpoint"}


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        ({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 3}}, Patch.MERGE, 409, "Conflict"),
        ([{"op": "test", "path": "/spec/replicas", "value": 77}], Patch.JSON, 422, "Invalid"),
        ({"spec": {"replicas": -1}}, Patch.MERGE, 422, "Invalid"),
        ({"spec": {"replicas": "three"}}, Patch.MERGE, 422, "Invalid"),
    ],
)
async def test_a_write_that_does_not_fit_is_refused_by_its_status(
    client: KubeClient, namespace: str, body: object, *, kind: Patch, status: int, reason: str
) -> None:
    await client.post(_deployments(namespace), _deployment("a"))

    with pytest.raises(ApiError) as caught:
        await client.patch(f"{_deployments(namespace)}/a", body, kind)

    assert (caught.value.status, caught.value.reason) == (status, reason)


async def test_what_is_not_there_and_what_is_there_already(client: KubeClient, namespace: str) -> None:
    await client.post(_deployments(namespace), _deployment("a"))

    with pytest.raises(ApiError) as missing:
        await client.get(f"{_deployments(namespace)}/b")
    with pytest.raises(ApiError) as no_kind:
        await client.get(f"/apis/nobody.example/v1/namespaces/{namespace}/engines")
    with pytest.raises(ApiError) as twice:
        await client.post(_deployments(namespace), _deployment("a"))

    assert missing.value.is_missing
    assert 'deployments.apps "b" not found' in str(missing.value)
    assert no_kind.value.is_missing
    assert (twice.value.is_conflict, twice.value.reason) == (True, "AlreadyExists")


async def test_who_has_no_rights_is_told_which(control_plane: ControlPlane, namespace: str) -> None:
    _, token = _account(control_plane, namespace)
    client = KubeClient(ApiOptions(kubeconfig=control_plane.kubeconfig(token)), SystemClock())

    with pytest.raises(ApiError) as caught:
        await client.get(_deployments(namespace))
    await client.close()

    assert caught.value.is_forbidden
    assert 'cannot list resource "deployments" in API group "apps"' in str(caught.value)


async def test_a_wrong_token_is_refused_and_not_shown(control_plane: ControlPlane) -> None:
    path = control_plane.kubeconfig("wr0ng-token-of-ours")
    client = KubeClient(ApiOptions(kubeconfig=path), SystemClock())

    with pytest.raises(ApiError) as caught:
        await client.get(VERSION)
    await client.close()

    assert caught.value.status == 401
    assert "log in again" in str(caught.value)
    assert "wr0ng" not in str(caught.value)


async def test_the_context_decides_server_user_and_namespace(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    path = control_plane.kubeconfig(control_plane.token, namespace=namespace, folder=tmp_path)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["current-context"] = "nowhere"
    document["contexts"].append({"name": "nowhere", "context": {"cluster": "n", "user": "u"}})
    document["clusters"].append({"name": "n", "cluster": {"server": "https://127.0.0.1:9"}})
    path.write_text(yaml.safe_dump(document), encoding="utf-8")

    named = KubeClient(ApiOptions(kubeconfig=path, context="test"), SystemClock())
    access = await named.open()
    answer = await named.get(VERSION)
    current = KubeClient(ApiOptions(kubeconfig=path), SystemClock())
    other = await current.open()
    await named.close()
    await current.close()

    assert (access.server, access.namespace) == (control_plane.url, namespace)
    assert access.how == f"context test of {path}"
    assert answer["gitVersion"] == "v1.20.2"
    assert (other.server, other.namespace) == ("https://127.0.0.1:9", "default")


async def test_the_shells_kubeconfig_is_used_outside_a_pod(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig(control_plane.token)))
    client = KubeClient(ApiOptions(namespace="own"), SystemClock())

    access = await client.open()
    await client.get(VERSION)
    await client.close()

    assert (access.server, access.namespace) == (control_plane.url, "own")


async def test_a_pod_uses_its_service_account_and_notes_a_rotated_token_at_once(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    _, token = _account(control_plane, namespace)
    pod = _pod(control_plane, tmp_path / "account", token=token[:-9], namespace=namespace)
    client = KubeClient(ApiOptions(), SystemClock(), surroundings=pod)

    access = await client.open()
    _pod(control_plane, tmp_path / "account", token=token, namespace=namespace)
    answer = await client.get(VERSION)
    await client.close()

    assert answer["gitVersion"] == "v1.20.2"

    assert (access.namespace, access.how) == (namespace, "the service account of the pod")


async def test_a_user_who_acts_for_another_has_only_the_others_rights(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    path = control_plane.kubeconfig(control_plane.token, namespace=namespace, folder=tmp_path)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["users"][0]["user"] |= {"as": "jane", "as-groups": ["dev", "ops"]}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    client = KubeClient(ApiOptions(kubeconfig=path), SystemClock())

    with pytest.raises(ApiError, match='User "jane" cannot list') as caught:
        await client.get(_deployments(namespace))
    await client.close()

    assert caught.value.is_forbidden
    acted = [entry.get("impersonatedUser", {}) for entry in control_plane.audit(verbs=("list",))][-1]
    assert set(acted["groups"]) >= {"dev", "ops"}


async def test_a_pod_notes_a_rotated_authority(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    _, token = _account(control_plane, namespace)
    pod = _pod(control_plane, tmp_path / "account", token=token, namespace=namespace)
    (tmp_path / "account" / "ca.crt").write_bytes(tls_of(tmp_path)[1].read_bytes())
    clock = HastyClock()
    client = KubeClient(ApiOptions(), clock, surroundings=pod)
    with pytest.raises(ApiError) as caught:
        await client.get(VERSION)
    await clock.sleep(6.0)

    _pod(control_plane, tmp_path / "account", token=token, namespace=namespace)
    answer = await client.get(VERSION)
    await client.close()

    assert caught.value.reason == "Certificate"
    assert answer["gitVersion"] == "v1.20.2"


async def test_a_pod_reads_its_token_each_minute(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    clock = HastyClock()
    _, first = _account(control_plane, namespace)
    path, second = _account(control_plane, namespace)
    pod = _pod(control_plane, tmp_path / "account", token=first, namespace=namespace)
    client = KubeClient(ApiOptions(), clock, surroundings=pod)
    await client.get(VERSION)
    _pod(control_plane, tmp_path / "account", token=second, namespace=namespace)

    await clock.sleep(61.0)
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    await client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    await client.close()

    user = f"system:serviceaccount:{namespace}:{path.rpartition('/')[2]}"
    assert [entry["verb"] for entry in control_plane.audit(user=user)] == ["create"]


def _credential(folder: Path, token: str, *, expires: str = "") -> None:
    status = {"token": token, **({"expirationTimestamp": expires} if expires else {})}
    document = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    (folder / "credential.json").write_text(json.dumps(document), encoding="utf-8")


def _plugin(plane: ControlPlane, folder: Path, script: str = PLUGIN) -> Path:
    program = folder / "plugin"
    program.write_text(script.format(folder=folder), encoding="utf-8")
    program.chmod(0o700)
    path = plane.kubeconfig("unused", folder=folder)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["users"][0]["user"] = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "args": ["token"]}
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def _runs(folder: Path) -> int:
    return len((folder / "runs").read_text(encoding="utf-8").splitlines())


async def test_a_plugin_is_run_again_when_the_server_refuses_what_it_gave(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    _, token = _account(control_plane, namespace)
    _credential(tmp_path, "outdated", expires="2099-01-01T00:00:00Z")
    client = KubeClient(ApiOptions(kubeconfig=_plugin(control_plane, tmp_path)), SystemClock())
    await client.open()
    before = _runs(tmp_path)
    _credential(tmp_path, token)

    answers = await asyncio.gather(*(client.get(VERSION) for _ in range(5)))
    await client.close()

    assert (before, _runs(tmp_path), len(answers)) == (1, 2, 5)


async def test_a_plugin_is_run_again_before_what_it_gave_expires(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    clock = HastyClock(wall_origin_s=1_767_225_600.0)  # 2026-01-01
    _, token = _account(control_plane, namespace)
    _credential(tmp_path, token, expires="2026-01-01T00:10:00Z")
    client = KubeClient(ApiOptions(kubeconfig=_plugin(control_plane, tmp_path)), clock)
    runs = []

    for later_s in (0.0, 530.0, 20.0):
        await clock.sleep(later_s)
        await client.get(VERSION)
        runs.append(_runs(tmp_path))
    await client.close()

    assert runs == [1, 1, 2]


async def test_a_plugin_that_fails_or_gives_what_expired_is_not_run_for_every_request(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    clock = HastyClock(wall_origin_s=1_767_225_600.0)  # 2026-01-01
    _, token = _account(control_plane, namespace)
    _credential(tmp_path, token, expires="2025-12-31T00:00:00Z")
    client = KubeClient(ApiOptions(kubeconfig=_plugin(control_plane, tmp_path)), clock)
    runs = []

    for later_s in (0.0, 0.0, 6.0, 0.0, 6.0, 0.0):
        await clock.sleep(later_s)
        await client.get(VERSION)
        runs.append(_runs(tmp_path))
        if len(runs) == 4:
            (tmp_path / "credential.json").write_text("nonsense", encoding="utf-8")
    await client.close()

    assert runs == [1, 1, 2, 2, 3, 3]


async def test_a_plugin_that_is_refused_again_rests(control_plane: ControlPlane, tmp_path: Path) -> None:
    clock = HastyClock()
    _credential(tmp_path, "wr0ng-token")
    client = KubeClient(ApiOptions(kubeconfig=_plugin(control_plane, tmp_path)), clock)
    statuses, runs = [], []

    for later_s in (0.0, 0.0, 6.0):
        await clock.sleep(later_s)
        with pytest.raises(ApiError) as caught:
            await client.get(VERSION)
        statuses.append(caught.value.status)
        runs.append(_runs(tmp_path))
    await client.close()

    assert statuses == [401, 401, 401]
    assert runs == [2, 2, 3]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\necho 'log in first' >&2\nexit 3\n", "log in first"),
        ("#!/bin/sh\necho nonsense\n", "exec: failed to decode process output"),
        ("#!/bin/sh\necho '{{}}'\n", "exec: malformed response. missing key 'apiVersion'"),
    ],
)
async def test_a_plugin_that_gives_nothing_is_an_error_of_the_settings(
    control_plane: ControlPlane, tmp_path: Path, script: str, *, words: str
) -> None:
    path = _plugin(control_plane, tmp_path, script)

    with pytest.raises(ConfigError) as caught:
        await KubeClient(ApiOptions(kubeconfig=path), SystemClock()).open()

    assert words in str(caught.value)
    assert caught.value.key == "kubernetes.kubeconfig"


async def _next_kinds(events: AsyncIterator[WatchEvent], count: int) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    async with asyncio.timeout(10.0):
        while len(found) < count:
            event = await anext(events)
            if event.kind != "BOOKMARK":
                found.append((event.kind, event.item["spec"]["replicas"]))
    return found


async def test_a_watch_sees_every_change_in_order(client: KubeClient, namespace: str) -> None:
    path = f"{_deployments(namespace)}/a"
    listed = await client.get(_deployments(namespace))
    query = {"resourceVersion": listed["metadata"]["resourceVersion"]}
    async with aclosing(client.watch(_deployments(namespace), query)) as events:
        await client.post(_deployments(namespace), _deployment("a"))
        for count in (3, 4, 5):
            await client.patch(f"{path}/scale", {"spec": {"replicas": count}}, Patch.MERGE)

        seen = await _next_kinds(events, 4)

    assert seen == [("ADDED", 2), ("MODIFIED", 3), ("MODIFIED", 4), ("MODIFIED", 5)]


async def test_a_watch_carries_a_line_of_many_kilobytes(client: KubeClient, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    body = {"metadata": {"name": "large"}, "data": {"x": "y" * 600_000}}
    await client.post(path, body)

    async with aclosing(client.watch(path, {"fieldSelector": "metadata.name=large"})) as events:
        event = await anext(events)

    assert len(event.item["data"]["x"]) == 600_000


@pytest.mark.slow
async def test_a_watch_that_the_server_closes_just_ends(client: KubeClient, namespace: str) -> None:
    await client.post(_deployments(namespace), _deployment("a"))

    kinds = [event.kind async for event in client.watch(_deployments(namespace), {"timeoutSeconds": "1"})]

    assert kinds[0] == "ADDED"
    assert set(kinds[1:]) <= {"BOOKMARK"}


@pytest.fixture
def own_plane(shared_dir: Path) -> Iterator[ControlPlane]:
    """Return a control plane that a test may kill."""
    plane = ControlPlane(unpacked(shared_dir))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@pytest.mark.slow
async def test_a_server_that_dies_and_comes_back_is_followed_again(own_plane: ControlPlane) -> None:
    options = ApiOptions(kubeconfig=own_plane.kubeconfig(own_plane.token), retries=0)
    client = KubeClient(options, SystemClock())
    deployments = _deployments(own_plane.admin.namespace())
    await client.post(deployments, _deployment("a"))
    watch = client.watch(deployments)
    first = await _next_kinds(watch, 1)

    own_plane.kill_api()
    with pytest.raises(ApiError) as broken:
        await _next_kinds(watch, 1)
    with pytest.raises(ApiError) as down:
        await client.get(deployments)
    await asyncio.to_thread(own_plane.start_api)
    # A version of before is too old where the server wrote anything of its own as it started.
    version = str((await client.get(deployments))["metadata"]["resourceVersion"])
    await client.patch(f"{deployments}/a/scale", {"spec": {"replicas": 7}}, Patch.MERGE)
    async with aclosing(client.watch(deployments, {"resourceVersion": version})) as events:
        again = await _next_kinds(events, 1)
    with pytest.raises(ApiError) as old:
        await _next_kinds(client.watch(deployments, {"resourceVersion": "1"}), 1)
    await client.close()

    assert (first, again) == ([("ADDED", 2)], [("MODIFIED", 7)])
    assert (broken.value.status, down.value.status) == (0, 0)
    assert old.value.status == 410


@pytest.mark.slow
async def test_a_server_that_comes_back_in_time_is_waited_for(own_plane: ControlPlane) -> None:
    options = ApiOptions(kubeconfig=own_plane.kubeconfig(own_plane.token), retries=3)
    clock = _Reviving(own_plane)
    client = KubeClient(replace(options, timeout_s=10.0), clock)
    await client.get(VERSION)
    own_plane.kill_api()

    answer = await client.get(VERSION)
    await client.close()

    assert answer["gitVersion"] == "v1.20.2"
    assert clock.revived == 1


class _Reviving(SystemClock):
    """A clock in whose first wait the API server comes back."""

    def __init__(self, plane: ControlPlane) -> None:
        self.revived = 0
        self._plane = plane

    async def sleep(self, duration_s: float) -> None:
        if not self.revived:
            self.revived += 1
            await asyncio.to_thread(self._plane.start_api)
        await super().sleep(min(duration_s, 0.0))
