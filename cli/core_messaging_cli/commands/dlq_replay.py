"""``core kafka dlq replay`` and ``drop``: publish dead letters again, or mark them as dealt with."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from core_messaging.errors import CoreMessagingError
from core_messaging.operations.dead_letters import Queue
from core_messaging.operations.replays import Outcome, Planned, carry_out, plan_replay
from core_messaging.publishing.outgoing import topic_name
from core_messaging.rules.letter_ledger import markers_topic
from core_messaging.rules.replay_plan import Order, Reason
from core_messaging.settings import Settings
from core_messaging.text.wording import counted
from core_messaging_cli.dlq_target import Target, settings_for_dead_letters, target_of
from core_messaging_cli.letter_selection import selecting, selection_of
from core_messaging_cli.progress import records_progress
from core_messaging_cli.tables import say
from core_messaging_cli.worker_completion import complete_workers

PLACES = 20  # partitions of one topic that are named
_DONE = {"replayed": ("replay", "replayed"), "dropped": ("drop", "dropped")}


@click.command()
@click.argument("name", metavar="WORKER|TOPIC", shell_complete=complete_workers)
@selecting
@click.option("--to", metavar="TOPIC", help="To this topic, by key, instead of to the original ones.")
@click.option("--again", is_flag=True, help="Also those that are replayed or dropped already.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="At most so many letters a second.")
@click.option(
    "--dry-run", is_flag=True, help="Say how many would go to which topic and partition, and do nothing."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def replay(
    name: str, to: str | None, again: bool, rate: float | None, dry_run: bool, yes: bool, **given: Any
) -> None:
    """Publish the open dead letters of a WORKER or of a dead-letter TOPIC again.

    Each goes to its original topic and partition, with its key, its bytes and its headers. Every consumer group of that topic gets
    it. Without options all open letters go. The order of each key is kept. A letter is replayed once: what was replayed or dropped
    before is left out, also after a crash or beside another replay (docs/dead-letters.md says what a broker needs for it).

    With on_dead_letter = "follow" all letters of a key go together, and the first one lifts the block of the key.

    \b
    core kafka dlq replay Orders --dry-run
    core kafka dlq replay Orders --error-type TimeoutError --since 2h
    core kafka dlq replay orders-dlq --match customer.id=7 --yes
    """
    settings, target = settings_for_dead_letters(), target_of(name)
    to = None if to is None else topic_name(to)
    orders = [Order(selection_of(queue, given), "replayed", to, again) for queue in _queues(target, given)]
    _settle_all(settings, target, orders, _Options(rate, dry_run, yes))


@click.command()
@click.argument("name", metavar="WORKER|TOPIC", shell_complete=complete_workers)
@selecting
@click.option("--dry-run", is_flag=True, help="Say how many there are, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(name: str, dry_run: bool, yes: bool, **given: Any) -> None:
    """Mark the open dead letters of a WORKER or of a dead-letter TOPIC as dealt with. Their records stay in the queue.

    Without options all open letters are dropped. `core kafka dlq replay --again` still replays them.

    With on_dead_letter = "follow" all letters of a key are dropped together, and a record to its topic lifts the block of the key.

    \b
    core kafka dlq drop Orders --error-type Undecodable
    core kafka dlq drop orders-dlq --partition 0 --offsets 17-42 --yes
    """
    settings, target = settings_for_dead_letters(), target_of(name)
    orders = [Order(selection_of(queue, given), "dropped") for queue in _queues(target, given)]
    _settle_all(settings, target, orders, _Options(None, dry_run, yes))


def _queues(target: Target, given: dict[str, Any]) -> Sequence[Queue]:
    """The queues of *target*. A partition or offsets say nothing without the one queue that they are of."""
    if given["partition"] is None and given["offsets"] is None:
        return target.queues
    return [target.queue]


@dataclass(frozen=True, slots=True)
class _Options:
    """How to carry it out. ``rate``: letters a second, None: as fast as it goes."""

    rate: float | None
    dry_run: bool
    yes: bool


def _settle_all(settings: Settings, target: Target, orders: Sequence[Order], options: _Options) -> None:
    """One queue after the other. The exit code is 1 where letters are left because they have nowhere to go."""
    say(f"broker {settings.kafka_bootstrap_servers}")
    queues = zip(target.queues if len(orders) > 1 else [target.queue], orders, strict=True)
    done = [_settle(settings, target, queue.topic, order, options) for queue, order in queues]
    if not all(done):
        sys.exit(1)


def _settle(settings: Settings, target: Target, queue: str, order: Order, options: _Options) -> bool:
    """Whether every letter that is selected has somewhere to go."""
    with target.missing_told(settings.kafka_bootstrap_servers):
        planned = _plan(settings, target, queue, order)
    for line in _told(planned):
        say(line)
    if planned.taken and not options.dry_run:
        _confirm(planned, asks=not options.yes)
        _carry_out(settings, planned, options.rate)
    return not (planned.left.get(Reason.NO_ORIGIN, 0) or planned.missing or planned.unread)


def _plan(settings: Settings, target: Target, queue: str, order: Order) -> Planned:
    with records_progress() as progress:
        return asyncio.run(plan_replay(settings, queue, order, following=target.following, progress=progress))


def _told(planned: Planned) -> Iterator[str]:
    """Describe the plan for people."""
    verb = _DONE[planned.order.state][0]
    yield f"{planned.queue}: {counted(planned.taken, 'letter')} to {verb}"
    if planned.order.state == "replayed":
        for topic, count in sorted(planned.targets.items()):
            yield f"  {count} to {topic}"
            yield from _told_places(planned, topic)
    elif planned.targets:
        yield f"  {counted(sum(planned.targets.values()), 'record')} to lift the blocks of their keys"
    if planned.moved:
        yield f"  {planned.moved} to another partition, by key: their own does not exist any more"
    if planned.followers:
        yield f'  {planned.followers} because an earlier one of their key goes (on_dead_letter = "follow")'
    yield from _told_left(planned)


def _told_places(planned: Planned, topic: str) -> Iterator[str]:
    places = sorted(
        (place.partition, count) for place, count in planned.places.items() if place.topic == topic
    )
    for partition, count in places[:PLACES]:
        yield f"    {count} to partition {partition}"
    if more := places[PLACES:]:
        yield f"    {sum(count for _, count in more)} to {counted(len(more), 'more partition')}"


def _told_left(planned: Planned) -> Iterator[str]:
    for error in planned.unread.values():
        yield f"left out: {error}"
    if dealt := planned.left.get(Reason.DEALT_WITH, 0):
        hint = " (--again takes them)" if planned.order.state == "replayed" else ""
        yield f"left out: {dealt} replayed or dropped before{hint}"
    if strange := planned.left.get(Reason.NO_ORIGIN, 0):
        yield f"left out: {strange} without core headers, so their topic is unknown; use --to TOPIC, or drop them"
    for topic, count in sorted(planned.missing.items()):
        yield f"left out: {count} of topic {topic}, which does not exist; create it, or use --to TOPIC"


def _confirm(planned: Planned, *, asks: bool) -> None:
    verb = _DONE[planned.order.state][0]
    if not planned.is_atomic:
        say("this broker has no transactions: after a crash, letters of the last step may repeat", err=True)
    if planned.markers_expire:
        say(
            f"topic {markers_topic(planned.queue)} removes old markers, and a letter whose marker is gone is open again; set its "
            "cleanup.policy to compact",
            err=True,
        )
    if not asks:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"there is no terminal to ask at; give --yes to {verb}, or --dry-run to look")
    if not click.confirm(f"{verb} {counted(planned.taken, 'letter')}?"):
        raise click.ClickException(f"nothing was {_DONE[planned.order.state][1]}")


def _carry_out(settings: Settings, planned: Planned, rate: float | None) -> None:
    outcome = Outcome()
    done = _DONE[planned.order.state][1]
    try:
        with records_progress() as progress:
            asyncio.run(carry_out(settings, planned, outcome, rate=rate, progress=progress))
    except (KeyboardInterrupt, CoreMessagingError):
        say(f"stopped: {counted(outcome.done, 'letter')} {done} and marked", err=True)
        raise
    if outcome.made_topic is not None:
        say(f"created topic {outcome.made_topic}, which remembers what is replayed and dropped", err=True)
    say(f"{planned.queue}: {counted(outcome.done, 'letter')} {done}")
    if outcome.done < planned.taken:
        say(f"{planned.taken - outcome.done} fewer than planned: another replay or drop has dealt with them")
    if outcome.late:
        say(
            f"{counted(outcome.late, 'more letter')} of these keys arrived meanwhile; look at it, and replay again"
        )
