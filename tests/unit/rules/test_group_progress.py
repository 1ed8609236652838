"""How far a group is with a partition, read from its commit alone."""

from __future__ import annotations

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote, Ownership
from core_messaging.rules.group_progress import PartitionOffsets, Progress, progress_of

SOURCE = TopicPartition("t", 0)


def progress(begin: int, end: int, committed: Committed | None) -> Progress:
    return progress_of(PartitionOffsets(SOURCE, begin, end, committed))


def test_without_a_commit_all_records_of_the_partition_are_lag() -> None:
    found = progress(5, 12, None)
    assert (found.committed, found.lag, found.gaps) == (None, 7, ())


def test_holes_lie_before_finished_runs_and_count_from_the_commit() -> None:
    note = CommitNote.of(10, [(12, 14), (18, 18)], {10: 3}, Ownership(crashes=2)).encode()
    found = progress(0, 30, Committed(10, note))
    assert found.gaps == ((10, 11), (15, 17))
    assert (found.lag, found.finished_beyond) == (20, 4)
    assert (dict(found.attempts), found.crashes, found.foreign) == ({10: 3}, 2, False)


def test_records_that_retention_has_deleted_are_neither_lag_nor_holes() -> None:
    note = CommitNote.of(10, [(12, 16)], {}, Ownership()).encode()
    found = progress(15, 20, Committed(10, note))
    assert (found.lag, found.finished_beyond, found.gaps) == (5, 2, ())


def test_metadata_that_is_not_ours_tells_nothing_beyond_the_offset() -> None:
    found = progress(0, 20, Committed(8, "written by another program"))
    assert found.foreign
    assert (found.lag, found.finished_beyond, found.gaps) == (12, 0, ())


def test_a_commit_beyond_the_end_is_no_negative_lag() -> None:
    assert progress(0, 20, Committed(25)).lag == 0
