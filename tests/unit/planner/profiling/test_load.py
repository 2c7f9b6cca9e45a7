"""Profiles in every form that Dynamo's profiler writes, and one broken file per defect."""

import io
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from config.errors import ConfigError
from config.policy import EngineProfile
from planner.core.curves import decode_curve
from planner.profiling.load import load_profile

PREFILL: Mapping[str, object] = {
    "prefill_isl": [4000, 100, 1000, 8000],
    "prefill_ttft": [220.0, 25.0, 70.0, 420.0],
    "prefill_thpt_per_gpu": [10.0, 40.0, 30.0, 5.0],
}
DECODE: Mapping[str, object] = {
    "x_kv_usage": [0.1, 0.9, 0.1, 0.9],
    "y_context_length": [500, 500, 5000, 5000],
    "z_itl": [6.0, 12.0, 7.0, 14.0],
    "z_thpt_per_gpu": [100.0, 400.0, 80.0, 300.0],
    "max_kv_tokens": 100_000,
}
MERGED_PREFILL = {name: np.array([values, values]) for name, values in PREFILL.items()}
MERGED_DECODE = {name: np.array([values, values]) for name, values in DECODE.items()}
ROWS = {"tp": np.array([4, 8]), "framework": np.array(["vllm", "vllm"])}

Spoil = Callable[[Path], None]


def write(folder: Path, *, prefill: object = PREFILL, decode: object = DECODE) -> Path:
    (folder / "prefill_raw_data.json").write_text(json.dumps(prefill))
    (folder / "decode_raw_data.json").write_text(json.dumps(decode))
    return folder


def write_merged(folder: Path) -> Path:
    np.savez(folder / "prefill.npz", **MERGED_PREFILL, **ROWS)  # type: ignore[arg-type]
    np.savez(folder / "decode.npz", **MERGED_DECODE, **ROWS)  # type: ignore[arg-type]
    return folder


def refusal(where: str | Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_profile(where)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("profile: ")
    return text


def test_a_profile_is_sorted_and_holds_seconds(tmp_path: Path) -> None:
    profile = load_profile(write(tmp_path))

    assert profile.name == tmp_path.name
    assert profile.prefill is not None
    assert profile.prefill.isl_tokens == (100.0, 1000.0, 4000.0, 8000.0)
    assert profile.prefill.ttft_s == pytest.approx((0.025, 0.07, 0.22, 0.42))
    assert profile.prefill.throughput_tokens_per_s_per_gpu == (40.0, 30.0, 10.0, 5.0)
    assert profile.decode is not None
    assert profile.decode.itl_s == pytest.approx((0.006, 0.012, 0.007, 0.014))
    assert profile.decode.max_kv_tokens == 100_000.0


def anonymous(profile: EngineProfile) -> EngineProfile:
    return replace(profile, name="")


@pytest.mark.parametrize("tp", [2, 4, 8])
def test_all_forms_of_one_engine_are_equal(shared_dir: Path, tmp_path: Path, tp: int) -> None:
    folder = shared_dir / "profiles" / f"h100-llama-3.3-70b-fp8-tp{tp}"
    merged = shared_dir / "profiles/pre_swept_results/h100_sxm/vllm/nvidia/Llama-3.3-70B-Instruct-FP8"
    for name in ("prefill_raw_data.json", "decode_raw_data.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())

    npz, plain, row = load_profile(folder), load_profile(tmp_path), load_profile(f"{merged}#tp={tp}")

    assert anonymous(npz) == anonymous(plain) == anonymous(row)
    assert row.name == f"Llama-3.3-70B-Instruct-FP8#tp={tp}"


def test_a_merged_file_of_one_row_needs_no_choice(shared_dir: Path) -> None:
    folder = shared_dir / "profiles/h200-llama-3.1-8b-fp8-tp1"
    merged = shared_dir / "profiles/pre_swept_results/h200_sxm/vllm/nvidia/Llama-3.1-8B-Instruct-FP8"

    assert anonymous(load_profile(folder)) == anonymous(load_profile(merged))


def test_phases_may_come_in_different_forms(tmp_path: Path) -> None:
    write_merged(tmp_path)
    (tmp_path / "prefill.npz").unlink()
    (tmp_path / "prefill_raw_data.json").write_text(json.dumps(PREFILL))

    profile = load_profile(f"{tmp_path}#tp=8,framework=vllm")

    assert anonymous(profile) == anonymous(load_profile(write(tmp_path)))


BROKEN_PREFILL = [
    pytest.param({"prefill_ttft": None}, "prefill_ttft missing; expected the keys prefill_isl, ", id="a key"),
    pytest.param(
        {"prefill_ttft": [1.0, 2.0, 3.0]},
        "columns of different length (prefill_isl has 4, prefill_ttft has 3, prefill_thpt_per_gpu has 4); "
        "expected one entry per point in each column",
        id="lengths differ",
    ),
    pytest.param(
        {"prefill_ttft": [1.0, float("nan"), 3.0, 4.0]},
        "prefill_ttft[1] is nan; expected finite numbers",
        id="nan",
    ),
    pytest.param(
        {"prefill_ttft": [1.0, 2.0, 3.0, float("inf")]},
        "prefill_ttft[3] is inf; expected finite numbers",
        id="infinite",
    ),
    pytest.param(
        {"prefill_ttft": [1.0, 2.0, -3.0, 4.0]},
        "prefill_ttft[2] is -3; expected milliseconds above 0",
        id="negative",
    ),
    pytest.param(
        {"prefill_thpt_per_gpu": [0, 2.0, 3.0, 4.0]},
        "prefill_thpt_per_gpu[0] is 0; expected tokens/s/GPU above 0",
        id="zero",
    ),
    pytest.param(
        {"prefill_isl": [0, 100, 200, 300]},
        "prefill_isl[0] is 0; expected prompt lengths above 0",
        id="a prompt of nothing",
    ),
    pytest.param(
        {name: [1, 2, 3] for name in PREFILL}, "only 3 points; expected at least 4", id="too few points"
    ),
    pytest.param({name: [] for name in PREFILL}, "only 0 points; expected at least 4", id="empty"),
    pytest.param(
        {"prefill_isl": [100, 200, 200, 300]},
        "prefill_isl holds the same prompt length twice; expected one entry per prompt length",
        id="a prompt length twice",
    ),
    pytest.param(
        {"prefill_ttft": ["fast", "slow", "slow", "slow"]},
        "prefill_ttft holds something that is not a number; expected a flat list of numbers",
        id="words",
    ),
    pytest.param(
        {"prefill_ttft": ["25", "70", "220", "420"]},
        "prefill_ttft holds something that is not a number; expected a flat list of numbers",
        id="numbers as text",
    ),
    pytest.param(
        {"prefill_ttft": [True, True, True, True]},
        "prefill_ttft holds something that is not a number; expected a flat list of numbers",
        id="truths",
    ),
    pytest.param(
        {"prefill_ttft": [[1.0, 2.0], [3.0]]},
        "prefill_ttft holds something that is not a number; expected a flat list of numbers",
        id="ragged",
    ),
    pytest.param(
        {"prefill_ttft": {"a": 1}},
        "prefill_ttft holds something that is not a number; expected a flat list of numbers",
        id="an object",
    ),
]
BROKEN_DECODE = [
    pytest.param({"max_kv_tokens": None}, "max_kv_tokens missing; expected the keys ", id="no capacity"),
    pytest.param({"max_kv_tokens": []}, "max_kv_tokens is empty; expected a capacity above 0", id="empty"),
    pytest.param({"max_kv_tokens": 0}, "max_kv_tokens[0] is 0; expected a capacity above 0", id="zero"),
    pytest.param(
        {"x_kv_usage": [10, 90, 10, 90]}, "x_kv_usage[0] is 10; expected shares from 0 to 1", id="percent"
    ),
    pytest.param(
        {"y_context_length": [500, 500, -1, 500]},
        "y_context_length[2] is -1; expected lengths above 0",
        id="a negative context",
    ),
    pytest.param(
        {"y_context_length": [500, 500, 500, 500]},
        "all points lie on one line of KV usage and context; expected points that span a surface",
        id="one context",
    ),
    pytest.param(
        {"x_kv_usage": [0.5, 0.5, 0.5, 0.5]},
        "all points lie on one line of KV usage and context; expected points that span a surface",
        id="one usage",
    ),
    pytest.param(
        {"x_kv_usage": [0.1, 0.2, 0.3, 0.4], "y_context_length": [1000, 2000, 3000, 4000]},
        "all points lie on one line of KV usage and context; expected points that span a surface",
        id="a diagonal",
    ),
]


def spoiled(good: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


@pytest.mark.parametrize(("changes", "problem"), BROKEN_PREFILL)
def test_a_broken_prefill_file_is_refused(
    tmp_path: Path, changes: Mapping[str, object], problem: str
) -> None:
    write(tmp_path, prefill=spoiled(PREFILL, changes))

    text = refusal(tmp_path)

    assert text.startswith(f"profile: {tmp_path / 'prefill_raw_data.json'}: ")
    assert problem in text


@pytest.mark.parametrize(("changes", "problem"), BROKEN_DECODE)
def test_a_broken_decode_file_is_refused(tmp_path: Path, changes: Mapping[str, object], problem: str) -> None:
    write(tmp_path, decode=spoiled(DECODE, changes))

    text = refusal(tmp_path)

    assert text.startswith(f"profile: {tmp_path / 'decode_raw_data.json'}: ")
    assert problem in text


def npz_bytes(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def npy_bytes() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones(4))
    return file.getvalue()


GOOD_NPZ = npz_bytes(**PREFILL)
SPOILED_MIDDLE = GOOD_NPZ[:60] + bytes(30) + GOOD_NPZ[90:]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("prefill_raw_data.json", b"[1, 2]", "holds a list; expected a JSON object", id="a list"),
        pytest.param("prefill_raw_data.json", b"null", "holds a NoneType; expected a JSON ob", id="null"),
        pytest.param("prefill_raw_data.json", b"", "cannot be read (", id="an empty file"),
        pytest.param("prefill_raw_data.json", b'{"prefill_isl": [1', "cannot be read (", id="cut JSON"),
        pytest.param("prefill_raw_data.json", b"\xff\xfe{}", "cannot be read (", id="no UTF-8"),
        pytest.param("prefill_raw_data.json", b"[" * 100_000, "cannot be read (", id="nested without end"),
        pytest.param("prefill.npz", GOOD_NPZ[:200], "expected a numpy archive (npz)", id="cut archive"),
        pytest.param("prefill.npz", SPOILED_MIDDLE, "expected a numpy archive (npz)", id="spoiled archive"),
        pytest.param("prefill.npz", b"", "expected a numpy archive (npz)", id="an empty archive"),
        pytest.param("prefill.npz", b"hello", "expected a numpy archive (npz)", id="text as archive"),
        pytest.param("prefill.npz", npy_bytes(), "expected a numpy archive (npz)", id="one bare array"),
        pytest.param(
            "prefill.npz",
            npz_bytes(**{**PREFILL, "prefill_isl": np.array([{}, 1, 2, 3], dtype=object)}),
            "expected a numpy archive (npz)",
            id="pickled objects",
        ),
        pytest.param(
            "prefill.npz", pickle.dumps({"a": 1}), "expected a numpy archive (npz)", id="a bare pickle"
        ),
        pytest.param(
            "prefill.npz",
            npz_bytes(**{**PREFILL, "prefill_isl": np.array([1j, 2, 3, 4])}),
            "prefill_isl holds something that is not a number",
            id="complex numbers",
        ),
        pytest.param(
            "prefill.npz",
            npz_bytes(**PREFILL, tp=np.array(4)),
            "expected a numpy archive (npz)",
            id="a merged matrix without rows",
        ),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    write(tmp_path)
    (tmp_path / "prefill_raw_data.json").unlink()
    (tmp_path / name).write_bytes(content)

    text = refusal(tmp_path)

    assert text.startswith(f"profile: {tmp_path / name}: ")
    assert expected in text


def test_a_missing_folder_is_told_with_what_was_expected(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").startswith(
        f"profile: {tmp_path / 'nowhere'} does not exist; give the folder that Dynamo's profiler wrote"
    )


def test_a_file_instead_of_a_folder_is_told(tmp_path: Path) -> None:
    file = write(tmp_path) / "prefill_raw_data.json"

    assert refusal(file).startswith(f"profile: {file} is not a folder; give the folder ")


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_folder_without_a_phase_lists_the_forms(tmp_path: Path, phase: str) -> None:
    write(tmp_path)
    (tmp_path / f"{phase}_raw_data.json").unlink()

    assert refusal(tmp_path) == (
        f"profile: {tmp_path} holds no {phase} profile; expected one of "
        f"selected_{phase}_interpolation/raw_data.npz, {phase}_raw_data.json, {phase}.npz in it"
    )


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        pytest.param("#tp=16", "0 rows match; expected one; pick it with ", id="none matches"),
        pytest.param("", "2 rows match; expected one; pick it with ", id="no choice"),
        pytest.param("#framework=vllm", "2 rows match; expected one; pick it with ", id="several match"),
        pytest.param("#dp=1", "0 rows match; expected one; pick it with ", id="a column that is not there"),
        pytest.param("#color=red", "cannot pick a row by 'color'; after # write key=value with", id="no key"),
        pytest.param(
            "#tp", "cannot pick a row by 'tp'; after # write key=value with a key of", id="no value"
        ),
        pytest.param("#tp=", "cannot pick a row by 'tp'; after # write key=value with a key of", id="blank"),
    ],
)
def test_a_row_that_is_not_one_is_refused(tmp_path: Path, row: str, problem: str) -> None:
    text = refusal(f"{write_merged(tmp_path)}{row}")

    assert problem in text
    if "rows match" in text:
        assert text.endswith("rows are: tp=4; tp=8")


def test_every_good_profile_makes_curves(tmp_path: Path) -> None:
    curve = decode_curve(load_profile(write(tmp_path)))

    assert curve.at(concurrency=2.0, context_tokens=5000.0).itl_s > 0.0


def test_a_row_is_not_picked_where_there_are_no_rows(shared_dir: Path) -> None:
    with pytest.raises(ConfigError, match="no merged matrix to pick 'tp=4' from"):
        load_profile(f"{shared_dir / 'profiles' / 'h100-llama-3.3-70b-fp8-tp4'}#tp=4")
