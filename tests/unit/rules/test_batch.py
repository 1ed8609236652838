"""How batches are gathered and divided: nothing is lost, the order stays, and no key is in two halves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.batch import Batch, Gathering, halves
from core_messaging.rules.job import Job
from tests.unit.rules.records import PlainRecord

KEYS = st.lists(st.sampled_from([None, b"a", b"b", b"c", b"d"]), min_size=2, max_size=20)


def key_of(record: Record) -> bytes | None:
    return record.key


def jobs(keys: list[bytes | None]) -> list[Job]:
    records = [PlainRecord(offset, key) for offset, key in enumerate(keys)]
    chunk = Assignment(TopicPartition("t", 0), 1).deliver(records)
    return [Job(chunk, index, record, None) for index, record in enumerate(records)]


def offsets(found: list[Job]) -> list[int]:
    return [job.record.offset for job in found]


@given(KEYS)
def test_halves_share_no_key_keep_the_order_and_are_both_smaller(keys: list[bytes | None]) -> None:
    whole = jobs(keys)
    first, second = halves(whole, key_of)
    assert sorted(offsets(first) + offsets(second)) == offsets(whole)
    assert first
    assert second
    for half in (first, second):
        assert offsets(half) == sorted(offsets(half))
    if len({key for key in keys if key is not None}) > 1 or None in keys:
        shared = {j.record.key for j in first} & {j.record.key for j in second}
        assert shared <= {None}


def test_a_message_leaves_its_batch_when_it_is_settled_or_waits_on_its_own() -> None:
    whole = jobs([b"a", b"b", b"c"])
    batch = Batch(whole)
    whole[0].chunk.finish(0)
    whole[1].lane = None
    assert batch.jobs == [whole[2]]
    assert batch.members == tuple(whole)


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(1, 7))
def test_batches_take_the_oldest_messages_first_and_are_full_while_there_are_enough(
    fetches: list[int], size: int
) -> None:
    assignment = Assignment(TopicPartition("t", 0), 1)
    gathering, count = Gathering(assignment), 0
    for number in fetches:
        records = [PlainRecord(count + n) for n in range(number)]
        gathering.chunks.append((0.0, assignment.deliver(records)))
        count += number
    taken: list[list[int]] = []
    while gathering.has_some:
        taken.append(offsets(gathering.gather(size)))
    assert [offset for batch in taken for offset in batch] == list(range(count))
    assert all(len(batch) == size for batch in taken[:-1])


def test_messages_of_a_held_key_wait_behind_it_and_the_others_stay_in_their_order() -> None:
    assignment = Assignment(TopicPartition("t", 0), 1)
    gathering = Gathering(assignment)
    (holder,) = jobs([b"a"])
    gathering.held_keys.hold(b"a", holder)
    records = [PlainRecord(offset, key) for offset, key in enumerate([b"b", b"a", b"c", b"a"], start=1)]
    gathering.chunks.append((0.0, assignment.deliver(records)))
    gathering.sift(key_of)
    assert offsets([job for _, _, job in gathering.open]) == [1, 3]
    assert gathering.held_keys.behind == 2
