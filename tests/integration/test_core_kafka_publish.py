"""``core kafka publish`` as a user meets it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.integration.brokers import RunningBroker
from tests.integration.commands import CORE, PATIENCE, core, environment
from tests.integration.harness import read, run


def env(broker: RunningBroker) -> dict[str, str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": broker.address}


def test_one_message_with_key_and_headers(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    arguments = (
        "--message",
        '{"type": "process"}',
        "--key",
        "task-123",
        "--header",
        "a=1",
        "--header",
        "b=x=y",
    )
    found = core("kafka", "publish", topic, *arguments, folder=tmp_path, env=env(broker))
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(f"{topic}: 1 message acknowledged in ")
    (stored,) = run(read(broker.address, topic, 1))
    assert (stored.key, stored.value) == (b"task-123", b'{"type": "process"}')
    assert stored.headers == (("a", b"1"), ("b", b"x=y"))


def test_every_message_of_the_command_line_is_published_as_it_is_given(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    given = ['{"id": 1}', '{"id":\n2}', "three", ""]
    arguments = [word for message in given for word in ("--message", message)]
    found = core("kafka", "publish", topic, *arguments, folder=tmp_path, env=env(broker))
    assert found.returncode == 1
    assert "not published: --message:3: JSON is malformed" in found.stderr
    assert "not published: --message:4: " in found.stderr
    assert sorted(each.value or b"" for each in run(read(broker.address, topic, 2))) == [
        b'{"id":\n2}',
        b'{"id": 1}',
    ]


def test_a_dash_is_standard_input_and_the_topic_is_created_where_it_is_asked_for(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = f"made-{uuid.uuid4().hex[:8]}"
    done = subprocess.run(
        [CORE, "kafka", "publish", topic, "--file", "-", "--create-topics"],
        cwd=tmp_path,
        env=environment(**env(broker)),
        input=b'{"id": 1}\n',
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().splitlines() == [
        f"created topic {topic} at broker {broker.address}",
        f"publishing to {topic} at broker {broker.address}",
    ]
    assert [each.value for each in run(read(broker.address, topic, 1))] == [b'{"id": 1}']


def test_at_a_terminal_it_says_what_it_waits_for(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [CORE, "kafka", "publish", topic],
        cwd=tmp_path,
        env=environment(**env(broker)),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == (
            f"publishing to {topic} at broker {broker.address}; type one JSON message a line, Ctrl-D ends\n"
        )
        os.write(master, b'{"id": 1}\n\x04')
        assert process.wait(PATIENCE) == 0
        assert process.stdout is not None
        assert process.stdout.read().startswith(f"{topic}: 1 message acknowledged")
    os.close(master)
    os.close(terminal)


@pytest.mark.parametrize("words", [[], ["--file", "empty.jsonl"]], ids=["pipe", "file"])
def test_an_empty_input_is_said_and_no_failure(
    broker: RunningBroker, tmp_path: Path, words: list[str]
) -> None:
    # A filter that finds nothing must not break the shell script around it; but nobody has to wonder.
    (tmp_path / "empty.jsonl").write_text("\n\n")
    done = subprocess.run(
        [CORE, "kafka", "publish", broker.make_topic(), *words],
        cwd=tmp_path,
        env=environment(**env(broker)),
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    name = "empty.jsonl" if words else "standard input"
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1] == f"nothing to publish: {name} is empty"


def test_a_closed_standard_input_is_one_line(broker: RunningBroker, tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {CORE} kafka publish t <&-"],
        cwd=tmp_path,
        env=environment(**env(broker)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "core: standard input is closed; give --message or --file\n",
    )


def test_a_line_that_is_nested_too_deeply_is_named_and_left_out(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    (tmp_path / "deep.jsonl").write_text("[" * 100_000 + "]" * 100_000 + '\n{"id": 1}\n')
    found = core("kafka", "publish", topic, "--file", "deep.jsonl", folder=tmp_path, env=env(broker))
    assert found.returncode == 1
    assert "not published: deep.jsonl:1: JSON is nested too deeply" in found.stderr
    assert [each.value for each in run(read(broker.address, topic, 1))] == [b'{"id": 1}']


def test_a_file_streams_in_order_and_bad_lines_are_named_and_left_out(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    lines = [b'{"id": %d}' % n for n in range(2_500)]
    lines[10] = b"not json"
    lines[2_000] = b'{"name": "no id"}'
    (tmp_path / "tasks.jsonl").write_bytes(b"\n".join(lines) + b"\n\n")
    found = core(
        "kafka",
        "publish",
        topic,
        "--file",
        "tasks.jsonl",
        "--key-field",
        "id",
        folder=tmp_path,
        env=env(broker),
    )
    assert found.returncode == 1
    assert "2498 messages acknowledged" in found.stdout
    assert "not published: tasks.jsonl:11: JSON is malformed" in found.stderr
    assert "not published: tasks.jsonl:2001: it has no field 'id' for the key" in found.stderr
    assert "core: 2 lines were not published" in found.stderr
    stored = run(read(broker.address, topic, 2_498))
    assert {(s.key, s.value) for s in stored} == {
        (b"%d" % n, line) for n, line in enumerate(lines) if n not in (10, 2_000)
    }


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("not json", "core: 1 line was not published; mend it, or use --raw"),
        ('{"name": "no id"}', "core: 1 line was not published; mend it and publish that line"),
    ],
)
def test_raw_is_the_remedy_for_lines_that_are_not_json_only(
    broker: RunningBroker, tmp_path: Path, line: str, remedy: str
) -> None:
    # For a line without the field of its key it was none: with --raw, no line had it.
    arguments = ("--message", line, "--key-field", "id")
    found = core("kafka", "publish", broker.make_topic(), *arguments, folder=tmp_path, env=env(broker))
    assert (found.returncode, found.stderr.splitlines()[-1]) == (1, remedy)


def test_standard_input_and_raw_bytes(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    found = subprocess.run(
        [CORE, "kafka", "publish", topic, "--raw"],
        input=b"plain text\n\xff\xfe\n",
        cwd=tmp_path,
        env=environment(**env(broker)),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert {s.value for s in run(read(broker.address, topic, 2))} == {b"plain text", b"\xff\xfe"}


def test_a_line_the_broker_refuses_is_named_and_so_is_where_it_ended(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic = apache_broker.make_topic(1, {"max.message.bytes": "10000"})
    lines = [b"%d" % n for n in range(2_500)]
    lines[9] = b'"' + b"x" * 50_000 + b'"'
    lines[3] = b"not json"
    (tmp_path / "tasks.jsonl").write_bytes(b"\n".join(lines))
    found = core("kafka", "publish", topic, "--file", "tasks.jsonl", folder=tmp_path, env=env(apache_broker))
    assert found.returncode == 1
    assert "999 messages acknowledged" in found.stdout
    assert f"not published: tasks.jsonl:10: {topic} does not take this record" in found.stderr
    assert "core: 2 lines were not published; what comes after line 1001 was not tried" in found.stderr
    stored = run(read(apache_broker.address, topic, 999))
    assert [s.value for s in stored] == [line for n, line in enumerate(lines[:1_001]) if n not in (3, 9)]


def test_a_pipe_is_published_line_by_line_and_ctrl_c_ends_it(broker: RunningBroker, tmp_path: Path) -> None:
    # Lines waited until there were a thousand, and the first Ctrl-C did nothing.
    topic = broker.make_topic()
    command = [CORE, "kafka", "publish", topic]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(**env(broker)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        for line in (b"1\n", b"2\n"):
            process.stdin.write(line)
            process.stdin.flush()
            stored = run(read(broker.address, topic, int(line)))
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE)
        assert process.stderr is not None
        told = process.stderr.read().decode()
    assert [s.value for s in sorted(stored, key=lambda s: s.value or b"")] == [b"1", b"2"]
    assert code == 130
    assert "stopped: 2 messages acknowledged" in told
    assert "0 more were read" in told
    assert "Traceback" not in told


def test_what_is_typed_is_published_whatever_its_encoding(broker: RunningBroker, tmp_path: Path) -> None:
    topic, typed = broker.make_topic(), os.fsdecode(b"\xff")
    arguments = ("--raw", "--message", typed, "--key", typed, "--header", f"a={typed}")
    found = core("kafka", "publish", topic, *arguments, folder=tmp_path, env=env(broker))
    assert found.returncode == 0, found.stderr
    (stored,) = run(read(broker.address, topic, 1))
    assert (stored.key, stored.value, stored.headers) == (b"\xff", b"\xff", (("a", b"\xff"),))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--message", "{}", "--file", "tasks.jsonl"], 2, "give --message or --file, not both"),
        (["--message", "{}", "--key", "a", "--key-field", "b"], 2, "give --key or --key-field, not both"),
        (["--message", "{}", "--raw", "--key-field", "b"], 2, "give --raw or --key-field, not both"),
        (["--message", "{}", "--header", "novalue"], 2, "--header 'novalue' is not NAME=VALUE"),
        (["--file", "nothing.jsonl"], 2, "does not exist"),
        (["--message", "{nope"], 1, "not published: --message:1: JSON is malformed"),
    ],
)
def test_wrong_arguments_are_told(
    broker: RunningBroker, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    (tmp_path / "tasks.jsonl").write_text("{}\n")
    found = core("kafka", "publish", broker.make_topic(), *arguments, folder=tmp_path, env=env(broker))
    assert found.returncode == code
    assert says in found.stderr
    assert "Traceback" not in found.stderr


def test_no_broker_no_topic_too_large_and_disabled_are_one_line(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    cases = [
        ("t", "{}", {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_START_TIMEOUT": "0.6"}, "no Kafka broker answers"),
        ("no-such-topic", "{}", env(apache_broker), "topics that do not exist"),
        (apache_broker.make_topic(), '"' + "x" * 100_000 + '"', env(apache_broker) | {"KAFKA_MAX_REQUEST_SIZE": "50000"}, "does not take this record"),
        ("t", "{}", {"KAFKA_ENABLED": "false"}, "the setting kafka_enabled is False"),
    ]  # fmt: skip
    for topic, message, variables, says in cases:
        found = core("kafka", "publish", topic, "--message", message, folder=tmp_path, env=variables)
        assert found.returncode == 1
        assert found.stderr.splitlines()[-1].startswith("core: ")
        assert says in found.stderr
        assert "Traceback" not in found.stderr
