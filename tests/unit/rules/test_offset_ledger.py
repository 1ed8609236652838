"""What was delivered, what of that is finished, and what an earlier owner has finished."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.offset_ledger import OffsetLedger
from tests.unit.rules.records import PlainRecord


def delivered(ledger: OffsetLedger, first: int, count: int) -> list[int]:
    """The offsets that are left to process of *count* records from *first* on."""
    chunk = ledger.deliver([PlainRecord(first + n) for n in range(count)])
    return [record.offset for record in chunk.records if record is not None]


@given(st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=8))
def test_unfinished_messages_are_counted_and_the_first_is_what_may_be_committed(
    fetches: list[set[int]],
) -> None:
    ledger, left = OffsetLedger(0), list[int]()
    for number, done in enumerate(fetches):
        chunk = ledger.deliver([PlainRecord(5 * number + n) for n in range(5)])
        for index in done:
            chunk.finish(index)
        left += [5 * number + n for n in range(5) if n not in done]
        assert ledger.unfinished == len(left)
        assert ledger.committable == (left[0] if left else 5 * number + 5)
        first = ledger.first_unfinished()
        assert (None if first is None else first[0]) == (left[0] if left else None)


def test_what_an_earlier_owner_has_finished_is_not_repeated() -> None:
    ledger = OffsetLedger(10, [(12, 13), (15, 15)])
    assert ledger.is_finished(13)
    assert delivered(ledger, 10, 6) == [10, 11, 14]
    assert ledger.finished_from(10) == [(12, 13), (15, 15)]


def test_finished_messages_beyond_the_end_of_the_log_are_not_believed() -> None:
    ledger = OffsetLedger(10, [(12, 13)])
    assert not ledger.place(10, 13)
    assert ledger.is_placed
    assert delivered(ledger, 10, 4) == [10, 11, 12, 13]
    assert OffsetLedger(10, [(12, 13)]).place(10, 14)


def test_the_position_moves_over_what_is_no_message_and_never_over_an_unfinished_one() -> None:
    ledger = OffsetLedger(10)
    chunk = ledger.deliver([PlainRecord(10)])
    ledger.advance_to(12)
    assert ledger.committable == 10
    chunk.finish(0)
    ledger.advance_to(12)
    assert (ledger.position, ledger.committable) == (12, 12)
    ledger.advance_to(11)
    assert ledger.position == 12


def test_all_finished_messages_from_the_commit_on_are_remembered() -> None:
    ledger = OffsetLedger(10, [(20, 21)])
    chunk = ledger.deliver([PlainRecord(10), PlainRecord(11), PlainRecord(12), PlainRecord(13)])
    for index in (0, 1, 3):
        chunk.finish(index)
    assert ledger.all_finished(10) == [(10, 11), (13, 13), (20, 21)]
