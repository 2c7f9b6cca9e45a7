"""The promise: whatever fails, a reading stays what it was or becomes unknown; never another number."""

import asyncio
from collections.abc import Mapping

import httpx
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Reading, Traffic, Unknown
from connectors.prometheus.queries import Question
from tests.unit.connectors.prometheus.fake import ONE, OTHER, WINDOW_S, Reply, buckets, source_of, vector

FAULTS: dict[str, Reply] = {
    "refused": httpx.ConnectError("refused"),
    "slow": httpx.ReadTimeout("slow"),
    "busy": httpx.Response(503),
    "bad": httpx.Response(400),
    "page": httpx.Response(200, text="<html>"),
    "partial": vector([], warnings=["a store is down"]),
    "nan": [({**ONE, "le": "+Inf"}, "NaN")],
    "infinite": [({**ONE, "le": "+Inf"}, "+Inf")],
    "negative": [({**ONE, "le": "+Inf"}, "-1")],
}
ASKED = [question for question in Question if question not in {Question.DOWN, Question.SCRAPE_COUNT}]
LENGTHS = buckets({"100": 5, "+Inf": 9}, total=900, count=9)
BUSY: dict[Question, Reply] = {
    **dict.fromkeys((Question.ISL, Question.OSL, Question.TTFT, Question.ITL, Question.DURATION), LENGTHS),
    Question.COMPLETED: [(ONE, 60), (OTHER, 30)],
    Question.IN_FLIGHT: [(ONE, 4), (OTHER, 1)],
    Question.IN_FLIGHT_BEFORE: [(OTHER, 2)],
    Question.QUEUED: [(ONE, 2)],
    Question.KV_USAGE: [({}, 0.5)],
}
NEWER: dict[Question, Reply] = {
    **BUSY,
    Question.STARTED: [(ONE, 70), (OTHER, 40)],
    Question.REFUSED: [(ONE, 3)],
}
MISSPELLED: dict[Question, Reply] = {Question.MODELS: [({"model": "mm"}, 9)]}


def readings(traffic: Traffic) -> dict[str, Reading]:
    names = [name for name in Traffic.__slots__ if not name.endswith(("at_s", "window_s", "_histogram"))]
    return {name: getattr(traffic, name) for name in names}


def seen(replies: Mapping[Question, Reply]) -> dict[str, Reading]:
    return readings(asyncio.run(source_of(replies).observe(WINDOW_S)))


@given(
    st.sampled_from([BUSY, NEWER, MISSPELLED, {}]),
    st.dictionaries(st.sampled_from(ASKED), st.sampled_from(sorted(FAULTS)), max_size=4),
)
def test_a_fault_never_turns_one_number_into_another(
    healthy: Mapping[Question, Reply], faults: Mapping[Question, str]
) -> None:
    before = seen(healthy)

    after = seen({**healthy, **{question: FAULTS[fault] for question, fault in faults.items()}})

    for name, found in after.items():
        assert isinstance(found, Unknown) or found == before[name], name
