"""From what a program wants to publish to a record, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from core_messaging.codecs import encode
from core_messaging.context import CARRIED
from core_messaging.definition.names import TOPIC_RULE, is_topic, plain
from core_messaging.errors import InvalidRecord
from core_messaging.records import Outgoing

HeaderValue = str | bytes | bytearray | memoryview
HeadersLike = Mapping[str, HeaderValue] | Iterable[tuple[str, HeaderValue]]
Key = str | bytes | bytearray | memoryview | None

_LARGEST_PARTITION, _LARGEST_TIMESTAMP = 2**31 - 1, 2**63 - 1  # as the protocol writes them
_BYTES_LIKE = (bytearray, memoryview)


def outgoing(
    topic: str,
    message: Any,
    key: Key = None,
    headers: HeadersLike = (),
    partition: int | None = None,
    timestamp: datetime | int | None = None,
) -> Outgoing:
    """The record for *message*. Raises Unencodable, InvalidRecord."""
    return Outgoing(
        topic=topic_name(topic),
        value=None if message is None else encode(message),
        key=None if key is None else _bytes_of(key, "key"),
        headers=_headers(headers),
        partition=None if partition is None else _partition(partition),
        timestamp=None if timestamp is None else _timestamp(timestamp),
    )


def topic_name(topic: object) -> str:
    """*topic* as plain text, of an enumeration too. Raises InvalidRecord where no topic can have that name."""
    if not isinstance(topic, str):
        raise InvalidRecord(f"topic = {topic!r}", 'it is no topic name; write one: "tasks"')
    name = plain(topic)
    if not is_topic(name):
        raise InvalidRecord(f"topic = {name!r}", f"a topic name has {TOPIC_RULE}; write such a name")
    return name


def with_carried(headers: HeadersLike) -> HeadersLike:
    """*headers*, and those of the trace of the message that is being handled, where there is one."""
    carried = CARRIED.get()
    if not carried:
        return headers
    given = _headers(headers)
    names = {name for name, _ in given}
    return given + tuple(pair for pair in carried if pair[0] not in names)


def _headers(headers: HeadersLike) -> tuple[tuple[str, bytes], ...]:
    if headers is None or isinstance(headers, str | bytes | bytearray | memoryview):
        raise InvalidRecord(f"headers = {headers!r}", 'write a dict: {"source": "shop"}')
    if not headers:
        return ()
    try:
        found = list(headers.items() if isinstance(headers, Mapping) else headers)
        pairs = [(name, value) for name, value in map(_no_text, found)]
    except (TypeError, ValueError) as error:
        raise InvalidRecord(
            f"headers = {headers!r}", "write a dict, or pairs of a name and a value"
        ) from error
    return tuple(_header(name, value) for name, value in pairs)


def _no_text(pair: Any) -> Any:
    """*pair*. Raises TypeError for a text: one of two letters can be taken apart like a pair, and is none."""
    if isinstance(pair, str):
        raise TypeError("a text is no pair of a name and a value")
    return pair


def _header(name: object, value: object) -> tuple[str, bytes]:
    if not isinstance(name, str):
        raise InvalidRecord(f"a header is called {name!r}", "write a name of text")
    _bytes_of(name, "the name of a header")
    if value is None:  # Kafka has headers without a value, and who passes them on may have one
        return plain(name), cast("bytes", value)
    return plain(name), _bytes_of(value, f"header {name!r}")


def _bytes_of(value: object, what: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise InvalidRecord(f"{what} = {value!r}", "it cannot be written as UTF-8; give bytes") from error
    if isinstance(value, _BYTES_LIKE):
        return bytes(value)
    raise InvalidRecord(f"{what} = {value!r}", "it has to be text or bytes; write str(...)")


def _partition(partition: object) -> int:
    if type(partition) is not int or not 0 <= partition <= _LARGEST_PARTITION:
        raise InvalidRecord(f"partition = {partition!r}", "write a number from 0, or leave it out")
    return partition


def _timestamp(timestamp: object) -> int:
    """Milliseconds since the epoch."""
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise InvalidRecord(
                f"timestamp = {timestamp}", "it has no time zone; write datetime.now(UTC), say"
            )
        timestamp = round(timestamp.timestamp() * 1000)
    if type(timestamp) is not int or not 0 <= timestamp <= _LARGEST_TIMESTAMP:
        raise InvalidRecord(
            f"timestamp = {timestamp!r}",
            "write an aware datetime, or whole milliseconds since 1970; nothing is older",
        )
    return timestamp
