"""Settings files, variables, flags and profiles that are refused before anything starts."""

import json
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from planner.serving.journal import open_journal_file
from tests.integration.errors.row import Row, code, refused

BROKEN = Path(__file__).parents[2] / "unit/config/cases/broken"
# One file for each class; all of them are tested in tests/unit/config.
FILES = (
    "yaml_malformed.yaml",
    "yaml_is_a_list.yaml",
    "yaml_of_comments_only.yaml",
    "yaml_with_a_key_twice.yaml",
    "yaml_with_a_python_tag.yaml",
    "yaml_with_two_documents.yaml",
    "kubernetes_manifest_of_dynamo.yaml",
    "kubernetes_manifest_of_another_kind.yaml",
    "helm_template.yaml",
    "yaml_with_a_value_that_is_no_date.yaml",
    "toml_malformed.toml",
    "unknown_key_in_a_section.yaml",
    "unknown_key_that_exists_elsewhere.yaml",
    "unknown_key_near_to_none.yaml",
    "key_with_dots.yaml",
    "required_settings_absent.yaml",
    "several_at_once.yaml",
    "section_is_a_text.yaml",
    "duration_without_unit.yaml",
    "duration_with_unknown_unit.yaml",
    "duration_negative.yaml",
    "size_with_unknown_unit.yaml",
    "number_not_finite.yaml",
    "budget_is_a_fraction.yaml",
    "boolean_misspelled.yaml",
    "percentile_is_a_share.yaml",
    "source_misspelled.yaml",
    "port_out_of_range.yaml",
    "url_without_scheme.yaml",
    "url_with_a_password.yaml",
    "token_and_token_file.yaml",
    "webhook_without_address.yaml",
    "webhook_secret_and_secret_file.yaml",
    "kubernetes_without_targets.yaml",
    "kubernetes_target_without_kind.yaml",
    "kubernetes_targets_are_one.yaml",
    "prometheus_service_and_url.yaml",
    "token_of_two_lines.yaml",
    "ca_file_absent.yaml",
    "profile_absent.yaml",
    "journal_in_an_absent_folder.yaml",
    "both_minimums_above_the_budget.yaml",
    "maximum_below_minimum.yaml",
    "deadline_longer_than_the_interval.yaml",
)
_PLACE = re.compile(r"\.(?:yaml|toml):(\d+)")
_CHECK = ("config", "check", "--budget", "8", "--ttft", "300ms", "--itl", "25ms")


def settings_files(patch: pytest.MonkeyPatch) -> list[Row]:
    """Check each file from its own folder, so that errors name it without one."""
    patch.chdir(BROKEN)
    return [_file(name) for name in FILES]


def _file(name: str) -> Row:
    row = refused("", ("config", "check", "--config", name))
    lines = (BROKEN / name).read_text(encoding="utf-8").splitlines()
    shown = [code(lines[int(number) - 1].strip()) for line in row.says for number in _PLACE.findall(line)[:1]]
    what = name.rpartition(".")[0].replace("_", " ")
    return Row(
        what=": ".join(filter(None, (what, ", ".join(dict.fromkeys(shown))))),
        says=row.says,
        effect=row.effect,
        code=row.code,
    )


VARIABLES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("a name that is none", {"SETPOINT_BUGDET_GPUS": "8"}),
    ("a section with one underscore", {"SETPOINT_LOG_LEVEL": "debug"}),
    ("a duration without a unit", {"SETPOINT_INTERVAL": "30"}),
    ("a list that is broken JSON", {"SETPOINT_ETCD__ENDPOINTS": '["http://a:1"'}),
    ("a file of settings that is not there", {"SETPOINT_CONFIG": "absent.yaml"}),
    ("Dynamo's: not an address", {"PROMETHEUS_ENDPOINT": "prometheus"}),
    ("Dynamo's: not a port", {"PLANNER_PROMETHEUS_PORT": "http"}),
    ("Dynamo's: not a number of seconds", {"SCALING_MAX_WAIT_TIME": "30m"}),
)


def variables(patch: pytest.MonkeyPatch) -> list[Row]:
    """Check settings with one broken variable each."""
    rows = []
    for what, environment in VARIABLES:
        with patch.context() as own:
            for name, text in environment.items():
                own.setenv(name, text)
            shown = ", ".join(code(f"{name}={text}") for name, text in environment.items())
            rows.append(refused(f"{what}: {shown}", _CHECK))
    return rows


_POINT = ("--profile", "embedded", "--budget", "8", "--ttft", "300ms", "--itl", "30ms")
_LOAD = ("--rate", "10", "--isl", "2000", "--osl", "200")
FLAGS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("a command that is none", (), "pln"),
    ("a flag that is none", ("plan", *_POINT, *_LOAD), "--tfft 300ms"),
    ("a flag without its value", ("plan", *_POINT, *_LOAD), "--rate"),
    ("a flag that is missing", ("plan", *_POINT), "--rate 10 --isl 2000"),
    ("an argument too many", ("plan", *_POINT, *_LOAD), "now"),
    ("words for a number", ("plan", *_POINT, *_LOAD), "--rate many"),
    ("a negative number", ("plan", *_POINT, *_LOAD), "--rate -1"),
    ("not a number", ("plan", *_POINT, *_LOAD), "--rate nan"),
    ("an infinite number", ("plan", *_POINT, *_LOAD), "--isl inf"),
    ("a length of zero", ("plan", *_POINT, *_LOAD), "--osl 0"),
    ("a duration without a unit", ("plan", *_POINT, *_LOAD), "--ttft 300"),
    ("a unit in capitals", ("plan", *_POINT, *_LOAD), "--itl 30MS"),
    ("a fraction of a GPU", ("plan", *_POINT, *_LOAD), "--budget 7.5"),
    ("minimums above the budget", ("plan", *_POINT, *_LOAD), "--min-prefill 9"),
    ("a solver that is none", ("plan", *_POINT, *_LOAD), "--solver magic"),
    ("an output that is none", ("plan", *_POINT, *_LOAD), "--output xml"),
    ("a profile that is not there", ("plan", *_POINT, *_LOAD), "--profile absent"),
    ("no profile", ("run", *_POINT[2:]), ""),
    ("two sources", _CHECK, "--prometheus http://a:9090 --scrape http://b:8000"),
    ("a predictor that is none", ("run", *_POINT), "--predictor kalmann"),
    ("a trace to warm up that is not there", ("run", *_POINT), "--set forecast.warm_up_trace=absent.jsonl"),
    ("a trace to warm up that is none", ("run", *_POINT), "--set forecast.warm_up_trace=binary.yaml"),
    ("an actuator that is none", _CHECK, "--actuator etc"),
    ("a pair without a value", _CHECK, "--set interval"),
    ("a pair with a key that is none", _CHECK, "--set intervall=1m"),
    ("a setting given twice", _CHECK, "--set targets.ttft=1s"),
    ("a file that is not there", _CHECK, "--config absent.yaml"),
    ("a folder for a file", _CHECK, "--config ."),
    ("a file that is no text", _CHECK, "--config binary.yaml"),
    ("no load to forecast", ("forecast",), ""),
    ("a trace that is not there", ("forecast",), "absent.jsonl"),
    ("a trace that is no text", ("forecast",), "binary.yaml"),
    ("a trace and Prometheus", ("forecast",), "t.jsonl --prometheus http://a:9090"),
    ("a predictor to compare that is none", ("forecast",), "t.jsonl --predictor kalmann"),
    ("a horizon without a unit", ("forecast",), "t.jsonl --horizon 60"),
    ("a speed of zero", ("demo",), "--speed 0"),
    ("a port that is none", ("demo",), "--port 99999"),
    ("a time that is none", ("explain",), "--at yesterday"),
    ("a journal that is not there", ("explain",), "--journal absent.jsonl"),
)


def flags(patch: pytest.MonkeyPatch, folder: Path) -> list[Row]:
    """Run command lines with one mistake each, in an empty folder."""
    patch.chdir(folder)
    (folder / "binary.yaml").write_bytes(bytes(range(256)))
    return [_flag(what, start, faulty) for what, start, faulty in FLAGS]


def _flag(what: str, start: tuple[str, ...], faulty: str) -> Row:
    command = " ".join(("setpoint", *start[:1], faulty)).rstrip()
    if start[:2] == ("config", "check"):
        command = f"setpoint config check {faulty}"
    return refused(f"{what}: {code(command)}", (*start, *faulty.split()))


PREFILL: Mapping[str, list[float]] = {
    "prefill_isl": [100.0, 1000.0, 4000.0, 8000.0],
    "prefill_ttft": [25.0, 70.0, 220.0, 420.0],
    "prefill_thpt_per_gpu": [4000.0, 14000.0, 18000.0, 19000.0],
}
DECODE: Mapping[str, object] = {
    "x_kv_usage": [0.1, 0.9, 0.1, 0.9],
    "y_context_length": [500, 500, 5000, 5000],
    "z_itl": [6.0, 12.0, 7.0, 14.0],
    "z_thpt_per_gpu": [100.0, 400.0, 80.0, 300.0],
    "max_kv_tokens": 100_000,
}


def _prefill(**changed: object) -> Callable[[Path], None]:
    kept = {name: value for name, value in {**PREFILL, **changed}.items() if value is not None}
    return lambda folder: _write(folder / "prefill_raw_data.json", json.dumps(kept))


def _decode(**changed: object) -> Callable[[Path], None]:
    kept = {name: value for name, value in {**DECODE, **changed}.items() if value is not None}
    return lambda folder: _write(folder / "decode_raw_data.json", json.dumps(kept))


def _text(text: str) -> Callable[[Path], None]:
    return lambda folder: _write(folder / "prefill_raw_data.json", text)


def _archive(content: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "prefill_raw_data.json").unlink()
        (folder / "prefill.npz").write_bytes(content)

    return spoil


def _merged(folder: Path) -> None:
    for phase, columns in (("prefill", PREFILL), ("decode", DECODE)):
        (folder / f"{phase}_raw_data.json").unlink()
        rows = {name: np.array([values, values]) for name, values in columns.items()}
        np.savez(folder / f"{phase}.npz", allow_pickle=False, tp=np.array([4, 8]), **rows)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _nothing(_folder: Path) -> None:
    """Leave the profile whole."""


PROFILES: tuple[tuple[str, Callable[[Path], None], str], ...] = (
    (
        "a folder without a profile of the prefill engine",
        lambda f: (f / "prefill_raw_data.json").unlink(),
        "",
    ),
    ("a folder without a profile of the decode engine", lambda f: (f / "decode_raw_data.json").unlink(), ""),
    ("a file where a folder is expected", _nothing, "/prefill_raw_data.json"),
    ("an empty file", _text(""), ""),
    ("a file that is cut", _text('{"prefill_isl": [100, 1000'), ""),
    ("a list instead of an object", _text("[1, 2, 3, 4]"), ""),
    ("an archive that is none", _archive(b"hello"), ""),
    ("a key that is missing", _prefill(prefill_ttft=None), ""),
    ("columns of different length", _prefill(prefill_ttft=[25.0, 70.0, 220.0]), ""),
    ("too few points", _prefill(**{name: values[:3] for name, values in PREFILL.items()}), ""),
    ("a text among numbers", _prefill(prefill_ttft=[25.0, "70 ms", 220.0, 420.0]), ""),
    ("NaN", _prefill(prefill_ttft=[25.0, float("nan"), 220.0, 420.0]), ""),
    ("an infinite number", _decode(z_itl=[6.0, 12.0, 7.0, float("inf")]), ""),
    ("a negative latency", _decode(z_itl=[6.0, -12.0, 7.0, 14.0]), ""),
    ("a throughput of zero", _prefill(prefill_thpt_per_gpu=[0, 14000.0, 18000.0, 19000.0]), ""),
    ("a prompt length twice", _prefill(prefill_isl=[100.0, 100.0, 4000.0, 8000.0]), ""),
    ("a share of the KV cache in percent", _decode(x_kv_usage=[10, 90, 10, 90]), ""),
    ("no capacity of the KV cache", _decode(max_kv_tokens=None), ""),
    ("all decode points on one line", _decode(y_context_length=[500, 500, 500, 500]), ""),
    ("several rows and no choice", _merged, ""),
    ("a row that is not there", _merged, "#tp=16"),
    ("a row picked by what is no column", _merged, "#color=red"),
)


def profiles(patch: pytest.MonkeyPatch, folder: Path) -> list[Row]:
    """Plan with one broken profile each."""
    rows = []
    for number, (what, spoil, suffix) in enumerate(PROFILES):
        here = folder / str(number)
        (here / "curves").mkdir(parents=True)
        _prefill()(here / "curves")
        _decode()(here / "curves")
        spoil(here / "curves")
        patch.chdir(here)
        rows.append(refused(what, ("plan", *_POINT[2:], *_LOAD, "--profile", f"curves{suffix}")))
    return rows


def start(patch: pytest.MonkeyPatch, folder: Path) -> list[Row]:
    """Start daemons that cannot: the port or the journal is taken, or may not be written."""
    patch.chdir(folder)
    run = ("run", *_POINT, "--http-port")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        busy = refused("the port is in use", (*run, port))
    rows = [Row(what=busy.what, says=_named(busy.says, port), effect=busy.effect, code=busy.code)]
    rows.append(refused("an address of another machine", (*run, "0", "--set", "http.bind=192.0.2.1")))
    rows.append(refused("a folder is not a journal", (*run, "0", "--journal", ".")))
    file = open_journal_file(folder / "decisions.jsonl")
    rows.append(refused("another daemon writes the journal", (*run, "0", "--journal", "decisions.jsonl")))
    file.close()
    return rows


def _named(lines: tuple[str, ...], port: str) -> tuple[str, ...]:
    return tuple(line.replace(port, "PORT") for line in lines)
