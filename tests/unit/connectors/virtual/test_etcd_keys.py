import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Malformed
from connectors.virtual.etcd_client import KeyValue
from connectors.virtual.etcd_keys import Counts, Entry, Keys, Ledger, ledger_of

KEYS = Keys(dynamo_namespace="llm")
ABSENT = Counts(prefill=1, decode=2)


def stored(key: str, value: str, revision: int = 5) -> KeyValue:
    return KeyValue(key=key, value=value, mod_revision=revision)


def test_absent_keys_are_neither_zero_nor_owed_anything() -> None:
    ledger = ledger_of(KEYS, [stored("v1/llm/planner/else", "x")])

    assert ledger == Ledger()
    assert ledger.counts(ABSENT) == ABSENT
    assert ledger.is_acknowledged
    assert not ledger.is_announced
    assert ledger.next_decision_id == 0
    assert ledger.is_empty


def test_each_key_is_read_into_its_place() -> None:
    ledger = ledger_of(
        KEYS,
        [
            stored("v1/llm/planner/num_prefill_workers", "2", 7),
            stored("v1/llm/planner/num_decode_workers", " 3\n", 8),
            stored("v1/llm/planner/decision_id", "4", 9),
            stored("v1/llm/planner/scaled_decision_id", "0", 6),
        ],
    )

    assert ledger == Ledger(
        prefill=Entry(number=2, revision=7),
        decode=Entry(number=3, revision=8),
        decision=Entry(number=4, revision=9),
        scaled=Entry(number=0, revision=6),
    )
    assert ledger.is_announced
    assert not ledger.is_acknowledged
    assert ledger.revision_before == 6


def test_counts_newer_than_the_decision_are_half_a_decision() -> None:
    whole = Ledger(
        prefill=Entry(number=1, revision=2),
        decode=Entry(number=1, revision=2),
        decision=Entry(number=0, revision=2),
    )
    half = Ledger(prefill=whole.prefill, decode=Entry(number=3, revision=3), decision=whole.decision)

    assert whole.is_announced
    assert not half.is_announced
    assert (whole.revision_before, half.revision_before) == (1, 2)


@given(
    decision=st.none() | st.integers(min_value=0, max_value=10**9),
    scaled=st.none() | st.integers(min_value=0, max_value=10**9),
)
def test_a_new_decision_is_never_acknowledged_before_it_is_seen(
    decision: int | None, scaled: int | None
) -> None:
    before = Ledger(decision=Entry(number=decision), scaled=Entry(number=scaled))
    after = Ledger(decision=Entry(number=before.next_decision_id), scaled=before.scaled)

    assert not after.is_acknowledged
    assert decision is None or before.next_decision_id > decision


@given(st.text().filter(lambda text: not text.strip().isdecimal()))
def test_text_that_is_no_number_is_malformed(value: str) -> None:
    with pytest.raises(Malformed, match=KEYS.decode):
        ledger_of(KEYS, [stored(KEYS.decode, value)])


@given(st.integers(min_value=0, max_value=10**18 - 1))
def test_decimal_text_is_the_number(number: int) -> None:
    assert ledger_of(KEYS, [stored(KEYS.decode, str(number))]).decode.number == number


@pytest.mark.parametrize("value", ["", "-1", "1.5", "1e3", "٣", "nan", "0x1", "9" * 19])
def test_what_is_no_decimal_count_is_malformed(value: str) -> None:
    with pytest.raises(Malformed, match="expected a whole number"):
        ledger_of(KEYS, [stored(KEYS.prefill, value)])
