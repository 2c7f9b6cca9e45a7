"""What does a scheduler of whole groups have no room for?

NVIDIA's KAI scheduler places pods by PodGroups and says on them, and not always on the pods, that no node
pool has room. The groups are only asked for where pods belong to some and wait.
"""

from collections.abc import Callable, Mapping, Sequence

from config.clock import Clock
from connectors.kubernetes.api import Api, ApiError, Json, Resource
from connectors.kubernetes.cache import Cache
from connectors.kubernetes.discovery import preferred_version
from connectors.kubernetes.listing import Listing
from connectors.kubernetes.paths import text
from connectors.kubernetes.podstate import Trouble, scheduling_group_of, unplaced_groups

_GROUP = "scheduling.run.ai"
_AGAIN_S = 600.0


class PodGroups:
    """The PodGroups of the KAI scheduler.

    Args:
        api: Who is asked for the version.
        cache: Where the groups are read.
        clock: Where time comes from.
        say: Takes what a user should know.
    """

    def __init__(self, api: Api, cache: Cache, *, clock: Clock, say: Callable[[str], None]) -> None:
        self._api, self._cache, self._clock, self._say = api, cache, clock, say
        self._version = ""
        self._again_s = 0.0

    async def unplaced(self, pods: Sequence[Json], *, namespace: str) -> Mapping[str, Trouble]:
        """Return what there is no room for, by the group's name; nothing where that cannot be read."""
        waits = any(scheduling_group_of(pod) and not text(pod, "spec", "nodeName") for pod in pods)
        if not waits or self._clock.now_s() < self._again_s:
            return {}
        try:
            version = self._version = self._version or await preferred_version(self._api, _GROUP)
            resource = Resource(group=_GROUP, version=version, plural="podgroups", kind="PodGroup")
            return unplaced_groups(await self._cache.listed(Listing(path=resource.path(namespace))))
        except ApiError as error:
            self._again_s = self._clock.now_s() + _AGAIN_S
            self._say(f"PodGroups of the KAI scheduler were not read; what waits counts as starting: {error}")
            return {}
