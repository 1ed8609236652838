"""Translates aiokafka's errors into those of ``core_messaging.errors``, and tells which of them may pass."""

from __future__ import annotations

import asyncio
import errno
import ssl

from aiokafka import errors as kafka_errors

from core_messaging.concurrency.cancellation import stopping_us
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
    """The broker's error 87 (INVALID_RECORD, KIP-467).

    The client (0.14) does not know it and raises UnknownError, as it does for a broker in trouble.
    """

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker has validated the record and rejects it."


def register_invalid_record_error() -> None:
    """Let the client raise InvalidRecordError for error 87. Safe to repeat."""
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

# What the client raises for one record that it cannot encode: for example its timestamp, or a header that is not bytes.
UNWRITABLE = (OverflowError, TypeError, ValueError)

# Errors that another try cannot change.
_HOPELESS = (
    *_TOO_LARGE,
    kafka_errors.InvalidTopicError,
    kafka_errors.InvalidTimestampError,
    kafka_errors.PolicyViolationError,
    AssertionError,  # the client raises it for a partition that does not exist
    *UNWRITABLE,
)

# What the client raises when it fetches stored records that it cannot parse.
UNREADABLE = (kafka_errors.CorruptRecordException, kafka_errors.UnsupportedCodecError)

_REBALANCE = (
    kafka_errors.UnknownMemberIdError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.RebalanceInProgressError,
)


def is_refusal(error: BaseException) -> bool:
    """Whether the broker answers and refuses this client, so that another try cannot help."""
    return isinstance(error, _REFUSALS)


def is_closed_port(error: BaseException) -> bool:
    """Whether no process listens at the address: the machine answers and refuses the connection.

    A host name may stand for several addresses. asyncio joins their errors into one text.
    """
    if isinstance(error, ConnectionRefusedError):
        return True
    text = str(error)
    refused = text.count(f"[Errno {errno.ECONNREFUSED}]")
    return isinstance(error, OSError) and refused > 0 and refused == text.count("[Errno ")


def is_hopeless(error: BaseException) -> bool:
    """Whether sending the same record again can never work."""
    return isinstance(error, _HOPELESS) or is_invalid(error)


def may_concern_one_record(error: BaseException) -> bool:
    """Whether a batch may have failed because of one of its records.

    The client does not know every error code of a broker. One that it does not know may be about a record too.
    """
    return is_unknown(error) or (is_hopeless(error) and isinstance(error, kafka_errors.KafkaError))


def is_unknown(error: BaseException) -> bool:
    """Whether the client does not know the broker's error: it may be about a record, or the broker is in trouble."""
    return isinstance(error, kafka_errors.UnknownError)


def is_too_large(error: BaseException) -> bool:
    """Whether the record or its batch has more bytes than the client or the broker accepts."""
    return isinstance(error, _TOO_LARGE)


def is_invalid(error: BaseException) -> bool:
    """Whether the broker has validated the record and rejects it: for example no key in a compacted topic."""
    return getattr(error, "errno", None) == InvalidRecordError.errno


def is_rebalance(error: BaseException) -> bool:
    """Whether the call failed because the group rebalances or this client is no member of it any more."""
    return isinstance(error, _REBALANCE)


def as_broker_error(error: BaseException, settings: Settings) -> BrokerError:
    """Return *error* of the client as a BrokerRefused, BrokerUnreachable or BrokerError. No text of it holds a secret."""
    servers = settings.kafka_bootstrap_servers
    if is_refusal(error):
        return BrokerRefused(servers, describe(error))
    if isinstance(error, _UNREACHABLE):
        return BrokerUnreachable(servers, describe(error))
    return BrokerError(f"the Kafka client failed: {describe(error)}")


def as_publish_error(
    topic: str, error: BaseException, *, forwarded: bool = False
) -> PublishFailed | RecordRefused:
    """Return the error of a send: PublishFailed where another try may work, else RecordRefused.

    *forwarded*: the record was read from Kafka, so only the limit of the topic counts, not that of the settings.
    """
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
            "a compacted topic takes no record without a key: give the record a key, or set cleanup.policy=delete for the "
            "topic; the broker's log says more"
        )
    return "check its partition, key, timestamp and headers, and the settings of the topic"


def own_cancellation_or_error(error: asyncio.CancelledError) -> BaseException:
    """Return *error* if this task is being cancelled, else a BrokerError.

    The client shares lookups between callers. Where another caller gives up, the shared lookup is cancelled, and for this
    caller that is a failed call.
    """
    return (
        error if stopping_us(error) else BrokerError("the Kafka client cancelled the call; it is made again")
    )


def describe(error: BaseException) -> str:
    """Return one line with the class of the error and its message."""
    name = type(error).__name__
    text = " ".join(text_of(error).split())
    return text if text.startswith(name) else f"{name}: {text}" if text else name
