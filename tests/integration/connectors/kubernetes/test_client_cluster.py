"""Whatever becomes of the kubeconfig, the client does not go to another cluster than it began with."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.kubernetes.api import ApiError
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.options import ApiOptions
from tests.cluster.scripted import HastyClock, Reply, ScriptedServer, scripted

_POD = "/api/v1/namespaces/llm/pods/a"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted() as found:
        found.otherwise = lambda received: Reply(
            status=200 if received.headers.get("authorization") == "Bearer new" else 401
        )
        yield found


@pytest.fixture
async def other() -> AsyncIterator[ScriptedServer]:
    async with scripted() as found:
        yield found


def _write(path: Path, *, bearer: str, current: str, test: str, prod: str) -> Path:
    document: dict[str, Any] = {
        "current-context": current,
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in (("t", test), ("p", prod))],
        "users": [{"name": "u", "user": {"token": bearer}}],
        "contexts": [
            {"name": name, "context": {"cluster": name[0], "user": "u"}} for name in ("test", "prod")
        ],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


async def test_choosing_another_context_for_the_shell_does_not_move_a_daemon_that_runs(
    server: ScriptedServer, other: ScriptedServer, tmp_path: Path
) -> None:
    clock = HastyClock()
    path = _write(tmp_path / "config", bearer="old", current="test", test=server.url, prod=other.url)
    client = KubeClient(ApiOptions(kubeconfig=path), clock)
    await client.open()

    _write(path, bearer="new", current="prod", test=server.url, prod=other.url)
    await client.get(_POD)
    await client.close()

    assert other.received == []
    assert len(server.received) == 2


async def test_a_context_that_leads_to_another_server_is_not_followed_there(
    server: ScriptedServer, other: ScriptedServer, tmp_path: Path
) -> None:
    path = _write(tmp_path / "config", bearer="old", current="test", test=server.url, prod=other.url)
    client = KubeClient(ApiOptions(kubeconfig=path), HastyClock())
    await client.open()

    _write(path, bearer="new", current="test", test=other.url, prod=server.url)
    with pytest.raises(ApiError, match=f"began with {server.url}.*leads to {other.url}.*start it again"):
        await client.get(_POD)
    await client.close()

    assert other.received == []
