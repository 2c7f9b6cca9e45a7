"""A start on a cluster that fails leaves nothing behind."""

import asyncio
import gc
from pathlib import Path

import pytest

from config.clock import SystemClock
from config.errors import ConfigError
from config.load import load
from planner.commands.cluster import connect_cluster
from tests.cluster.scripted import Received, Reply, scripted

_DENIED = {
    "kind": "Status",
    "status": "Failure",
    "code": 403,
    "reason": "Forbidden",
    "message": "no rights to leases",
}


def denied(_: Received) -> Reply:
    return Reply(status=403, body=_DENIED)


async def test_an_election_that_is_insisted_on_and_not_allowed_ends_the_start_with_all_that_was_begun(
    tmp_path: Path,
) -> None:
    async with scripted() as server:
        server.otherwise = denied
        flags = {
            "budget_gpus": "8",
            "targets.ttft": "300ms",
            "targets.itl": "25ms",
            "profile": "embedded",
            "actuator": "kubernetes",
            "actuate": "true",
            "dynamo.graph_deployment": "llm",
            "kubernetes.election": "on",
            "kubernetes.retries": "0",
            "kubernetes.kubeconfig": str(server.kubeconfig(tmp_path)),
        }
        settings = load(flags=flags, environment={}).settings

        with pytest.raises(ConfigError, match="election"):
            await connect_cluster(settings, clock=SystemClock())

        begun = {task.get_name().partition(" ")[0] for task in asyncio.all_tasks()}
        assert begun.isdisjoint({"herald", "leadership"})
        assert {one.target.partition("?")[0].rpartition("/")[2] for one in server.received} == {
            "setpoint-llm"
        }
    gc.collect()  # connections that nobody closed warn now, which fails the test
