"""Whatever a manifest of Dynamo's holds, it is taken or refused in words; spelling changes nothing."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.dynamo.found import Form, Found, Written
from config.dynamo.key import Section
from config.dynamo.keys import KEYS
from config.dynamo.layer import manifest_layer
from config.dynamo.spelling import key_of, plain_name, spelled
from config.errors import ConfigError
from config.load import load

_FILES = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_NAMES = st.sampled_from(
    sorted(name for key in KEYS.values() for name in key.names if Section.PLANNER in key.sections)
)
_STYLES = st.sampled_from(["plannerX", "camelX", "planner_x", "x", "a-b", "--x"])
_NUMBERS = st.one_of(st.integers(-2, 300), st.floats(0.001, 1e6), st.integers(1, 300).map(str))
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    _NUMBERS,
    st.sampled_from(["arima", "prophet", "kalman", "true", "False", "kubernetes", "virtual", "sla", "$(X)"]),
    st.text(max_size=8),
    st.just({}),
    st.just([]),
)


def _request(planner: Mapping[str, object]) -> Mapping[str, object]:
    config = {"planner": planner}
    return {"kind": "DynamoGraphDeploymentRequest", "spec": {"profilingConfig": {"config": config}}}


def _refusal(path: Path) -> str:
    try:
        load(dgdr=path, environment={})
    except ConfigError as error:
        return str(error)
    return ""


def _layer_words(names_and_values: Mapping[str, object], like: str) -> tuple[object, ...]:
    written = tuple(
        Written(name=spelled(name, like=like), value=value, line=line)
        for line, (name, value) in enumerate(names_and_values.items(), start=1)
    )
    layer = manifest_layer(Found(form=Form.REQUEST, file="f", planner=written))
    problems = sorted((plain_name(one.key), one.problem.partition("first as")[0]) for one in layer.problems)
    return {key: given.value for key, given in layer.values.items()}, problems, len(layer.notes)


@given(name=_NAMES, style=_STYLES)
def test_a_key_is_known_in_every_spelling(name: str, style: str) -> None:
    key = key_of(spelled(name, like=style), Section.PLANNER)

    assert key is not None
    assert name in key.names


@given(keys=st.dictionaries(_NAMES, _VALUES, max_size=6), one=_STYLES, other=_STYLES)
def test_spelling_changes_no_setting(keys: Mapping[str, object], one: str, other: str) -> None:
    assert _layer_words(keys, one) == _layer_words(keys, other)


@given(planner=st.dictionaries(st.one_of(_NAMES, st.text(max_size=8)), _VALUES, max_size=6))
@_FILES
def test_any_planner_section_is_taken_or_refused(tmp_path: Path, planner: Mapping[str, object]) -> None:
    path = tmp_path / "deploy.yaml"
    path.write_text(json.dumps(_request(planner)), encoding="utf-8")

    assert all(line.isprintable() for line in _refusal(path).splitlines())


@given(
    text=st.one_of(
        st.text(max_size=120),
        st.recursive(
            _VALUES,
            lambda x: st.dictionaries(
                st.sampled_from(
                    [
                        "kind",
                        "spec",
                        "data",
                        "items",
                        "planner",
                        "sla",
                        "profilingConfig",
                        "config",
                        "services",
                    ]
                ),
                st.one_of(
                    x,
                    st.sampled_from(
                        ["ConfigMap", "DynamoGraphDeployment", "DynamoGraphDeploymentRequest", "List"]
                    ),
                ),
                max_size=4,
            ),
        ).map(yaml.safe_dump),
    )
)
@_FILES
def test_any_file_is_taken_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deploy.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")

    text = _refusal(path)

    assert all(line.isprintable() for line in text.splitlines())
    assert "pydantic" not in text
