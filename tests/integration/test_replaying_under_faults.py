"""A replay that is killed, stopped, or not alone: in the end each letter was published once."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from core_messaging.records import TopicPartition
from tests.integration.brokers import RunningBroker
from tests.integration.commands import CORE, PATIENCE, core, environment, running_core
from tests.integration.harness import publish, read, run
from tests.integration.test_core_kafka_dlq import Commands, letter, numbers, project


def a_queue(broker: RunningBroker, folder: Path, count: int, keys: int = 7) -> tuple[str, Commands]:
    """A topic, and its queue with *count* letters."""
    topic = broker.make_topic(2)
    dlq = Commands(broker, project(folder, topic))
    broker.make_topic(2, name=f"{topic}-dlq")
    records = [letter(topic, n, key=b"k%d" % (n % keys), partition=n % keys % 2) for n in range(count)]
    run(publish(broker.address, f"{topic}-dlq", records))
    return topic, dlq


def assert_each_once_in_order(broker: RunningBroker, topic: str, count: int, keys: int = 7) -> None:
    found = run(read(broker.address, topic, count))
    assert Counter(numbers(found)) == Counter(range(count))
    for key in range(keys):
        of_key = numbers([record for record in found if record.key == b"k%d" % key])
        assert of_key == sorted(of_key)


def test_a_replay_that_is_killed_is_finished_by_the_next_one_and_each_letter_is_published_once(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = a_queue(apache_broker, tmp_path, 3_000)
    with running_core("kafka", "dlq", "replay", "Orders", "--yes", folder=dlq.folder, env=dlq.env) as replay:
        run(read(apache_broker.address, topic, 1))  # the first transaction is committed, and others are not
        replay.process.kill()
        replay.process.wait()
    dlq.said("replay", "Orders", "--yes")
    assert_each_once_in_order(apache_broker, topic, 3_000)
    assert dlq.counts() == {"ValueError": (0, 3_000, 0)}


def test_a_ctrl_c_says_how_many_are_done_and_the_next_replay_does_the_rest(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = a_queue(apache_broker, tmp_path, 200)
    with running_core(
        "kafka", "dlq", "replay", "Orders", "--yes", "--rate", "10", folder=dlq.folder, env=dlq.env
    ) as replay:
        run(read(apache_broker.address, topic, 1))
        replay.signal(signal.SIGINT)
        assert replay.wait() == 130
    (stopped,) = [line for line in replay.lines if line.startswith("stopped: ")]
    assert "Traceback" not in replay.output
    done = int(stopped.split()[1])
    assert 10 <= done < 200
    assert stopped == f"stopped: {done} letters replayed and marked"
    assert dlq.counts() == {"ValueError": (200 - done, done, 0)}
    assert f"{200 - done} letters replayed" in dlq.said("replay", "Orders", "--yes")
    assert_each_once_in_order(apache_broker, topic, 200)


def test_of_two_that_replay_at_once_the_second_one_stops_the_first_and_does_the_rest(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = a_queue(apache_broker, tmp_path, 200)
    with running_core(
        "kafka", "dlq", "replay", "Orders", "--yes", "--rate", "4", folder=dlq.folder, env=dlq.env
    ) as first:
        run(read(apache_broker.address, topic, 1))
        second = dlq.said("replay", "Orders", "--yes")
        assert first.wait() == 1
    assert "letters replayed" in second
    assert f"core: another replay or drop of {topic}-dlq has begun" in first.output
    assert "Traceback" not in first.output
    assert_each_once_in_order(apache_broker, topic, 200)
    assert dlq.counts() == {"ValueError": (0, 200, 0)}


def test_a_replay_is_slow_if_asked(apache_broker: RunningBroker, tmp_path: Path) -> None:
    _, dlq = a_queue(apache_broker, tmp_path, 6)
    started = time.monotonic()
    assert "6 letters replayed" in dlq.said("replay", "Orders", "--yes", "--rate", "2")
    assert (
        time.monotonic() - started > 2.5
    )  # the last two go after two seconds; the command itself takes a moment


def test_a_queue_that_is_made_anew_does_not_take_old_markers_for_its_letters(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = a_queue(apache_broker, tmp_path, 3, keys=1)
    assert "3 letters dropped" in dlq.said("drop", "Orders", "--yes")

    async def made_anew() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=apache_broker.address)
        await admin.start()
        await admin.delete_topics([f"{topic}-dlq"])
        while f"{topic}-dlq" in await admin.list_topics():  # noqa: ASYNC110 - the broker has no event for it
            await asyncio.sleep(0.1)
        await admin.close()

    run(made_anew())
    assert f"do not exist at {apache_broker.address}: {topic}-dlq" in dlq.said("list", "Orders", code=1)
    apache_broker.make_topic(2, name=f"{topic}-dlq")
    # The same offsets in the queue, and messages that failed later.
    run(publish(apache_broker.address, f"{topic}-dlq", [letter(topic, n) for n in range(10, 13)]))
    assert dlq.counts("Orders") == {"ValueError": (3, 0, 0)}


def test_somebody_at_a_terminal_is_asked(apache_broker: RunningBroker, tmp_path: Path) -> None:
    topic, dlq = a_queue(apache_broker, tmp_path, 3)
    for answer, code, told in (("n", 1, "nothing was replayed"), ("y", 0, "3 letters replayed")):
        assert _answered(dlq, answer) == (code, True, True), told
    assert dlq.counts() == {"ValueError": (0, 3, 0)}
    assert_each_once_in_order(apache_broker, topic, 3)


def _answered(dlq: Commands, answer: str) -> tuple[int, bool, bool]:
    """The exit code, whether it asked, and whether its last words fit the answer."""
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [CORE, "kafka", "dlq", "replay", "Orders"],
        cwd=dlq.folder,
        env=environment(**dlq.env),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        os.write(master, answer.encode() + b"\n")
        said, _ = process.communicate(timeout=PATIENCE)
    os.close(master)
    os.close(terminal)
    expected = "3 letters replayed" if answer == "y" else "nothing was replayed"
    return process.returncode, "replay 3 letters? [y/N]" in said, expected in said


def test_the_markers_of_somebody_else_and_records_that_are_none_change_nothing(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = a_queue(apache_broker, tmp_path, 3)
    apache_broker.make_topic(1, name=f"{topic}-dlq.handled")
    strange = [(b"k", b"\xff"), (b"[]", b"{}"), (b"k", None), (b"k", json.dumps({"state": "lost"}).encode())]
    run(publish(apache_broker.address, f"{topic}-dlq.handled", strange))
    assert dlq.counts() == {"ValueError": (3, 0, 0)}
    # A topic that somebody made without compaction forgets, and letters would be replayed twice.
    warning = f"topic {topic}-dlq.handled removes old markers"
    assert warning in dlq.said("drop", "Orders", "--yes")
    assert warning not in _dropped_once_more(apache_broker, tmp_path / "compacted")


def _dropped_once_more(broker: RunningBroker, folder: Path) -> str:
    """What a drop says whose topic of markers we have made."""
    topic, dlq = a_queue(broker, folder, 1)
    dlq.said("drop", "Orders", "--yes")
    run(publish(broker.address, f"{topic}-dlq", [letter(topic, 7)]))
    return dlq.said("drop", "Orders", "--yes")


@pytest.mark.parametrize("name", ["d" * 245])
def test_a_queue_whose_name_leaves_no_room_for_its_markers_is_told_in_one_line(
    apache_broker: RunningBroker, tmp_path: Path, name: str
) -> None:
    topic = apache_broker.make_topic(1)
    dlq = Commands(apache_broker, project(tmp_path, topic))
    apache_broker.make_topic(1, name=name)
    run(publish(apache_broker.address, name, [letter(topic, 0)]))
    done = core("kafka", "dlq", "drop", name, "--yes", folder=dlq.folder, env=dlq.env)
    assert done.returncode == 1
    assert "the name of its topic of markers" in done.stderr
    assert TopicPartition(name, 0).topic in done.stderr


def test_letters_that_are_too_large_together_go_one_by_one_and_one_that_is_too_large_alone_is_named(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    # The limit of a topic is for batches, and the client fills its batches without knowing it.
    topic = apache_broker.make_topic(1, {"max.message.bytes": "20000"})
    dlq = Commands(apache_broker, project(tmp_path, topic))
    apache_broker.make_topic(1, name=f"{topic}-dlq")
    small, large = b'"%s"' % (b"x" * 1_000), b'"%s"' % (b"x" * 30_000)
    letters = [letter(topic, n, key=b"%d" % n, value=large if n == 50 else small) for n in range(100)]
    run(publish(apache_broker.address, f"{topic}-dlq", letters))
    told = dlq.said("replay", "Orders", "--yes", code=1)
    assert f"core: letter {topic}-dlq 0 50 was not stored: {topic} does not take this record" in told
    assert "stopped: 0 letters replayed and marked" in told
    assert "Traceback" not in told
    assert "never retrieved" not in told
    assert "1 letter dropped" in dlq.said("drop", "Orders", "--offsets", "50", "--yes")
    assert "99 letters replayed" in dlq.said("replay", "Orders", "--yes")
    found = run(read(apache_broker.address, topic, 99))
    assert [record.key for record in found] == [b"%d" % n for n in range(100) if n != 50]
