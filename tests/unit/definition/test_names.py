"""A name is a plain text wherever it is given, and an empty or impossible one is refused before anything is asked."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from core_messaging_cli.main import core
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core_messaging import Settings
from core_messaging.config import WorkerConfig
from core_messaging.definition.names import is_topic, plain, problem_of
from core_messaging.discovery.registry import get_worker
from core_messaging.errors import InvalidRecord, OptionError, UnknownWorker
from core_messaging.publishing.outgoing import outgoing
from core_messaging.testing import MemoryBroker, run
from core_messaging.worker import Worker, as_worker, config_of, defined, worker


class Mixed(str, enum.Enum):  # noqa: UP042 - how it is spelled is what is tested
    IN = "in-topic"
    OUT = "out-topic"
    DLQ = "dlq-topic"
    GROUP = "a-group"
    NAME = "a-name"
    KIND = "fixed"


class Spelled(enum.StrEnum):
    IN = "in-topic"
    OUT = "out-topic"
    DLQ = "dlq-topic"
    GROUP = "a-group"
    NAME = "a-name"
    KIND = "fixed"


class Shouting(str):
    """A text that looks otherwise when it is formatted."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()

    __repr__ = __str__


class Shouted:
    IN, OUT, DLQ, GROUP, NAME, KIND = map(
        Shouting, ("in-topic", "out-topic", "dlq-topic", "a-group", "a-name", "fixed")
    )


@pytest.fixture
def no_other_workers() -> Iterator[None]:
    before = dict(defined)
    defined.clear()
    yield
    defined.clear()
    defined.update(before)


NAMES: list[Any] = [Mixed, Spelled, Shouted]


def texts(config: WorkerConfig) -> list[str]:
    found = (config.name, config.group_id, config.output_topic, config.dlq_topic, config.retry_backoff)
    return [*config.input_topics, *(text for text in found if isinstance(text, str))]


@pytest.mark.parametrize("names", NAMES)
def test_every_name_of_a_worker_is_a_plain_text(names: Any) -> None:
    class Works(Worker):
        name = names.NAME
        input_topic = names.IN
        output_topic = names.OUT
        dlq_topic = names.DLQ
        group_id = names.GROUP
        retry_backoff = names.KIND

        async def process(self, message: dict[str, Any]) -> None: ...

    @worker(topic=[names.IN], output_topic=names.OUT, dlq_topic=names.DLQ, group_id=names.GROUP, name=names.NAME,
            retry_backoff=names.KIND)  # fmt: skip
    async def works(message: dict[str, Any]) -> None: ...

    for made in (Works, as_worker(works)):
        assert made is not None
        found = texts(config_of(made))
        assert found == ["in-topic", "a-name", "a-group", "out-topic", "dlq-topic", "fixed"]
        assert {type(text) for text in found} == {str}


@pytest.mark.parametrize("names", NAMES)
def test_what_is_sent_has_plain_names(names: Any) -> None:
    record = outgoing(names.IN, {"n": 1}, names.GROUP, {names.NAME: names.KIND})
    assert (record.topic, type(record.topic)) == ("in-topic", str)
    assert (record.key, record.headers) == (b"a-group", (("a-name", b"fixed"),))
    assert type(record.headers[0][0]) is str


@pytest.mark.parametrize("names", NAMES)
def test_settings_hold_plain_texts(names: Any) -> None:
    class Own(Settings):
        kafka_client_id: str = names.NAME
        kafka_group_instance_id: str | None = names.GROUP

    for settings in (Own(), Settings(kafka_client_id=names.NAME, kafka_group_instance_id=names.GROUP)):
        found = (settings.kafka_client_id, settings.kafka_group_instance_id)
        assert found == ("a-name", "a-group")
        assert {type(text) for text in found} == {str}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.usefixtures("no_other_workers")
def test_a_worker_is_found_by_an_enumerations_name(names: Any) -> None:
    class Works(Worker):
        name = names.NAME
        input_topic = names.IN

        async def process(self, message: dict[str, Any]) -> None: ...

    assert get_worker(names.NAME).name == "a-name"
    assert config_of(Works).name == "a-name"
    with pytest.raises(UnknownWorker, match="no worker is named 'out-topic'"):
        get_worker(names.OUT)


@pytest.mark.parametrize("names", NAMES)
def test_the_broker_in_memory_knows_a_topic_by_either_spelling(names: Any) -> None:
    broker = MemoryBroker({names.IN: 1})
    broker.put(names.IN, b"1")
    assert [str(record.topic) for record in broker.records("in-topic")] == ["in-topic"]
    assert len(broker.records(names.IN)) == 1


@pytest.mark.parametrize("names", NAMES)
def test_messages_reach_a_worker_whose_topics_are_an_enumeration(names: Any) -> None:
    class Works(Worker):
        input_topic = names.IN
        output_topic = names.OUT

        async def process(self, message: dict[str, Any]) -> dict[str, Any]:
            return message

    outcome = run(Works, [{"n": 1}])
    assert [record.topic for record in outcome.results] == ["out-topic"]
    assert outcome.successes[0].coordinates == "in-topic[0]@0"


IMPOSSIBLE = ["", " ", "\t\n", "no spaces", "a/b", ".", "..", "x" * 250, "ä", "a\n", "a:b", "a\x00"]


@pytest.mark.parametrize("topic", IMPOSSIBLE)
@pytest.mark.parametrize("option", ["input_topic", "output_topic", "dlq_topic"])
def test_a_topic_that_cannot_be_is_refused_in_every_option(option: str, topic: str) -> None:
    async def process(self: Worker, message: dict[str, Any]) -> None: ...

    with pytest.raises(OptionError, match=f"{option} = .* is no topic name"):
        type("Wrong", (Worker,), {"input_topic": "tasks", "process": process, option: topic})
    with pytest.raises(OptionError, match="is no topic name"):
        type("Wrong", (Worker,), {"process": process, "input_topic": ["tasks", topic]})


@pytest.mark.parametrize("topic", [*IMPOSSIBLE, None, 5, b"tasks"])
def test_a_topic_that_cannot_be_is_refused_before_it_is_sent(topic: Any) -> None:
    with pytest.raises(InvalidRecord):
        outgoing(topic, {"n": 1})


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a\n", "a\x1b[31m", "x" * 250])
@pytest.mark.parametrize("option", ["group_id", "name", "codec"])
def test_a_name_that_is_empty_or_cannot_be_written_is_refused(option: str, name: str) -> None:
    async def process(self: Worker, message: dict[str, Any]) -> None: ...

    with pytest.raises(OptionError, match=f"{option} = .* is an? "):
        type("Wrong", (Worker,), {"input_topic": "tasks", "process": process, option: name})
    with pytest.raises(OptionError, match=f"{option} = .* is an? "):

        @worker(topic="tasks", **{option: name})
        async def handle(message: dict[str, Any]) -> None: ...


@pytest.mark.parametrize("name", [5, None, ["a"], "package:Name"])
def test_a_worker_has_a_name_that_can_be_asked_for(name: Any) -> None:
    async def process(self: Worker, message: dict[str, Any]) -> None: ...

    with pytest.raises(OptionError, match="write a name"):
        type("Wrong", (Worker,), {"input_topic": "tasks", "process": process, "name": name})


@pytest.mark.parametrize("setting", ["kafka_broker", "kafka_client_id"])
@pytest.mark.parametrize("value", ["", "  ", " kafka"])
def test_a_setting_that_is_a_name_is_not_empty(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting.upper(), value)
    with pytest.raises(ValidationError, match="write a name, or leave it out"):
        Settings()


@given(st.text(max_size=300))
def test_a_text_is_a_topic_or_is_told_to_be_none(text: str) -> None:
    legal = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert is_topic(text) == (0 < len(text) < 250 and set(text) <= legal and text not in (".", ".."))
    if is_topic(text):
        assert problem_of(text) == ""


@given(st.text(max_size=50))
def test_a_plain_text_stays_what_it_is(text: str) -> None:
    assert plain(Shouting(text)) == text
    assert type(plain(Shouting(text))) is str


@pytest.mark.parametrize("topic", [topic for topic in IMPOSSIBLE if ":" not in topic and "\x00" not in topic])
@pytest.mark.parametrize("command", [["publish", "--message", "1"], ["up", "--topic"]])
def test_a_command_refuses_a_topic_that_cannot_be_before_it_asks_a_broker(
    command: list[str], topic: str
) -> None:
    outcome = CliRunner().invoke(core, ["kafka", *command, topic], catch_exceptions=True)
    assert outcome.exit_code != 0
    told = outcome.output + str(outcome.exception)
    assert "1 to 249 of the characters" in told or "is not NAME" in told
