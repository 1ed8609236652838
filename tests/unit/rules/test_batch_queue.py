"""What of a partition is in no batch yet: the oldest first, and behind a held key in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.batch_queue import BatchQueue
from tests.unit.rules.records import PlainRecord
from tests.unit.rules.test_batch import jobs, key_of, offsets


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(1, 7))
def test_batches_take_the_oldest_messages_first_and_are_full_while_there_are_enough(
    fetches: list[int], size: int
) -> None:
    assignment = Assignment(TopicPartition("t", 0), 1)
    queue, count = BatchQueue(assignment), 0
    for number in fetches:
        records = [PlainRecord(count + n) for n in range(number)]
        queue.add(assignment.deliver(records), 0.0)
        count += number
    taken: list[list[int]] = []
    while queue.has_some:
        batch = queue.next_fresh(size)
        assert batch is not None
        taken.append(offsets(batch.jobs))
    assert [offset for found in taken for offset in found] == list(range(count))
    assert all(len(found) == size for found in taken[:-1])


def test_messages_of_a_held_key_wait_behind_it_and_the_others_stay_in_their_order() -> None:
    assignment = Assignment(TopicPartition("t", 0), 1)
    queue = BatchQueue(assignment)
    (holder,) = jobs([b"a"])
    queue.held_keys.hold(b"a", holder)
    records = [PlainRecord(offset, key) for offset, key in enumerate([b"b", b"a", b"c", b"a"], start=1)]
    queue.add(assignment.deliver(records), 0.0)
    queue.sift(key_of)
    assert offsets([job for _, _, job in queue.open]) == [1, 3]
    assert queue.held_keys.behind == 2
