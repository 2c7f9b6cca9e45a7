"""When does this process stand for election, and when does it tell on the cluster?

Who only advises does neither: it would keep the Lease from the one that scales, and tell people of decisions
that nobody carries out. A daemon that is told to scale by a reload begins with its first write.
"""

from dataclasses import dataclass, field

from config.errors import ConfigError, Refused
from connectors.kubernetes.lease import Leadership
from planner.commands.telling_cluster import ClusterTelling


@dataclass(kw_only=True)
class Candidate:
    """This process among the daemons of a deployment.

    Attributes:
        telling: Who tells on the cluster what happens.
        leadership: Which of several daemons writes; None where that is not agreed on.
    """

    telling: ClusterTelling
    leadership: Leadership | None = None
    _has_begun: bool = field(default=False, init=False)

    def standby(self) -> str:
        """Return why this process may not write now; empty if it may, or does not want to."""
        return self.leadership.standby() if self.leadership is not None and self._has_begun else ""

    async def begin(self) -> None:
        """Stand for election and tell from now on, where that has not begun.

        Raises:
            ConfigError: If an election is insisted on, and our rights do not allow one.
        """
        if self._has_begun:
            return
        self._has_begun = True
        try:
            if self.leadership is not None:
                await self.leadership.start()
        except BaseException:
            self._has_begun = False
            raise
        await self.telling.start()

    async def begin_to_write(self) -> None:
        """Begin, right before a write.

        Raises:
            Refused: If an election is insisted on, and our rights do not allow one.
        """
        try:
            await self.begin()
        except ConfigError as error:
            raise Refused(str(error)) from error
