"""Is a deployment ready, and what keeps it from that?"""

from collections.abc import Iterator

from config.clock import Clock
from config.errors import ActuationError, Malformed
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.builtin import PODS
from connectors.kubernetes.meta import condition_of, is_observed, items, member, name_of, text
from planner.preparing.requests import pod_troubles
from planner.preparing.waiting import Seen, Teller, wait_for

_LABEL = "nvidia.com/dynamo-graph-deployment-name"
_MOST = 3


async def wait_until_ready(
    api: Api, path: str, *, clock: Clock, teller: Teller, limit_s: float | None = None
) -> str:
    """Wait until a deployment says that it is ready; return the words in which it does.

    Raises:
        ActuationError: If it is not ready in time, failed, or was deleted.
        ApiError: If an answer will not be better later.
    """

    async def look() -> Seen[str]:
        try:
            graph = await api.get(path)
        except ApiError as error:
            if not error.is_missing:
                raise
            raise ActuationError("the deployment was deleted while it was waited for") from None
        ready = condition_of(graph, "Ready")
        if ready.is_true and is_observed(graph):
            return Seen(words="Ready", result="Ready")
        return Seen(words="; ".join([*_progress(graph), *await _pods(api, graph)]) or "not ready yet")

    try:
        name = path.rpartition("/")[2]
        return await wait_for(look, about=f"deployment {name}", clock=clock, teller=teller, limit_s=limit_s)
    except TimeoutError as error:
        raise ActuationError(f"{error}; wait longer with --timeout, or look at its pods") from None


def _progress(graph: Json) -> Iterator[str]:
    """Yield what the deployment says of itself."""
    ready = condition_of(graph, "Ready")
    yield (text(graph, "status", "state") or "no status yet") + (f" ({ready.words})" if ready.words else "")
    for field in ("services", "components"):
        for name, one in member(graph, "status", field).items():
            if not isinstance(one, dict):
                raise Malformed(f"expected an object at status.{field}.{name}")
            done = one.get("availableReplicas", one.get("readyReplicas")) or 0
            if done != one.get("replicas"):
                yield f"{name} {done}/{one.get('replicas', '?')} ready"


async def _pods(api: Api, graph: Json) -> list[str]:
    """Return what keeps its pods from running, as far as they may be read."""
    namespace = text(graph, "metadata", "namespace")
    try:
        found = await api.get(PODS.path(namespace), {"labelSelector": f"{_LABEL}={name_of(graph)}"})
    except ApiError:
        return []
    troubles = [f"pod {name_of(pod)}: {line}" for pod in items(found, "items") for line in pod_troubles(pod)]
    more = len(troubles) - _MOST
    return [*troubles[:_MOST], *([f"{more} more pods have trouble"] if more > 0 else [])]
