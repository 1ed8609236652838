"""What an error of the client means: may the call be made again, and whose error is it?"""

from __future__ import annotations

import asyncio
import errno
import ssl

import pytest
from aiokafka import errors as kafka_errors

from core_messaging.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    PublishFailed,
    RecordRefused,
    RecordTooLarge,
)
from core_messaging.kafka.errors import (
    InvalidRecordError,
    as_broker_error,
    as_publish_error,
    describe,
    is_closed_port,
    is_hopeless,
    may_concern_one_record,
    own_cancellation_or_error,
    register_invalid_record_error,
)
from core_messaging.settings import Settings

SETTINGS = Settings(kafka_bootstrap_servers="kafka:9092")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (kafka_errors.SaslAuthenticationFailed("wrong password"), BrokerRefused),
        (ssl.SSLError("untrusted"), BrokerRefused),  # an OSError too: it must not be taken for an outage
        (kafka_errors.TopicAuthorizationFailedError("t"), BrokerRefused),
        (kafka_errors.KafkaConnectionError("gone"), BrokerUnreachable),
        (ConnectionResetError("reset"), BrokerUnreachable),
        (kafka_errors.UnknownError("odd"), BrokerError),
    ],
)
def test_a_broker_that_refuses_one_that_is_gone_and_any_other_error_are_told_apart(
    error: Exception, kind: type[BrokerError]
) -> None:
    assert type(as_broker_error(error, SETTINGS)) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (kafka_errors.NotLeaderForPartitionError(), PublishFailed),
        (kafka_errors.KafkaTimeoutError(), PublishFailed),
        (kafka_errors.MessageSizeTooLargeError(), RecordTooLarge),
        (InvalidRecordError(), RecordRefused),
        (OverflowError("timestamp"), RecordRefused),
    ],
)
def test_a_record_is_refused_only_where_no_other_try_can_work(
    error: Exception, kind: type[Exception]
) -> None:
    assert type(as_publish_error("t", error)) is kind
    assert is_hopeless(error) == (kind is not PublishFailed)


def test_the_remedy_of_a_forwarded_record_names_the_limit_of_the_topic_only() -> None:
    error = kafka_errors.MessageSizeTooLargeError()
    assert "kafka_max_request_size" in str(as_publish_error("t", error))
    assert "kafka_max_request_size" not in str(as_publish_error("t", error, forwarded=True))


def test_a_batch_is_halved_for_an_error_of_one_record_and_not_for_an_outage() -> None:
    assert may_concern_one_record(kafka_errors.UnknownError())
    assert may_concern_one_record(kafka_errors.RecordListTooLargeError())
    assert not may_concern_one_record(kafka_errors.KafkaConnectionError())


def test_the_client_knows_the_error_of_an_invalid_record() -> None:
    register_invalid_record_error()
    assert kafka_errors.for_code(87) is InvalidRecordError


def test_a_cancellation_that_is_not_ours_is_a_failed_call() -> None:
    # The client shares its look-ups. Where another caller gave up, the worker ended.
    async def test() -> tuple[BaseException, BaseException]:
        foreign = own_cancellation_or_error(asyncio.CancelledError())
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            ours = own_cancellation_or_error(error)
            task.uncancel()
        return foreign, ours

    foreign, ours = asyncio.run(test())
    assert isinstance(foreign, BrokerError)
    assert isinstance(ours, asyncio.CancelledError)


def test_an_error_is_described_in_one_line_with_its_class_once() -> None:
    assert describe(ValueError("a\n  b")) == "ValueError: a b"
    assert describe(KeyError()) == "KeyError"
    assert describe(kafka_errors.KafkaTimeoutError("late")).count("KafkaTimeoutError") == 1


@pytest.mark.parametrize(
    ("error", "closed"),
    [
        (ConnectionRefusedError(111, "refused"), True),
        # Of a name with two addresses.
        (OSError(f"Multiple exceptions: [Errno {errno.ECONNREFUSED}] ::1, [Errno {errno.ECONNREFUSED}] 127.0.0.1"), True),
        (OSError(f"Multiple exceptions: [Errno {errno.ECONNREFUSED}] ::1, [Errno {errno.ETIMEDOUT}] 10.0.0.1"), False),
        (OSError(errno.EHOSTUNREACH, "no route"), False),
        (TimeoutError(), False),
    ],
)  # fmt: skip
def test_a_port_is_closed_only_where_every_address_refuses_the_connection(
    error: BaseException, closed: bool
) -> None:
    assert is_closed_port(error) is closed
