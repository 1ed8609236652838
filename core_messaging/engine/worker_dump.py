"""What one worker holds and waits for at this moment, in lines for people. No key and no value of a message is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from core_messaging.engine.components import Components
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.text.wording import counted

MOST = 200  # runners that are named


def lines_of(components: Components) -> list[str]:
    """One line for each partition and for each runner that holds something. It changes nothing."""
    return [*_head(components), *_partitions(components), *_runners(components)]


def _head(components: Components) -> Iterator[str]:
    phase = components.lifecycle.phase
    held_up = f", held up in {phase}" if phase else ""
    retries = counted(components.schedule.waiting_retries, "message", "waits for a retry", "wait for a retry")
    yield f"worker {components.config.name}, group {components.config.group_id}{held_up}: {retries}"


def _partitions(components: Components) -> Iterator[str]:
    busy = _busy_lanes(components)
    assignments = sorted(components.assignment_table.assignments, key=lambda each: each.source)
    if not assignments:
        yield "  no partitions"
    for each in assignments:
        paused = f", {components.why_paused(each.source)}" if components.is_paused(each.source) else ""
        yield f"  {each.source}: {_progress(each)}, {counted(busy[each.source], 'lane')} busy{paused}"


def _progress(assignment: Assignment) -> str:
    numbers = f"{assignment.unfinished} unfinished, {assignment.retries.waiting} of them wait for a retry or behind one"
    return f"{assignment.state.value}, to commit {assignment.committable()}, next {assignment.delivered}, {numbers}"


def _busy_lanes(components: Components) -> Counter[TopicPartition]:
    """How many messages, or batches, of each partition runners hold: as many lanes are busy."""
    held = [work.assignment.source for work in components.runner_pool.current if work is not None]
    return Counter(held)


def _runners(components: Components) -> Iterator[str]:
    held = components.runner_pool.held(components.loop.time())
    for each in held[:MOST]:
        yield f"  {components.runner_pool.name_of(each.slot)}: {each.message} for {each.seconds:.1f} s"
    if len(held) > MOST:
        yield f"  and {len(held) - MOST} runners more"
    if unacknowledged := len(components.runner_pool.unacked):
        yield f"  {counted(unacknowledged, 'record', 'is', 'are')} not acknowledged yet"
