"""Markers: what they say is read back, and what is no marker says nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.letter_ledger import Ledger, Settled, marker
from tests.unit.rules.letters import letter
from tests.unit.rules.records import PlainRecord

settled: st.SearchStrategy[Settled] = st.sampled_from(["replayed", "dropped"])


@given(st.lists(st.tuples(st.integers(0, 5), settled), max_size=20))
def test_the_last_marker_of_a_letter_counts(said: list[tuple[int, Settled]]) -> None:
    ledger = Ledger()
    for number, state in said:
        written = marker(letter(number), "orders-dlq", state, 1.0)
        ledger.read([PlainRecord(0, written.key, written.value, topic=written.topic)])
    expected = dict(said)
    assert {n: ledger.state_of(letter(n)) for n in range(6)} == {n: expected.get(n, "open") for n in range(6)}


@given(st.none() | st.binary(max_size=30) | st.sampled_from([b'{"state": "lost"}', b"[]", b"{}"]))
def test_what_is_no_marker_leaves_a_letter_open(value: bytes | None) -> None:
    ledger = Ledger()
    ledger.read([PlainRecord(0, letter(0).identity(), value), PlainRecord(1, None, value)])
    assert ledger.state_of(letter(0)) == "open"


def test_a_marker_that_is_deleted_opens_its_letter_again() -> None:
    ledger = Ledger()
    ledger.note(letter(0), "dropped")
    ledger.read([PlainRecord(1, letter(0).identity(), None)])
    assert ledger.state_of(letter(0)) == "open"


def test_a_marker_stands_beside_its_queue_in_one_partition() -> None:
    written = marker(letter(0), "orders-dlq", "replayed", 1.0, "orders[0]")
    assert (written.topic, written.partition) == ("orders-dlq.handled", 0)
