"""aiokafka's errors in our words."""

from __future__ import annotations

import ssl

from aiokafka import errors as kafka_errors

from core_messaging.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    PublishFailed,
    RecordRefused,
    RecordTooLarge,
    text_of,
)
from core_messaging.settings import Settings


class InvalidRecordError(kafka_errors.BrokerResponseError):  # type: ignore[misc] # the client is untyped
    """The broker's answer 87 (INVALID_RECORD, KIP-467), which the client (0.14) does not know: to it, it is an UnknownError
    like that of a broker in trouble."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker has looked at the record and does not take it."


def know_invalid_records() -> None:
    """Let the client tell that answer apart. Safe to repeat."""
    kafka_errors.kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)


_REFUSALS = (
    kafka_errors.AuthenticationFailedError,
    kafka_errors.AuthenticationMethodNotSupported,
    kafka_errors.SaslAuthenticationFailed,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
    ssl.SSLError,
)

_UNREACHABLE = (
    kafka_errors.KafkaConnectionError,
    kafka_errors.NoBrokersAvailable,
    kafka_errors.NodeNotReadyError,
    kafka_errors.GroupCoordinatorNotAvailableError,
    OSError,
)

_TOO_LARGE = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordTooLargeError,
    kafka_errors.RecordListTooLargeError,
)

# The client's, of one record that it cannot write: its timestamp, say, or a header that is no bytes.
UNWRITABLE = (OverflowError, TypeError, ValueError)

# What sending again can never change.
_HOPELESS = (
    *_TOO_LARGE,
    kafka_errors.InvalidTopicError,
    kafka_errors.InvalidTimestampError,
    kafka_errors.PolicyViolationError,
    AssertionError,  # the client's, of a partition that there is not
    *UNWRITABLE,
)

# Of what the broker stores, to whoever fetches it.
UNREADABLE = (kafka_errors.CorruptRecordException, kafka_errors.UnsupportedCodecError)

_REBALANCE = (
    kafka_errors.UnknownMemberIdError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.RebalanceInProgressError,
)


def is_refusal(error: BaseException) -> bool:
    """Whether the broker is there and will not have this client, however often it asks."""
    return isinstance(error, _REFUSALS)


def is_hopeless(error: BaseException) -> bool:
    """Whether sending the same again can never work."""
    return isinstance(error, _HOPELESS) or is_invalid(error)


def may_be_one_of_many(error: BaseException) -> bool:
    """Whether a batch may have failed for the sake of one of its records. The client knows fewer of the broker's
    answers than there are, and one it does not know may be about a record too."""
    return is_unknown(error) or (is_hopeless(error) and isinstance(error, kafka_errors.KafkaError))


def is_unknown(error: BaseException) -> bool:
    """Whether it may be about a record, or about a broker in trouble."""
    return isinstance(error, kafka_errors.UnknownError)


def is_too_large(error: BaseException) -> bool:
    return isinstance(error, _TOO_LARGE)


def is_invalid(error: BaseException) -> bool:
    """Whether the broker has looked at the record: no key where the topic is compacted, say."""
    return getattr(error, "errno", None) == InvalidRecordError.errno


def is_rebalance(error: BaseException) -> bool:
    return isinstance(error, _REBALANCE)


def as_broker_error(error: BaseException, settings: Settings) -> BrokerError:
    """*error* of the client as one of ours; never with a secret in it."""
    servers = settings.kafka_bootstrap_servers
    if is_refusal(error):
        return BrokerRefused(servers, describe(error))
    if isinstance(error, _UNREACHABLE):
        return BrokerUnreachable(servers, describe(error))
    return BrokerError(f"the Kafka client gave up: {describe(error)}")


def as_publish_error(
    topic: str, error: BaseException, *, forwarded: bool = False
) -> PublishFailed | RecordRefused:
    """*error* of a send: worth another try, or hopeless. *forwarded*: of a record that only the broker may refuse."""
    if not is_hopeless(error):
        return PublishFailed(topic, describe(error))
    if is_too_large(error):
        remedy = f"raise max.message.bytes of {topic}" if forwarded else _remedy(error)
        return RecordTooLarge(topic, describe(error), remedy)
    return RecordRefused(topic, describe(error), _remedy(error))


def _remedy(error: BaseException) -> str:
    if is_too_large(error):
        return "make it smaller, or raise max.message.bytes of the topic and kafka_max_request_size"
    if is_invalid(error):
        return (
            "a compacted topic takes no record without a key: give it one, or let the topic be "
            "cleaned up otherwise (cleanup.policy=delete); the broker's log says more"
        )
    return "look at its partition, key, timestamp and headers, and at the settings of the topic"


def describe(error: BaseException) -> str:
    """One line: the kind of error and what it says."""
    name = type(error).__name__
    text = " ".join(text_of(error).split())
    return text if text.startswith(name) else f"{name}: {text}" if text else name
