"""What every test gets: a loop that reports lost task exceptions, and the shared reference data."""

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

from tests.cluster.control_plane import ControlPlane, unpacked

# Machines that run tests are shared: examples are not timed, and CI draws the same ones each time.
settings.register_profile("setpoint", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("setpoint")


@pytest.fixture(autouse=True)
async def _no_lost_task_exceptions(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail the test in which a background task died unseen."""
    if not asyncio.iscoroutinefunction(getattr(request, "function", None)):
        yield
        return
    lost: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: lost.append(context))
    yield
    gc.collect()
    assert not lost, lost


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Return the folder with reference data; skip where it is absent, fail in CI."""
    root = Path(__file__).resolve().parent.parent
    path = Path(os.environ.get("SHARED_DIR", str(root.parent / "shared")))
    return path if path.is_dir() else _lacking(f"reference data are absent: {path} (set SHARED_DIR)")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what lays out a third party's distribution as an installer would, and puts it on the path.

    It takes the text of its entry points, its modules by path, and its name.
    """

    def lay_out(entry_points: str, modules: Mapping[str, str], *, name: str) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8"
        )
        (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        for path, code in modules.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(code, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

    return lay_out


@pytest.fixture(scope="session")
def program() -> Callable[[str, str], str]:
    """Return what finds a program by its name and its Debian package; skip where it is absent, fail in CI."""

    def find(name: str, package: str) -> str:
        return shutil.which(name) or _lacking(f"{name} is not installed (Debian: {package})")

    return find


@pytest.fixture(scope="session")
def control_plane(shared_dir: Path) -> Iterator[ControlPlane]:
    """Return a Kubernetes API server that all tests share; each takes a namespace of its own."""
    plane = ControlPlane(unpacked(shared_dir))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


def _lacking(message: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
