import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from config.clock import SystemClock
from config.errors import ConfigError, InternalError
from config.policy import EngineProfile, PrefillPoints
from planner.core.curves import DecodeCurve, PrefillCurve
from planner.core.sampling import Sampled, sample
from planner.profiling.apart import Apart, packed, unpacked
from planner.profiling.load import load_profile


@pytest.fixture(scope="module")
def profile(shared_dir: Path) -> EngineProfile:
    return load_profile(shared_dir / "profiles" / "h200-llama-3.1-8b-fp8-tp1")


def arrays(sampled: Sampled) -> list[np.ndarray]:
    prefill, decode = sampled.prefill, sampled.decode
    found = [] if prefill is None else [prefill.knots, prefill.ttft_s, prefill.throughput]
    return found + ([] if decode is None else [decode.itl_ms, decode.throughput])


def test_samples_come_back_bit_for_bit(profile: EngineProfile) -> None:
    only_decode = EngineProfile(name="half", decode=profile.decode)
    samples = (sample(profile), sample(only_decode))

    back = unpacked(packed(samples), 2)

    for before, after in zip(samples, back, strict=True):
        assert [a.tobytes() for a in arrays(before)] == [a.tobytes() for a in arrays(after)]
    assert back[1].prefill is None


@pytest.mark.slow
def test_curves_know_the_samples_of_another_process_and_scipy_stays_there(shared_dir: Path) -> None:
    script = """
import sys
from planner.core.curves import decode_curve, is_known, prefill_curve
from planner.profiling.apart import Apart
from planner.profiling.load import load_profile
profile = load_profile(sys.argv[1])
apart = Apart((profile,))
assert not is_known(profile)
apart.finish()
assert is_known(profile)
print(prefill_curve(profile).ttft_s(3000.0))
print(decode_curve(profile).at(concurrency=45, context_tokens=3150).itl_s)
assert "scipy" not in sys.modules
"""
    folder = str(shared_dir / "profiles" / "h200-llama-3.1-8b-fp8-tp1")
    command = [sys.executable, "-P", "-W", "error", "-c", script, folder]

    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)

    profile = load_profile(folder)
    here, sampled = sample(profile), done.stdout.split()
    assert done.returncode == 0, done.stderr
    assert profile.prefill is not None
    assert here.prefill is not None
    assert profile.decode is not None
    assert here.decode is not None
    assert float(sampled[0]) == PrefillCurve(profile.prefill, here.prefill).ttft_s(3000.0)
    assert (
        float(sampled[1])
        == DecodeCurve(profile.decode, here.decode).at(concurrency=45, context_tokens=3150).itl_s
    )


@pytest.mark.slow
def test_a_process_that_fails_says_why() -> None:
    descending = PrefillPoints(
        isl_tokens=(4.0, 3.0, 2.0, 1.0),
        ttft_s=(1.0,) * 4,
        throughput_tokens_per_s_per_gpu=(1.0,) * 4,
    )
    apart = Apart((EngineProfile(name="descending", prefill=descending),))

    with pytest.raises(InternalError, match=r"ended with 1: ValueError: .* strictly increasing"):
        apart.finish()


def test_too_little_memory_is_said_in_one_line(
    profile: EngineProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scipy.py").write_text("bytearray(2**62)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    apart = Apart((profile,))

    with pytest.raises(ConfigError) as caught:
        apart.finish()

    assert str(caught.value) == (
        "profile: sampling it needs more memory than there is (MemoryError); "
        "raise the limit of memory of this process or its container"
    )


HANGS = """
import os, pathlib, re
pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
re.match("(a+)+$", "a" * 60 + "b")
"""
PARENT = """
import sys
from planner.profiling.apart import Apart
from planner.profiling.load import load_profile
Apart((load_profile(sys.argv[1]),)).finish()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parents")
def test_it_ends_with_the_process_that_asked(
    shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scipy.py").write_text(HANGS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    folder = str(shared_dir / "profiles" / "h200-llama-3.1-8b-fp8-tp1")
    with subprocess.Popen([sys.executable, "-c", PARENT, folder], stderr=subprocess.PIPE) as parent:
        said = tmp_path / "pid"
        clock = SystemClock()
        while not said.exists() or not said.read_text(encoding="ascii"):
            asyncio.run(clock.sleep(0.01))
        descriptor = os.pidfd_open(int(said.read_text(encoding="ascii")))
        parent.kill()

    has_ended = bool(select.select([descriptor], [], [], 10.0)[0])
    if not has_ended:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.close(descriptor)
    assert has_ended
