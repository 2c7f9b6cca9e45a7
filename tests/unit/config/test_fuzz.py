"""Whatever is given, the answer is settings or a `ConfigError`."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.catalog import entries, sections
from config.errors import ConfigError
from config.load import load

_NAMES = st.sampled_from(sorted({part for key in (*entries(), *sections()) for part in key.split(".")}))
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["30s", "p95", "8MiB", "http://a", "true", "null", "embedded", "/nonexistent"]),
    st.dates(),
    st.binary(max_size=5),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(_NAMES, st.text(max_size=8)), inner, max_size=4),
    ),
    max_leaves=12,
)
_TREES = st.dictionaries(st.one_of(_NAMES, st.text(max_size=8)), _VALUES, max_size=6)
_FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _words(**sources: object) -> str:
    """Load and return the error, or nothing."""
    try:
        load(**sources)  # type: ignore[arg-type]
    except ConfigError as error:
        return str(error)
    return ""


@given(tree=_TREES)
@_FUZZ
def test_any_mapping_in_a_file_is_read_or_refused(tmp_path: Path, tree: Mapping[str, object]) -> None:
    path = tmp_path / "setpoint.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8", errors="replace")

    text = _words(file=path, environment={})

    assert text == "" or all(line.isprintable() for line in text.splitlines())
    assert "pydantic" not in text


@given(
    content=st.one_of(st.text(max_size=200), st.binary(max_size=200)),
    suffix=st.sampled_from(["yaml", "toml"]),
)
@_FUZZ
def test_any_content_of_a_file_is_read_or_refused(tmp_path: Path, content: str | bytes, suffix: str) -> None:
    path = tmp_path / f"setpoint.{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))

    assert _words(file=path, environment={}) != ""


@given(flags=st.dictionaries(st.sampled_from([*entries(), *sections(), "x.y"]), _VALUES, max_size=6))
@_FUZZ
def test_any_flags_are_taken_or_refused(flags: Mapping[str, object]) -> None:
    text = _words(flags=flags, environment={})

    assert "pydantic" not in text


@given(
    st.dictionaries(
        st.sampled_from([f"SETPOINT_{key.upper().replace('.', '__')}" for key in (*entries(), *sections())])
        | st.text(max_size=8).map("SETPOINT_{}".format)
        | st.sampled_from(
            ["PROMETHEUS_ENDPOINT", "PLANNER_PROMETHEUS_PORT", "SCALING_MAX_WAIT_TIME", "ETCD_ENDPOINTS"]
        ),
        st.one_of(
            st.text(max_size=20), st.integers().map(str), st.sampled_from(["{}", "[", '{"a": 1}', "30s"])
        ),
        max_size=6,
    )
)
@_FUZZ
def test_any_variables_are_taken_or_refused(environment: Mapping[str, str]) -> None:
    text = _words(environment=environment)

    assert "pydantic" not in text
