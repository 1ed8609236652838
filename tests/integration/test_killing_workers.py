"""Nothing is lost, whatever dies: real processes, real Apache Kafka, and a ledger that is checked."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chaos.ledger import Ledger, messages, project
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from core_messaging.rules.commit_metadata import CommitNote
from tests.integration.brokers import RunningBroker, require_apache
from tests.integration.commands import Running, running_core
from tests.integration.harness import (
    committed,
    publish,
    read,
    run,
    running,
    total_committed,
    until,
    until_committed,
)
from tests.integration.journal import journal

pytestmark = pytest.mark.timeout(300)


def env(broker: RunningBroker, **others: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": broker.address,
        "KAFKA_SESSION_TIMEOUT": "45",
        "KAFKA_HEARTBEAT_INTERVAL": "0.5",
        **others,
    }


def committed_all(process: Running, broker: RunningBroker, topic: str, count: int) -> None:
    process.until(lambda: asyncio.run(total_committed(broker.address, topic)) >= count)


def places_of(broker: RunningBroker, topic: str, count: int) -> dict[int, tuple[int, int]]:
    """number -> (partition, offset) of the *count* messages of *topic*."""
    stored = run(read(broker.address, topic, count))
    return {json.loads(record.value or b"")["n"]: (record.partition, record.offset) for record in stored}


def finished_by_commit(broker: RunningBroker, topic: str, places: dict[int, tuple[int, int]]) -> set[int]:
    """The numbers of the messages that the commits of the group call finished."""
    finished: dict[int, list[tuple[int, int]]] = {}
    for partition, (offset, text) in run(committed(broker.address, topic)).items():
        finished[partition] = [(0, offset - 1), *CommitNote.decode(text).finished(offset)]
    return {
        number
        for number, (partition, offset) in places.items()
        if any(first <= offset <= last for first, last in finished.get(partition, []))
    }


def test_killed_workers_lose_nothing_and_repeat_little(apache_broker: RunningBroker, tmp_path: Path) -> None:
    topic, dlq = apache_broker.make_topic(), apache_broker.make_topic()
    folder, ledger, chance = project(tmp_path, topic, dlq), Ledger(tmp_path), random.Random(1)
    count = 4_000
    run(publish(apache_broker.address, topic, messages(count, keys=60, seconds=0.004)))
    # Static membership: a restarted member gets its partitions at once instead of after the session timeout.
    variables = env(apache_broker, KAFKA_GROUP_INSTANCE_ID="one", MAX_CRASHES="9")
    places = places_of(apache_broker, topic, count)
    kills: list[tuple[float, set[int]]] = []
    for goal in (500, 1_300, 2_200):
        with running_core("kafka", "worker", "Ledger", folder=folder, env=variables) as process:
            target = goal + chance.randrange(300)
            process.until(lambda target=target: len(ledger.finished()) >= target)  # type: ignore[misc] # binds the loop's value
            known = len(kills[-1][1]) if kills else 0
            process.until(
                lambda known=known: len(finished_by_commit(apache_broker, topic, places)) > known  # type: ignore[misc]
            )
            process.process.kill()
            process.process.wait()
            kills.append((time.time(), finished_by_commit(apache_broker, topic, places)))
    with running_core("kafka", "worker", "Ledger", folder=folder, env=variables) as process:
        process.until(lambda: len(ledger.finished()) == count)
        committed_all(process, apache_broker, topic, count)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert ledger.finished() == set(range(count))
    assert ledger.out_of_order() == []
    # The bound: only what was finished since the last commit before a kill runs again.
    for killed_at, done in kills:
        assert not done & {entry.number for entry in ledger.entries() if entry.time > killed_at}


def test_a_message_that_kills_its_process_goes_to_the_dlq(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = apache_broker.make_topic(), apache_broker.make_topic()
    folder, ledger = project(tmp_path, topic, dlq), Ledger(tmp_path)
    records = messages(60, keys=10, seconds=0.001)
    killer = json.dumps({"n": 1000, "key": "key-3", "kills": True}).encode()
    records.insert(30, (b"key-3", killer))
    run(publish(apache_broker.address, topic, records))
    variables = env(apache_broker, KAFKA_GROUP_INSTANCE_ID="one")
    deaths = 0
    while len(ledger.finished()) < 60 and deaths < 10:
        with running_core("kafka", "worker", "Ledger", folder=folder, env=variables) as process:
            ended = process.process.poll
            process.until(lambda ended=ended: ended() is not None or len(ledger.finished()) == 60)  # type: ignore[misc] # binds the loop's value
            if process.process.poll() is not None:
                deaths += 1
            else:
                process.signal(signal.SIGTERM)
                assert process.wait() == 0
    (letter,) = run(read(apache_broker.address, dlq, 1))
    assert letter.value == killer
    assert letter.facts["core-error-type"] == b"KilledTheProcess"
    assert ledger.finished() == set(range(60))
    # Four processes, as max_crashes says; the messages around it are not suspected.
    assert deaths == 4


def test_members_that_join_and_leave_lose_nothing_and_keep_each_key_in_order(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = apache_broker.make_topic(), apache_broker.make_topic()
    folder, ledger = project(tmp_path, topic, dlq), Ledger(tmp_path)
    count = 8_000
    run(publish(apache_broker.address, topic, messages(count, keys=80, seconds=0.01)))
    with ExitStack() as stack:

        def join() -> Running:
            return stack.enter_context(
                running_core("kafka", "worker", "Ledger", folder=folder, env=env(apache_broker))
            )

        first = join()
        first.until(lambda: len(ledger.finished()) > 500)
        second, third = join(), join()
        first.until(lambda: len({entry.pid for entry in ledger.entries()}) == 3)
        first.signal(signal.SIGTERM)
        assert first.wait() == 0
        fourth = join()
        second.until(lambda: len(ledger.finished()) > 5_000)
        second.signal(signal.SIGTERM)
        assert second.wait() == 0
        third.until(lambda: len(ledger.finished()) == count)
        committed_all(third, apache_broker, topic, count)
        fourth.until_said("joining group")  # before that a signal ends it like any other program
        for process in (third, fourth):
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
    assert ledger.finished() == set(range(count))
    assert ledger.out_of_order() == []
    # Every handler could finish before its partition moved, so nothing ran twice.
    assert ledger.repeats() == []


def test_sigterm_at_random_moments_exits_0_and_repeats_nothing(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = apache_broker.make_topic(), apache_broker.make_topic()
    folder, ledger, chance = project(tmp_path, topic, dlq), Ledger(tmp_path), random.Random(7)
    count = 3_000
    run(publish(apache_broker.address, topic, messages(count, keys=40, seconds=0.004)))
    for round_ in range(8):
        with running_core("kafka", "worker", "Ledger", folder=folder, env=env(apache_broker)) as process:
            target = len(ledger.finished()) + chance.randrange(1, 250)
            process.until(lambda target=target: len(ledger.finished()) >= min(target, count))  # type: ignore[misc] # binds the loop's value
            process.signal(signal.SIGTERM)
            assert process.wait() == 0, f"round {round_}: {process.output}"
    with running_core("kafka", "worker", "Ledger", folder=folder, env=env(apache_broker)) as process:
        process.until(lambda: len(ledger.finished()) == count)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert ledger.repeats() == []
    assert ledger.out_of_order() == []


def test_a_broker_that_is_gone_for_a_while_costs_nothing(tmp_path: Path) -> None:
    require_apache()
    sessions = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}
    with ApacheCluster(ApacheOptions(folder=tmp_path / "kafka", properties=sessions)) as cluster:
        broker = RunningBroker(cluster.address, "apache")
        topic, dlq = broker.make_topic(), broker.make_topic()

        async def process(self: object, message: dict[str, Any]) -> None:
            await asyncio.sleep(0.005)
            made.seen.append(message["n"])

        made = journal(input_topic=topic, dlq_topic=dlq, process=process, concurrency=4)
        records = messages(2_000, keys=20, seconds=0)

        async def test() -> None:
            await publish(broker.address, topic, records)
            async with running(broker.address, made) as task:
                await until(lambda: len(made.seen) > 300, task)
                (node,) = cluster.nodes
                await asyncio.to_thread(node.kill)
                await asyncio.sleep(3)  # the outage itself, not a wait for something
                await asyncio.to_thread(node.start)
                await asyncio.to_thread(node.wait_until_ready)
                await until(lambda: len(set(made.seen)) == 2_000, task)
                await until_committed(broker.address, topic, 2_000)

        run(test())
        cluster.kill()
    assert set(made.seen) == set(range(2_000))


def test_sigterm_while_the_broker_is_gone_is_an_orderly_end(tmp_path: Path) -> None:
    # The client cancels what its calls share; that came out of the last commit as somebody else's cancellation.
    require_apache()
    with ApacheCluster(ApacheOptions(folder=tmp_path / "kafka")) as cluster:
        broker = RunningBroker(cluster.address, "apache")
        topic, dlq = broker.make_topic(), broker.make_topic()
        folder = project(tmp_path, topic, dlq)
        run(publish(broker.address, topic, messages(100, keys=5, seconds=0.001)))
        variables = env(broker, METRICS_INTERVAL="0.5", KAFKA_COMMIT_TIMEOUT="2")
        with running_core("kafka", "worker", "Ledger", folder=folder, env=variables) as process:
            process.until(lambda: len(Ledger(folder).finished()) == 100)
            cluster.kill()
            process.until_said("the broker does not answer")
            process.signal(signal.SIGTERM)
            assert process.wait() == 0, process.output
        assert "Traceback" not in process.output
