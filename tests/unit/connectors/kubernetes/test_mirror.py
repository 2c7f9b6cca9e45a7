"""A mirror follows instead of asking, and never remembers what it does not know any more."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest

from config.clock import VirtualClock
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.listing import Listing
from connectors.kubernetes.mirror import Mirror, MirrorOptions, Mode
from tests.cluster.fake_api import FakeApi
from tests.cluster.fake_parts import Json

_PODS = "/api/v1/namespaces/llm/pods"


@dataclass
class Scene:
    clock: VirtualClock = field(default_factory=VirtualClock)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = FakeApi(self.clock)
        self.api.seed(f"{_PODS}/a", {})
        self.mirror = self.mirror_of(Listing(path=_PODS))

    def mirror_of(self, listing: Listing) -> Mirror:
        options = MirrorOptions(resync_s=600.0, say=self.said.append, chance=lambda: 1.0)
        return Mirror(self.api, listing, clock=self.clock, options=options)

    async def names(self) -> list[str]:
        return sorted(await self.mirror.read())

    async def follow(self) -> None:
        """Read, and let the watch begin."""
        await self.mirror.read()
        await self.clock.advance(0.0)

    def sent(self, method: str) -> int:
        return len([one for one in self.api.requests if one.method == method])


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.mirror.close()


async def test_what_comes_changes_and_goes_is_seen_without_asking(scene: Scene) -> None:
    await scene.follow()
    scene.api.requests.clear()

    scene.api.seed(f"{_PODS}/b", {})
    await scene.clock.advance(0.0)
    after_one_came = await scene.names()
    scene.api.remove(f"{_PODS}/a")
    await scene.clock.advance(0.0)

    assert after_one_came == ["a", "b"]
    assert await scene.names() == ["b"]
    assert scene.api.requests == []


async def test_a_watch_that_the_server_closes_is_taken_up_where_it_ended(scene: Scene) -> None:
    await scene.follow()
    await scene.clock.advance(60.0)
    scene.api.bookmark()
    await scene.clock.advance(0.0)

    scene.api.close_watches()
    await scene.clock.advance(1.0)

    watches = [one for one in scene.api.requests if one.method == "WATCH"]
    assert scene.sent("GET") == 1
    assert len(watches) == 2
    assert int(watches[1].query["resourceVersion"]) > int(watches[0].query["resourceVersion"])


async def test_watches_that_are_closed_all_the_time_are_taken_up_ever_more_slowly(scene: Scene) -> None:
    await scene.follow()

    for _ in range(150):
        await scene.clock.advance(2.0)
        scene.api.close_watches()

    assert scene.sent("WATCH") <= 20


async def test_a_watch_is_not_taken_up_before_the_time_that_the_server_asks_for(scene: Scene) -> None:
    await scene.follow()

    scene.api.close_watches(ApiError("too many requests", status=429, retry_after_s=20.0))
    await scene.clock.advance(19.0)
    too_early = scene.sent("WATCH")
    await scene.clock.advance(2.0)

    assert (too_early, scene.sent("WATCH")) == (1, 2)


async def test_while_nothing_is_followed_each_read_asks(scene: Scene) -> None:
    await scene.follow()
    scene.api.close_watches(ApiError("connection reset", status=0))
    scene.api.fail_next(ApiError("refused", status=0), times=2)
    await scene.clock.advance(0.1)

    with pytest.raises(ApiError, match="refused"):
        await scene.mirror.read()
    with pytest.raises(ApiError, match="refused"):
        await scene.mirror.read()

    assert await scene.names() == ["a"]


async def test_a_version_that_the_server_forgot_is_listed_again(scene: Scene) -> None:
    await scene.follow()
    scene.api.expire()
    scene.api.seed(f"{_PODS}/b", {})
    await scene.clock.advance(1.0)
    scene.api.requests.clear()

    assert await scene.names() == ["a", "b"]
    assert scene.api.requests == []


async def test_a_watch_that_is_silent_for_longer_than_bookmarks_take_is_not_believed(scene: Scene) -> None:
    await scene.follow()

    await scene.clock.advance(80.0)

    assert scene.sent("GET") == 2
    assert scene.sent("WATCH") == 2


async def test_bookmarks_keep_a_watch_alive_until_it_is_time_to_list_afresh(scene: Scene) -> None:
    await scene.follow()
    for _ in range(19):
        await scene.clock.advance(60.0)
        scene.api.bookmark()
        await scene.clock.advance(0.0)

    await scene.clock.advance(59.0)
    await scene.mirror.read()  # the last bookmark is a sign of life, so that nothing is asked
    assert scene.sent("GET") == 2


async def test_where_watching_is_forbidden_each_read_lists_and_that_is_said_once(scene: Scene) -> None:
    scene.api.forbid("watch", _PODS)
    await scene.follow()

    for _ in range(3):
        await scene.names()

    assert scene.mirror.mode is Mode.LIST
    assert scene.sent("GET") == 4
    assert scene.sent("WATCH") == 1
    assert len(scene.said) == 1


async def test_what_was_forbidden_is_tried_again_after_a_while(scene: Scene) -> None:
    scene.api.forbid("watch", _PODS)
    await scene.follow()
    scene.api.permit()

    await scene.clock.advance(601.0)
    await scene.follow()

    assert scene.mirror.mode is Mode.WATCH
    assert len(scene.said) == 1


async def test_a_right_to_watch_that_stays_away_is_tried_ever_more_slowly(scene: Scene) -> None:
    scene.api.forbid("watch", _PODS)
    for _ in range(360):
        await scene.follow()
        await scene.clock.advance(10.0)

    assert 8 <= scene.sent("WATCH") <= 14


async def test_one_object_is_got_where_listing_is_forbidden(scene: Scene) -> None:
    scene.mirror = scene.mirror_of(Listing(path=_PODS, name="a"))
    scene.api.forbid("list", _PODS)

    assert await scene.names() == ["a"]
    assert await scene.names() == ["a"]
    assert scene.mirror.mode is Mode.GET
    assert len(scene.said) == 1
    assert scene.sent("GET") == 3


async def test_a_kind_that_is_not_there_has_no_objects_and_is_found_when_it_comes(scene: Scene) -> None:
    path = "/apis/nvidia.com/v1beta1/namespaces/llm/dynamographdeployments"
    scene.mirror = scene.mirror_of(Listing(path=path))
    await scene.follow()
    for _ in range(20):
        await scene.names()
    asked = scene.sent("GET")

    scene.api.seed(f"{path}/llm", {})
    await scene.clock.advance(31.0)

    assert asked <= 2
    assert await scene.names() == ["llm"]


async def test_the_answer_to_a_write_counts_at_once_and_an_older_event_does_not_undo_it(scene: Scene) -> None:
    scene.api.seed(f"{_PODS}/a", {"spec": {"n": 1}})
    await scene.follow()
    newer = scene.api.change(f"{_PODS}/a", {"spec": {"n": 2}})

    scene.mirror.overlay(newer)
    at_once = (await scene.mirror.read())["a"]["spec"]["n"]
    await scene.clock.advance(0.0)

    assert at_once == 2
    assert (await scene.mirror.read())["a"]["spec"]["n"] == 2


async def test_the_late_answer_to_a_write_does_not_bring_back_what_was_deleted_since(scene: Scene) -> None:
    await scene.follow()
    written = scene.api.change(f"{_PODS}/a", {"spec": {"n": 2}})
    scene.api.remove(f"{_PODS}/a")
    await scene.clock.advance(0.0)

    scene.mirror.overlay(written)

    assert await scene.names() == []


class PagingApi(FakeApi):
    """Cuts each list into pages of one object, though nobody asked for that."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        return await super().get(path, {"limit": "1", **(query or {})})


async def test_a_list_that_is_cut_into_pages_loses_nothing(scene: Scene) -> None:
    scene.api = PagingApi(scene.clock)
    for name in ("a", "b", "c"):
        scene.api.seed(f"{_PODS}/{name}", {})
    scene.mirror = scene.mirror_of(Listing(path=_PODS))

    assert await scene.names() == ["a", "b", "c"]


class OtherApi(FakeApi):
    """Answers with success and something else, as a proxy before it may."""

    document: Json

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        del path, query
        return self.document


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"metadata": {"resourceVersion": "7"}, "items": "maintenance"},
        {"metadata": {}, "items": []},
    ],
)
async def test_what_is_no_list_is_not_taken_for_an_empty_one(scene: Scene, document: Json) -> None:
    scene.api = OtherApi(scene.clock)
    scene.api.document = document
    scene.mirror = scene.mirror_of(Listing(path=_PODS))

    with pytest.raises(ApiError, match="expected a list"):
        await scene.mirror.read()


async def test_a_server_that_is_set_back_is_believed_and_not_what_was_seen_before(scene: Scene) -> None:
    set_back = scene.api.backup()
    scene.api.seed(f"{_PODS}/a", {"spec": {"n": 2}})
    scene.api.seed(f"{_PODS}/b", {})
    await scene.follow()

    set_back()
    scene.api.close_watches(ApiError("it starts again", status=0))
    await scene.clock.advance(1.0)

    objects = await scene.mirror.read()
    assert sorted(objects) == ["a"]
    assert "spec" not in objects["a"]


async def test_a_watch_on_a_server_that_was_set_back_is_not_believed(scene: Scene) -> None:
    scene.api.seed(f"{_PODS}/b", {})
    set_back = scene.api.backup()
    scene.api.seed(f"{_PODS}/c", {})
    await scene.follow()

    set_back()
    await scene.mirror.refresh()
    at_once = await scene.names()
    scene.api.remove(f"{_PODS}/b")

    assert at_once == ["a", "b"]
    assert await scene.names() == ["a"]
    await scene.clock.advance(76.0)
    scene.api.remove(f"{_PODS}/a")
    await scene.clock.advance(0.0)
    assert await scene.names() == []


class SlowApi(FakeApi):
    """Answers after others had their turn."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._turns = clock

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        await self._turns.sleep(0.0)
        return await super().get(path, query)


async def test_readers_at_the_same_time_share_one_answer(scene: Scene) -> None:
    scene.api = SlowApi(scene.clock)
    scene.mirror = scene.mirror_of(Listing(path=_PODS))

    await asyncio.gather(*(scene.mirror.read() for _ in range(5)))

    assert scene.sent("GET") == 1
