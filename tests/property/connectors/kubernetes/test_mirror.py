"""Whatever happens to objects and to the connection, a mirror that answers has what the server has."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from config.clock import VirtualClock
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.listing import Listing
from connectors.kubernetes.mirror import Mirror, MirrorOptions
from tests.cluster.fake_api import FakeApi

_PODS = "/api/v1/namespaces/llm/pods"
_NAMES = st.sampled_from(["a", "b", "c"])
_STEPS = st.one_of(
    st.tuples(st.just("put"), _NAMES, st.integers(min_value=0, max_value=9)),
    st.tuples(st.just("remove"), _NAMES),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.2, 3.0, 40.0, 700.0])),
    st.tuples(st.sampled_from(["close", "break", "expire", "bookmark", "read", "refresh", "fail", "write"])),
)


class Server:
    """What happens at the API server."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.api = FakeApi(self.clock)
        options = MirrorOptions(chance=lambda: 0.5)
        self.mirror = Mirror(self.api, Listing(path=_PODS), clock=self.clock, options=options)

    async def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("put", name, number):
                self.api.seed(f"{_PODS}/{name}", {"spec": {"n": number}})
            case ("remove", name):
                if self.api.has(f"{_PODS}/{name}"):
                    self.api.remove(f"{_PODS}/{name}")
            case ("wait", duration_s):
                await self.clock.advance(duration_s)
            case ("write",):
                self.mirror.overlay(self.api.seed(f"{_PODS}/a", {"spec": {"n": 10}}))
            case ("read",):
                await self.mirror.read()
            case ("refresh",):
                await self.mirror.refresh()
            case _:
                self._trouble(step[0])

    def _trouble(self, kind: str) -> None:
        gone = ApiError("connection reset", status=0)
        match kind:
            case "close":
                self.api.close_watches()
            case "break":
                self.api.close_watches(gone)
            case "expire":
                self.api.expire()
            case "bookmark":
                self.api.bookmark()
            case "fail":
                self.api.fail_next(gone, method="WATCH")


@given(steps=st.lists(_STEPS, max_size=30))
async def test_what_is_read_after_news_had_time_to_come_is_what_there_is(
    steps: list[tuple[Any, ...]],
) -> None:
    server = Server()
    for step in steps:
        await server.do(step)
    await server.clock.advance(0.0)

    found = await server.mirror.read()
    await server.mirror.close()

    there = {item["metadata"]["name"]: item["spec"] for item in server.api.items(_PODS)}
    assert {name: item["spec"] for name, item in found.items()} == there
