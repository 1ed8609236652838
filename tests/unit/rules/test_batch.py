"""How batches are left and divided: nothing is lost, the order stays, and no key is in two halves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.batch import Batch, halves
from core_messaging.rules.job import Job
from tests.unit.rules.records import PlainRecord

KEYS = st.lists(st.sampled_from([None, b"a", b"b", b"c", b"d"]), min_size=2, max_size=20)


def key_of(record: Record) -> bytes | None:
    return record.key


def jobs(keys: list[bytes | None]) -> list[Job]:
    records = [PlainRecord(offset, key) for offset, key in enumerate(keys)]
    assignment = Assignment(TopicPartition("t", 0), 1)
    chunk = assignment.deliver(records)
    return [Job(assignment, chunk, index, record, None) for index, record in enumerate(records)]


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
    assert not batch.leave(whole[1])
    assert batch.jobs == [whole[2]]
    assert batch.members == tuple(whole)
