"""What happens is told on the cluster: one listener for the desk, one for the election."""

from collections.abc import Callable, Iterable, Mapping

from connectors.kubernetes.herald import Herald
from connectors.kubernetes.lease_options import LeaseNews
from connectors.kubernetes.target import ObjectKey, Target
from planner.core.words import explain, headline
from planner.serving.announcements import Announcement, Announcer
from planner.serving.records import Record, Stepped

_ELECTED = "LeaderElected"
_LOST = "LeaderLost"
_ALONE = "NoElection"
_WAITING = 20


class ClusterTelling:
    """Tells on the targets, and in a ConfigMap, what the daemon's records and the election say.

    Args:
        herald: Who sends it; closed with this.
        targets: Returns the targets that were found so far.
        config_map: Name of the ConfigMap.
    """

    def __init__(self, herald: Herald, *, targets: Callable[[], Iterable[Target]], config_map: str) -> None:
        self._herald, self._targets, self._config_map = herald, targets, config_map
        self._announcer = Announcer(explain=explain, headline=headline)
        self._waiting: list[Announcement] = []
        self._leads = self._has_begun = False
        self._unheard: Stepped | None = None

    def take(self, record: Record) -> None:
        """Tell what a record has to tell, once this has begun; a listener of the desk."""
        if not self._has_begun:
            self._unheard = record if isinstance(record, Stepped) else self._unheard
            return
        self._tell(self._announcer.take(record))
        summary = self._announcer.summary(record)
        if summary is not None:
            self._herald.keep(self._config_map, summary)

    def lead(self, news: LeaseNews, words: str) -> None:
        """Tell who leads; a listener of the election."""
        told = self._election(news, words)
        self._leads = news in {LeaseNews.LEADS, LeaseNews.TROUBLE}
        if told is not None:
            self._tell((told,))

    async def start(self) -> None:
        """Begin to tell, with the last decision that was made before."""
        self._has_begun = True
        await self._herald.start()
        if self._unheard is not None:
            self.take(self._unheard)

    async def close(self) -> None:
        """Tell what is left, if that is quick, and end."""
        await self._herald.close()

    def _election(self, news: LeaseNews, words: str) -> Announcement | None:
        if news is LeaseNews.LEADS and not self._leads:
            return Announcement(pool="", is_warning=False, reason=_ELECTED, message=words)
        reason = {LeaseNews.LOST: _LOST, LeaseNews.UNGUARDED: _ALONE}.get(news)
        return Announcement(pool="", is_warning=True, reason=reason, message=words) if reason else None

    def _tell(self, announcements: Iterable[Announcement]) -> None:
        # Who leads is known before the targets are: it is told as soon as there is an object to tell it on.
        self._waiting = [*self._waiting, *announcements][-_WAITING:]
        parents = _parents(self._targets())
        if not parents:
            return
        for announcement in self._waiting:
            for about in _about(announcement, parents):
                self._herald.announce(
                    about,
                    is_warning=announcement.is_warning,
                    reason=announcement.reason,
                    message=announcement.message,
                )
        self._waiting.clear()


def _parents(targets: Iterable[Target]) -> Mapping[str, ObjectKey]:
    return {target.role.value: target.parent for target in targets}


def _about(announcement: Announcement, parents: Mapping[str, ObjectKey]) -> tuple[ObjectKey, ...]:
    if announcement.pool in parents:
        return (parents[announcement.pool],)
    return tuple(dict.fromkeys(parents.values()))
