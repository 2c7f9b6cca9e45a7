"""Effective settings, the sample file and the schema."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from config.catalog import entries, sections
from config.load import load
from config.show import effective, json_schema, sample_yaml

Write = Callable[..., Path]


def test_the_sample_loads_and_is_all_defaults_but_the_required(write: Write) -> None:
    loaded = load(file=write(sample_yaml()), environment={})

    set_keys = [row.key for row in effective(loaded) if row.origin != "default"]
    assert set_keys == ["budget_gpus", "profile", "targets.ttft", "targets.itl"]
    assert loaded.warnings == ()


def test_the_sample_with_every_line_uncommented_is_the_defaults_still(write: Write) -> None:
    text = re.sub(r"(?m)^( *)# (\w+: \S+$|\w+: \[.*\]$)", r"\1\2", sample_yaml())

    loaded = load(file=write(text), environment={})

    plain = load(file=write(sample_yaml()), environment={})
    assert loaded.settings == plain.settings
    assert [key for key, origin in loaded.origins.items() if str(origin) == "default"] == []


def test_the_sample_explains_every_setting() -> None:
    text = " ".join(sample_yaml().replace("#", " ").split())

    assert [
        key for key, entry in entries().items() if entry.description not in text or not entry.description
    ] == []
    assert [key for key, words in sections().items() if words not in text or not words] == []


def test_lines_of_the_sample_fit_a_terminal() -> None:
    assert max(len(line) for line in sample_yaml().splitlines()) <= 110


def test_effective_values_load_back_as_they_were(least: dict[str, object]) -> None:
    flags = {
        **least,
        "targets.percentile": "p99",
        "interval": "90s",
        "etcd.endpoints": "http://a:1,http://b:2",
    }
    loaded = load(flags=flags, environment={})

    again = load(
        flags={row.key: yaml.safe_load(row.value) for row in effective(loaded)},
        environment={},
    )

    assert again.settings == loaded.settings


def test_effective_settings_say_where_each_is_from(least: dict[str, object]) -> None:
    loaded = load(flags=least, environment={"DYN_NAMESPACE": "prod", "SETPOINT_STARTUP": "10s"})

    origins = {row.key: row.origin for row in effective(loaded)}
    assert origins["budget_gpus"] == "flag --budget_gpus"
    assert origins["startup"] == "variable SETPOINT_STARTUP"
    assert origins["dynamo.namespace"] == "Dynamo's variable DYN_NAMESPACE"
    assert origins["interval"] == "default"
    assert list(origins) == list(entries())


def _defaults(node: object) -> Iterator[tuple[str, object]]:
    if isinstance(node, dict):
        if "default" in node and "pattern" in node:
            yield node["pattern"], node["default"]
        for one in node.values():
            yield from _defaults(one)
    elif isinstance(node, list):
        for one in node:
            yield from _defaults(one)


def test_the_schema_has_durations_as_text_with_a_pattern() -> None:
    schema = json.loads(json.dumps(json_schema()))

    found = list(_defaults(schema))
    assert len(found) > 10
    assert [pair for pair in found if not re.search(pair[0], str(pair[1]))] == []
    assert schema["properties"]["interval"] == {
        "default": "30s",
        "description": "Time between two planned decisions.",
        "pattern": r"^(\d+(\.\d+)?(ms|s|m|h))+$",
        "title": "Interval",
        "type": "string",
    }
    assert schema["$defs"]["JournalSettings"]["properties"]["max_bytes"]["default"] == "64MiB"
    assert schema["additionalProperties"] is False
    assert sorted(schema["required"]) == ["budget_gpus", "profile", "targets"]


@pytest.mark.parametrize("module", ["config.errors", "config.policy", "config.clock"])
def test_the_plain_modules_bring_no_library_along(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('pydantic', 'yaml', 'numpy') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
