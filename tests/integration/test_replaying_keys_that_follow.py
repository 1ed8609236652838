"""Replays and drops of workers with ``on_dead_letter = "follow"``: keys go whole, and their blocks are lifted."""

from __future__ import annotations

from pathlib import Path

from tests.integration.brokers import RunningBroker
from tests.integration.commands import running_core
from tests.integration.harness import publish, read, run
from tests.integration.test_core_kafka_dlq import Commands, project

FOLLOW = 'on_dead_letter="follow"'


def message(n: int) -> tuple[bytes, bytes]:
    """0 and 3 fail; 0, 4 and 8 have one key, and so have 3, 7 and 11."""
    return b"k%d" % (n % 4), b'{"n": %d}' % n


def blocked(broker: RunningBroker, folder: Path) -> tuple[str, Commands]:
    """A topic whose keys ``k0`` and ``k3`` are blocked, with three letters each."""
    topic = broker.make_topic(2)
    dlq = Commands(broker, project(folder, topic, FOLLOW))
    broker.make_topic(2, name=f"{topic}-dlq")
    run(publish(broker.address, topic, [message(n) for n in (0, 1, 2, 3, 4, 5, 7, 8, 10, 11)]))
    with running_core("kafka", "worker", "Orders", folder=dlq.folder, env=dlq.env) as worker:
        run(read(broker.address, f"{topic}-dlq", 6))
        worker.until(lambda: worker.output.count("done ") == 4)
        worker.signal(2)
        worker.wait()
    return topic, dlq


def test_a_replay_takes_the_whole_key_in_order_and_lifts_its_block(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = blocked(apache_broker, tmp_path)
    assert dlq.counts() == {"FollowsADeadLetter": (4, 0, 0), "ValueError": (2, 0, 0)}
    told = dlq.said("replay", f"{topic}-dlq", "--match", "n=0", "--yes")
    assert '2 because an earlier one of their key goes (on_dead_letter = "follow")' in told
    assert "3 letters replayed" in told
    mended = dlq.env | {"MENDED": "yes"}
    run(publish(apache_broker.address, topic, [message(12), message(15)]))
    with running_core("kafka", "worker", "Orders", folder=dlq.folder, env=mended) as worker:
        worker.until_said("done 12")
        run(read(apache_broker.address, f"{topic}-dlq", 7))  # 15 follows 3, which was not replayed
        worker.signal(2)
        worker.wait()
    done = [line for line in worker.lines if line.startswith("done ")]
    assert done == ["done 0", "done 4", "done 8", "done 12"]
    assert dlq.counts() == {"FollowsADeadLetter": (3, 2, 0), "ValueError": (1, 1, 0)}


def test_a_drop_takes_the_whole_key_and_lifts_its_block(apache_broker: RunningBroker, tmp_path: Path) -> None:
    topic, dlq = blocked(apache_broker, tmp_path)
    told = dlq.said("drop", "Orders", "--error-type", "ValueError", "--key", "k3", "--yes")
    assert "1 record to lift the blocks of their keys" in told
    assert "3 letters dropped" in told
    mended = dlq.env | {"MENDED": "yes"}
    run(publish(apache_broker.address, topic, [message(15)]))
    with running_core("kafka", "worker", "Orders", folder=dlq.folder, env=mended) as worker:
        worker.until_said("done 15")
        worker.signal(2)
        worker.wait()
    assert [line for line in worker.lines if line.startswith("done ")] == ["done 15"]
    assert dlq.counts() == {"FollowsADeadLetter": (2, 0, 2), "ValueError": (1, 0, 1)}


def test_letters_that_come_while_a_key_is_replayed_are_counted(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = blocked(apache_broker, tmp_path)
    with running_core(
        "kafka", "dlq", "replay", "Orders", "--yes", "--rate", "1", folder=dlq.folder, env=dlq.env
    ) as replay:
        run(read(apache_broker.address, topic, 11))  # the first letter is replayed
        letters = [r for r in run(read(apache_broker.address, f"{topic}-dlq", 6)) if r.key == b"k0"]
        late = [
            (r.key, b'{"n": 16}', [(n, v) for n, v in r.headers if n != "core-original-offset"])
            for r in letters
        ]
        late = [(key, value, [*headers, ("core-original-offset", b"99")]) for key, value, headers in late[:1]]
        run(publish(apache_broker.address, f"{topic}-dlq", late))
        assert replay.wait() == 0
    assert "6 letters replayed" in replay.output
    assert "1 more letter of these keys arrived meanwhile; look at it, and replay again" in replay.output
