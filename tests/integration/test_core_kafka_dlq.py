"""``core kafka dlq``: dead letters of real workers are counted, shown, replayed once and dropped."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from core_messaging.partitioner import partition_of
from core_messaging.rules.dead_letter import dead_letter
from tests.integration.brokers import RunningBroker
from tests.integration.commands import CORE, PATIENCE, core, environment, running_core
from tests.integration.harness import Stored, publish, read, run
from tests.integration.test_consuming_unreadable_records import send_unreadable
from tests.unit.rules.records import PlainRecord

WORKER = """
import os
from core.messaging import worker

@worker(topic="{topic}", dlq_topic="{topic}-dlq", name="Orders", group_id="{topic}", max_retries=0, {options})
async def orders(message: dict) -> None:
    if message["n"] % 3 == 0 and "MENDED" not in os.environ:
        raise ValueError("not %s" % message["n"])
    print("done", message["n"], flush=True)
"""
HOSTILE = b"\x1b[2J\r\n<script>"


def project(folder: Path, topic: str, options: str = "") -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/orders.py").write_text(WORKER.format(topic=topic, options=options))
    return folder


def letter(
    topic: str,
    n: int,
    *,
    key: bytes | None = b"k",
    value: bytes | None = None,
    partition: int = 0,
    error: Exception | None = None,
    failed_at: float = 1_700_000_000.0,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """A dead letter as a worker writes it, for ``harness.publish``."""
    source = PlainRecord(
        n,
        key,
        b'{"n": %d}' % n if value is None else value,
        topic=topic,
        partition=partition,
        headers=headers,
    )
    written = dead_letter(
        source,
        topic=f"{topic}-dlq",
        worker="Orders",
        group_id=topic,
        attempts=1,
        error=error or ValueError("no"),
        failed_at=failed_at + n,
    )
    return written.key, written.value, list(written.headers)


class Commands:
    """``core kafka dlq`` in a folder, at a broker."""

    def __init__(self, broker: RunningBroker, folder: Path) -> None:
        self.folder = folder
        self.env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}

    def said(self, *words: str, code: int = 0) -> str:
        done = core("kafka", "dlq", *words, folder=self.folder, env=self.env)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    def counts(self, *words: str) -> dict[str, tuple[int, int, int]]:
        done = core("kafka", "dlq", "list", *words, "--json", folder=self.folder, env=self.env)
        assert done.returncode == 0, done.stderr
        groups = json.loads(done.stdout)["groups"]
        found: dict[str, tuple[int, int, int]] = {}
        for group in groups:
            so_far = found.get(group["error_type"], (0, 0, 0))
            now = (group["open"], group["replayed"], group["dropped"])
            assert sum(now) == group["count"]
            found[group["error_type"]] = (so_far[0] + now[0], so_far[1] + now[1], so_far[2] + now[2])
        return found


def numbers(records: list[Stored]) -> list[int]:
    return [json.loads(record.value or b"")["n"] for record in records]


def test_letters_of_a_worker_are_counted_replayed_by_the_mended_worker_and_then_dealt_with(
    kafka_broker: RunningBroker, tmp_path: Path
) -> None:
    broker = kafka_broker
    topic = broker.make_topic()
    dlq = Commands(broker, project(tmp_path, topic))
    run(publish(broker.address, topic, [(b"k%d" % (n % 5), b'{"n": %d}' % n) for n in range(12)]))
    with running_core(
        "kafka", "worker", "Orders", "--create-topics", folder=dlq.folder, env=dlq.env
    ) as worker:
        worker.until(lambda: worker.output.count("done ") == 8)
        run(read(broker.address, f"{topic}-dlq", 4))
        worker.signal(2)
        worker.wait()
    assert dlq.counts("Orders") == {"ValueError": (4, 0, 0)}
    assert dlq.counts(f"{topic}-dlq") == {"ValueError": (4, 0, 0)}
    told = dlq.said("replay", "Orders", "--dry-run")
    assert f"{topic}-dlq: 4 letters to replay\n  4 to {topic}\n" in told
    told = dlq.said("replay", "Orders", "--yes")
    assert "4 letters replayed" in told
    assert ("may repeat" in told) == (broker.engine == "embedded")
    assert dlq.counts("Orders") == {"ValueError": (0, 4, 0)}
    assert "4 replayed or dropped before" in dlq.said("replay", "Orders", "--yes")
    everything = run(read(broker.address, topic, 16))
    assert Counter(numbers(everything)) == {n: 2 if n % 3 == 0 else 1 for n in range(12)}
    by_number = {n: [r for r in everything if numbers([r]) == [n]] for n in (0, 3, 6, 9)}
    for first, again in by_number.values():
        assert (again.key, again.value, again.partition) == (first.key, first.value, first.partition)
        assert again.facts == {"core-replays": b"1"}
    mended = dlq.env | {"MENDED": "yes"}
    with running_core("kafka", "worker", "Orders", folder=dlq.folder, env=mended) as worker:
        for n in (0, 3, 6, 9):
            worker.until_said(f"done {n}")
        worker.signal(2)
        worker.wait()
    assert dlq.counts() == {"ValueError": (0, 4, 0)}


def test_a_selection_is_replayed_or_dropped_and_the_rest_stays_open(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic(1)
    dlq = Commands(broker, project(tmp_path, topic))
    broker.make_topic(1, name=f"{topic}-dlq")
    errors = [ValueError("a"), TimeoutError("b"), KeyError("c")]
    run(
        publish(
            broker.address,
            f"{topic}-dlq",
            [letter(topic, n, key=b"k%d" % (n % 2), error=errors[n % 3]) for n in range(12)],
        )
    )
    assert "4 letters replayed" in dlq.said("replay", "Orders", "--error-type", "TimeoutError", "--yes")
    assert "1 letter dropped" in dlq.said("drop", f"{topic}-dlq", "--match", "n=3", "--yes")
    assert "2 letters dropped" in dlq.said("drop", "Orders", "--offsets", "5-8", "--key", "k0", "--yes")
    assert "1 letter replayed" in dlq.said("replay", "Orders", "--until", "2023-11-14T22:13:20Z", "--yes")
    assert dlq.counts() == {"ValueError": (1, 1, 2), "TimeoutError": (0, 4, 0), "KeyError": (3, 0, 1)}
    assert numbers(run(read(broker.address, topic, 5))) == [1, 4, 7, 10, 0]
    # Asked for once more, it is published once more.
    assert "4 letters replayed" in dlq.said(
        "replay", "Orders", "--error-type", "TimeoutError", "--again", "--yes"
    )
    assert numbers(run(read(broker.address, topic, 9)))[5:] == [1, 4, 7, 10]


ROUTED = """
from core.messaging import worker

@worker(topic="{topic}", dlq_topic={{LookupError: "{topic}-lost", Exception: "{topic}-dlq"}}, name="Orders", group_id="{topic}")
async def orders(message: dict) -> None: ...
"""


def test_all_queues_of_a_worker_are_meant_by_its_name(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic(1)
    dlq = Commands(broker, project(tmp_path, topic))
    (tmp_path / "src/workers/orders.py").write_text(ROUTED.format(topic=topic))
    for queue, error in (("dlq", ValueError("a")), ("lost", KeyError("b"))):
        broker.make_topic(1, name=f"{topic}-{queue}")
        run(publish(broker.address, f"{topic}-{queue}", [letter(topic, n, error=error) for n in range(2)]))
    told = dlq.said("list", "Orders", "--each", "--limit", "3")
    lines = [line.split() for line in told.splitlines() if line.startswith(topic)]
    assert [line[:6] for line in lines] == [
        [f"{topic}-{queue}", "0", str(n), "open", "k", f"{topic}[0]@{n}"]
        for queue, n in (("dlq", 0), ("dlq", 1), ("lost", 0))
    ]
    assert "1 more record not looked at; --limit shows more" in told
    told = dlq.said("replay", "Orders", "--yes")
    assert f"{topic}-dlq: 2 letters to replay\n  2 to {topic}\n    2 to partition 0\n" in told
    assert f"{topic}-dlq: 2 letters replayed" in told
    assert f"{topic}-lost: 2 letters replayed" in told
    assert dlq.counts("Orders") == {"ValueError": (0, 2, 0), "KeyError": (0, 2, 0)}
    told = dlq.said("drop", "Orders", "--offsets", "0", code=1)
    assert f"name the topic: {topic}-dlq or {topic}-lost" in told


def test_letters_go_elsewhere_if_asked_and_what_has_no_way_home_is_named(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic, other = broker.make_topic(1), broker.make_topic(2)
    dlq = Commands(broker, project(tmp_path, topic))
    broker.make_topic(1, name=f"{topic}-dlq")
    records: list[Any] = [
        letter(topic, 0, partition=7),  # there is no such partition any more
        letter("a-topic-that-is-gone", 1),
        (b"k", b'{"n": 2}'),  # not ours
        (None, None, [("x", b"y")]),
        (b"k", b"\xff" * 300_000, [("core-original-topic", HOSTILE), ("core-error-type", HOSTILE)]),
    ]
    run(publish(broker.address, f"{topic}-dlq", records))
    told = dlq.said("replay", f"{topic}-dlq", "--yes", code=1)
    assert "1 to another partition, by key" in told
    assert "left out: 1 of topic a-topic-that-is-gone, which does not exist" in told
    assert "left out: 3 without core headers" in told
    assert numbers(run(read(broker.address, topic, 1))) == [0]
    assert "4 letters replayed" in dlq.said("replay", f"{topic}-dlq", "--to", other, "--yes")
    assert len(run(read(broker.address, other, 4))) == 4
    told = dlq.said("list", f"{topic}-dlq")
    assert "\x1b" not in told
    assert "<script>" in told
    assert dlq.counts(f"{topic}-dlq")["ValueError"] == (0, 2, 0)


def test_one_letter_is_shown_whole_and_a_hostile_one_does_nothing_to_the_terminal(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic(1)
    dlq = Commands(broker, project(tmp_path, topic))
    broker.make_topic(1, name=f"{topic}-dlq")
    records: list[Any] = [
        letter(
            topic, 4, key=b"order-7", value=b'{"n":1.10,"to":"Z\xc3\xbcrich"}', headers=(("tenant", b"7"),)
        ),
        letter(topic, 5, key=HOSTILE, value=b'{"a": "\x1b"}' + HOSTILE, error=ValueError(HOSTILE.decode())),
        letter(topic, 6, value=b"\x00\xff\x1b"),
        letter(topic, 7, value=b'"%s"' % (b"long" * 100_000)),
        (None, None, [("x", b"y")]),
    ]
    run(publish(broker.address, f"{topic}-dlq", records))
    told = dlq.said("show", f"{topic}-dlq", "0", "0")
    for line in (
        f"letter: {topic}-dlq 0 0 (open)",
        f"original: {topic}[0]@4",
        "failed-at: 2023-11-14T22:13:24Z",
        "worker: Orders",
        "attempts: 1",
        "error-type: ValueError",
        "key: order-7",
        "header tenant: 7",
        '  "n": 1.10,',
        '  "to": "Zürich"',
    ):
        assert f"\n{line}\n" in f"\n{told}", told
    hostile = dlq.said("show", "Orders", "0", "1")
    assert "\x1b" not in hostile
    assert "\\x1b[2J" in hostile
    assert "payload (hex, 3 bytes):\n00000000  00 ff 1b\n" in dlq.said("show", "Orders", "0", "2")
    assert len(dlq.said("show", "Orders", "0", "3")) < 80_000
    assert len(dlq.said("show", "Orders", "0", "3", "--raw")) == 400_002
    assert "payload: none (a tombstone)" in dlq.said("show", "Orders", "0", "4")
    assert "there is no record at" in dlq.said("show", "Orders", "0", "99", code=1)
    assert "there is no record at" in dlq.said("show", "Orders", "9", "0", code=1)


def test_what_can_be_mended_is_told_in_one_line(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic(1)
    dlq = Commands(broker, project(tmp_path, topic))
    nobody = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_START_TIMEOUT": "0.2"}
    for words, env, told in (
        (("list", "Ordres"), dlq.env, "did you mean Orders?"),
        (("replay", "no-such-topic", "--yes"), dlq.env, "is called 'no-such-topic'"),
        (("list", "Orders"), dlq.env, f"do not exist at {broker.address}: {topic}-dlq"),
        (("show", "Orders", "0", "0"), dlq.env, f"{topic}-dlq"),
        (("list", "Orders"), nobody, "127.0.0.1:1"),
        (("list",), {"KAFKA_ENABLED": "false"}, "kafka_enabled"),
        (("drop", "Orders", "--yes"), {**dlq.env, "KAFKA_BROKER": "acme"}, "kafka_broker is 'acme'"),
        (("replay", topic, "--to", topic), dlq.env, "cannot be replayed to itself"),
        (("replay", topic, "--to", "no-such-topic"), dlq.env, "no-such-topic"),
    ):
        done = core("kafka", "dlq", *words, folder=dlq.folder, env=env)
        assert done.returncode == 1, (words, done.stdout, done.stderr)
        assert told in done.stderr, (words, done.stderr)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("broker ")]
        assert len(lines) == 1, done.stderr
    assert f"no topic {topic}-dlq yet" in dlq.said("list")
    for words, told in (
        (("--offsets", "9-3"), "ends before it begins"),
        (("--offsets", "a"), "is not FIRST-LAST"),
        (("--since", "yesterday"), "is not a time"),
        (("--match", "id"), "is not FIELD=VALUE"),
    ):
        assert told in dlq.said("replay", topic, *words, code=2)


def test_without_a_terminal_nobody_is_asked_and_nothing_is_done(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic(1)
    dlq = Commands(broker, project(tmp_path, topic))
    broker.make_topic(1, name=f"{topic}-dlq")
    run(publish(broker.address, f"{topic}-dlq", [letter(topic, n) for n in range(3)]))
    done = core("kafka", "dlq", "replay", "Orders", folder=dlq.folder, env=dlq.env)
    assert done.returncode == 2
    assert "give --yes to replay" in done.stderr
    assert dlq.counts() == {"ValueError": (3, 0, 0)}


REDACTING = """
from core_messaging import hookimpl

@hookimpl
def redact(topic, key, value):
    return b"(a customer)", b"(a payment of " + topic.encode() + b")"
"""


def installed(folder: Path, source: str) -> dict[str, str]:
    """The environment in which a plugin with *source* is installed."""
    meta = folder / "hider_plugin-1.0.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: hider-plugin\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[core.plugins]\nhider = hider_plugin\n")
    (folder / "hider_plugin.py").write_text(source)
    return {"PYTHONPATH": str(folder)}


def test_no_way_of_looking_goes_around_a_plugin_that_hides(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic(1)
    dlq = Commands(broker, project(tmp_path / "project", topic))
    broker.make_topic(1, name=f"{topic}-dlq")
    secret = letter(topic, 1, key=b"ann@example.org", value=b'{"iban": "DE89", "n": 1}')
    run(publish(broker.address, f"{topic}-dlq", [secret]))
    place = (f"{topic}-dlq", "0", "0")
    assert "DE89" in dlq.said("show", *place)
    dlq.env |= installed(tmp_path / "hides", REDACTING)
    said = [dlq.said("list", "Orders", "--json"), dlq.said("show", *place), dlq.said("show", *place, "--raw")]
    for text in said:
        assert "DE89" not in text
        assert "ann@example.org" not in text
    assert "(a customer)" in said[0]
    assert said[2] == f"(a payment of {topic})"
    # One that cannot be imported may be the one that hides.
    dlq.env |= installed(tmp_path / "broken", "import no_such_module")
    assert "set CORE_PLUGINS_DISABLE=hider" in dlq.said("show", *place, code=1)
    # What is replayed is not changed.
    assert "1 letter replayed" in dlq.said("replay", "Orders", "--yes")
    (replayed,) = run(read(broker.address, topic, 1))
    assert (replayed.key, replayed.value) == (b"ann@example.org", b'{"iban": "DE89", "n": 1}')


def test_a_record_that_cannot_be_parsed_ends_its_partition_and_nothing_else(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    broker = apache_broker
    topic = broker.make_topic(2)
    dlq = Commands(broker, project(tmp_path, topic))
    broker.make_topic(2, name=f"{topic}-dlq")

    async def filled() -> None:
        await publish(broker.address, f"{topic}-dlq", [letter(topic, n, key=b"k%d" % n) for n in range(10)])
        await send_unreadable(broker.address, f"{topic}-dlq", 0)
        await publish(
            broker.address, f"{topic}-dlq", [letter(topic, n, key=b"k%d" % n) for n in range(10, 20)]
        )

    run(filled())
    lost = len([n for n in range(10, 20) if partition_of(b"k%d" % n, 2) == 0])
    assert 0 < lost < 10
    told = dlq.said("list", "Orders", code=1)
    assert f"not counted: the Kafka client cannot parse {topic}-dlq[0]@" in told
    assert f" {20 - lost}  " in told
    told = dlq.said("replay", "Orders", "--yes", code=1)
    assert f"left out: the Kafka client cannot parse {topic}-dlq[0]@" in told
    assert f"{20 - lost} letters replayed" in told


def test_a_letter_that_retention_is_about_to_remove_is_told(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic = apache_broker.make_topic(1)
    dlq = Commands(apache_broker, project(tmp_path, topic))
    apache_broker.make_topic(1, {"retention.ms": "3600000"}, name=f"{topic}-dlq")
    run(publish(apache_broker.address, f"{topic}-dlq", [letter(topic, 1)]))
    warning = f"the retention of {topic}-dlq may remove its oldest open letter from "
    assert warning in dlq.said("list", "Orders")
    dlq.said("drop", "Orders", "--yes")
    assert warning not in dlq.said("list", "Orders")


def test_a_worker_of_a_file_is_meant_by_the_path_of_the_file(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic(1)
    dlq = Commands(broker, tmp_path)
    broker.make_topic(1, name=f"{topic}-dlq")
    run(publish(broker.address, f"{topic}-dlq", [letter(topic, 1)]))
    (tmp_path / "orders.py").write_text(WORKER.format(topic=topic, options=""))
    assert dlq.counts("./orders.py") == {"ValueError": (1, 0, 0)}
    second = WORKER.format(topic=topic, options="").replace("Orders", "More").replace("orders", "more")
    (tmp_path / "orders.py").write_text(WORKER.format(topic=topic, options="") + second)
    told = dlq.said("list", "./orders.py", code=2)
    assert "name one of them: ./orders.py:Orders, ./orders.py:More" in told


def test_at_a_terminal_it_says_how_far_it_is(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic(1)
    dlq = Commands(broker, project(tmp_path, topic))
    broker.make_topic(1, name=f"{topic}-dlq")
    run(publish(broker.address, f"{topic}-dlq", [letter(topic, n) for n in range(30)]))
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [CORE, "kafka", "dlq", "list", "Orders"],
        cwd=dlq.folder,
        env=environment(**dlq.env, TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown = b""
        while chunk := _read(master):
            shown += chunk
        out, _ = process.communicate(timeout=PATIENCE)
    os.close(master)
    assert b"/30" in shown
    assert b"ValueError  30" in out


def _read(master: int) -> bytes:
    """What is on the terminal; nothing once nobody writes to it any more."""
    try:
        return os.read(master, 4_096)
    except OSError:
        return b""
