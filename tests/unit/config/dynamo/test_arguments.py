"""The planner's command line, as a shell or a manifest gives it."""

import pytest

from config.dynamo.arguments import Token, parsed, tokens_of
from config.dynamo.layer import manifest_layer
from config.dynamo.manifests import found_in, given_arguments
from config.dynamo.nodes import Source
from config.errors import ConfigError


def settings_of(*words: str) -> dict[str, object]:
    layer = manifest_layer(given_arguments(words))
    assert layer.problems == ()
    return {key: given.value for key, given in layer.values.items()}


def test_absent_arguments_have_the_defaults_of_dynamo() -> None:
    assert settings_of("--no-operation") == {
        "targets.ttft": "500ms",
        "targets.itl": "50ms",
        "targets.percentile": "mean",
        "interval": "3m",
        "budget_gpus": 8,
        "pools.prefill.min_replicas": 1,
        "pools.decode.min_replicas": 1,
        "pools.prefill.gpus_per_engine": 1,
        "pools.decode.gpus_per_engine": 1,
        "forecast.predictor": "arima",
        "forecast.log1p": False,
        "actuate": False,
        "prometheus.url": "http://prometheus-kube-prometheus-prometheus.monitoring.svc.cluster.local:9090",
    }


def test_both_forms_of_an_argument_are_read() -> None:
    both = settings_of("--ttft=300", "--itl", "30", "--load-predictor-log1p", "--load-predictor", "prophet")

    assert (both["targets.ttft"], both["targets.itl"]) == ("300ms", "30ms")
    assert (both["forecast.log1p"], both["forecast.window_points"]) == (True, 50)


def test_the_last_of_equal_arguments_counts() -> None:
    assert settings_of("--max-gpu-budget", "4", "--max-gpu-budget", "6")["budget_gpus"] == 6


def test_a_negative_number_is_a_value() -> None:
    layer = manifest_layer(given_arguments(("--max-gpu-budget", "-1")))

    assert "budget_gpus" not in layer.values
    assert [note.why[:14] for note in layer.notes if note.said == "--max-gpu-budget -1"] == ["-1 is no limit"]


def test_the_program_before_the_arguments_is_passed_over() -> None:
    words = parsed(tokens_of("python3 -m planner --ttft 300"))

    assert [(one.name, one.value) for one in words] == [("--ttft", "300")]


@pytest.mark.parametrize("rest", ["2>&1 | tee /tmp/log", "&& sleep 3", "> /dev/null", "; exit 0", "|| true"])
def test_what_the_shell_does_after_the_arguments_is_passed_over(rest: str) -> None:
    words = parsed(tokens_of(f"cd /workspace && python3 -m planner --ttft 300 --no-correction {rest}"))

    assert [(one.name, one.value) for one in words] == [("--ttft", "300"), ("--no-correction", True)]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--ttft",), "--ttft: it has no value; write the value after it"),
        (("--ttft", "--itl", "30"), "--ttft: it has no value"),
        (("--ttft", "300", "400"), "400: the word stands alone; arguments of the planner look like"),
        (("--no-correction", "true"), "true: the word stands alone"),
    ],
)
def test_a_broken_command_line_is_told(words: tuple[str, ...], part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        given_arguments(words)

    assert part in str(caught.value)


def test_an_unknown_argument_is_told_with_the_nearest() -> None:
    (problem,) = manifest_layer(given_arguments(("--prophet-windows-size", "50"))).problems

    assert problem.hint == "did you mean --prophet-window-size?"
    assert str(problem.origin) == "argument --prophet-windows-size"


def test_a_file_of_arguments_knows_its_lines() -> None:
    text = "# of the old planner\npython3 -m planner \\\n  --ttft 300 \\\n  --itl 'x'\n"

    layer = manifest_layer(found_in(Source(name="planner.sh", text=text)))

    assert layer.values["targets.ttft"].value == "300ms"
    (problem,) = layer.problems
    assert (problem.key, str(problem.origin)) == ("--itl", "argument planner.sh:2 --itl")


def test_an_open_quote_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"planner\.sh:2: a quote is not closed"):
        found_in(Source(name="planner.sh", text="--ttft 300\n--namespace 'a\n"))


def test_a_value_is_not_shown() -> None:
    (written,) = parsed([Token(text="--metric-pulling-prometheus-token=hunter2")])

    assert "hunter2" not in repr(written)


def test_a_template_of_the_planners_own_is_refused_and_one_before_it_is_not() -> None:
    before = "kubectl get pods -o go-template='{{.items}}' && python3 -m planner --ttft "

    words = parsed(tokens_of(f"{before}300"))

    assert [word.value for word in words] == ["300"]
    with pytest.raises(ConfigError, match=r"was not rendered; render it first"):
        parsed(tokens_of(f"{before}{{{{ .Values.ttft }}}}"))
