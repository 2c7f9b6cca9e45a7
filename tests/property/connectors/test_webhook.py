"""Whatever is wished: its signature verifies, nothing else does, and what is told back is read or refused."""

import hashlib
import hmac
import json

from hypothesis import given
from hypothesis import strategies as st

from config.errors import Malformed
from config.policy import Role
from connectors.base import PoolReplicas, Replicas
from connectors.virtual.webhook_protocol import decision_of, hash_of, parse_fleet, sequence_in, signature_of

NAMES = st.text(min_size=1, max_size=20)
SECRETS = st.text(min_size=1, max_size=40)
SECONDS = st.integers(0, 2**40)
WISHES = st.lists(
    st.builds(PoolReplicas, pool=NAMES, role=st.sampled_from(Role), count=st.integers(0, 10_000)),
    min_size=1,
    max_size=4,
    unique_by=lambda pool: pool.pool,
).map(lambda pools: Replicas(tuple(pools)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["pools", "decode", "desired", "ready", "x"]), inner)
    ),
    max_leaves=12,
)


def verifies(header: str, body: bytes, secret: str) -> bool:
    """Verify as a receiver does that knows only the documentation."""
    time, _, digest = header.removeprefix("t=").partition(",v1=")
    expected = hmac.new(secret.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(digest, expected)


@given(wish=WISHES, secret=SECRETS, at_unix_s=SECONDS, sequence=st.integers(1, 10**14))
def test_the_signature_of_every_decision_verifies(
    wish: Replicas, secret: str, at_unix_s: int, sequence: int
) -> None:
    decision = decision_of(wish, target="llm", sequence=sequence, at_unix_s=float(at_unix_s))

    assert verifies(signature_of(decision.body, secret=secret, at_unix_s=at_unix_s), decision.body, secret)
    told = json.loads(decision.body)["pools"]
    assert {name: (pool["role"], pool["replicas"]) for name, pool in told.items()} == {
        pool.pool: (pool.role.value, pool.count) for pool in wish.pools
    }
    assert sequence_in(decision.name) == sequence


@given(body=st.binary(min_size=1, max_size=200), secret=SECRETS, at_unix_s=SECONDS, data=st.data())
def test_one_changed_bit_of_body_or_time_is_noticed(
    body: bytes, secret: str, at_unix_s: int, data: st.DataObject
) -> None:
    header = signature_of(body, secret=secret, at_unix_s=at_unix_s)
    place = data.draw(st.integers(0, 8 * len(body) - 1))
    tampered = bytearray(body)
    tampered[place // 8] ^= 1 << place % 8

    assert not verifies(header, bytes(tampered), secret)
    assert not verifies(header.replace(f"t={at_unix_s},", f"t={at_unix_s + 1},"), body, secret)
    assert not verifies(header, body, secret + "x")


@given(one=WISHES, other=WISHES)
def test_two_wishes_have_one_hash_only_if_they_are_the_same(one: Replicas, other: Replicas) -> None:
    assert (hash_of(one, target="llm") == hash_of(other, target="llm")) == (one == other)
    assert hash_of(one, target="llm") != hash_of(one, target="other")


@given(document=JSON)
def test_whatever_is_told_is_read_as_counts_or_refused_as_malformed(document: object) -> None:
    pools, problem = {}, "here: "
    try:
        pools = dict(parse_fleet(json.dumps(document).encode(), where="here").pools)
    except Malformed as error:
        problem = str(error)

    assert problem.startswith("here: ")
    assert all(min(pool.desired, pool.ready) >= 0 for pool in pools.values())
