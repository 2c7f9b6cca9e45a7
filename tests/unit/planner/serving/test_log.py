"""Log lines are for people or for machines, keep secrets, and never raise."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import structlog

from config.clock import VirtualClock
from planner.core.decision import Decision
from planner.serving.log import FOREIGN_LOGGERS, configure, get_logger
from planner.serving.records import Stepped
from planner.serving.steplog import log_step

Make = Callable[[float], Stepped]
Words = Callable[[Decision], tuple[str, ...]]
Line = Callable[[Decision], str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ClosedPipe(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError("nobody reads")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    for name in FOREIGN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def setup(clock: VirtualClock, *, style: str = "console", level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure(level=level, style=style, stream=stream, clock=clock)
    return stream


def test_a_console_line_has_time_level_words_and_figures(clock: VirtualClock) -> None:
    stream = setup(clock)
    get_logger().warning(
        "prometheus is unreachable", attempts=3, waited_s=1.25, why="timed out", part="source"
    )

    assert stream.getvalue() == (
        "2023-11-14T22:13:20Z warning prometheus is unreachable"
        '  attempts=3  waited_s=1.25  why="timed out"  part=source\n'
    )


def test_a_json_line_is_one_object_with_iso_time(clock: VirtualClock) -> None:
    stream = setup(clock, style="json")
    get_logger().info("read", took_s=0.5, ratio=float("nan"), pools=("a", "b"), odd=b"bytes")

    assert json.loads(stream.getvalue(), parse_constant=pytest.fail) == {
        "at": "2023-11-14T22:13:20.000Z",
        "level": "info",
        "event": "read",
        "took_s": 0.5,
        "ratio": "nan",
        "pools": ["a", "b"],
        "odd": "b'bytes'",
    }


def test_lines_below_the_level_are_not_written(clock: VirtualClock) -> None:
    stream = setup(clock, level="warning")
    get_logger().info("quiet")

    assert stream.getvalue() == ""


def test_a_second_configuration_replaces_the_first_at_once(clock: VirtualClock) -> None:
    first = setup(clock)
    logger = get_logger()
    second = setup(clock, level="debug")
    logger.debug("seen")
    logging.getLogger("httpx").warning("once")

    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 2


@pytest.mark.parametrize("is_colored", [True, False])
def test_color_is_only_on_terminals(clock: VirtualClock, *, is_colored: bool) -> None:
    stream = Terminal() if is_colored else io.StringIO()
    configure(level="info", style="console", stream=stream, clock=clock)
    get_logger().error("bad")

    assert ("\x1b[31m" in stream.getvalue()) is is_colored


@pytest.mark.parametrize("style", ["console", "json"])
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"token": "s3cr3t-value"}, id="token"),
        pytest.param({"bearer-token": "s3cr3t-value"}, id="bearer-token"),
        pytest.param({"Authorization": "Basic s3cr3t-value"}, id="authorization"),
        pytest.param({"client_secret": "s3cr3t-value"}, id="secret"),
        pytest.param({"password": "s3cr3t-value"}, id="password"),
        pytest.param({"settings": {"prometheus": {"password": "s3cr3t-value"}}}, id="nested"),
        pytest.param({"headers": {"X-Scope-OrgID": "s3cr3t-value"}}, id="headers"),
        pytest.param({"many": [{"token": "s3cr3t-value"}]}, id="in-a-list"),
        pytest.param({"why": "sent Authorization: Bearer s3cr3t-value, got 401"}, id="bearer-in-text"),
        pytest.param({"why": "header authorization=s3cr3t-value"}, id="header-in-text"),
        pytest.param({"url": "http://me:s3cr3t-value@host:9090/api"}, id="password-in-url"),
    ],
)
def test_secrets_are_masked(clock: VirtualClock, style: str, fields: dict[str, object]) -> None:
    stream = setup(clock, style=style)
    get_logger().info("asked", **fields)

    assert "s3cr3t" not in stream.getvalue()
    assert "********" in stream.getvalue()


def test_tokens_of_a_model_are_no_secret(clock: VirtualClock) -> None:
    stream = setup(clock)
    get_logger().info(
        "read", isl_tokens=3000, demand_tokens_per_s=5.0, token_file="", why="bearer tokens are refused"
    )

    assert "********" not in stream.getvalue()
    assert "isl_tokens=3000" in stream.getvalue()


def test_text_from_outside_can_neither_begin_a_line_nor_move_the_cursor(clock: VirtualClock) -> None:
    stream = setup(clock)
    get_logger().info("read", why="x\n2023 error forged\x1b[2J\u2028")

    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()
    assert r"\n2023 error forged" in stream.getvalue().replace("\\\\", "\\")


def test_an_exception_comes_with_its_traceback(clock: VirtualClock) -> None:
    stream = setup(clock)
    answers: dict[str, int] = {}
    try:
        answers["Authorization: Bearer s3cr3t-value"] += 1
    except KeyError as error:
        get_logger().error("unexpected", exc_info=error)

    lines = stream.getvalue().splitlines()
    assert lines[0].endswith("error   unexpected")
    assert "test_log.py" in stream.getvalue()
    assert lines[-1] == "KeyError: 'Authorization: Bearer ********'"


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_pipe_that_nobody_reads_costs_the_line_and_no_more(clock: VirtualClock, style: str) -> None:
    configure(level="info", style=style, stream=ClosedPipe(), clock=clock)
    get_logger().info("lost")
    logging.getLogger("httpx").warning("lost too")
    closed = io.StringIO()
    configure(level="info", style=style, stream=closed, clock=clock)
    closed.close()
    get_logger().info("lost")

    assert closed.closed


def test_a_stream_that_knows_no_arrows_gets_an_escape(clock: VirtualClock) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    configure(level="info", style="console", stream=stream, clock=clock)
    get_logger().info("prefill 2→3")

    assert b"prefill 2\\u21923" in raw.getvalue()


def test_warnings_of_the_http_libraries_reach_our_lines_and_their_chatter_does_not(
    clock: VirtualClock,
) -> None:
    stream = setup(clock, style="json", level="debug")
    logging.getLogger("httpx").info("HTTP Request: GET …")
    logging.getLogger("aiohttp.server").error("Error handling request %s", "from 10.0.0.1")

    event = json.loads(stream.getvalue())
    assert event["event"] == "Error handling request from 10.0.0.1"
    assert event["level"] == "error"


def test_other_libraries_keep_their_logging(clock: VirtualClock) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    setup(clock)

    assert (root.level, list(root.handlers)) == before


def test_a_change_is_told_with_its_reasons(
    clock: VirtualClock, make_tick: Make, words: Words, head_line: Line
) -> None:
    stream = setup(clock)
    log_step(get_logger(), make_tick(30.0), explain=words, headline=head_line)

    load, decided = (
        "load 12.3 rps (isl 3000, osl 150)",
        "prefill 2→3 (load), decode 4→4 (minimum); 8 of 8 GPUs",
    )
    assert stream.getvalue().splitlines() == [
        f"2023-11-14T22:13:20Z info    tick  {load}  {decided}",
        "2023-11-14T22:13:20Z info    because  prefillload",
        "2023-11-14T22:13:20Z info    because  decodeminimum",
    ]


def test_a_hold_is_told_with_its_reasons(
    clock: VirtualClock, make_hold: Make, words: Words, head_line: Line
) -> None:
    stream = setup(clock)
    log_step(get_logger(), make_hold(30.0), explain=words, headline=head_line)

    lines = stream.getvalue().splitlines()
    assert "tick  load unknown (isl 3000, osl 150)  " in lines[0]
    assert lines[1].endswith("because  blind_arrivals prometheus did not answer")


def test_a_tick_that_changes_nothing_is_one_line(
    clock: VirtualClock, make_look: Make, make_tick: Make, *, words: Words, head_line: Line
) -> None:
    stream = setup(clock)
    quiet = replace(make_tick(30.0), decision=make_look(30.0).decision)
    log_step(get_logger(), quiet, explain=words, headline=head_line)

    assert stream.getvalue().count("\n") == 1


def test_a_quiet_look_is_shown_to_debuggers_only(
    clock: VirtualClock, make_look: Make, words: Words, head_line: Line
) -> None:
    stream = setup(clock)
    log_step(get_logger(), make_look(35.0), explain=words, headline=head_line)
    debug = setup(clock, level="debug")
    log_step(get_logger(), make_look(35.0), explain=words, headline=head_line)

    assert stream.getvalue() == ""
    assert debug.getvalue().count("\n") == 2


def test_a_tick_in_json_has_its_figures_with_units(
    clock: VirtualClock, make_tick: Make, words: Words, head_line: Line
) -> None:
    stream = setup(clock, style="json")
    log_step(get_logger(), make_tick(30.0), explain=words, headline=head_line)

    event = json.loads(stream.getvalue().splitlines()[0])
    assert event["event"] == "tick"
    assert event["arrivals_rps"] == 12.34
    assert event["forecast_arrivals_rps"] == 13.0
    assert event["replicas"] == {"prefill": 3, "decode": 4}
    assert event["replicas_before"] == {"prefill": 2, "decode": 4}
    assert event["bound_by"] == {"prefill": "load", "decode": "minimum"}
    assert event["duration_s"] == 0.02
