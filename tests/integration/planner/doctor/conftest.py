from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane, unpacked
from tests.integration.planner.doctor.site import Site, Ward, ward


@pytest.fixture(scope="module")
def site(
    shared_dir: Path, program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Return a cluster of its own, since what is spoiled here is the cluster's."""
    prometheus = program("prometheus", "prometheus")
    plane = ControlPlane(unpacked(shared_dir))
    made = Site(plane, tmp_path_factory.mktemp("prometheus"), prometheus)
    try:
        plane.start()
        made.start()
        yield made
    finally:
        made.stop()
        plane.stop()


@pytest.fixture
def deployed(site: Site, tmp_path: Path) -> Iterator[Ward]:
    made = ward(site, tmp_path)
    yield made
    for pod in site.admin.get(made.path("v1", "pods"))["items"]:  # they hold GPUs of nodes that all share
        made.kubelet.cluster.delete(made.path("v1", "pods", pod["metadata"]["name"]))
