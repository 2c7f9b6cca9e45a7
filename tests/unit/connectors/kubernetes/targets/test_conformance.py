"""Every target keeps the promises of the suite, on the API server in memory and for objects of any shape."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kubernetes.api import Api
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.target import ObjectKey, Objects, Reference, Target
from connectors.testing.distortion import Path, changed_at, paths_of
from connectors.testing.target import TargetConformance, TargetHarness, fetched, survives
from tests.cluster.examples import EXAMPLES, Example

IDS = [example.name for example in EXAMPLES]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


async def build(reference: Reference, api: Api) -> Target:
    return await resolve(api, reference)


@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
async def test_every_target_keeps_every_promise(example: Example) -> None:
    @asynccontextmanager
    async def factory() -> AsyncIterator[TargetHarness]:
        yield TargetHarness(
            api=example.fake(),
            build=build,
            reference=example.reference(),
            desired=example.desired,
            least=example.least,
        )

    assert len(await TargetConformance(factory).run_all()) == 12


async def opened(example: Example) -> tuple[Target, Objects]:
    api = example.fake()
    target = await build(example.reference(), api)
    return target, await fetched(api, target)


@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
def test_no_target_is_upset_by_objects_of_any_shape(example: Example) -> None:
    target, objects = asyncio.run(opened(example))
    places = [(key, path) for key, item in objects.items() for path in paths_of(item)]

    @settings(max_examples=40)
    @given(changes=st.lists(st.tuples(st.sampled_from(places), JSON), min_size=1, max_size=3))
    def check(changes: list[tuple[tuple[ObjectKey, Path], object]]) -> None:
        strange = dict(objects)
        for (key, path), value in changes:
            strange[key] = changed_at(strange[key], path, value)

        survives(target, strange, example.desired, words=str(changes))

    check()
