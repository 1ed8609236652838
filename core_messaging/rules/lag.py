"""How far a consumer group is behind, and whether it catches up. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core_messaging.records import TopicPartition
from core_messaging.rules.group_progress import Progress


@dataclass(frozen=True, slots=True)
class LagSample:
    """All partitions of one group at one moment.

    - ``at``: seconds since the epoch
    - ``partitions``: the progress of the group in each partition
    - ``oldest``: the timestamp (seconds since the epoch) of the record that the commit waits for, where it is known
    """

    at: float
    partitions: Sequence[Progress]
    oldest: Mapping[TopicPartition, float]


@dataclass(frozen=True, slots=True)
class GroupLag:
    """How far one group is behind.

    - ``committed``: the sum of the committed offsets; None where no partition has one
    - ``end``: the sum of the end offsets
    - ``lag``: messages between the commits and the ends
    - ``useful_lag``: the lag without what is finished already or waits for a retry; a further process could start these
    - ``rate_in``, ``rate_out``: messages a second that were added and that were finished; None without a second sample
    - ``behind``: seconds since the oldest unfinished message was produced; 0 without a lag, None where it is not known
    - ``catch_up``: seconds until the lag is 0 at these rates; None where it does not shrink
    """

    partitions: int
    committed: int | None
    end: int
    lag: int
    useful_lag: int
    rate_in: float | None
    rate_out: float | None
    behind: float | None
    catch_up: float | None


def group_lag(sample: LagSample, earlier: LagSample | None = None) -> GroupLag:
    """Sum up *sample*; the rates come from what changed since *earlier*."""
    lag = sum(each.lag for each in sample.partitions)
    commits = [each.committed for each in sample.partitions if each.committed is not None]
    rate_in, rate_out = (None, None) if earlier is None else _rates(earlier, sample)
    return GroupLag(
        partitions=len(sample.partitions),
        committed=sum(commits) if commits else None,
        end=sum(each.end for each in sample.partitions),
        lag=lag,
        useful_lag=sum(map(_useful, sample.partitions)),
        rate_in=rate_in,
        rate_out=rate_out,
        behind=_behind(sample, lag),
        catch_up=_catch_up(lag, rate_in, rate_out),
    )


def _useful(progress: Progress) -> int:
    waiting = sum(attempt > 1 for attempt in progress.attempts.values())
    return max(0, progress.lag - progress.finished_beyond - waiting)


def _rates(earlier: LagSample, later: LagSample) -> tuple[float | None, float | None]:
    """Only partitions that both samples have count: one that is added between them did not grow from nothing."""
    seconds = later.at - earlier.at
    before = {each.source: each for each in earlier.partitions}
    pairs = [(before[each.source], each) for each in later.partitions if each.source in before]
    if seconds <= 0 or not pairs:
        return None, None
    added = sum(max(0, now.end - then.end) for then, now in pairs)
    # Unfinished now = unfinished then + added - finished.
    finished = sum(_unfinished(then) - _unfinished(now) + now.end - then.end for then, now in pairs)
    return added / seconds, max(0.0, finished / seconds)


def _unfinished(progress: Progress) -> int:
    return progress.lag - progress.finished_beyond


def _behind(sample: LagSample, lag: int) -> float | None:
    if not lag:
        return 0.0
    known = [sample.oldest[each.source] for each in sample.partitions if each.source in sample.oldest]
    return max(0.0, sample.at - min(known)) if known else None


def _catch_up(lag: int, rate_in: float | None, rate_out: float | None) -> float | None:
    if not lag:
        return 0.0
    if rate_in is None or rate_out is None or rate_out <= rate_in:
        return None
    return lag / (rate_out - rate_in)
