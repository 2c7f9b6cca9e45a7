"""Whatever pods there are, none is lost or counted twice, and GPUs in use are never under-counted."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from connectors.kubernetes.pods import engines_of
from connectors.kubernetes.podstate import PodState, Wait

_STATES = st.sampled_from(list(Wait))
_LOOSE = st.builds(PodState, wait=_STATES)
_GROUPED = st.builds(PodState, wait=_STATES, group=st.sampled_from(["", "decode/0", "decode/1", "decode/2"]))
_SIZES = st.integers(min_value=1, max_value=4)


@given(pods=st.lists(_GROUPED, max_size=12), size=_SIZES)
def test_engines_hold_at_least_the_pods_that_exist(pods: list[PodState], size: int) -> None:
    engines = engines_of(pods, pods_per_engine=size)

    assert engines.total * size >= len(pods)


@given(pods=st.lists(_GROUPED, max_size=12), size=_SIZES)
def test_no_engine_is_made_of_nothing(pods: list[PodState], size: int) -> None:
    engines = engines_of(pods, pods_per_engine=size)

    counts = (engines.ready, engines.starting, engines.terminating, engines.failing, engines.unschedulable)
    assert min(counts) >= 0
    assert engines.total <= len(pods)
    assert engines.unschedulable <= engines.failing


@given(pods=st.lists(_GROUPED, max_size=12), size=_SIZES)
def test_an_engine_serves_only_if_all_its_pods_are_ready(pods: list[PodState], size: int) -> None:
    engines = engines_of(pods, pods_per_engine=size)

    groups = Counter("" if size == 1 else pod.group for pod in pods if pod.wait is Wait.READY)
    assert engines.ready <= sum(count // size for count in groups.values())


@given(pods=st.lists(_LOOSE, max_size=20))
def test_a_pod_that_is_an_engine_is_counted_once_as_what_it_is(pods: list[PodState]) -> None:
    engines = engines_of(pods, pods_per_engine=1)

    found = Counter(pod.wait for pod in pods)
    assert engines.ready == found[Wait.READY]
    assert engines.starting == found[Wait.STARTS]
    assert engines.terminating == found[Wait.ENDS]
    assert engines.failing == found[Wait.FAILS] + found[Wait.NO_ROOM]
    assert engines.unschedulable == found[Wait.NO_ROOM]


@given(pods=st.lists(_GROUPED, max_size=12), size=_SIZES, data=st.data())
def test_the_order_of_pods_does_not_matter(pods: list[PodState], size: int, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(pods))

    assert engines_of(shuffled, pods_per_engine=size) == engines_of(pods, pods_per_engine=size)


@given(engines=st.integers(min_value=0, max_value=5), size=_SIZES, is_grouped=st.booleans())
def test_complete_engines_are_counted_exactly(engines: int, size: int, *, is_grouped: bool) -> None:
    pods = [
        PodState(wait=Wait.READY, group=f"decode/{engine}" if is_grouped else "")
        for engine in range(engines)
        for _ in range(size)
    ]

    found = engines_of(pods, pods_per_engine=size)

    assert (found.ready, found.total) == (engines, engines)
