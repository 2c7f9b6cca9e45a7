"""How does the log read for somebody whose searches are those of Dynamo's planner?

`log.format: dynamo` writes what has a shape there as `time level planner: text`; everything else goes on in
the console's form. Lines come from the same records as in the other formats.
"""

import logging

from structlog.typing import FilteringBoundLogger

from connectors.base import Fleet
from planner.core.decision import StepKind
from planner.serving.dynamo_lines import TOLD, Line, summary, tick_lines, written
from planner.serving.records import Actuated, Outcome, Record, Started, Stepped
from planner.serving.status import Explain, StatusBoard


class DynamoLog:
    """Tells events in Dynamo's words, where it has words for them.

    Args:
        logger: Where lines go.
        board: What is known now; it is told of a record before `told` is.
        explain: Renders a decision's reasons, one sentence each.
    """

    def __init__(self, logger: FilteringBoundLogger, board: StatusBoard, explain: Explain) -> None:
        self._logger = logger
        self._board = board
        self._explain = explain
        self._last_look: Stepped | None = None
        self._is_validated = False

    def told(self, record: Record) -> bool:
        """Write the lines of a record; return False if there is more to say in the console's form."""
        if isinstance(record, Stepped):
            self._tell_step(record)
            return True
        if isinstance(record, Actuated):
            return self._told_actuation(record)
        if isinstance(record, Started):
            self._say(Line(text="Validating deployment..."))
        return False

    def told_trouble(self, level: int, part: str, why: str) -> bool:
        """Write trouble of a part that Dynamo has words for; return False for any other."""
        if part != "source":
            return False
        self._say(Line(text=f"Error getting avg metrics: {why}", level=level))
        return True

    def told_port(self, port: int) -> None:
        """Write where metrics are served."""
        self._say(Line(text=f"Started Prometheus metrics server on port {port}"))

    def _tell_step(self, step: Stepped) -> None:
        self._validate(step)
        policy = self._board.policy
        if step.kind is StepKind.LOOK:
            self._last_look = step
        elif policy is not None:
            for line in tick_lines(step, policy, is_advisory=self._board.advisory):
                self._say(line)
        summed = summary(step, last_tick=self._board.last_tick, last_look=self._last_look)
        self._say(summed)
        self._tell_reasons(step, is_quiet=summed.level == logging.DEBUG)

    def _validate(self, step: Stepped) -> None:
        policy, fleet = self._board.policy, step.observation.fleet
        if self._is_validated or policy is None or not isinstance(fleet, Fleet):
            return
        self._is_validated = all(pool.name in fleet.pools for pool in policy.pools)
        if self._is_validated:
            self._say(Line(text="Successfully validated the deployment"))

    def _tell_reasons(self, step: Stepped, *, is_quiet: bool) -> None:
        decision = step.decision
        matters = (decision.is_change or decision.is_hold) and not is_quiet
        is_tick = step.kind is StepKind.TICK
        for reason, sentence in zip(decision.reasons, self._explain(decision), strict=False):
            if not (is_tick and reason.code in TOLD):
                self._logger.log(logging.INFO if matters else logging.DEBUG, "because", summary=sentence)

    def _told_actuation(self, record: Actuated) -> bool:
        step = self._board.last_step
        if record.outcome is not Outcome.APPLIED or step is None:
            return False
        for line in written(record, step):
            self._say(line)
        return True

    def _say(self, line: Line) -> None:
        text = f"planner: {line.text}"
        self._logger.log(line.level, text)
