"""The demo's screen."""

from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from planner.simulation.frame import Frame, LatencyFrame, LoadFrame, Note, PoolFrame, ReasonLine
from planner.simulation.view import render, render_line

LOAD = LoadFrame(
    offered_rps=36.6,
    history_rps=(*(float(n % 40) for n in range(150)), None, 36.6),
    forecast_rps=37.7,
    forecast_high_rps=43.2,
    horizon_s=90.0,
)
POOLS = (
    PoolFrame(
        name="prefill", desired=7, ready=5, starting=2, needed=7, correction_ratio=1.12, history=(1, 2, 5)
    ),
    PoolFrame(name="decode", desired=4, ready=4, terminating=1, needed=4, history=(3, 4)),
)
LATENCIES = (
    LatencyFrame(name="TTFT", observed_s=0.182, target_s=0.3, history_s=(0.1, 0.5, 0.182)),
    LatencyFrame(name="ITL", observed_s=0.0213, target_s=0.02, history_s=(None, 0.0213)),
)
LONG = (
    "forecast 34.0 req/s × 1500 tokens needs 7 engines at 7,300 tokens/s each, 5 are ready and 2 are starting"
)
REASONS = tuple(
    ReasonLine(time_of_day_s=60.0 * minute, note=note, text=text)
    for minute, (note, text) in enumerate(
        [
            *[(Note.INFO, f"entry {n}") for n in range(8)],
            (Note.DOWN, "decode 5 → 4"),
            (Note.HOLD, "arrivals unknown"),
            (Note.UP, LONG),
        ]
    )
)


FRAME = Frame(
    time_of_day_s=54_720.0,
    speed_ratio=30.0,
    load=LOAD,
    pools=POOLS,
    latencies=LATENCIES,
    held_gpus=12,
    budget_gpus=16,
    in_flight=143,
    queued=9,
    reasons=REASONS,
)


def picture(frame: Frame, *, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(render(frame, width, height=height))
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(60, 18), (80, 24), (100, 30), (120, 40), (200, 70)])
@pytest.mark.parametrize("pools", [POOLS, POOLS[:1], ()], ids=["two", "one", "none"])
def test_a_picture_has_exactly_the_size_of_the_terminal(
    width: int, height: int, pools: tuple[PoolFrame, ...]
) -> None:
    lines = picture(replace(FRAME, pools=pools, is_hold=True, is_advisory=True), width=width, height=height)

    assert len(lines) == height
    assert max(len(line) for line in lines) <= width


def test_everything_that_matters_is_in_words() -> None:
    text = "\n".join(picture(FRAME))

    for words in (
        "setpoint demo",
        "15:12:00",
        "load 36.6 req/s",
        "mean 37.7, p90 43.2",
        "expected in 90 s",
        "prefill     5 of 7   ■■■■■□□",
        "decode      4 of 4   ■■■■×",
        "needs 7",
        "correction 1.12",
        "12 of 16",
        "4 free",
        "182 ms of 300 ms  ok",
        "21.3 ms of 20.0 ms MISSED",
        "143 in flight, 9 before first token",
    ):
        assert words in text


def test_the_newest_reason_comes_first_and_a_long_one_takes_two_lines() -> None:
    lines = picture(FRAME)

    start = next(index for index, line in enumerate(lines) if line.startswith("─ why"))
    assert lines[start + 1].startswith("00:10:00 ▲ forecast 34.0 req/s")
    assert lines[start + 2].strip().endswith("2 are starting")
    assert lines[start + 3] == "00:09:00 ‖ arrivals unknown"
    assert lines[start + 4] == "00:08:00 ▼ decode 5 → 4"


def test_what_exceeds_the_target_is_marked_without_color() -> None:
    lines = picture(FRAME)

    ttft, itl = (next(line for line in lines if line.startswith(name)) for name in ("TTFT", "ITL"))
    assert ttft.endswith("▃!▅")
    assert itl.endswith("·!")


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (replace(FRAME, is_hold=True), "HOLDING"),
        (replace(FRAME, is_advisory=True), "advisory"),
        (replace(FRAME, held_gpus=16), "budget full"),
        (replace(FRAME, latencies=(LatencyFrame(name="TTFT", observed_s=None, target_s=0.3),)), "no reading"),
        (replace(FRAME, load=LoadFrame(offered_rps=None)), "load – req/s"),
    ],
    ids=["hold", "advisory", "budget", "no-latency", "no-load"],
)
def test_modes_and_missing_readings_are_said(frame: Frame, words: str) -> None:
    assert words in "\n".join(picture(frame))


def test_modes_are_not_said_when_they_are_off() -> None:
    text = "\n".join(picture(FRAME))

    assert "HOLDING" not in text
    assert "advisory" not in text


def test_a_first_frame_without_any_history_can_be_drawn() -> None:
    frame = replace(
        FRAME,
        load=LoadFrame(offered_rps=None),
        pools=(PoolFrame(name="prefill", desired=1, ready=0, starting=1),),
        latencies=(LatencyFrame(name="TTFT", observed_s=None, target_s=0.3),),
        reasons=(),
    )

    assert len(picture(frame, width=120, height=40)) == 40


def test_a_pool_of_hundreds_fits_its_line() -> None:
    pools = (PoolFrame(name="decode", desired=300, ready=280, starting=20, terminating=17),)

    line = next(line for line in picture(replace(FRAME, pools=pools)) if line.startswith("decode"))

    assert "280 of 300" in line
    assert "□" in line
    assert "×" in line
    assert "correction" in line


def test_color_changes_nothing_but_color() -> None:
    console = Console(width=80, height=24, color_system="truecolor", force_terminal=True)
    with console.capture() as capture:
        console.print(render(FRAME, 80))
    colored = capture.get()

    assert "\x1b[" in colored
    assert Text.from_ansi(colored).plain.splitlines() == picture(FRAME)


def test_one_line_says_it_for_logs() -> None:
    assert render_line(replace(FRAME, reasons=REASONS[-2:-1], is_hold=True)) == (
        "15:12:00 | 36.6 req/s | forecast 37.7, p90 43.2 | prefill 5/7, decode 4/4, GPUs 12/16"
        " | TTFT 182 ms of 300 ms ok, ITL 21.3 ms of 20.0 ms MISSED | HOLD | arrivals unknown"
    )
