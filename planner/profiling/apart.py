"""Sampling profiles in a process of its own, which ends when it is done.

The daemon then never imports scipy: it starts while the other process works, and stays some 45 MB smaller.
"""

import io
import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np

from config.errors import ConfigError, InternalError
from config.policy import DecodePoints, EngineProfile, PrefillPoints
from config.process import end_with_parent
from planner.core.curves import know
from planner.core.sampling import Floats, Sampled, SampledDecode, SampledPrefill, sample

_LONGEST_S = 60.0
_PREFILL = ("knots", "ttft_s", "throughput")
_DECODE = ("itl_ms", "throughput")


class Apart:
    """Profiles that are being sampled.

    Args:
        profiles: What is to be sampled.

    Raises:
        OSError: If no process can be started.
    """

    def __init__(self, profiles: tuple[EngineProfile, ...]) -> None:
        self._profiles = profiles
        command = [sys.executable, "-P", "-m", "planner.profiling.apart"]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and this module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def finish(self) -> None:
        """Wait for the samples, and let the curves know them.

        Raises:
            ConfigError: If there is too little memory: this process would get no further with it.
            InternalError: If the process failed or took too long; it has ended then.
        """
        question = json.dumps([asdict(profile) for profile in self._profiles]).encode()
        try:
            answer, trouble = self._process.communicate(question, timeout=_LONGEST_S)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            self._process.communicate()
            raise InternalError(f"sampling the profile took longer than {_LONGEST_S:g} s") from error
        if self._process.returncode != 0:
            last = trouble.decode(errors="replace").strip().rpartition("\n")[2]
            if "MemoryError" in last:
                raise ConfigError(
                    f"sampling it needs more memory than there is ({last})",
                    key="profile",
                    hint="raise the limit of memory of this process or its container",
                )
            raise InternalError(f"sampling the profile ended with {self._process.returncode}: {last}")
        for profile, sampled in zip(self._profiles, unpacked(answer, len(self._profiles)), strict=True):
            know(profile, sampled)

    def end(self) -> None:
        """End the process; who waits in `finish` is told that it failed."""
        self._process.kill()


def packed(samples: tuple[Sampled, ...]) -> bytes:
    """Write samples as bytes."""
    arrays: dict[str, Floats] = {}
    for index, sampled in enumerate(samples):
        for part, names in ((sampled.prefill, _PREFILL), (sampled.decode, _DECODE)):
            if part is not None:
                arrays |= {f"{index}.{type(part).__name__}.{name}": getattr(part, name) for name in names}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpacked(data: bytes, count: int) -> tuple[Sampled, ...]:
    """Read samples back, bit for bit."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}

    def part(index: int, kind: str, names: tuple[str, ...]) -> dict[str, Floats]:
        return {
            name: arrays[f"{index}.{kind}.{name}"] for name in names if f"{index}.{kind}.{name}" in arrays
        }

    samples = []
    for index in range(count):
        prefill, decode = part(index, "SampledPrefill", _PREFILL), part(index, "SampledDecode", _DECODE)
        samples.append(
            Sampled(
                prefill=SampledPrefill(**prefill) if prefill else None,
                decode=SampledDecode(**decode) if decode else None,
            )
        )
    return tuple(samples)


def _profile(plain: dict[str, object]) -> EngineProfile:
    prefill, decode = plain["prefill"], plain["decode"]
    return EngineProfile(
        name=str(plain["name"]),
        prefill=PrefillPoints(**prefill) if isinstance(prefill, dict) else None,
        decode=DecodePoints(**decode) if isinstance(decode, dict) else None,
    )


def main() -> None:
    """Sample the profiles of standard input onto standard output."""
    end_with_parent()
    profiles = json.load(sys.stdin)
    samples = tuple(sample(_profile(plain)) for plain in profiles)
    sys.stdout.buffer.write(packed(samples))


if __name__ == "__main__":
    main()
