"""Makes a record of what a program publishes, and checks it before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from core_messaging.codecs import encode
from core_messaging.context import CARRIED
from core_messaging.definition.names import TOPIC_RULE, is_topic, plain
from core_messaging.errors import InvalidRecord
from core_messaging.records import Outgoing

HeaderValue = str | bytes | bytearray | memoryview
HeadersLike = Mapping[str, HeaderValue] | Iterable[tuple[str, HeaderValue]]
Key = str | bytes | bytearray | memoryview | None

_LARGEST_PARTITION, _LARGEST_TIMESTAMP = 2**31 - 1, 2**63 - 1  # limits of the Kafka protocol
_BYTES_LIKE = (bytearray, memoryview)


def outgoing(
    topic: str,
    message: Any,
    key: Key = None,
    headers: HeadersLike = (),
    partition: int | None = None,
    timestamp: datetime | int | None = None,
) -> Outgoing:
    """Return the record for *message*.

    *message*: anything that ``codecs.encode`` takes; None makes a tombstone. *timestamp*: a datetime with a time zone, or
    milliseconds since the epoch. *partition*: None lets the key decide.

    Raises Unencodable, and InvalidRecord for a wrong topic, key, header, partition or timestamp.
    """
    return Outgoing(
        topic=topic_name(topic),
        value=None if message is None else encode(message),
        key=None if key is None else _bytes_of(key, "key"),
        headers=_headers(headers),
        partition=None if partition is None else _partition(partition),
        timestamp=None if timestamp is None else _timestamp(timestamp),
    )


def outgoing_to(topic: str, message: Any, key: Key) -> Outgoing:
    """Return the record for *message*, one of many for *topic*, whose name was checked. Otherwise as ``outgoing``.

    Inside a handler it has the trace headers of the message that is being handled.
    """
    carried = CARRIED.get()
    return Outgoing(
        topic,
        None if message is None else encode(message),
        key if key is None or type(key) is bytes else _bytes_of(key, "key"),
        _headers(carried) if carried else (),
    )


def topic_name(topic: object) -> str:
    """Return *topic* as a plain str; it may be a member of a str enumeration. Raises InvalidRecord for an invalid name."""
    if not isinstance(topic, str):
        raise InvalidRecord(f"topic = {topic!r}", 'it is no topic name; write one: "tasks"')
    name = plain(topic)
    if not is_topic(name):
        raise InvalidRecord(f"topic = {name!r}", f"a topic name has {TOPIC_RULE}; write such a name")
    return name


def with_carried(headers: HeadersLike) -> HeadersLike:
    """Return *headers* and, inside a handler, the trace headers of the message that is being handled."""
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
        pairs = [(name, value) for name, value in map(_not_a_text, found)]
    except (TypeError, ValueError) as error:
        raise InvalidRecord(
            f"headers = {headers!r}", "write a dict, or pairs of a name and a value"
        ) from error
    return tuple(_header(name, value) for name, value in pairs)


def _not_a_text(pair: Any) -> Any:
    """Return *pair*. Raises TypeError for a str: one of two letters can be unpacked like a pair, and is none."""
    if isinstance(pair, str):
        raise TypeError("a text is no pair of a name and a value")
    return pair


def _header(name: object, value: object) -> tuple[str, bytes]:
    if not isinstance(name, str):
        raise InvalidRecord(f"a header is called {name!r}", "write a name of text")
    _bytes_of(name, "the name of a header")
    if value is None:  # Kafka has headers without a value; a program that forwards headers may have one
        nothing: Any = None  # the type of headers does not name it
        return plain(name), nothing
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
    """Return milliseconds since the epoch. Raises InvalidRecord."""
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise InvalidRecord(
                f"timestamp = {timestamp}", "it has no time zone; write for example datetime.now(UTC)"
            )
        timestamp = round(timestamp.timestamp() * 1000)
    if type(timestamp) is not int or not 0 <= timestamp <= _LARGEST_TIMESTAMP:
        raise InvalidRecord(
            f"timestamp = {timestamp!r}",
            "write an aware datetime, or whole milliseconds since 1970; nothing is older",
        )
    return timestamp
