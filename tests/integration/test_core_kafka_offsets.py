"""``core kafka offsets`` beside a worker that hangs on one message, and after it was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from core_messaging.kafka.group_offsets import reading
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote, Ownership
from core_messaging.rules.group_progress import PartitionOffsets, progress_of
from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core
from tests.integration.harness import committed, publish, run, settings_for
from tests.terminals import on_a_terminal

WORKER = """
import asyncio
from core.messaging import worker

@worker(topic="{topic}", group_id="{topic}", concurrency=4)
async def greet(message: dict) -> None:
    if message.get("hangs"):
        await asyncio.sleep(3600)
    print("hello", message["n"], flush=True)
"""


def project(folder: Path, topic: str) -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/greet.py").write_text(WORKER.format(topic=topic))
    return folder


def test_a_hanging_message_shows_with_key_and_age_while_the_worker_runs_and_after_it_died(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    folder = project(tmp_path, topic)
    records = [(b"ada", json.dumps({"n": n, "hangs": n == 3}).encode()) for n in range(4)]
    # The same partition, other keys: found by their numbers, whatever the number of partitions.
    records += [(b"k%d" % n, json.dumps({"n": n}).encode()) for n in range(4, 40)]
    run(publish(broker.address, topic, records))
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "COMMIT_INTERVAL": "0.1"}

    def look() -> dict[str, Any]:
        done = core("kafka", "offsets", "greet", "--json", folder=folder, env=env)
        assert done.returncode == 0, done.stderr
        (row,) = [row for row in json.loads(done.stdout) if row["unfinished"]]
        return dict(row)

    with running_core("kafka", "worker", "greet", folder=folder, env=env) as running:
        for n in (*range(3), *range(4, 40)):
            running.until_said(f"hello {n}\n")
        running.until(
            lambda: any(
                offset == 3 and note for offset, note in run(committed(broker.address, topic)).values()
            )
        )
        # The commit knows of all but the one that hangs.
        running.until(lambda: (seen := look())["finished_beyond"] == seen["lag"] - 1)
        row = look()
        running.process.kill()
        running.process.wait()
    assert row["committed"] == 3
    assert row["gaps"] == [[3, 3]]
    (hanging,) = row["unfinished"]
    assert (hanging["offset"], hanging["key"], hanging["next_attempt"]) == (3, "ada", 1)
    assert 0 <= hanging["age_seconds"] < 120
    after = look()
    assert {**after, "unfinished": []} == {**row, "unfinished": []}
    table = core("kafka", "offsets", "greet", folder=folder, env=env).stdout
    assert f"{topic}[{row['partition']}]@3  ada" in table


def test_what_can_be_mended_is_told_in_one_line(broker: RunningBroker, tmp_path: Path) -> None:
    folder = project(tmp_path, "a-topic-that-is-missing")
    address = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    nobody = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_START_TIMEOUT": "0.2"}
    for name, env, told in (
        ("greet", address, "a-topic-that-is-missing"),
        ("gret", address, "greet"),
        ("greet", nobody, "127.0.0.1:1"),
        ("greet", {"KAFKA_ENABLED": "false"}, "kafka_enabled"),
        # It showed the numbers of kafka_bootstrap_servers, where the worker has never been.
        (
            "greet",
            {**address, "KAFKA_BROKER": "acme"},
            "reads Kafka itself, but the setting kafka_broker is 'acme'",
        ),
    ):
        done = core("kafka", "offsets", name, folder=folder, env=env)
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert told in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_group_that_has_not_begun_is_all_lag(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    run(publish(broker.address, topic, [(b"k", b"{}")] * 3))
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    done = core("kafka", "offsets", "greet", "--json", folder=project(tmp_path, topic), env=env)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["committed"] for row in rows} == {None}
    assert sum(row["lag"] for row in rows) == 3


def test_what_retention_has_deleted_is_no_lag_and_no_hole(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    # It ended with "OffsetOutOfRangeError" and showed no row at all, when one needs it most.
    address, topic = apache_broker.address, apache_broker.make_topic(1)
    note = CommitNote.of(1, [(4, 5), (8, 9)], {}, Ownership()).encode()

    async def prepare() -> None:
        await publish(address, topic, [b"{}"] * 12)
        partition = ClientPartition(topic, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=address, group_id=topic, enable_auto_commit=False)
        await consumer.start()
        consumer.assign([partition])
        await consumer.commit({partition: OffsetAndMetadata(1, note)})
        await consumer.stop()
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        await admin.delete_records({partition: RecordsToDelete(before_offset=6)})
        await admin.close()

    async def read_deleted() -> object:
        async with reading(settings_for(address)) as offsets:
            await offsets.partition_offsets(topic, [topic])
            return await offsets.record(TopicPartition(topic, 0), 2)

    run(prepare())
    env = {"KAFKA_BOOTSTRAP_SERVERS": address}
    done = core("kafka", "offsets", "greet", "--json", folder=project(tmp_path, topic), env=env)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["committed"], row["lag"], row["finished_beyond"], row["gaps"]) == (1, 6, 2, [[6, 7]])
    assert [each["offset"] for each in row["unfinished"]] == [6, 7]
    assert row["blocked_keys"] == 0
    assert run(read_deleted()) is None


def test_metadata_of_somebody_else_is_told_and_not_guessed_at() -> None:
    source = TopicPartition("t", 0)
    for metadata in ("a note of another tool", "2:abc"):
        progress = progress_of(PartitionOffsets(source, 0, 10, Committed(4, metadata)))
        assert (progress.foreign, progress.lag, progress.gaps) == (True, 6, ())


def test_all_shows_every_worker_that_can_run_and_names_the_others_and_the_broker(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    folder = project(tmp_path, topic)
    (folder / "src/workers/broken.py").write_text("import there_is_no_such_module\n")
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    done = core("kafka", "offsets", "--all", folder=folder, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"broker {broker.address}"
    assert f"{topic}[0]" in done.stdout
    assert done.stderr.startswith("not shown: broken (src/workers/broken.py): ModuleNotFoundError")
    as_json = core("kafka", "offsets", "--all", "--json", folder=folder, env=env)
    assert {row["topic"] for row in json.loads(as_json.stdout)} == {topic}
    assert f"broker {broker.address}" in as_json.stderr


def test_a_terminal_of_80_columns_shows_one_line_for_each_partition_and_explains_the_columns(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    run(publish(broker.address, topic, [b"{}"] * 12))

    async def commit() -> None:
        source = ClientPartition(topic, 0)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=broker.address, group_id=topic, enable_auto_commit=False
        )
        await consumer.start()
        consumer.assign([source])
        note = CommitNote.of(0, [(4, 5), (8, 9)], {}, Ownership()).encode()
        await consumer.commit({source: OffsetAndMetadata(0, note)})
        await consumer.stop()

    run(commit())
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    lines = on_a_terminal(
        ["kafka", "offsets", "greet", "--unfinished", "0"], project(tmp_path, topic), 80, env
    )
    assert max(map(len, lines)) <= 80
    columns = next(line for line in lines if line.startswith("worker "))
    assert "gaps" in columns
    assert "blocked keys" not in columns  # 0 everywhere, and there is no room for it
    partitions = [line for line in lines if line.startswith("greet ")]
    assert len(partitions) == len([line for line in lines if topic in line]) > 0
    assert [line for line in lines if line.startswith("gaps: ")] == [
        "gaps: ranges of unfinished messages before finished ones"
    ]
