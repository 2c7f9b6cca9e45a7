"""What answers where a webhook's receiver should, and what the daemon makes of it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connectors.base import Replicas, Unknown
from connectors.virtual.webhook import WebhookActuator
from connectors.virtual.webhook_options import WebhookOptions
from planner.attempt import attempt, words
from tests.integration.connectors.virtual.receiver import HurriedClock, Receiver, Reply, pool_of
from tests.integration.errors.row import Row, judged, without_port
from tests.integration.errors.stage import LOAD, Stage

WANTED = Replicas.of(prefill=4, decode=2)


def _fleet(**changed: object) -> str:
    """Return a fleet with these members changed in one pool; None leaves one out."""
    pool = {name: value for name, value in {**pool_of(2), **changed}.items() if value is not None}
    return json.dumps({"pools": {"prefill": pool_of(3), "decode": pool}})


READS: tuple[tuple[str, Reply], ...] = (
    ("the receiver closes the connection", Reply(status=0)),
    ("HTTP 401: another key, or clocks that differ", Reply(status=401, text='{"error": "bad signature"}')),
    ("HTTP 404", Reply(status=404)),
    ("HTTP 405: it takes decisions only", Reply(status=405)),
    ("HTTP 503", Reply(status=503, text="no leader")),
    ("a redirect", Reply(status=302, headers={"Location": "/login"})),
    ("a page instead of JSON", Reply(status=200, text="<!doctype html>")),
    ("an empty body", Reply(status=200)),
    ("no pools", Reply(status=200, text='{"fleet": {}}')),
    ("a count that is missing", Reply(status=200, text=_fleet(starting=None))),
    ("a count that is no number", Reply(status=200, text=_fleet(ready="two"))),
    ("a count that is negative", Reply(status=200, text=_fleet(ready=-1))),
    ("a member that is none", Reply(status=200, text=_fleet(gpu_per_engine=2))),
    ("a version that is none of ours", Reply(status=200, text='{"schema_version": 2, "pools": {}}')),
)
WRITES: tuple[tuple[str, Reply], ...] = (
    ("the decision is refused", Reply(status=422, text='{"error": "no quota for 4 engines"}')),
    ("somebody else changed the fleet", Reply(status=409, text="changed by hand")),
    ("the answer is lost", Reply(status=0)),
    ("the receiver is overloaded", Reply(status=503)),
    ("it asks to wait", Reply(status=429, headers={"Retry-After": "120"})),
)


async def webhook() -> list[Row]:
    """Read the fleet from each, tick on what was read; then try to scale with each."""
    rows = [await _read(what, reply) for what, reply in READS]
    return rows + [await _write(what, reply) for what, reply in WRITES]


async def _read(what: str, reply: Reply) -> Row:
    async with _open(reply) as (receiver, actuator):
        found = await attempt(actuator.read)
    assert isinstance(found, Exception), found
    decision = Stage(LOAD).tick(LOAD, Unknown(why=without_port(words(found), receiver.url)))
    return judged(what, decision, seen="fleet unknown")


async def _write(what: str, reply: Reply) -> Row:
    async with _open(reply) as (receiver, actuator):
        error = await attempt(lambda: actuator.scale(WANTED))
    assert isinstance(error, Exception), error
    return Row(
        what=f"scaling up: {what}",
        says=(without_port(words(error), receiver.url),),
        effect=f"the fleet stays as it is; decided again at the next tick ({type(error).__name__})",
        is_kept=receiver.counts == {"prefill": 3, "decode": 2},
    )


@asynccontextmanager
async def _open(reply: Reply) -> AsyncIterator[tuple[Receiver, WebhookActuator]]:
    receiver = Receiver(prefill=3, decode=2)
    receiver.replies.extend([reply] * 2)
    await receiver.start()
    actuator = WebhookActuator(WebhookOptions(url=receiver.url, retries=1), HurriedClock(), target="llm")
    try:
        yield receiver, actuator
    finally:
        await actuator.close()
        await receiver.stop()
