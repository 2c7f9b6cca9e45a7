"""How do events become log lines that a person reads, or a machine?

One event is one line: text for the console, or a JSON object. Nothing that a log line does may reach the
loop: a pipe that closed costs the line. Secrets are masked by the name of their key, and where a text holds
one in a form that is known (a bearer token, a password in an address).
"""

import json
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from config.clock import Clock, SystemClock

MASK = "********"

SECRET_WORDS = frozenset(
    {
        "apikey",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "headers",
        "passwd",
        "password",
        "secret",
        "token",
    }
)
_WORD_BREAK = re.compile(r"[^a-z0-9]+")
_SECRET_TEXT = re.compile(r"(?i)(\bbearer\s+|\bauthorization[:=]\s*(?:\w+\s+)?)(?=\S*[^a-z\s])[^\s'\",;]{6,}")
_USER_INFO = re.compile(r"://[^/\s@]+@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BARE = re.compile(r"[^\s\"'=]+")

# Libraries whose warnings concern the daemon; their records reach our lines and nobody else's.
FOREIGN_LOGGERS = ("aiohttp", "asyncio", "httpcore", "httpx")
_HANDLER = "setpoint"

_COLORS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31;1m"}
_RESET = "\x1b[0m"


def configure(
    *,
    level: str,
    style: str,
    stream: TextIO,
    clock: Clock | None = None,
    is_colored: bool | None = None,
) -> None:
    """Set up logging; a second call replaces the first.

    Args:
        level: The least severity that is shown: debug, info, warning, error.
        style: `console`, `json`, or `dynamo`: the console's, for lines in the words of Dynamo's planner.
        stream: Where lines go.
        clock: Whose wall clock stamps them; the machine's if None.
        is_colored: Whether the console's lines have color; None asks whether the stream is a terminal.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    colored = stream.isatty() if is_colored is None else is_colored
    renderer: Processor = _render_json if style == "json" else _console_renderer(is_colored=colored)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        _stamper(clock or SystemClock()),
        structlog.processors.format_exc_info,
        *((_in_dynamos_words,) if style == "dynamo" else ()),
        mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    _route_foreign(shared, renderer, stream=stream, threshold=max(threshold, logging.WARNING))


def get_logger() -> FilteringBoundLogger:
    """Return a logger for events: `logger.warning("prometheus is unreachable", url=…)`."""
    return cast("FilteringBoundLogger", structlog.get_logger())


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask what must not be read in a log.

    Example:
        >>> event = {"event": "asked", "token": "abc", "isl_tokens": 3, "url": "http://me:pw@host/"}
        >>> mask_secrets(None, "info", event)
        {'event': 'asked', 'token': '********', 'isl_tokens': 3, 'url': 'http://********@host/'}
    """
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: object) -> object:
    if SECRET_WORDS.intersection(_WORD_BREAK.split(key.lower())):
        return MASK if value else value
    if isinstance(value, Mapping):
        return {str(name): _masked(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", inner) for inner in value]
    if isinstance(value, str):
        return _USER_INFO.sub(f"://{MASK}@", _SECRET_TEXT.sub(rf"\1{MASK}", value))
    return value


def _in_dynamos_words(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # The other lines of Dynamo's planner come from records (`planner.serving.dynamo_log`).
    if event["event"] == "warmed":
        taught = {name: event.pop(name, 0) for name in ("trace", "journal", "source")}
        where = ", ".join(f"{name} ({number})" for name, number in taught.items() if number)
        intervals = event.pop("intervals", 0) + taught["trace"]
        event["event"] = f"planner: Warmed load predictors with {intervals} intervals from {where}"
    elif event["event"].startswith("Detected model name"):
        event["event"] = f"planner: {event['event']}"
    return event


def _stamper(clock: Clock) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        at = datetime.fromtimestamp(clock.wall_s(), tz=UTC)
        event["at"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return event

    return stamp


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    figures = event.pop("figures", {})
    head = {"at": event.pop("at"), "level": event.pop("level"), "event": event.pop("event")}
    return json.dumps(_plain(head | dict(figures) | dict(event)), allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    return str(value)


def _console_renderer(*, is_colored: bool) -> Callable[[WrappedLogger, str, EventDict], str]:
    def render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
        # The summary says in words what the figures say to machines.
        event.pop("figures", None)
        at, level, what = event.pop("at"), str(event.pop("level")), str(event.pop("event"))
        exception = event.pop("exception", None)
        summary = event.pop("summary", None)
        color = _COLORS.get(level, "") if is_colored else ""
        parts = [f"{at[:19]}Z {color}{level:<8}{_RESET if color else ''}{_visible(what)}"]
        if summary is not None:
            parts.append(_visible(str(summary)))
        parts += [f"{key}={_shown(value)}" for key, value in event.items()]
        lines = [_visible(line) for line in str(exception).splitlines()] if exception else []
        return "\n".join(["  ".join(parts), *lines])

    return render


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = _visible(str(value))
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _visible(text: str) -> str:
    # Text from outside must neither begin a line of its own nor move a terminal's cursor.
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def _route_foreign(shared: list[Processor], renderer: Processor, *, stream: TextIO, threshold: int) -> None:
    handler = logging.StreamHandler(_Lines(stream))
    handler.set_name(_HANDLER)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    for name in FOREIGN_LOGGERS:
        logger = logging.getLogger(name)
        for ours in [other for other in logger.handlers if other.get_name() == _HANDLER]:
            logger.removeHandler(ours)
        logger.addHandler(handler)
        logger.setLevel(threshold)
        logger.propagate = False


@dataclass(frozen=True, slots=True)
class _Lines:
    """A stream that swallows what cannot be written; for structlog a logger, for logging a stream."""

    stream: TextIO

    def write(self, text: str) -> None:
        encoding = self.stream.encoding or "utf-8"
        try:
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):
            return

    def flush(self) -> None:
        try:
            self.stream.flush()
        except (OSError, ValueError):
            return

    def msg(self, line: str) -> None:
        self.write(f"{line}\n")
        self.flush()

    debug = info = warning = error = critical = msg
