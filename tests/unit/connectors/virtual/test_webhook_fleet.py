"""What a receiver may say of its fleet, and what is refused in which words."""

import json
from collections.abc import Mapping

import pytest

from config.errors import Malformed
from connectors.base import PoolState
from connectors.virtual.webhook_protocol import parse_fleet, sequence_in

WHERE = "http://fleet.test/now"
POOL: Mapping[str, object] = {"desired": 3, "ready": 1, "starting": 1, "terminating": 2, "failing": 1}


def answer(**changed: object) -> bytes:
    """Return a fleet of one pool with these members changed; None removes one."""
    pool = {name: value for name, value in {**POOL, **changed}.items() if value is not None}
    return json.dumps({"pools": {"decode": pool}}).encode()


def test_a_whole_answer_is_read() -> None:
    content = json.dumps(
        {
            "schema_version": 1,
            "pools": {"decode": {**POOL, "gpus_per_engine": 4}, "prefill": {**POOL, "gpus_per_engine": None}},
            "decision": "7-0123456789abcdef",
            "region": "unheard of and harmless",
        }
    ).encode()

    found = parse_fleet(content, where=WHERE)

    state = PoolState(desired=3, ready=1, starting=1, terminating=2, failing=1)
    assert found.pools["prefill"] == state
    assert found.pools["decode"].gpus_per_engine == 4
    assert found.decision == "7-0123456789abcdef"


def test_a_receiver_need_not_name_decisions_versions_or_gpus() -> None:
    assert parse_fleet(answer(), where=WHERE).decision == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected the fleet as JSON, found an empty body"),
        (b"<!doctype html>", "expected the fleet as JSON, found '<!doctype html>'"),
        (b"\xff\xfe", "expected the fleet as JSON"),
        (b"[" * 100_000, "expected the fleet as JSON"),
        (b"[]", "expected a JSON object with 'pools', found []"),
        (b"{}", "expected an object 'pools' with at least one pool, found None"),
        (b'{"pools": {}}', "at least one pool, found {}"),
        (b'{"pools": [3]}', "found [3]"),
        (b'{"pools": {"decode": {}, "decode": {}}}', "'decode' stands twice in one object; keep one"),
        (b'{"pools": {"decode": 3}}', "pool 'decode': expected an object with desired, ready"),
        (b'{"schema_version": 2, "pools": {}}', "schema_version is 2; expected 1"),
        (b'{"schema_version": true, "pools": {}}', "schema_version is True; expected 1"),
        (answer(desired=None), "pool 'decode': desired is missing; expected a whole number"),
        (answer(failing=None), "failing is missing; expected a whole number, 0 if there are none"),
        (answer(ready=-1), "ready is -1; expected a whole number from 0 to 1000000"),
        (answer(ready=1.0), "ready is 1.0; expected a whole number"),
        (answer(ready=True), "ready is True; expected a whole number"),
        (answer(ready="3"), "ready is '3'; expected a whole number"),
        (answer(desired=10**7), "desired is 10000000; expected a whole number from 0 to 1000000"),
        (answer(desired=float("nan")), "desired is nan; expected a whole number"),
        (answer(gpus_per_engine=0), "gpus_per_engine is 0; expected a whole number from 1"),
        (answer(gpu_per_engine=2), "'gpu_per_engine' is not known; expected desired"),
        (b'{"decision": 7, "pools": {"decode": ' + json.dumps(POOL).encode() + b"}}", "decision is 7"),
    ],
)
def test_what_is_no_fleet_is_told_in_words(content: bytes, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_fleet(content, where=WHERE)

    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{WHERE}: ")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["", "7", "7-xyz", "-1-0123456789abcdef", "9" * 30 + "-0123456789abcdef"])
def test_a_name_that_is_not_ours_has_no_place_in_the_order(name: str) -> None:
    assert sequence_in(name) == 0
