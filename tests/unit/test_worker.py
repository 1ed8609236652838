"""A worker is checked whole when it is made; the message says what to write instead."""

from __future__ import annotations

import re
from typing import Any

import pytest

from core_messaging.config import kebab
from core_messaging.errors import OptionError, Reject
from core_messaging.options import DlqLimit, Topic
from core_messaging.rules.retry import RetryPolicy
from core_messaging.worker import Worker, as_worker, config_of, message_type, worker


def make(**options: Any) -> type[Worker]:
    async def process(self: Worker, message: dict[str, Any]) -> None: ...

    return type("Made", (Worker,), {"input_topic": "tasks", "process": process, **options})


def test_defaults_are_those_of_the_options_table() -> None:
    config = config_of(make())
    assert config.name == "Made"
    assert config.group_id == "made"
    assert (config.concurrency, config.ordering, config.max_retries) == (1, "key", 3)
    assert config.retry_policy == RetryPolicy("exponential", 1.0)
    assert (config.batch_size, config.dlq_topic, config.output_topic, config.timeout) == (
        None,
        None,
        None,
        None,
    )


def test_group_id_is_the_name_in_kebab_case() -> None:
    assert kebab("EmailWorker") == "email-worker"
    assert kebab("process_task") == "process-task"
    assert kebab("HTTPFetchV2") == "http-fetch-v2"


def test_a_list_of_input_topics() -> None:
    assert config_of(make(input_topic=["a", "b"])).input_topics == ("a", "b")


TWO = {ValueError: "invalid", Exception: "dead"}


ORDERS = re.compile(r"orders\.\w+")


@pytest.mark.parametrize(
    "made",
    [
        lambda: make(input_topic=ORDERS, dlq_topic="orders.dlq", output_topic="orders.done"),
        lambda: as_worker(worker(topic=ORDERS, dlq_topic="orders.dlq", output_topic="orders.done")(handle)),
        lambda: as_worker(
            worker(pattern=ORDERS.pattern, dlq_topic="orders.dlq", output_topic="orders.done")(handle)
        ),
    ],
    ids=["class", "topic", "pattern"],
)
def test_input_topics_may_be_a_pattern_which_leaves_out_what_the_worker_writes(made: Any) -> None:
    config = config_of(made())
    assert (config.input_topics, config.input_pattern) == ((), ORDERS)
    assert config.topics == ("orders.done", "orders.dlq")
    assert config.inputs == r"topics that match orders\.\w+"
    pattern = config.topic_pattern(["orders.control"])
    assert pattern is not None
    every = ["orders.eu", "orders.dlq", "orders.done", "orders.control", "orders", "payments"]
    assert pattern.found_in(every) == ("orders.eu",)
    assert [topic for topic in every if config.reads(topic)] == ["orders.eu", "orders.control"]


async def handle(message: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pattern": "orders.("}, "is no regular expression"),
        ({"pattern": rb"orders"}, "is one for bytes"),
        ({"pattern": 5}, "is no regular expression"),
        ({"pattern": "a", "topic": "b"}, "has a topic and a pattern"),
        ({"topic": re.compile(rb"orders")}, "is one for bytes"),
        ({"topic": [ORDERS]}, "or a regular expression"),
        ({"pattern": None}, "without a topic"),
    ],
)
def test_a_wrong_pattern_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        worker(**options)(handle)


def test_a_worker_may_have_a_dead_letter_queue_for_each_kind_of_error() -> None:
    class Routed(Worker):
        input_topic = "tasks"
        dlq_topic = {ValueError: Topic("invalid", partitions=2), LookupError: "lost", Exception: "dead"}  # noqa: RUF012

        async def process(self, message: dict) -> None: ...  # type: ignore[type-arg]

    config = config_of(Routed)
    assert (config.dlq_topic, config.dlq_topics) == ("dead", ("dead", "invalid", "lost"))
    assert config.topics == ("tasks", "dead", "invalid", "lost")
    assert [topic.partitions for topic in config.declared_topics] == [2]
    errors = (
        UnicodeError(),
        ValueError(),
        KeyError(),
        OSError(),
        Reject("no"),
        ExceptionGroup("", [ValueError()]),
    )
    assert [*map(config.dlq_topic_of, errors)] == ["invalid", "invalid", "lost", "dead", "dead", "dead"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"concurency": 4}, "did you mean 'concurrency'"),
        ({"max_retry": 4}, "did you mean 'max_retries'"),
        ({"topic": "x"}, "did you mean 'input_topic'"),
        ({"retries": 1}, "did you mean 'max_retries'"),
        ({"concurrency": 0}, "concurrency = 0; write a whole number from 1 up"),
        ({"concurrency": True}, "concurrency = True"),
        ({"concurrency": "4"}, "concurrency = '4'"),
        ({"max_retries": -1}, "max_retries = -1; write a whole number from 0 up"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"timeout": 0}, "timeout = 0; write seconds, more than 0"),
        ({"timeout": float("nan")}, "timeout = nan"),
        ({"initial_delay": -0.5}, "initial_delay = -0.5"),
        ({"batch_timeout": 5.0}, "batch_timeout = 5 without batch_size"),
        ({"retry_backoff": "cubic"}, "one of exponential, linear, fixed"),
        ({"ordering": "random"}, "one of key, partition, none"),
        ({"on_exhausted": "explode"}, "one of skip, stop"),
        ({"on_dead_letter": "stop"}, "one of continue, follow"),
        ({"on_dead_letter": "follow"}, "without a dlq_topic"),
        ({"on_dead_letter": "follow", "dlq_topic": "d", "batch_size": 2}, "beside batch_size"),
        ({"on_dead_letter": "follow", "dlq_topic": "d", "ordering": "none"}, "with ordering = 'none'"),
        ({"on_dead_letter": "follow", "dlq_topic": TWO}, "with several dead-letter queues"),
        ({"dlq_topic": {ValueError: "d"}}, 'add one for all others: Exception: "orders-dlq"'),
        ({"dlq_topic": {}}, "maps no class that every error has"),
        ({"dlq_topic": {"ValueError": "d", Exception: "e"}}, "dlq_topic maps 'ValueError' to 'd'"),
        ({"dlq_topic": {int: "d", Exception: "e"}}, "classes of exceptions"),
        ({"dlq_topic": {Exception: None}}, "classes of exceptions"),
        (
            {"dlq_topic": {ValueError: "no spaces", Exception: "e"}},
            "dlq_topic = 'no spaces' is no topic name",
        ),
        ({"dlq_topic": {ValueError: "tasks", Exception: "e"}}, "feed itself for ever"),
        ({"on_full_retries": "drop"}, "one of wait, dead-letter"),
        ({"on_full_retries": "dead-letter"}, "add a dlq_topic"),
        ({"dlq_limit": DlqLimit(consecutive=5)}, "add a dlq_topic, or drop dlq_limit"),
        ({"dlq_limit": 5, "dlq_topic": "d"}, "DlqLimit(consecutive=50)"),
        ({"on_full_retries": "dead-letter", "dlq_topic": "d", "batch_size": 2}, "leave batches out"),
        ({"input_topic": []}, "write a topic name or a list"),
        ({"input_topic": 7}, "write a topic name or a list"),
        ({"input_topic": "no spaces"}, "is no topic name"),
        ({"output_topic": "tasks"}, "feed itself for ever"),
        ({"dlq_topic": "tasks"}, "feed itself for ever"),
        ({"retry_backoff": RetryPolicy(), "initial_delay": 2.0}, "initial_delay = 2 beside a RetryPolicy"),
        ({"retry_backoff": RetryPolicy(max_retries=5), "max_retries": 2}, "write it in one place only"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError) as caught:
        make(**options)
    assert says in str(caught.value)
    assert "Made" in str(caught.value)


def test_a_policy_may_carry_max_retries() -> None:
    assert config_of(make(retry_backoff=RetryPolicy(max_retries=9))).max_retries == 9


def test_attributes_of_the_users_own_are_left_alone() -> None:
    assert config_of(make(client=object(), template="welcome", limit=3)).concurrency == 1


def test_a_class_without_input_topic_is_a_base_and_its_options_are_inherited() -> None:
    class Base(Worker):
        max_retries = 7
        dlq_topic = "all-dlq"

    class Child(Base):
        input_topic = "tasks"

        async def process(self, message: dict[str, Any]) -> None: ...

    assert as_worker(Base) is None
    assert config_of(Child).max_retries == 7
    assert config_of(Child).name == "Child"
    with pytest.raises(OptionError, match="no input_topic"):
        config_of(Base)


def test_a_decorated_function_stays_an_ordinary_callable() -> None:
    @worker(topic="tasks", group_id="g", max_retries=5, retry_backoff="linear", dlq_topic="tasks-dlq")
    def double(message: int) -> int:
        return 2 * message

    assert double(4) == 8
    made = as_worker(double)
    assert made is not None
    config = config_of(made)
    assert (config.name, config.input_topics, config.group_id) == ("double", ("tasks",), "g")
    assert (config.max_retries, config.retry_backoff, config.dlq_topic) == (5, "linear", "tasks-dlq")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "@worker without a topic"),
        ({"topik": "x"}, "the options are"),
        ({"input_topics": "x"}, "did you mean 'topic'"),
        ({"topic": "x", "max_retrys": 1}, "did you mean 'max_retries'"),
    ],
)
def test_the_decorator_names_what_it_does_not_know(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError) as caught:

        @worker(**options)
        async def handle(message: dict[str, Any]) -> None: ...

    assert says in str(caught.value)


def test_the_decorator_without_parentheses_says_what_to_write() -> None:
    with pytest.raises(OptionError, match="write @worker"):

        @worker
        async def handle(message: dict[str, Any]) -> None: ...


def test_a_handler_without_a_message_parameter_is_refused() -> None:
    async def process(self: Worker) -> None: ...

    with pytest.raises(OptionError, match="takes no message"):
        make(process=process)


def test_an_annotation_nothing_decodes_to_is_refused_when_the_class_is_made() -> None:
    async def process(self: Worker, message: Worker) -> None: ...

    with pytest.raises(OptionError, match="annotate the message as"):
        make(process=process)


def test_an_annotation_that_cannot_be_found_is_refused_instead_of_ignored() -> None:
    async def process(self: Worker, message: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821 - the point

    with pytest.raises(OptionError, match="outside of `if TYPE_CHECKING:`"):
        make(process=process)


def test_self_may_have_any_name() -> None:
    class Odd(Worker):
        input_topic = "tasks"

        async def process(this, message: bytes) -> None: ...  # noqa: N805 - the point

    assert message_type(Odd) is bytes


def test_the_message_type_of_a_batch_is_the_lists_item() -> None:
    class Batches(Worker):
        input_topic = "tasks"
        batch_size = 10

        async def process_batch(self, messages: list[bytes]) -> None: ...

    assert message_type(Batches) is bytes
