"""Where does the daemon hand in what happened?

One call for each event, and the board, the metrics, the journal and the log all know. None of them can fail
the loop.
"""

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from planner.serving.api import Api
from planner.serving.dynamo_log import DynamoLog
from planner.serving.journal import Journal
from planner.serving.metrics import Metrics
from planner.serving.records import Actuated, Outcome, Record, Reloaded, Started, Stepped
from planner.serving.status import Explain, Headline, Health, StatusBoard
from planner.serving.steplog import log_step

if TYPE_CHECKING:
    from planner.serving.server import Server

# Outcomes that nobody needs to see in the log.
_CALM = frozenset({Outcome.APPLIED, Outcome.ADVISORY, Outcome.SKIPPED, Outcome.STANDBY})
Listener = Callable[[Record], None]

_NUMBER = re.compile(r"\d+(\.\d+)?")


class Desk:
    """Everything that records and shows, behind one counter.

    Args:
        board: What is known now.
        journal: Where records are kept.
        logger: Where lines go.
        explain: Renders a decision's reasons, one sentence each.
        headline: Renders a decision in one line.
        style: The log's style; `dynamo` has the lines of Dynamo's planner.

    Attributes:
        listeners: Who else hears each record; they must neither block nor raise.
    """

    def __init__(
        self,
        *,
        board: StatusBoard,
        journal: Journal,
        logger: FilteringBoundLogger,
        explain: Explain,
        headline: Headline,
        style: str = "console",
    ) -> None:
        self.board = board
        self.journal = journal
        self.metrics = Metrics(board)
        self.api = Api(board=board, journal=journal, metrics=self.metrics, explain=explain, headline=headline)
        self._logger = logger
        self._explain = explain
        self._headline = headline
        self._dynamo = DynamoLog(logger, board, explain) if style == "dynamo" else None
        self.listeners: list[Listener] = []

    def take(self, record: Record) -> None:
        """Take a record: first what is known, then what is counted, written, logged and told elsewhere."""
        self.board.take(record)
        self.metrics.take(record)
        self._write(record)
        self._log(record)
        for listener in self.listeners:
            listener(record)

    def failed(self, part: str, error: BaseException) -> None:
        """Take note of an error in a part of the daemon.

        It is told once while it stays the same but for its numbers (an age grows), so that an outage does not
        fill the log; each is counted.

        Args:
            part: Which part: `source`, `actuator`, `predictor`, `step`, …
            error: What was raised.
        """
        why = str(error)
        level = logging.DEBUG if self._is_known(part, why) else logging.WARNING
        self.board.report(part, is_ok=False, detail=why)
        self.metrics.error(part)
        if self._dynamo is not None and self._dynamo.told_trouble(level, part, why):
            return
        self._logger.log(level, "trouble", part=part, error=type(error).__name__, why=why)

    def waiting(self, part: str, why: str) -> None:
        """Take note that a part has nothing to give yet, as is usual at the start."""
        self.board.report(part, is_ok=False, detail=why)
        self._logger.info("waiting", part=part, why=why)

    def crashed(self, part: str, error: BaseException) -> None:
        """Take note of an error that nobody expected, with its traceback; told and counted like `failed`."""
        why = f"{type(error).__name__}: {error}"
        level = logging.DEBUG if self._is_known(part, why) else logging.ERROR
        self.board.report(part, is_ok=False, detail=why)
        self.metrics.error(part)
        self._logger.log(level, "unexpected error, please report it", part=part, exc_info=error)

    def worked(self, part: str, detail: str = "") -> None:
        """Take note that a part did its work."""
        health = self.board.parts.get(part)
        if health is not None and not health.is_ok:
            self._logger.info("works again", part=part)
        self.board.report(part, is_ok=True, detail=detail)

    def skipped(self, ticks: int) -> None:
        """Take note of ticks that an overrun swallowed."""
        self.metrics.skipped(ticks)
        self._logger.warning("the interval overran", ticks_skipped=ticks)

    async def serve(self, *, host: str, port: int) -> "Server":
        """Serve metrics, health and API; the caller stops the server.

        Raises:
            ConfigError: If it cannot listen at this address and port.
        """
        from planner.serving.server import Server

        server = Server(self.api, host=host, port=port)
        await server.start()
        if self._dynamo is not None:
            self._dynamo.told_port(server.port)
        self._logger.info("serving", url=server.url)
        return server

    def _is_known(self, part: str, why: str) -> bool:
        """Tell whether a part is in this very trouble already, but for numbers."""
        known = self.board.parts.get(part)
        return known is not None and not known.is_ok and _NUMBER.sub("", known.why) == _NUMBER.sub("", why)

    def _write(self, record: Record) -> None:
        # The board knows what was told; the journal also fails without a record, over a file to reopen.
        was_told = not self.board.parts.get("journal", Health(is_ok=True)).is_ok
        errors = self.journal.write_errors
        self.journal.append(record)
        if self.journal.write_errors > errors:
            self.metrics.journal_error()
            self.board.report("journal", is_ok=False, detail=self.journal.last_error)
            if not was_told:
                self._logger.error("a record was not written to the journal", why=self.journal.last_error)
        elif was_told:
            self.worked("journal")

    def _log(self, record: Record) -> None:
        if self._dynamo is not None and self._dynamo.told(record):
            return
        if isinstance(record, Stepped):
            log_step(self._logger, record, explain=self._explain, headline=self._headline)
        elif isinstance(record, Actuated):
            self._log_actuation(record)
        elif isinstance(record, Reloaded):
            self._log_reload(record)
        elif isinstance(record, Started):
            self._logger.info("started", version=record.version, target=record.target)
        else:
            self._logger.info("stopped", cause=record.cause)

    def _log_actuation(self, record: Actuated) -> None:
        asked = ", ".join(f"{pool.pool} {pool.count}" for pool in record.replicas)
        if record.outcome in _CALM:
            self._logger.debug("actuation", outcome=record.outcome.value, asked=asked, why=record.detail)
        else:
            self._logger.warning("not scaled", outcome=record.outcome.value, asked=asked, why=record.detail)

    def _log_reload(self, record: Reloaded) -> None:
        if record.problem:
            self._logger.error("the settings before stay in force", why=record.problem)
        else:
            self._logger.info("the settings were read again")
