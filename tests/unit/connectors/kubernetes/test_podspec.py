"""What a pod's specification says of an engine."""

import pytest

from connectors.kubernetes.podspec import arguments_of, grace_s_of, secrets_of, served_model


def test_every_place_that_may_name_a_secret_is_read_once() -> None:
    spec = {
        "imagePullSecrets": [{"name": "nvcr"}],
        "initContainers": [{"envFrom": [{"secretRef": {"name": "init"}}]}],
        "containers": [
            {"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "t"}}}]},
            {"env": [{"name": "P", "value": "plain"}], "envFrom": [{"configMapRef": {"name": "no"}}]},
        ],
        "volumes": [
            {"secret": {"secretName": "tls"}},
            {"projected": {"sources": [{"secret": {"name": "hf"}}, {"configMap": {"name": "no"}}]}},
            {"csi": {"nodePublishSecretRef": {"name": "s3"}}},
            {"emptyDir": {}},
        ],
    }

    assert secrets_of(spec) == ("hf", "init", "nvcr", "s3", "tls")


def test_a_secret_that_may_be_absent_is_not_needed() -> None:
    env = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "t", "optional": True}}}
    spec = {"containers": [{"env": [env]}], "volumes": [{"secret": {"secretName": "x", "optional": True}}]}

    assert secrets_of(spec) == ()


def test_the_grace_period_is_kubernetes_own_if_none_is_set() -> None:
    assert grace_s_of({}) == 30.0
    assert grace_s_of({"terminationGracePeriodSeconds": 0}) == 0.0


def test_command_lines_are_split_as_a_shell_would() -> None:
    script = "exec vllm serve 'org/a model' # comment\n --port 1"

    assert arguments_of({"containers": [{"command": ["bash", "-c"], "args": [script]}]}) == (
        *("bash", "-c", "exec", "vllm", "serve", "org/a model", "--port", "1"),
    )


def test_a_line_that_is_no_shell_still_has_words() -> None:
    assert arguments_of({"containers": [{"args": ["don't --model m"]}]}) == ("don't", "--model", "m")


@pytest.mark.parametrize("word", ["$(MODEL)", "$MODEL", "${MODEL}"])
def test_the_containers_own_variables_are_filled_in(word: str) -> None:
    env = [{"name": "MODEL", "value": "org/m"}, {"name": "X", "valueFrom": {}}]

    assert arguments_of({"containers": [{"args": ["--model", word], "env": env}]}) == ("--model", "org/m")


def test_a_variable_of_somebody_else_stays() -> None:
    assert arguments_of({"containers": [{"args": ["--model", "$(MODEL)"]}]}) == ("--model", "$(MODEL)")


@pytest.mark.parametrize(
    ("line", "model"),
    [
        ("--model a --served-model-name b", "b"),
        ("--served-model-name b c --model a", "b"),
        ("--model=a --model-name=n", "n"),
        ("--model a", "a"),
        ("--model-path org/p --tp 8", "org/p"),
        ("/usr/bin/vllm serve org/m --port 1", "org/m"),
        ("vllm serve org/m", "org/m"),
        ("vllm serve --model org/m", "org/m"),
        ("--model --tp 8", None),
        ("--model", None),
        ("python3 server.py", None),
        ("", None),
    ],
)
def test_the_name_that_clients_ask_for_comes_first(line: str, model: str | None) -> None:
    assert served_model(line.split()) == model
