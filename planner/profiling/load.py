"""Reading engine profiles in the forms that Dynamo's profiler writes.

A profile is a folder with one of

- `selected_prefill_interpolation/raw_data.npz` and `selected_decode_interpolation/raw_data.npz`,
- `prefill_raw_data.json` and `decode_raw_data.json` (what ConfigMap `planner-profile-data` mounts),
- `prefill.npz` and `decode.npz`, merged matrices with one row per configuration; where there are several
  rows the path names one by its identity columns: `PATH#tp=4` or `PATH#tp=4,framework=vllm`.

Both phases may come in different forms. Files hold milliseconds; profiles here hold seconds.
"""

import json
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from config.errors import ConfigError
from config.policy import DecodePoints, EngineProfile, PrefillPoints

_IDENTITY = (
    "gpu_type", "model", "framework", "framework_version", "tp", "dp", "pp",
    "block_size", "max_batch_size", "gpu_count",
)  # fmt: skip
_PREFILL = ("prefill_isl", "prefill_ttft", "prefill_thpt_per_gpu")
_DECODE = ("x_kv_usage", "y_context_length", "z_itl", "z_thpt_per_gpu")
_FORMS = {
    "prefill": (
        "selected_prefill_interpolation/raw_data.npz",
        "prefill_raw_data.json",
        "prefill.npz",
    ),
    "decode": ("selected_decode_interpolation/raw_data.npz", "decode_raw_data.json", "decode.npz"),
}
_MERGED = {"prefill.npz", "decode.npz"}
# A cubic spline needs four points; a surface needs a triangle with something inside.
_LEAST_POINTS = 4
_MS_PER_S = 1000.0
# What numpy and zipfile raise over a file that is cut, spoiled, encrypted, huge on paper, or no archive.
_UNREADABLE = (
    OSError, ValueError, TypeError, EOFError, RuntimeError, MemoryError, BadZipFile, zlib.error,
)  # fmt: skip

_Columns = Mapping[str, tuple[float, ...]]


def load_profile(where: str | Path) -> EngineProfile:
    """Read a profile folder.

    Args:
        where: The folder; `#key=value,…` after it picks a row of merged matrices.

    Raises:
        ConfigError: If a file is missing or cannot be used; the text names the file and what is wrong in it.
    """
    path_text, _, wanted = str(where).partition("#")
    folder = Path(path_text)
    if not folder.is_dir():
        raise ConfigError(
            f"{folder} is not a folder" if folder.exists() else f"{folder} does not exist",
            key="profile",
            hint="give the folder that Dynamo's profiler wrote (it holds "
            + " or ".join(repr(form) for form in _FORMS["prefill"])
            + ")",
        )
    row = _row_filter(wanted)
    prefill, decode = _find(folder, "prefill"), _find(folder, "decode")
    if row and not {prefill.name, decode.name} & _MERGED:
        raise ConfigError(
            f"{folder} holds no merged matrix to pick {wanted!r} from", key="profile", hint="leave out the #…"
        )
    return EngineProfile(
        name=folder.resolve().name + (f"#{wanted}" if wanted else ""),
        prefill=_prefill_points(prefill, row),
        decode=_decode_points(decode, row),
    )


def _find(folder: Path, phase: str) -> Path:
    for form in _FORMS[phase]:
        if (folder / form).is_file():
            return folder / form
    forms = ", ".join(_FORMS[phase])
    raise ConfigError(
        f"{folder} holds no {phase} profile", key="profile", hint=f"expected one of {forms} in it"
    )


def _row_filter(wanted: str) -> Mapping[str, str]:
    pairs = dict(pair.partition("=")[::2] for pair in wanted.split(",") if pair)
    for key, value in pairs.items():
        if key not in _IDENTITY or not value:
            raise ConfigError(
                f"cannot pick a row by {key!r}",
                key="profile",
                hint=f"after # write key=value with a key of {', '.join(_IDENTITY)}",
            )
    return pairs


def _prefill_points(path: Path, row: Mapping[str, str]) -> PrefillPoints:
    columns = _read(path, _PREFILL, row)
    _demand(path, columns, "prefill_isl", lambda isl: isl > 0.0, expected="prompt lengths above 0")
    _demand(path, columns, "prefill_ttft", lambda ms: ms > 0.0, expected="milliseconds above 0")
    _demand(path, columns, "prefill_thpt_per_gpu", lambda rate: rate > 0.0, expected="tokens/s/GPU above 0")
    isl, ttft, throughput = zip(*sorted(zip(*(columns[name] for name in _PREFILL), strict=True)), strict=True)
    if len(set(isl)) < len(isl):
        raise _broken(path, "prefill_isl holds the same prompt length twice", "one entry per prompt length")
    return PrefillPoints(
        isl_tokens=isl,
        ttft_s=tuple(ms / _MS_PER_S for ms in ttft),
        throughput_tokens_per_s_per_gpu=throughput,
    )


def _decode_points(path: Path, row: Mapping[str, str]) -> DecodePoints:
    columns = _read(path, _DECODE, row, scalar="max_kv_tokens")
    _demand(path, columns, "x_kv_usage", lambda share: 0.0 <= share <= 1.0, expected="shares from 0 to 1")
    _demand(path, columns, "y_context_length", lambda tokens: tokens > 0.0, expected="lengths above 0")
    _demand(path, columns, "z_itl", lambda ms: ms > 0.0, expected="milliseconds above 0")
    _demand(path, columns, "z_thpt_per_gpu", lambda rate: rate > 0.0, expected="tokens/s/GPU above 0")
    _demand(path, columns, "max_kv_tokens", lambda tokens: tokens > 0.0, expected="a capacity above 0")
    if _is_line(columns["x_kv_usage"], columns["y_context_length"]):
        raise _broken(
            path, "all points lie on one line of KV usage and context", "points that span a surface"
        )
    return DecodePoints(
        kv_usage_ratio=columns["x_kv_usage"],
        context_tokens=columns["y_context_length"],
        itl_s=tuple(ms / _MS_PER_S for ms in columns["z_itl"]),
        throughput_tokens_per_s_per_gpu=columns["z_thpt_per_gpu"],
        max_kv_tokens=columns["max_kv_tokens"][0],
    )


def _is_line(usage: tuple[float, ...], context: tuple[float, ...]) -> bool:
    points = np.column_stack((usage, np.asarray(context) / max(context)))
    return bool(np.linalg.matrix_rank(points - points[0], tol=1e-9) < points.shape[1])


def _read(path: Path, names: tuple[str, ...], row: Mapping[str, str], *, scalar: str = "") -> _Columns:
    raw = _json(path) if path.suffix == ".json" else _npz(path, row)
    wanted = (*names, scalar) if scalar else names
    missing = [name for name in wanted if name not in raw]
    if missing:
        raise _broken(path, f"{', '.join(missing)} missing", f"the keys {', '.join(wanted)}")
    columns = {name: _numbers(path, name, raw[name]) for name in wanted}
    lengths = {name: len(columns[name]) for name in names}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise _broken(path, f"columns of different length ({found})", "one entry per point in each column")
    if lengths[names[0]] < _LEAST_POINTS:
        raise _broken(path, f"only {lengths[names[0]]} points", f"at least {_LEAST_POINTS}")
    return columns


def _json(path: Path) -> Mapping[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(path, f"cannot be read ({error})", "a JSON object of number lists") from error
    if not isinstance(document, dict):
        raise _broken(path, f"holds a {type(document).__name__}", "a JSON object of number lists")
    return document


def _npz(path: Path, row: Mapping[str, str]) -> Mapping[str, object]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except _UNREADABLE as error:
        # The library's own words advise to load what may be harmful.
        reason = getattr(error, "strerror", None) or "it is cut, no archive, or holds more than numbers"
        raise _broken(path, f"cannot be read ({reason})", "a numpy archive (npz) of numbers") from error
    if not any(name in arrays for name in _IDENTITY):
        return arrays
    if not all(values.ndim and values.size for values in arrays.values()):
        raise _broken(
            path, "has a column without rows", "a numpy archive (npz) with one row per configuration"
        )
    index = _pick(path, arrays, row)
    return {name: values[index] for name, values in arrays.items() if name not in _IDENTITY}


def _pick(path: Path, arrays: Mapping[str, np.ndarray], row: Mapping[str, str]) -> int:
    rows = [
        {name: str(arrays[name][index].ravel()[0]) for name in _IDENTITY if name in arrays}
        for index in range(min(len(values) for values in arrays.values()))
    ]
    matching = [
        index for index, have in enumerate(rows) if all(have.get(key) == value for key, value in row.items())
    ]
    if len(matching) == 1:
        return matching[0]
    varying = [name for name in _IDENTITY if len({have.get(name) for have in rows}) > 1]
    choices = "; ".join(
        ",".join(f"{name}={have.get(name)}" for name in varying or _IDENTITY) for have in rows
    )
    raise _broken(
        path, f"{len(matching)} rows match", f"one; pick it with PATH#key=value, rows are: {choices}"
    )


def _numbers(path: Path, name: str, values: object) -> tuple[float, ...]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # lists of different length
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise _broken(path, f"{name} holds something that is not a number", "a flat list of numbers")
    numbers = tuple(float(number) for number in array.ravel())
    for position, number in enumerate(numbers):
        if not math.isfinite(number):
            raise _broken(path, f"{name}[{position}] is {number}", "finite numbers")
    return numbers


def _demand(
    path: Path, columns: _Columns, name: str, allowed: Callable[[float], bool], *, expected: str
) -> None:
    if not columns[name]:
        raise _broken(path, f"{name} is empty", expected)
    for position, number in enumerate(columns[name]):
        if not allowed(number):
            raise _broken(path, f"{name}[{position}] is {number:g}", expected)


def _broken(path: Path, problem: str, expected: str) -> ConfigError:
    return ConfigError(f"{path}: {problem}", key="profile", hint=f"expected {expected}")
