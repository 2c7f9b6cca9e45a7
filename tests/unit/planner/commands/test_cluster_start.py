"""What the start says of the engines' command lines."""

import io

import pytest

from config.clock import VirtualClock
from planner.commands.cluster_start import tell_model
from planner.serving.log import configure

LLAMA = ("vllm", "serve", "org/llama", "--port", "8000")
QWEN = ("vllm", "serve", "org/qwen", "--port", "8000")


@pytest.fixture
def said() -> io.StringIO:
    stream = io.StringIO()
    configure(level="info", style="dynamo", stream=stream, clock=VirtualClock())
    return stream


def test_a_model_that_all_engines_serve_is_told_in_dynamos_words_and_how_to_count_only_its_requests(
    said: io.StringIO,
) -> None:
    tell_model([LLAMA, (*LLAMA, "--disaggregation-mode", "prefill")])

    (line,) = said.getvalue().splitlines()
    assert "info    planner: Detected model name from deployment: org/llama" in line
    assert "set prometheus.model to count only its requests" in line


@pytest.mark.parametrize(
    "command_lines",
    [
        pytest.param([LLAMA, QWEN], id="they differ"),
        pytest.param([LLAMA, ()], id="one says nothing"),
        pytest.param([(), ()], id="none says anything"),
        pytest.param([], id="there are none"),
    ],
)
def test_no_model_is_told_where_not_all_engines_state_the_same(
    said: io.StringIO, command_lines: list[tuple[str, ...]]
) -> None:
    tell_model(command_lines)

    assert said.getvalue() == ""
